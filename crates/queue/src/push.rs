//! Waiting for a free slot, to push an item.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use outbound_waitlist::{Left, Waiter};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{
    coop::{self, Unit},
    error::PushError,
    queue::Queue,
    rank::SortKey,
    state::{Guard, PUSHERS, QueueWaiter, State, finish, may_push, pusher_was_woken, update_bounds},
};

pin_project! {
    /// The future of [`Queue::push`]. Dropping it drops the item, which is then never delivered.
    #[must_use = "nothing is pushed unless this is awaited"]
    pub struct Push<'a, T, K = Infallible> where K: Ord {
        // `None` once it has been pushed or handed back.
        item: Option<T>,
        #[pin]
        request: PushRequest<'a, T, K>,
    }
}

pin_project! {
    /// The future of [`Queue::push_at`] and [`Queue::push_after`]. Dropping it drops the item, which is then never
    /// delivered.
    #[must_use = "nothing is pushed unless this is awaited"]
    pub struct PushAt<'a, T, K = Infallible> where K: Ord {
        // `None` once it has been pushed or handed back.
        item: Option<T>,
        due: Instant,
        #[pin]
        request: PushRequest<'a, T, K>,
    }
}

pin_project! {
    /// The waiting part of a push. If it is dropped after it was woken, the next waiter is woken instead.
    pub(crate) struct PushRequest<'a, T, K> where K: Ord {
        pub(crate) queue: &'a Queue<T, K>,
        #[pin]
        pub(crate) waiter: QueueWaiter<T, K>,
    }

    impl<T, K: Ord> PinnedDrop for PushRequest<'_, T, K> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.waiter.is_idle() {
                give_up(this.queue, this.waiter);
            }
        }
    }
}

const POLLED_AGAIN: &str = "a push was polled after it was ready";

/// The outcome of one attempt to push.
pub(crate) enum Outcome<K> {
    /// Push with this sort key, which was computed when the push was first polled.
    Push(SortKey<K>),
    Closed,
    Wait,
}

impl<'a, T, K: Ord> Push<'a, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>, item: T) -> Self {
        Self { item: Some(item), request: PushRequest::new(queue) }
    }
}

impl<T, K: Ord> Future for Push<'_, T, K> {
    type Output = Result<(), PushError<T>>;

    /// # Panics
    ///
    /// If polled after it was ready.
    // Without this the poll is a call, and its result goes through memory.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let coop = ready!(coop::poll_proceed(cx));
        let this = self.project();
        let request = this.request.project();
        let sort_key = request.queue.sort_key_of(this.item.as_ref().expect(POLLED_AGAIN));
        let mut list = request.queue.list.hold();
        if request.waiter.is_idle()
            && list.can_push_quickly()
            && let Some(item) = this.item.take()
        {
            list.push(sort_key, item);
            drop(list);
            coop.made_progress();
            return Poll::Ready(Ok(()));
        }
        poll_slowly(list.locked(), request.waiter, cx, coop, sort_key, this.item, State::push)
    }
}

impl<'a, T, K: Ord> PushRequest<'a, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>) -> Self {
        Self { queue, waiter: Waiter::new() }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiter.is_idle()
    }
}

impl<'a, T, K: Ord> PushAt<'a, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>, item: T, due: Instant) -> Self {
        Self { item: Some(item), due, request: PushRequest::new(queue) }
    }
}

impl<T, K: Ord> Future for PushAt<'_, T, K> {
    type Output = Result<(), PushError<T>>;

    /// # Panics
    ///
    /// If polled after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let coop = ready!(coop::poll_proceed(cx));
        let this = self.project();
        let request = this.request.project();
        let sort_key = request.queue.sort_key_of(this.item.as_ref().expect(POLLED_AGAIN));
        let due = *this.due;
        let put = |state: &mut State<T, K>, sort_key, item| state.push_delayed(due, sort_key, item);
        poll_slowly(request.queue.list.lock(), request.waiter, cx, coop, sort_key, this.item, put)
    }
}

/// The slow path of a push, where the count of items does not decide. `item` holds the item, and keeps it while the push
/// waits.
#[inline(never)]
fn poll_slowly<T, K: Ord>(
    mut list: Guard<'_, T, K>,
    waiter: Pin<&mut QueueWaiter<T, K>>,
    cx: &mut Context<'_>,
    coop: Unit,
    sort_key: SortKey<K>,
    item: &mut Option<T>,
    put: impl FnOnce(&mut State<T, K>, SortKey<K>, T),
) -> Poll<Result<(), PushError<T>>> {
    let result = match try_push(&mut list, waiter, sort_key, false, cx) {
        Outcome::Push(sort_key) => {
            if let Some(item) = item.take() {
                put(&mut list, sort_key, item);
            }
            finish(list);
            Ok(())
        }
        Outcome::Closed => {
            drop(list);
            Err(PushError(item.take().expect(POLLED_AGAIN)))
        }
        Outcome::Wait => {
            update_bounds(&mut list);
            return Poll::Pending;
        }
    };
    coop.made_progress();
    Poll::Ready(result)
}

/// Tries to push, and puts the waiter in line if it cannot. With `never_overtakes` it never goes ahead of a waiter that was
/// woken.
pub(crate) fn try_push<T, K: Ord>(
    list: &mut Guard<'_, T, K>,
    waiter: Pin<&mut QueueWaiter<T, K>>,
    sort_key: SortKey<K>,
    never_overtakes: bool,
    cx: &mut Context<'_>,
) -> Outcome<K> {
    if waiter.is_idle() {
        try_first(list, waiter, sort_key, never_overtakes, cx)
    } else {
        try_again(list, waiter, sort_key, never_overtakes, cx)
    }
}

fn try_first<T, K: Ord>(
    list: &mut Guard<'_, T, K>,
    waiter: Pin<&mut QueueWaiter<T, K>>,
    sort_key: SortKey<K>,
    never_overtakes: bool,
    cx: &mut Context<'_>,
) -> Outcome<K> {
    if list.is_closed() {
        return Outcome::Closed;
    }
    if may_push(list, &sort_key, false, never_overtakes) {
        return Outcome::Push(sort_key);
    }
    // In a queue without ranks and keys all sort keys are equal, so this is the end of the line.
    list.line(PUSHERS).enqueue_after(waiter, sort_key, cx, |other, own| other <= own);
    Outcome::Wait
}

fn try_again<T, K: Ord>(
    list: &mut Guard<'_, T, K>,
    mut waiter: Pin<&mut QueueWaiter<T, K>>,
    sort_key: SortKey<K>,
    never_overtakes: bool,
    cx: &mut Context<'_>,
) -> Outcome<K> {
    let woken = list.is_nudged(waiter.as_mut());
    if woken {
        pusher_was_woken(list);
    }
    if !list.is_closed() && may_push(list, &sort_key, woken, never_overtakes) {
        return Outcome::Push(match list.leave(waiter) {
            Some(Left::Queued(sort_key) | Left::Woken(sort_key)) => sort_key,
            None => sort_key,
        });
    }
    match list.poll_woken(waiter, cx) {
        // A waiter is taken out of its line only when the queue is closed.
        Poll::Ready(_) => Outcome::Closed,
        Poll::Pending => Outcome::Wait,
    }
}

#[cold]
#[inline(never)]
fn give_up<T, K: Ord>(queue: &Queue<T, K>, mut waiter: Pin<&mut QueueWaiter<T, K>>) {
    let mut list = queue.list.lock();
    if list.is_nudged(waiter.as_mut()) {
        pusher_was_woken(&mut list);
    }
    list.leave(waiter);
    finish(list);
}

impl<T, K: Ord> fmt::Debug for PushAt<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushAt")
            .field("due", &self.due)
            .field("waiting", &self.request.is_waiting())
            .finish_non_exhaustive()
    }
}

impl<T, K: Ord> fmt::Debug for Push<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").field("waiting", &self.request.is_waiting()).finish_non_exhaustive()
    }
}
