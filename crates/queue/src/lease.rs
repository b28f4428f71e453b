//! A lease: an item that is being worked on and still belongs to its queue.

use std::{
    convert::Infallible,
    fmt, mem,
    ops::{Deref, DerefMut},
    time::Duration,
};

use crate::{
    queue::{Queue, after},
    rank::SortKey,
    state::{Leased, finish},
};

/// An item taken from a [`Queue`] that belongs to the queue until [`done`](Self::done) is called.
///
/// It derefs to the item. The item keeps its slot in the capacity and counts as unfinished.
///
/// A lease that is dropped without `done` (by a return, a panic, an aborted task) puts the item back, with all changes
/// that were made to it. The item goes to the front: before all items that were never leased, and among those that came
/// back in the order in which they were first leased. In a queue ordered by rank or key it goes only ahead of its equals,
/// with the rank or key that it was pushed with. It can also [wait](Self::delay_next_delivery) before its next delivery.
/// All this is the same in a closed queue.
#[must_use = "a lease that is dropped puts its item back"]
pub struct Lease<T, K: Ord = Infallible> {
    queue: Queue<T, K>,
    // `None` once the lease has ended.
    item: Option<T>,
    number: u64,
    deliveries: u32,
    /// How long the item waits before its next delivery, once it is back.
    delay: Option<Duration>,
    /// The sort key of the push. It is not computed again, so `Drop` calls no user code on the item.
    sort_key: SortKey<K>,
}

impl<T, K: Ord> Lease<T, K> {
    pub(crate) fn new(queue: &Queue<T, K>, leased: Leased<T, K>) -> Self {
        let Leased { item, sort_key, number, deliveries } = leased;
        Self { queue: queue.clone(), item: Some(item), number, deliveries, delay: None, sort_key }
    }

    /// Says that the work is done, and drops the item.
    pub fn done(self) {
        drop(self.into_inner());
    }

    /// Says that the work is done, and keeps the item.
    pub fn into_inner(self) -> T {
        self.end(true)
    }

    /// Takes the item out of the queue. It does not count as done.
    pub(crate) fn give_up(self) -> T {
        self.end(false)
    }

    fn end(mut self, acknowledged: bool) -> T {
        let item = self.item.take().expect("a lease holds its item until it ends");
        let mut list = self.queue.list.lock();
        list.end_lease(acknowledged);
        finish(list);
        item
    }

    /// How often the item has been leased, including this time: 1 the first time.
    pub fn deliveries(&self) -> u32 {
        self.deliveries
    }

    /// The item's number in its queue, which does not change: how many other items were leased for the first time before
    /// it.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// If the item goes back, it cannot be taken before `delay` has passed from that moment on. Others go ahead of it.
    ///
    /// It is then like an item of [`push_after`](Queue::push_after): it counts as [delayed](Queue::delayed), a closed queue
    /// ends only after it, and waiting for it needs a tokio runtime with time enabled. It keeps its slot in the capacity.
    pub fn delay_next_delivery(&mut self, delay: Duration) {
        self.delay = Some(delay);
    }

    pub(crate) fn is_delayed(&self) -> bool {
        self.delay.is_some()
    }
}

impl<T, K: Ord> Deref for Lease<T, K> {
    type Target = T;

    fn deref(&self) -> &T {
        self.item.as_ref().expect("a lease holds its item until it ends")
    }
}

impl<T, K: Ord> DerefMut for Lease<T, K> {
    fn deref_mut(&mut self) -> &mut T {
        self.item.as_mut().expect("a lease holds its item until it ends")
    }
}

impl<T, K: Ord> Drop for Lease<T, K> {
    fn drop(&mut self) {
        let Some(item) = self.item.take() else { return };
        let sort_key = mem::replace(&mut self.sort_key, SortKey::ranked(0));
        let due = self.delay.map(after);
        let mut list = self.queue.list.lock();
        list.put_back(sort_key, self.number, self.deliveries, item, due);
        finish(list);
    }
}

impl<T, K: Ord> fmt::Debug for Lease<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("deliveries", &self.deliveries).finish_non_exhaustive()
    }
}
