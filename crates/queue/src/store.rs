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
    /// What was never leased, in a queue that is first in, first out. In another it is empty and has no memory, so that
    /// nothing is pushed to it or popped from it [plainly](Self::push_plainly).
    fifo: VecDeque<T>,
    order: Order<T, K>,
    /// By place, then by when they were first leased, so that several that come back stand as they stood before.
    returned: BTreeMap<(Place<K>, u64), Returned<T>>,
    /// What cannot be taken yet.
    pub(crate) delayed: Delayed<T, K>,
}

/// The order of a queue, with what was never leased unless that is in the FIFO.
enum Order<T, K> {
    Fifo,
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
        Self::of(Order::Fifo)
    }

    pub(crate) fn lifo() -> Self {
        Self::of(Order::Lifo(VecDeque::new()))
    }

    pub(crate) fn priority() -> Self {
        Self::of(Order::Priority(Box::new(Priority::new())))
    }

    fn of(order: Order<T, K>) -> Self {
        Self { fifo: VecDeque::new(), order, returned: BTreeMap::new(), delayed: Delayed::new() }
    }

    /// Whether places mean anything here.
    pub(crate) fn is_ranked(&self) -> bool {
        matches!(self.order, Order::Priority(_))
    }

    /// Pushes if that is no more than to write it into the FIFO's memory.
    #[inline(always)]
    pub(crate) fn push_plainly(&mut self, item: T) -> Result<(), T> {
        // Items without a size need no memory, so that there is always some.
        if self.fifo.len() == self.fifo.capacity() || size_of::<T>() == 0 {
            return Err(item);
        }
        self.fifo.push_back(item);
        Ok(())
    }

    /// Pops if there is something in the FIFO, which may only be asked for as long as more than
    /// [`plain_above`](Self::plain_above) items are unfinished.
    #[inline(always)]
    pub(crate) fn pop_plainly(&mut self) -> Option<T> {
        self.fifo.pop_front()
    }

    /// How many items have to be there, so that the next one is the FIFO's and no memory is to be given back.
    pub(crate) fn plain_above(&self) -> usize {
        match self.order {
            Order::Fifo if self.returned.is_empty() => match self.fifo.capacity() {
                ..=KEEP => 0,
                capacity => capacity / 4,
            },
            _ => usize::MAX,
        }
    }

    /// Returns whether [`plain_above`](Self::plain_above) may say otherwise now.
    #[inline]
    pub(crate) fn push(&mut self, place: Place<K>, item: T) -> bool {
        match &mut self.order {
            Order::Priority(items) => items.push(place, item),
            Order::Lifo(items) => items.push_back(item),
            Order::Fifo => {
                let capacity = self.fifo.capacity();
                self.fifo.push_back(item);
                return self.fifo.capacity() != capacity;
            }
        }
        false
    }

    pub(crate) fn put_back(&mut self, place: Place<K>, ticket: u64, deliveries: u32, item: T) {
        self.returned.insert((place, ticket), Returned { item, deliveries });
    }

    /// The next item, and whether [`plain_above`](Self::plain_above) may say otherwise now.
    #[inline]
    pub(crate) fn pop_item(&mut self) -> Option<(T, bool)> {
        if !self.returned.is_empty() {
            return Some((self.pop()?.item, true));
        }
        match &mut self.order {
            Order::Priority(items) => Some((items.pop()?.1, false)),
            Order::Fifo if !is_sparse(self.fifo.len(), self.fifo.capacity()) => {
                Some((self.fifo.pop_front()?, false))
            }
            Order::Fifo | Order::Lifo(_) => Some((self.pop()?.item, true)),
        }
    }

    #[inline(never)]
    pub(crate) fn pop(&mut self) -> Option<Taken<T, K>> {
        if let Some(taken) = self.pop_returned() {
            return Some(taken);
        }
        let (item, items) = match &mut self.order {
            Order::Fifo => (self.fifo.pop_front(), &mut self.fifo),
            Order::Lifo(items) => (items.pop_back(), items),
            Order::Priority(items) => {
                let (place, item) = items.pop()?;
                return Some(Taken { item, place, ticket: None, deliveries: 0 });
            }
        };
        if is_sparse(items.len(), items.capacity()) {
            shrink(items);
        }
        Some(Taken { item: item?, place: Place::ranked(0), ticket: None, deliveries: 0 })
    }

    /// The first of the returned, if no fresh item outranks it.
    fn pop_returned(&mut self) -> Option<Taken<T, K>> {
        let first = self.returned.first_entry()?;
        if let Order::Priority(items) = &self.order
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
                None => {
                    self.push(place, item);
                }
            }
        }
    }

    /// Leaves an empty store of the same order behind.
    pub(crate) fn take(&mut self) -> Self {
        let empty = match self.order {
            Order::Fifo => Self::fifo(),
            Order::Lifo(_) => Self::lifo(),
            Order::Priority(_) => Self::priority(),
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
