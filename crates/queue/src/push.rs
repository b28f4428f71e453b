//! Waiting for a place.

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
    rank::Place,
    state::{Guard, PUSHERS, Spot, State, finish, may_push, pusher_was_woken, set_bounds},
};

pin_project! {
    /// The future of [`Queue::push`]. Dropping it drops the item, which is then never delivered.
    #[must_use = "nothing is pushed unless this is awaited"]
    pub struct Push<'a, T, K = Infallible> where K: Ord {
        // `None` once it has been pushed or handed back.
        item: Option<T>,
        #[pin]
        turn: PushTurn<'a, T, K>,
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
        turn: PushTurn<'a, T, K>,
    }
}

pin_project! {
    /// The waiting half of a push. If it goes away when it has been woken, the next one is in its stead.
    pub(crate) struct PushTurn<'a, T, K> where K: Ord {
        pub(crate) queue: &'a Queue<T, K>,
        #[pin]
        pub(crate) waiter: Spot<T, K>,
    }

    impl<T, K: Ord> PinnedDrop for PushTurn<'_, T, K> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.waiter.is_idle() {
                give_up(this.queue, this.waiter);
            }
        }
    }
}

const POLLED_AGAIN: &str = "a push was polled after it was ready";

/// What one look at the queue came to.
pub(crate) enum Look<K> {
    /// To the place that it had when it came.
    Push(Place<K>),
    Closed,
    Wait,
}

impl<'a, T, K: Ord> Push<'a, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>, item: T) -> Self {
        Self { item: Some(item), turn: PushTurn::new(queue) }
    }
}

impl<T, K: Ord> Future for Push<'_, T, K> {
    type Output = Result<(), PushError<T>>;

    /// # Panics
    ///
    /// If polled after it was ready.
    // Without this it is a call, and its result goes through memory: 20 instructions.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let coop = ready!(coop::poll_proceed(cx));
        let this = self.project();
        let turn = this.turn.project();
        let place = turn.queue.place_of(this.item.as_ref().expect(POLLED_AGAIN));
        let mut list = turn.queue.list.hold();
        if turn.waiter.is_idle()
            && list.takes_newcomers()
            && let Some(item) = this.item.take()
        {
            list.push(place, item);
            drop(list);
            coop.made_progress();
            return Poll::Ready(Ok(()));
        }
        poll_slowly(list.locked(), turn.waiter, cx, coop, place, this.item, State::push)
    }
}

impl<'a, T, K: Ord> PushTurn<'a, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>) -> Self {
        Self { queue, waiter: Waiter::new() }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiter.is_idle()
    }
}

impl<'a, T, K: Ord> PushAt<'a, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>, item: T, due: Instant) -> Self {
        Self { item: Some(item), due, turn: PushTurn::new(queue) }
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
        let turn = this.turn.project();
        let place = turn.queue.place_of(this.item.as_ref().expect(POLLED_AGAIN));
        let due = *this.due;
        let put = |state: &mut State<T, K>, place, item| state.push_delayed(due, place, item);
        poll_slowly(turn.queue.list.lock(), turn.waiter, cx, coop, place, this.item, put)
    }
}

/// Ends a push that needs more than a look at the count of items. There is an item, which stays where it is as long as
/// it waits.
#[inline(never)]
fn poll_slowly<T, K: Ord>(
    mut list: Guard<'_, T, K>,
    waiter: Pin<&mut Spot<T, K>>,
    cx: &mut Context<'_>,
    coop: Unit,
    place: Place<K>,
    item: &mut Option<T>,
    put: impl FnOnce(&mut State<T, K>, Place<K>, T),
) -> Poll<Result<(), PushError<T>>> {
    let result = match look(&mut list, waiter, place, false, cx) {
        Look::Push(place) => {
            if let Some(item) = item.take() {
                put(&mut list, place, item);
            }
            finish(list);
            Ok(())
        }
        Look::Closed => {
            drop(list);
            Err(PushError(item.take().expect(POLLED_AGAIN)))
        }
        Look::Wait => {
            set_bounds(&mut list);
            return Poll::Pending;
        }
    };
    coop.made_progress();
    Poll::Ready(result)
}

/// Whether it is the turn of a push, which gets in line if it is not. A `patient` one never goes ahead of the woken.
pub(crate) fn look<T, K: Ord>(
    list: &mut Guard<'_, T, K>,
    waiter: Pin<&mut Spot<T, K>>,
    place: Place<K>,
    patient: bool,
    cx: &mut Context<'_>,
) -> Look<K> {
    if waiter.is_idle() {
        look_first(list, waiter, place, patient, cx)
    } else {
        look_again(list, waiter, place, patient, cx)
    }
}

fn look_first<T, K: Ord>(
    list: &mut Guard<'_, T, K>,
    waiter: Pin<&mut Spot<T, K>>,
    place: Place<K>,
    patient: bool,
    cx: &mut Context<'_>,
) -> Look<K> {
    if list.is_closed() {
        return Look::Closed;
    }
    if may_push(list, &place, false, patient) {
        return Look::Push(place);
    }
    // In a queue whose places mean nothing all are equal, so this is the end of the line.
    list.line(PUSHERS).enqueue_after(waiter, place, cx, |other, own| other <= own);
    Look::Wait
}

fn look_again<T, K: Ord>(
    list: &mut Guard<'_, T, K>,
    mut waiter: Pin<&mut Spot<T, K>>,
    place: Place<K>,
    patient: bool,
    cx: &mut Context<'_>,
) -> Look<K> {
    let woken = list.is_nudged(waiter.as_mut());
    if woken {
        pusher_was_woken(list);
    }
    if !list.is_closed() && may_push(list, &place, woken, patient) {
        return Look::Push(match list.leave(waiter) {
            Some(Left::Queued(place) | Left::Woken(place)) => place,
            None => place,
        });
    }
    match list.poll_woken(waiter, cx) {
        // Only closing takes a waiter out of its line.
        Poll::Ready(_) => Look::Closed,
        Poll::Pending => Look::Wait,
    }
}

#[cold]
#[inline(never)]
fn give_up<T, K: Ord>(queue: &Queue<T, K>, mut waiter: Pin<&mut Spot<T, K>>) {
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
            .field("waiting", &self.turn.is_waiting())
            .finish_non_exhaustive()
    }
}

impl<T, K: Ord> fmt::Debug for Push<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").field("waiting", &self.turn.is_waiting()).finish_non_exhaustive()
    }
}
