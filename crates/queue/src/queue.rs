//! The handle of a queue. The methods that wait return futures, which are in files of their own.

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
    rank::{Order, SortKey},
    state::{self, JOINERS, List, POPPERS, PUSHERS, State, finish},
    store::Store,
};

/// A queue of items between tasks. Any number of tasks push, and any number pop.
///
/// Cloning it gives another handle to the same queue. Items are dropped with the last handle. `Debug` shows how many
/// items and waiting tasks there are, and no item.
///
/// | constructor | order | what [`pop`](Self::pop) gives |
/// |---|---|---|
/// | [`bounded`](Self::bounded), [`unbounded`](Self::unbounded) | first in, first out | the oldest |
/// | [`lifo`](Self::lifo) | last in, first out | the newest |
/// | [`priority`](Self::priority) | by rank | the oldest of the lowest rank |
/// | [`by_key`](Self::by_key) | by a key of any type that has an order: the `K` of the queue | the oldest of the lowest key |
/// | [`aging`](Self::aging) | by arrival plus handicap | the one with the earliest sum |
///
/// Everything else is the same for all of them.
///
/// # Capacity
///
/// Each item has a slot in the capacity. A leased item keeps its slot. An item for which a waiting [`pop`](Self::pop) has
/// been woken does not: its slot is free at once, so that a producer does not have to wait until its consumer runs.
///
/// If such pops are dropped instead of polled, their items stay in the queue. Until those items are taken, the queue holds
/// more than `capacity`: one item more for each such pop. Of pops that wait at the same time, no more than about log2 of
/// the capacity are woken before one of them runs.
///
/// # Fairness
///
/// Waiting tasks are served in the order in which they came. Tasks that wait to push into a priority queue are served by
/// the rank of their items. Each task that was woken has a claim to one item or slot. A newcomer may take what is there
/// beyond these claims. It may also overtake the woken tasks while they have not run yet, at most 32 times in a row. The
/// `try_` forms overtake nobody.
pub struct Queue<T, K = Infallible> {
    pub(crate) list: List<T, K>,
    pub(crate) order: Order<T, K>,
}

impl<T, K: Ord> Queue<T, K> {
    pub(crate) fn new(store: Store<T, K>, capacity: usize, order: Order<T, K>) -> Self {
        assert!(capacity > 0, "a queue has room for at least one item");
        Self { list: WaitList::with_lines(State::new(store, capacity)), order }
    }

    /// Pushes an item. It waits while no slot is free.
    ///
    /// # Errors
    ///
    /// If the queue is closed, or is closed while this waits: the item comes back in the error.
    ///
    /// # Cancel safety
    ///
    /// Dropping this future drops the item, which is never delivered.
    pub fn push(&self, item: T) -> Push<'_, T, K> {
        Push::new(self, item)
    }

    /// Pushes an item that cannot be taken before `due`. It waits while no slot is free.
    ///
    /// From the return of this call on, the item has a slot and is unfinished. When it is due, it takes its position as if
    /// it were pushed at that moment. A queue that is closed before ends only after it.
    /// [`take_all`](Self::take_all) and [`close_now`](Self::close_now) take it without waiting, behind all items that are
    /// due. While there are items that are not due, each pop reads the clock.
    ///
    /// # Errors
    ///
    /// If the queue is closed, or is closed while this waits: the item comes back in the error.
    ///
    /// # Cancel safety
    ///
    /// Dropping this future drops the item, which is never delivered.
    ///
    /// # Panics
    ///
    /// This method does not panic. But while items are not due, waiting for an item panics outside of a tokio runtime with
    /// time enabled.
    pub fn push_at(&self, item: T, due: Instant) -> PushAt<'_, T, K> {
        PushAt::new(self, item, due)
    }

    /// As [`push_at`](Self::push_at), with an item that is due `delay` after this call.
    pub fn push_after(&self, item: T, delay: Duration) -> PushAt<'_, T, K> {
        self.push_at(item, after(delay))
    }

    /// Pushes all `items` from the front on. It pushes as many at a time as there are free slots, with one lock, and waits
    /// while none is free. Items that were pushed are removed from `items`.
    ///
    /// # Errors
    ///
    /// If the queue is closed, or is closed while this waits: what is not in the queue is still in `items`.
    ///
    /// # Cancel safety
    ///
    /// After a drop of this future, what is not in the queue is still in `items`.
    pub fn push_many<'b>(&self, items: &'b mut VecDeque<T>) -> PushMany<'_, 'b, T, K> {
        PushMany::new(self, items)
    }

    /// Pushes an item at once, or not at all.
    ///
    /// # Errors
    ///
    /// If no slot is free beyond those that other tasks wait for, or if the queue is closed: the item comes back in the
    /// error.
    pub fn try_push(&self, item: T) -> Result<(), TryPushError<T>> {
        let sort_key = self.sort_key_of(&item);
        let mut list = self.list.lock();
        if list.nobody_waits() && list.can_push_quickly() {
            list.push(sort_key, item);
            return Ok(());
        }
        if list.is_closed() {
            return Err(TryPushError::Closed(item));
        }
        if list.room() <= list.line(PUSHERS).len() {
            return Err(TryPushError::Full(item));
        }
        list.push(sort_key, item);
        finish(list);
        Ok(())
    }

    /// Pushes an item even if no slot is free or the queue is closed.
    pub(crate) fn push_beyond_capacity(&self, item: T) {
        let sort_key = self.sort_key_of(&item);
        let mut list = self.list.lock();
        list.push(sort_key, item);
        finish(list);
    }

    /// Takes the next item. It waits while there is none. `None` once the queue is closed and empty.
    ///
    /// The item counts as done when it is returned. [`lease`](Self::lease) keeps it in the queue until its work is done.
    ///
    /// # Cancel safety
    ///
    /// Dropping this future takes nothing: an item leaves the queue only when this returns it.
    pub fn pop(&self) -> Pop<'_, T, K> {
        Pop::new(self)
    }

    /// Takes up to `limit` items (0 counts as 1) and appends them to `items`. It waits only while there is none. It
    /// returns how many it took: 0 once the queue is closed and empty. Items that other tasks have been woken for are left
    /// to them.
    ///
    /// # Cancel safety
    ///
    /// Dropping this future takes nothing.
    pub fn pop_many<'b>(&self, items: &'b mut Vec<T>, limit: usize) -> PopMany<'_, 'b, T, K> {
        PopMany::new(self, items, limit)
    }

    /// The items as a stream. It takes each item as [`pop`](Self::pop) does, and ends once the queue is closed and empty.
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
    /// If there is no item beyond those that other tasks wait for.
    pub fn try_pop(&self) -> Result<T, TryPopError> {
        let mut list = self.list.lock();
        if list.nobody_waits()
            && let Some(item) = list.pop_quickly()
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

    /// Takes the next item on a [`Lease`]. It waits while there is none. `None` once the queue is closed and empty. Items
    /// that are still leased then may come back later: [`take_all`](Self::take_all) or another call of this gives them.
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
    /// If there is no item beyond those that other tasks wait for.
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

    /// Waits until no item is unfinished: none is in the queue and none is leased. It also waits for items that are pushed
    /// in the meantime. It does not close the queue.
    ///
    /// It waits as long as nobody takes an item, also in a closed queue: see [`take_all`](Self::take_all).
    ///
    /// # Cancel safety
    ///
    /// Dropping this future has no effect.
    pub fn join(&self) -> Join<'_, T, K> {
        Join::new(self)
    }

    /// Closes the queue. From now on pushing fails, also for tasks that wait to push. What is in the queue can still be
    /// taken.
    pub fn close(&self) {
        state::close(self.list.lock());
    }

    /// Closes the queue and takes all items out. Tasks that wait for an item end at once.
    ///
    /// Leased items are not among the items. A leased item that is not done comes back into the closed queue, where
    /// [`take_all`](Self::take_all) gives it.
    pub fn close_now(&self) -> Vec<T> {
        let mut list = self.list.lock();
        let store = list.take_all();
        state::close(list);
        store.into_items().map(|(item, _)| item).collect()
    }

    /// Takes all items out, in their order. In an open queue, tasks that wait to push then go on.
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

    /// How many items can be taken. Leased items, and items that are not due, are not counted.
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

    /// Whether [`try_push`](Self::try_push) would find no free slot. Leased items and items that are not due keep their
    /// slots. A slot that other tasks wait for is not free.
    pub fn is_full(&self) -> bool {
        let mut list = self.list.lock();
        list.room() <= list.line(PUSHERS).len()
    }

    /// How many items the queue can hold: `usize::MAX` if there is no bound.
    pub fn capacity(&self) -> usize {
        self.list.lock().capacity()
    }

    /// How many items are not done: those that can be taken, those that are not due, and those that are leased.
    pub fn unfinished(&self) -> usize {
        self.list.lock().unfinished()
    }

    /// How many items are leased.
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

    /// How many tasks wait until all items are done.
    pub fn waiting_to_join(&self) -> usize {
        self.list.lock().line(JOINERS).len()
    }

    /// How many leases have been acknowledged since the queue was made.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.list.lock().acknowledged()
    }

    #[inline]
    pub(crate) fn sort_key_of(&self, item: &T) -> SortKey<K> {
        self.order.sort_key_of(item)
    }
}

/// The instant `delay` from now, but at most a century away.
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
