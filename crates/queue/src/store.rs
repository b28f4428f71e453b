//! The items of a queue, in the order in which they are taken.

mod delayed;
mod priority;

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

pub(crate) use self::delayed::DueTimer;
use self::{delayed::Delayed, priority::Priority};
use crate::rank::SortKey;

/// The memory of a burst is given back, but room for this many items is kept.
const KEEP: usize = 1024;

/// The items of a queue. Within a rank, items that came back from a lease go before items that were never leased.
pub(crate) struct Store<T, K> {
    /// Items that were never leased.
    fresh: Fresh<T, K>,
    /// Items that came back from a lease, by their sort key and then by the order of their first lease. So several items
    /// that come back have the same order as before.
    returned: BTreeMap<(SortKey<K>, u64), Returned<T>>,
    /// Items that are not due.
    pub(crate) delayed: Delayed<T, K>,
}

/// The items that were never leased, in the structure for the order of the queue.
enum Fresh<T, K> {
    Fifo(VecDeque<T>),
    Lifo(VecDeque<T>),
    Priority(Box<Priority<T, K>>),
}

struct Returned<T> {
    item: T,
    deliveries: u32,
}

/// An item with its history, on its way in or out of the store.
pub(crate) struct StoredItem<T, K> {
    pub(crate) item: T,
    /// The sort key of its push. In a queue without ranks and keys all are equal.
    pub(crate) sort_key: SortKey<K>,
    /// Its number in the order of first leases, if it has been leased.
    pub(crate) number: Option<u64>,
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

    /// Whether the queue is sorted by rank or key.
    pub(crate) fn is_ranked(&self) -> bool {
        matches!(self.fresh, Fresh::Priority(_))
    }

    /// Whether all items were never leased.
    pub(crate) fn is_fresh(&self) -> bool {
        self.returned.is_empty()
    }

    #[inline]
    pub(crate) fn push(&mut self, sort_key: SortKey<K>, item: T) {
        match &mut self.fresh {
            Fresh::Fifo(items) | Fresh::Lifo(items) => items.push_back(item),
            Fresh::Priority(items) => items.push(sort_key, item),
        }
    }

    pub(crate) fn put_back(&mut self, sort_key: SortKey<K>, number: u64, deliveries: u32, item: T) {
        self.returned.insert((sort_key, number), Returned { item, deliveries });
    }

    /// Takes the next item that was never leased.
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

    pub(crate) fn pop(&mut self) -> Option<StoredItem<T, K>> {
        if let Some(taken) = self.pop_returned() {
            return Some(taken);
        }
        let (sort_key, item) = match &mut self.fresh {
            Fresh::Priority(items) => items.pop()?,
            _ => (SortKey::ranked(0), self.pop_fresh()?),
        };
        Some(StoredItem { item, sort_key, number: None, deliveries: 0 })
    }

    /// Takes the first item that came back, unless an item that was never leased goes before it.
    fn pop_returned(&mut self) -> Option<StoredItem<T, K>> {
        let first = self.returned.first_entry()?;
        if let Fresh::Priority(items) = &self.fresh
            && items.first_is_before(&first.key().0)
        {
            return None;
        }
        let ((sort_key, number), Returned { item, deliveries }) = first.remove_entry();
        Some(StoredItem { item, sort_key, number: Some(number), deliveries })
    }

    /// Makes the items that are due ready, as if they were pushed now or came back now from a lease.
    pub(crate) fn promote(&mut self, now: Instant) {
        while let Some(StoredItem { item, sort_key, number, deliveries }) = self.delayed.pop_due(now) {
            match number {
                Some(number) => self.put_back(sort_key, number, deliveries, item),
                None => self.push(sort_key, item),
            }
        }
    }

    /// Takes the whole store, and leaves an empty one of the same order.
    pub(crate) fn take(&mut self) -> Self {
        let empty = match self.fresh {
            Fresh::Fifo(_) => Self::fifo(),
            Fresh::Lifo(_) => Self::lifo(),
            Fresh::Priority(_) => Self::priority(),
        };
        std::mem::replace(self, empty)
    }

    /// All items in their order, each with how often it has been leased. Items that are not due come last.
    pub(crate) fn into_items(mut self) -> impl Iterator<Item = (T, u32)> {
        let delayed = std::mem::replace(&mut self.delayed, Delayed::new());
        std::iter::from_fn(move || self.pop().map(|taken| (taken.item, taken.deliveries)))
            .chain(delayed.into_items())
    }
}

/// Whether so little of the memory is used that half of it is given back. Between two such moments there are at least as
/// many pops as a quarter of the capacity, so the cost for each pop is constant.
#[inline]
fn is_sparse(len: usize, capacity: usize) -> bool {
    capacity > KEEP && len < capacity / 4
}

#[cold]
#[inline(never)]
fn shrink<T>(items: &mut VecDeque<T>) {
    items.shrink_to(items.capacity() / 2);
}
