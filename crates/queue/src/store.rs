//! The items of a queue, in the order in which they are to be taken.

mod priority;

use std::collections::{BTreeMap, VecDeque};

use self::priority::Priority;

/// A burst's memory is given back down to room for this many items.
const KEEP: usize = 1024;

/// Items that wait to be taken: those that came back from a lease before those that were never out, rank by rank.
pub(crate) struct Store<T> {
    fresh: Fresh<T>,
    /// By rank, then by when they were first leased, so that several that come back stand as they stood before.
    returned: BTreeMap<(u32, u64), Returned<T>>,
}

/// Items that have not been leased yet.
enum Fresh<T> {
    Fifo(VecDeque<T>),
    Lifo(VecDeque<T>),
    Priority(Box<Priority<T>>),
}

struct Returned<T> {
    item: T,
    deliveries: u32,
}

/// An item taken out, and what is known of its past.
pub(crate) struct Taken<T> {
    pub(crate) item: T,
    /// When it was first leased, if it has been.
    pub(crate) ticket: Option<u64>,
    /// How often it has been leased before.
    pub(crate) deliveries: u32,
}

impl<T> Store<T> {
    pub(crate) fn fifo() -> Self {
        Self::of(Fresh::Fifo(VecDeque::new()))
    }

    pub(crate) fn lifo() -> Self {
        Self::of(Fresh::Lifo(VecDeque::new()))
    }

    pub(crate) fn priority() -> Self {
        Self::of(Fresh::Priority(Box::new(Priority::new())))
    }

    fn of(fresh: Fresh<T>) -> Self {
        Self { fresh, returned: BTreeMap::new() }
    }

    /// Whether ranks mean anything here.
    #[inline]
    pub(crate) fn is_ranked(&self) -> bool {
        matches!(self.fresh, Fresh::Priority(_))
    }

    #[inline]
    pub(crate) fn push(&mut self, rank: u32, item: T) {
        match &mut self.fresh {
            Fresh::Fifo(items) => items.push_back(item),
            Fresh::Lifo(items) => items.push_back(item),
            Fresh::Priority(items) => items.push(rank, item),
        }
    }

    pub(crate) fn put_back(&mut self, rank: u32, ticket: u64, deliveries: u32, item: T) {
        self.returned.insert((rank, ticket), Returned { item, deliveries });
    }

    /// The next item, whatever its past.
    #[inline]
    pub(crate) fn pop_item(&mut self) -> Option<T> {
        if self.returned.is_empty() { self.fresh.pop() } else { self.pop_item_of_either() }
    }

    #[cold]
    #[inline(never)]
    fn pop_item_of_either(&mut self) -> Option<T> {
        self.pop().map(|taken| taken.item)
    }

    pub(crate) fn pop(&mut self) -> Option<Taken<T>> {
        self.pop_returned().or_else(|| {
            let item = self.fresh.pop()?;
            Some(Taken { item, ticket: None, deliveries: 0 })
        })
    }

    /// The first of the returned, if no fresh item outranks it.
    fn pop_returned(&mut self) -> Option<Taken<T>> {
        let first = self.returned.first_entry()?;
        let &(rank, ticket) = first.key();
        if let Fresh::Priority(items) = &self.fresh
            && items.first_rank().is_some_and(|fresh| fresh < rank)
        {
            return None;
        }
        let Returned { item, deliveries } = first.remove();
        Some(Taken { item, ticket: Some(ticket), deliveries })
    }

    /// Leaves an empty store of the same order behind.
    pub(crate) fn take(&mut self) -> Self {
        let empty = match self.fresh {
            Fresh::Fifo(_) => Self::fifo(),
            Fresh::Lifo(_) => Self::lifo(),
            Fresh::Priority(_) => Self::priority(),
        };
        std::mem::replace(self, empty)
    }

    /// All items in their order, each with how often it has been leased.
    pub(crate) fn into_items(mut self) -> impl Iterator<Item = (T, u32)> {
        std::iter::from_fn(move || self.pop().map(|taken| (taken.item, taken.deliveries)))
    }
}

impl<T> Fresh<T> {
    #[inline]
    fn pop(&mut self) -> Option<T> {
        match self {
            Self::Fifo(items) => {
                let item = items.pop_front();
                if is_sparse(items.len(), items.capacity()) {
                    shrink(items);
                }
                item
            }
            Self::Lifo(items) => {
                let item = items.pop_back();
                if is_sparse(items.len(), items.capacity()) {
                    shrink(items);
                }
                item
            }
            Self::Priority(items) => items.pop(),
        }
    }
}

/// Whether so little of the room is used that half of it goes back. Between two such moments lie at least a quarter
/// of the room's pops, so it costs nothing in the long run.
#[inline]
fn is_sparse(len: usize, capacity: usize) -> bool {
    capacity > KEEP && len < capacity / 4
}

#[cold]
#[inline(never)]
fn shrink<T>(items: &mut VecDeque<T>) {
    items.shrink_to(items.capacity() / 2);
}
