//! An item that is being worked on.

use std::{
    convert::Infallible,
    fmt, mem,
    ops::{Deref, DerefMut},
    time::Duration,
};

use crate::{
    queue::{Queue, after},
    rank::Place,
    state::{Leased, finish},
};

/// An item taken from a [`Queue`] that stays the queue's until [`done`](Self::done) says that its work is.
///
/// It derefs to the item, keeps its place in the capacity, and counts as unfinished. Dropped without `done` (by a
/// return, a panic, an aborted task) the item goes back to the front, with what was changed in it: before all that
/// was never leased, in the order in which it was first leased, unless it is to
/// [wait](Self::delay_next_delivery). In a queue ordered by rank or key it goes ahead of its
/// equals only, with the rank or key that it was pushed with. All that holds in a closed queue as well.
#[must_use = "a lease that is dropped puts its item back"]
pub struct Lease<T, K: Ord = Infallible> {
    queue: Queue<T, K>,
    // `None` once it has been given up, one way or the other.
    item: Option<T>,
    ticket: u64,
    deliveries: u32,
    /// How long it waits once it is back.
    delay: Option<Duration>,
    /// Where it was pushed to, which is not worked out again: `Drop` reads nothing off the item.
    place: Place<K>,
}

impl<T, K: Ord> Lease<T, K> {
    pub(crate) fn new(queue: &Queue<T, K>, leased: Leased<T, K>) -> Self {
        let Leased { item, place, ticket, deliveries } = leased;
        Self { queue: queue.clone(), item: Some(item), ticket, deliveries, delay: None, place }
    }

    /// Says that the work is done, and drops the item.
    pub fn done(self) {
        drop(self.into_inner());
    }

    /// Says that the work is done, and keeps the item.
    pub fn into_inner(self) -> T {
        self.end(true)
    }

    /// Takes the item out of the queue without its being done.
    pub(crate) fn give_up(self) -> T {
        self.end(false)
    }

    fn end(mut self, acknowledged: bool) -> T {
        let item = self.item.take().expect("a lease holds its item until it is given up");
        let mut list = self.queue.list.lock();
        list.end_lease(acknowledged);
        finish(list);
        item
    }

    /// How often the item has been leased, this time included: 1 the first time.
    pub fn deliveries(&self) -> u32 {
        self.deliveries
    }

    /// The item's number in its queue, which it keeps: how many others were leased for the first time before it.
    pub fn number(&self) -> u64 {
        self.ticket
    }

    /// If the item goes back, it cannot be taken before `delay` has passed from then on, and others go ahead of it.
    ///
    /// It is then as one of [`push_after`](Queue::push_after): it counts as [delayed](Queue::delayed), a closed queue
    /// ends after it, and waiting for it needs a tokio runtime with a timer. It keeps its place in the capacity.
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
        self.item.as_ref().expect("a lease holds its item until it is given up")
    }
}

impl<T, K: Ord> DerefMut for Lease<T, K> {
    fn deref_mut(&mut self) -> &mut T {
        self.item.as_mut().expect("a lease holds its item until it is given up")
    }
}

impl<T, K: Ord> Drop for Lease<T, K> {
    fn drop(&mut self) {
        let Some(item) = self.item.take() else { return };
        let place = mem::replace(&mut self.place, Place::ranked(0));
        let due = self.delay.map(after);
        let mut list = self.queue.list.lock();
        list.put_back(place, self.ticket, self.deliveries, item, due);
        finish(list);
    }
}

impl<T, K: Ord> fmt::Debug for Lease<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("deliveries", &self.deliveries).finish_non_exhaustive()
    }
}
