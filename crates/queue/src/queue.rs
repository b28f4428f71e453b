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
    rank::{BY_KEY, Order, Place, Rank},
    state::{self, Guard, JOINERS, List, POPPERS, PUSHERS, State, settle},
    store::Store,
};

/// A queue of items between tasks: many put in, many take out.
///
/// Cloning it gives another handle to the same queue. Items are dropped with the last handle.
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
/// is free at once, so that a producer need not wait for its consumer to run. If that pop is dropped the item stays, and
/// until it is taken there is one more than `capacity`.
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

impl<T> Queue<T> {
    /// A first-in, first-out queue for at most `capacity` items, those on a lease included.
    ///
    /// Memory is taken as items come, so a large capacity costs nothing.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn bounded(capacity: usize) -> Self {
        Self::new(Store::fifo(), capacity, Rank::Same(0).into())
    }

    /// A first-in, first-out queue that is never full: pushing never waits, and nothing holds back a producer that is
    /// faster than its consumers.
    pub fn unbounded() -> Self {
        Self::bounded(usize::MAX)
    }

    /// A last-in, first-out queue for at most `capacity` items; `usize::MAX` for no bound.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn lifo(capacity: usize) -> Self {
        Self::new(Store::lifo(), capacity, Rank::Same(0).into())
    }

    /// A queue that gives out the item of the lowest rank first, and among equals the one that came first, for at
    /// most `capacity` items; `usize::MAX` for no bound.
    ///
    /// `rank` reads the rank off an item. It is called outside the queue's lock, more than once for an item, and must
    /// say the same each time. Ranks below 64 cost the same however many items wait; others are kept in a heap. The two
    /// highest, `u32::MAX` and the one below, are one rank.
    ///
    /// A rank can be a class (interactive 0, batch 1), a size (shortest first) or a time (earliest first). An item
    /// waits for as long as better ones keep coming: see [`aging`](Self::aging) for an order in which that ends.
    ///
    /// ```
    /// use outbound_queue::Queue;
    ///
    /// let queue: Queue<(u32, &str)> = Queue::priority(64, |job| job.0);
    /// for job in [(2, "report"), (0, "chat"), (2, "index"), (0, "reply")] {
    ///     queue.try_push(job).expect("there is room");
    /// }
    /// let order: Vec<&str> = std::iter::from_fn(|| queue.try_pop().ok()).map(|job| job.1).collect();
    /// assert_eq!(order, ["chat", "reply", "report", "index"]);
    /// ```
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn priority(capacity: usize, rank: fn(&T) -> u32) -> Self {
        Self::new(Store::priority(), capacity, Rank::Of(rank).into())
    }

    /// A queue that gives out first what came first, where an item of handicap `h` counts as having come `h` later than
    /// it did; for at most `capacity` items, `usize::MAX` for no bound.
    ///
    /// This is linear aging: items of a small handicap go ahead, and none waits for ever behind them, since what
    /// comes later than an item's handicap (and a sixteenth of a second, the ranks' resolution) never goes ahead of
    /// it. More exactly, `a` goes ahead of `b` if it came at most `h(b) - h(a)` later. The order of two items does not
    /// change while they wait, so nothing is ever sorted again. An item comes when its push is first polled; one that
    /// was leased keeps its time.
    ///
    /// `handicap` is called outside the queue's lock, more than once for an item.
    ///
    /// ```
    /// use std::time::Duration;
    /// use outbound_queue::Queue;
    ///
    /// // A batch job waits while interactive ones keep coming, but for no more than a minute of them.
    /// struct Job { batch: bool }
    /// let queue: Queue<Job> =
    ///     Queue::aging(64, |job| if job.batch { Duration::from_secs(60) } else { Duration::ZERO });
    /// queue.try_push(Job { batch: true }).expect("there is room");
    /// queue.try_push(Job { batch: false }).expect("there is room");
    /// assert!(!queue.try_pop().expect("there are two").batch);
    /// ```
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn aging(capacity: usize, handicap: fn(&T) -> Duration) -> Self {
        Self::new(Store::priority(), capacity, Rank::Aging { handicap, since: Instant::now() }.into())
    }
}

impl<T, K: Ord> Queue<T, K> {
    /// A queue that gives out the item of the lowest key first, and among equals the one that came first, for at most
    /// `capacity` items; `usize::MAX` for no bound.
    ///
    /// The key may be of any type that has an order: a time, a name, a pair. [`Reverse`](std::cmp::Reverse) turns it
    /// round. Where a `u32` will do, [`priority`](Self::priority) is faster.
    ///
    /// `key` reads the key off an item. It is called outside the queue's lock, more than once for an item, and must say
    /// the same each time. Keys are compared under the lock, so comparing them must not use the queue.
    ///
    /// ```
    /// use std::cmp::Reverse;
    /// use outbound_queue::Queue;
    ///
    /// let queue: Queue<(&str, f64), _> = Queue::by_key(64, |job| Reverse((job.1 * 100.0) as i64));
    /// for job in [("low", 0.2), ("high", 0.9), ("middle", 0.5)] {
    ///     queue.try_push(job).expect("there is room");
    /// }
    /// let order: Vec<&str> = std::iter::from_fn(|| queue.try_pop().ok()).map(|job| job.0).collect();
    /// assert_eq!(order, ["high", "middle", "low"]);
    /// ```
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn by_key(capacity: usize, key: fn(&T) -> K) -> Self {
        Self::new(Store::priority(), capacity, Order { rank: Rank::Same(BY_KEY), key: Some(key) })
    }

    fn new(store: Store<T, K>, capacity: usize, order: Order<T, K>) -> Self {
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
        let (place, item) = match list.nobody_waits() {
            true => match list.push_unnoticed(place, item) {
                Ok(()) => return Ok(()),
                Err(placed) => placed,
            },
            false => (place, item),
        };
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
        let mut list = self.list.lock();
        let wakes = state::close(&mut list);
        drop(list);
        wakes.wake();
    }

    /// Closes the queue and takes all that nobody has taken: those who wait for an item end at once.
    ///
    /// Items on a lease are not among them. One that is not acknowledged comes back into the closed queue, for
    /// [`take_all`](Self::take_all).
    pub fn close_now(&self) -> Vec<T> {
        let mut list = self.list.lock();
        let store = list.take_all();
        let wakes = state::close(&mut list);
        drop(list);
        wakes.wake();
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
fn after(delay: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    Instant::now() + delay.min(CENTURY)
}

/// Ends a change: releases the lock, then wakes those it concerns.
#[inline]
pub(crate) fn finish<T, K: Ord>(mut list: Guard<'_, T, K>) {
    if list.nobody_waits() {
        list.set_bounds(0, 0, false);
        return;
    }
    finish_and_wake(list);
}

#[inline(never)]
fn finish_and_wake<T, K: Ord>(mut list: Guard<'_, T, K>) {
    let wakes = settle(&mut list);
    drop(list);
    wakes.wake();
}

impl<T, K> Clone for Queue<T, K> {
    fn clone(&self) -> Self {
        Self { list: self.list.clone(), order: self.order }
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
