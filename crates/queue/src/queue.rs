//! The queue's handle: what it can be asked at once. What waits is in the files of its futures.

use std::{collections::VecDeque, convert::Infallible, fmt, time::Duration};

use outbound_waitlist::WaitList;
use tokio::time::Instant;

use crate::{
    error::{TryPopError, TryPushError},
    join::Join,
    lease::Lease,
    many::{Items, PopMany, PushMany},
    pop::{NextLease, Pop},
    push::{Push, PushAt},
    rank::{Order, Place},
    state::{self, JOINERS, List, POPPERS, PUSHERS, State, finish},
    store::Store,
};

/// A queue of items between tasks: many put in, many take out.
///
/// Cloning it gives another handle to the same queue. Items are dropped with the last handle. `Debug` shows how many
/// items and waiting tasks there are, and no item.
///
/// | | order | what [`pop`](Self::pop) gives |
/// |---|---|---|
/// | [`bounded`](Self::bounded), [`unbounded`](Self::unbounded) | first in, first out | the oldest |
/// | [`lifo`](Self::lifo) | last in, first out | the newest |
/// | [`priority`](Self::priority) | by rank | the oldest of the lowest rank |
/// | [`by_key`](Self::by_key) | by a key of any type that has an order, which is the queue's `K` | the oldest of the lowest key |
/// | [`aging`](Self::aging) | by arrival plus handicap | the one whose time came first |
///
/// All else is the same for all of them.
///
/// # Capacity
///
/// Items on a lease keep their place. An item for which a waiting [`pop`](Self::pop) has been woken does not: its place
/// is free at once, so that a producer need not wait for its consumer to run. If such pops are dropped instead of polled,
/// their items stay, and until those are taken there are so many more than `capacity`: one for each, and of pops that all
/// wait at once no more than about log2 of the capacity are woken before any of them runs.
///
/// # Fairness
///
/// Tasks that wait are served in the order in which they came; those that wait to push into a priority queue, by the
/// rank of what they bring. A newcomer may take what is there beyond one for each task that has been woken, and go
/// ahead of the woken themselves, who have not run yet, at most 32 times in a row. The `try_` forms never go ahead of
/// anybody.
pub struct Queue<T, K = Infallible> {
    pub(crate) list: List<T, K>,
    pub(crate) order: Order<T, K>,
}

impl<T, K: Ord> Queue<T, K> {
    pub(crate) fn new(store: Store<T, K>, capacity: usize, order: Order<T, K>) -> Self {
        assert!(capacity > 0, "a queue has room for at least one item");
        Self { list: WaitList::with_lines(State::new(store, capacity)), order }
    }

    /// Puts an item in, waiting for a place if there is none.
    ///
    /// # Errors
    ///
    /// If the queue is closed, or is closed while this waits: the item comes back in the error.
    ///
    /// # Cancel safety
    ///
    /// Dropping this future drops the item; it is never delivered.
    pub fn push(&self, item: T) -> Push<'_, T, K> {
        Push::new(self, item)
    }

    /// Puts an item in that cannot be taken before `due`, waiting for a place if there is none.
    ///
    /// It has a place and is unfinished from when this returns. When it is due it goes in as if it were pushed then; a
    /// queue that is closed in the meantime ends after it. [`take_all`](Self::take_all) and
    /// [`close_now`](Self::close_now) take it without waiting, behind all that is due. While items are not due, each
    /// pop looks at the clock.
    ///
    /// # Errors
    ///
    /// If the queue is closed, or is closed while this waits: the item comes back in the error.
    ///
    /// # Cancel safety
    ///
    /// Dropping this future drops the item; it is never delivered.
    ///
    /// # Panics
    ///
    /// This does not, but as long as items are not due, waiting for one panics outside of a tokio runtime with a
    /// timer.
    pub fn push_at(&self, item: T, due: Instant) -> PushAt<'_, T, K> {
        PushAt::new(self, item, due)
    }

    /// As [`push_at`](Self::push_at), with an item that is due when `delay` has passed from this call on.
    pub fn push_after(&self, item: T, delay: Duration) -> PushAt<'_, T, K> {
        self.push_at(item, after(delay))
    }

    /// Puts `items` in, the first first, waiting for places as long as there are none: as many at a time as there is
    /// room for, with one lock and no more wakes than that takes. What it has put in is gone from `items`.
    ///
    /// # Errors
    ///
    /// If the queue is closed, or is closed while this waits: what is not in the queue is still in `items`.
    ///
    /// # Cancel safety
    ///
    /// Dropping this future leaves what is not in the queue in `items`.
    pub fn push_many<'b>(&self, items: &'b mut VecDeque<T>) -> PushMany<'_, 'b, T, K> {
        PushMany::new(self, items)
    }

    /// Puts an item in at once, or not at all.
    ///
    /// # Errors
    ///
    /// If there is no place beyond those that others wait for, or the queue is closed: the item comes back in the
    /// error.
    pub fn try_push(&self, item: T) -> Result<(), TryPushError<T>> {
        let place = self.place_of(&item);
        let mut list = self.list.lock();
        if list.nobody_waits() && list.takes_newcomers() {
            list.push(place, item);
            return Ok(());
        }
        if list.is_closed() {
            return Err(TryPushError::Closed(item));
        }
        if list.room() <= list.line(PUSHERS).len() {
            return Err(TryPushError::Full(item));
        }
        list.push(place, item);
        finish(list);
        Ok(())
    }

    /// Puts an item in though there may be no place for it, or the queue is closed.
    pub(crate) fn push_beyond_capacity(&self, item: T) {
        let place = self.place_of(&item);
        let mut list = self.list.lock();
        list.push(place, item);
        finish(list);
    }

    /// Takes the next item, waiting for one if there is none: `None` once the queue is closed and empty.
    ///
    /// The item counts as done when it is returned. To keep it in the queue until its work is done, see
    /// [`lease`](Self::lease).
    ///
    /// # Cancel safety
    ///
    /// Dropping this future takes nothing: an item leaves the queue only when this returns it.
    pub fn pop(&self) -> Pop<'_, T, K> {
        Pop::new(self)
    }

    /// Takes up to `limit` items (0 is taken for 1) and puts them at the end of `items`, waiting only while there is
    /// none. It gives how many: 0 once the queue is closed and empty. What others have been woken for is left to them.
    ///
    /// # Cancel safety
    ///
    /// Dropping this future takes nothing.
    pub fn pop_many<'b>(&self, items: &'b mut Vec<T>, limit: usize) -> PopMany<'_, 'b, T, K> {
        PopMany::new(self, items, limit)
    }

    /// The items as a stream, which ends once the queue is closed and empty. Each is taken as by [`pop`](Self::pop).
    ///
    /// # Cancel safety
    ///
    /// Dropping the stream takes nothing.
    pub fn items(&self) -> Items<'_, T, K> {
        Items::new(self)
    }

    /// Takes the next item at once, or none.
    ///
    /// # Errors
    ///
    /// If there is no item beyond those that others wait for.
    pub fn try_pop(&self) -> Result<T, TryPopError> {
        let mut list = self.list.lock();
        if list.nobody_waits()
            && let Some(item) = list.pop_unnoticed()
        {
            return Ok(item);
        }
        list.promote();
        if list.ready() <= list.line(POPPERS).len() {
            return Err(if list.is_over() { TryPopError::Closed } else { TryPopError::Empty });
        }
        let item = list.pop().ok_or(TryPopError::Empty)?;
        finish(list);
        Ok(item)
    }

    /// Takes the next item on a [`Lease`], waiting for one if there is none: `None` once the queue is closed and
    /// empty. What others still have on a lease then may come back later, and is had with
    /// [`take_all`](Self::take_all) or another call.
    ///
    /// # Cancel safety
    ///
    /// Dropping this future takes nothing.
    pub fn lease(&self) -> NextLease<'_, T, K> {
        NextLease::new(self)
    }

    /// Takes the next item on a [`Lease`] at once, or none.
    ///
    /// # Errors
    ///
    /// If there is no item beyond those that others wait for.
    pub fn try_lease(&self) -> Result<Lease<T, K>, TryPopError> {
        let mut list = self.list.lock();
        list.promote();
        if list.ready() <= list.line(POPPERS).len() {
            return Err(if list.is_over() { TryPopError::Closed } else { TryPopError::Empty });
        }
        let leased = list.lease().ok_or(TryPopError::Empty)?;
        finish(list);
        Ok(Lease::new(self, leased))
    }

    /// Waits until nothing is unfinished: no item waits and none is on a lease. Items pushed meanwhile are waited for,
    /// too. It does not close the queue.
    ///
    /// An item that nobody takes keeps it waiting, in a closed queue as well: see [`take_all`](Self::take_all).
    ///
    /// # Cancel safety
    ///
    /// Dropping this future has no effect.
    pub fn join(&self) -> Join<'_, T, K> {
        Join::new(self)
    }

    /// Closes the queue: pushing fails from now on, for those who wait to as well; what is in it can still be taken.
    pub fn close(&self) {
        state::close(self.list.lock());
    }

    /// Closes the queue and takes all that nobody has taken: those who wait for an item end at once.
    ///
    /// Items on a lease are not among them. One that is not acknowledged comes back into the closed queue, for
    /// [`take_all`](Self::take_all).
    pub fn close_now(&self) -> Vec<T> {
        let mut list = self.list.lock();
        let store = list.take_all();
        state::close(list);
        store.into_items().map(|(item, _)| item).collect()
    }

    /// Takes all that waits, in its order. Those who wait to push go on, in an open queue.
    pub fn take_all(&self) -> Vec<T> {
        self.take_all_with_deliveries().map(|(item, _)| item).collect()
    }

    /// As [`take_all`](Self::take_all), with how often each item has been leased.
    pub(crate) fn take_all_with_deliveries(&self) -> impl Iterator<Item = (T, u32)> + use<T, K> {
        let mut list = self.list.lock();
        let store = list.take_all();
        finish(list);
        store.into_items()
    }

    /// How many items can be taken. Those on a lease, or not due yet, are not among them.
    pub fn len(&self) -> usize {
        let mut list = self.list.lock();
        list.promote();
        list.ready()
    }

    /// How many items are not due yet.
    pub fn delayed(&self) -> usize {
        let mut list = self.list.lock();
        list.promote();
        list.delayed()
    }

    /// Whether there is no item to take.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no place for [`try_push`](Self::try_push) to take. Items on a lease and those that are not due
    /// keep theirs, and a place that others wait for is not free.
    pub fn is_full(&self) -> bool {
        let mut list = self.list.lock();
        list.room() <= list.line(PUSHERS).len()
    }

    /// How many items there is room for: `usize::MAX` if there is no bound.
    pub fn capacity(&self) -> usize {
        self.list.lock().capacity()
    }

    /// How many items are not done yet: those that wait, those that are not due, and those on a lease.
    pub fn unfinished(&self) -> usize {
        self.list.lock().unfinished()
    }

    /// How many items are on a lease.
    pub fn leased(&self) -> usize {
        self.list.lock().leased()
    }

    /// Whether it has been closed.
    pub fn is_closed(&self) -> bool {
        self.list.lock().is_closed()
    }

    /// How many tasks wait to push.
    pub fn waiting_to_push(&self) -> usize {
        self.list.lock().line(PUSHERS).len()
    }

    /// How many tasks wait for an item.
    pub fn waiting_to_pop(&self) -> usize {
        self.list.lock().line(POPPERS).len()
    }

    /// How many tasks wait for all to be done.
    pub fn waiting_to_join(&self) -> usize {
        self.list.lock().line(JOINERS).len()
    }

    /// How many leases have been acknowledged since the queue was made.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.list.lock().acknowledged()
    }

    #[inline]
    pub(crate) fn place_of(&self, item: &T) -> Place<K> {
        self.order.place_of(item)
    }
}

/// `delay` from now, or so far away that it never comes.
pub(crate) fn after(delay: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    Instant::now() + delay.min(CENTURY)
}

impl<T, K> Clone for Queue<T, K> {
    fn clone(&self) -> Self {
        Self { list: self.list.clone(), order: self.order.clone() }
    }
}

impl<T, K: Ord> fmt::Debug for Queue<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = self.list.lock();
        let (pushers, poppers) = (list.line(PUSHERS).len(), list.line(POPPERS).len());
        f.debug_struct("Queue")
            .field("len", &list.ready())
            .field("delayed", &list.delayed())
            .field("leased", &list.leased())
            .field("capacity", &list.capacity())
            .field("closed", &list.is_closed())
            .field("waiting_to_push", &pushers)
            .field("waiting_to_pop", &poppers)
            .finish()
    }
}
