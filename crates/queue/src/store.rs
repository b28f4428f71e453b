//! The items of a queue, in the order in which they are to be taken.

mod delayed;
mod priority;

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

pub(crate) use self::delayed::Alarm;
use self::{delayed::Delayed, priority::Priority};
use crate::rank::Place;

/// A burst's memory is given back down to room for this many items.
const KEEP: usize = 1024;

/// Items that wait to be taken: those that came back from a lease before those that were never out, rank by rank.
pub(crate) struct Store<T, K> {
    /// What was never leased.
    fresh: Fresh<T, K>,
    /// By place, then by when they were first leased, so that several that come back stand as they stood before.
    returned: BTreeMap<(Place<K>, u64), Returned<T>>,
    /// What cannot be taken yet.
    pub(crate) delayed: Delayed<T, K>,
}

/// The order of a queue, with its items.
enum Fresh<T, K> {
    Fifo(VecDeque<T>),
    Lifo(VecDeque<T>),
    Priority(Box<Priority<T, K>>),
}

struct Returned<T> {
    item: T,
    deliveries: u32,
}

/// An item that is not in its order, and what is known of its past.
pub(crate) struct Taken<T, K> {
    pub(crate) item: T,
    /// The place it was pushed to: in a queue where that means nothing, one for all.
    pub(crate) place: Place<K>,
    /// When it was first leased, if it has been.
    pub(crate) ticket: Option<u64>,
    /// How often it has been leased before.
    pub(crate) deliveries: u32,
}

impl<T, K: Ord> Store<T, K> {
    pub(crate) fn fifo() -> Self {
        Self::of(Fresh::Fifo(VecDeque::new()))
    }

    pub(crate) fn lifo() -> Self {
        Self::of(Fresh::Lifo(VecDeque::new()))
    }

    pub(crate) fn priority() -> Self {
        Self::of(Fresh::Priority(Box::new(Priority::new())))
    }

    fn of(fresh: Fresh<T, K>) -> Self {
        Self { fresh, returned: BTreeMap::new(), delayed: Delayed::new() }
    }

    /// Whether places mean anything here.
    pub(crate) fn is_ranked(&self) -> bool {
        matches!(self.fresh, Fresh::Priority(_))
    }

    /// Whether the next item is one that was never leased, whatever its place.
    pub(crate) fn is_fresh(&self) -> bool {
        self.returned.is_empty()
    }

    #[inline]
    pub(crate) fn push(&mut self, place: Place<K>, item: T) {
        match &mut self.fresh {
            Fresh::Fifo(items) | Fresh::Lifo(items) => items.push_back(item),
            Fresh::Priority(items) => items.push(place, item),
        }
    }

    pub(crate) fn put_back(&mut self, place: Place<K>, ticket: u64, deliveries: u32, item: T) {
        self.returned.insert((place, ticket), Returned { item, deliveries });
    }

    /// The next of those that were never leased.
    #[inline(always)]
    pub(crate) fn pop_fresh(&mut self) -> Option<T> {
        let (item, items) = match &mut self.fresh {
            Fresh::Fifo(items) => (items.pop_front(), items),
            Fresh::Lifo(items) => (items.pop_back(), items),
            Fresh::Priority(items) => return Some(items.pop()?.1),
        };
        if is_sparse(items.len(), items.capacity()) {
            shrink(items);
        }
        item
    }

    pub(crate) fn pop(&mut self) -> Option<Taken<T, K>> {
        if let Some(taken) = self.pop_returned() {
            return Some(taken);
        }
        let (place, item) = match &mut self.fresh {
            Fresh::Priority(items) => items.pop()?,
            _ => (Place::ranked(0), self.pop_fresh()?),
        };
        Some(Taken { item, place, ticket: None, deliveries: 0 })
    }

    /// The first of the returned, if no fresh item outranks it.
    fn pop_returned(&mut self) -> Option<Taken<T, K>> {
        let first = self.returned.first_entry()?;
        if let Fresh::Priority(items) = &self.fresh
            && items.first_is_before(&first.key().0)
        {
            return None;
        }
        let ((place, ticket), Returned { item, deliveries }) = first.remove_entry();
        Some(Taken { item, place, ticket: Some(ticket), deliveries })
    }

    /// Lets what is due be taken, as if it were pushed now, or came back now from its lease.
    pub(crate) fn promote(&mut self, now: Instant) {
        while let Some(Taken { item, place, ticket, deliveries }) = self.delayed.pop_due(now) {
            match ticket {
                Some(ticket) => self.put_back(place, ticket, deliveries, item),
                None => self.push(place, item),
            }
        }
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

    /// All items in their order, each with how often it has been leased; those that are not due come last.
    pub(crate) fn into_items(mut self) -> impl Iterator<Item = (T, u32)> {
        let delayed = std::mem::replace(&mut self.delayed, Delayed::new());
        std::iter::from_fn(move || self.pop().map(|taken| (taken.item, taken.deliveries)))
            .chain(delayed.into_items())
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
