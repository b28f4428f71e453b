//! Waiting for a place.

use std::{
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
    queue::{Queue, finish},
    state::{Guard, PUSHERS, Place, Spot, State, may_push, set_bounds, was_woken},
};

pin_project! {
    /// The future of [`Queue::push`]. Dropping it drops the item, which is then never delivered.
    #[must_use = "nothing is pushed unless this is awaited"]
    pub struct Push<'a, T> {
        queue: &'a Queue<T>,
        // `None` once it has been pushed or handed back.
        item: Option<T>,
        #[pin]
        waiter: Spot<T>,
    }

    impl<T> PinnedDrop for Push<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.waiter.is_idle() {
                give_up(this.queue, this.waiter);
            }
        }
    }
}

pin_project! {
    /// The future of [`Queue::push_at`] and [`Queue::push_after`]. Dropping it drops the item, which is then never
    /// delivered.
    #[must_use = "nothing is pushed unless this is awaited"]
    pub struct PushAt<'a, T> {
        queue: &'a Queue<T>,
        // `None` once it has been pushed or handed back.
        item: Option<T>,
        due: Instant,
        #[pin]
        waiter: Spot<T>,
    }

    impl<T> PinnedDrop for PushAt<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.waiter.is_idle() {
                give_up(this.queue, this.waiter);
            }
        }
    }
}

/// What one look at the queue came to.
pub(crate) enum Look {
    /// With the rank that it had when it came.
    Push(u32),
    Closed,
    Wait,
}

impl<'a, T> Push<'a, T> {
    pub(crate) fn new(queue: &'a Queue<T>, item: T) -> Self {
        Self { queue, item: Some(item), waiter: Waiter::new() }
    }
}

impl<T> Future for Push<'_, T> {
    type Output = Result<(), PushError<T>>;

    /// # Panics
    ///
    /// If polled after it was ready.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let coop = ready!(coop::poll_proceed(cx));
        let this = self.project();
        let item = this.item.take().expect("a push was polled after it was ready");
        let rank = this.queue.rank_of(&item);
        let mut list = this.queue.list.hold();
        let item = if this.waiter.is_idle() {
            match list.push_plainly(item).or_else(|item| list.push_in_order(rank, item)) {
                Ok(()) => {
                    drop(list);
                    coop.made_progress();
                    return Poll::Ready(Ok(()));
                }
                Err(item) => item,
            }
        } else {
            item
        };
        poll_slowly(list.locked(), this.waiter, cx, coop, (rank, item), this.item, State::push)
    }
}

impl<'a, T> PushAt<'a, T> {
    pub(crate) fn new(queue: &'a Queue<T>, item: T, due: Instant) -> Self {
        Self { queue, item: Some(item), due, waiter: Waiter::new() }
    }
}

impl<T> Future for PushAt<'_, T> {
    type Output = Result<(), PushError<T>>;

    /// # Panics
    ///
    /// If polled after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let coop = ready!(coop::poll_proceed(cx));
        let this = self.project();
        let item = this.item.take().expect("a push was polled after it was ready");
        let (rank, due) = (this.queue.rank_of(&item), *this.due);
        let put = |state: &mut State<T>, rank, item| state.push_delayed(due, rank, item);
        poll_slowly(this.queue.list.lock(), this.waiter, cx, coop, (rank, item), this.item, put)
    }
}

/// Ends a push that needs more than a look at the count of items. An item that waits goes into `kept`.
#[inline(never)]
fn poll_slowly<T>(
    mut list: Guard<'_, T>,
    waiter: Pin<&mut Spot<T>>,
    cx: &mut Context<'_>,
    coop: Unit,
    (rank, item): (u32, T),
    kept: &mut Option<T>,
    put: impl FnOnce(&mut State<T>, u32, T),
) -> Poll<Result<(), PushError<T>>> {
    match look(&mut list, waiter, rank, false, cx) {
        Look::Push(rank) => {
            put(&mut list, rank, item);
            finish(list);
            coop.made_progress();
            Poll::Ready(Ok(()))
        }
        Look::Closed => {
            coop.made_progress();
            Poll::Ready(Err(PushError(item)))
        }
        Look::Wait => {
            set_bounds(&mut list);
            drop(list);
            *kept = Some(item);
            Poll::Pending
        }
    }
}

/// Whether it is the turn of a push, which gets in line if it is not. A `patient` one never goes ahead of the woken.
pub(crate) fn look<T>(
    list: &mut Guard<'_, T>,
    waiter: Pin<&mut Spot<T>>,
    rank: u32,
    patient: bool,
    cx: &mut Context<'_>,
) -> Look {
    if waiter.is_idle() {
        look_first(list, waiter, rank, patient, cx)
    } else {
        look_again(list, waiter, rank, patient, cx)
    }
}

fn look_first<T>(
    list: &mut Guard<'_, T>,
    waiter: Pin<&mut Spot<T>>,
    rank: u32,
    patient: bool,
    cx: &mut Context<'_>,
) -> Look {
    if list.is_closed() {
        return Look::Closed;
    }
    if may_push(list, rank, false, patient) {
        return Look::Push(rank);
    }
    // In a queue without ranks all are equal, so this is the end of the line.
    list.line(PUSHERS).enqueue_after(waiter, Place::of(rank), cx, |other, own| other <= own);
    Look::Wait
}

fn look_again<T>(
    list: &mut Guard<'_, T>,
    mut waiter: Pin<&mut Spot<T>>,
    rank: u32,
    patient: bool,
    cx: &mut Context<'_>,
) -> Look {
    let woken = list.is_nudged(waiter.as_mut());
    if woken {
        was_woken(list, PUSHERS);
    }
    if !list.is_closed() && may_push(list, rank, woken, patient) {
        let rank = match list.leave(waiter) {
            Some(Left::Queued(place) | Left::Woken(place)) => place.rank(),
            None => rank,
        };
        return Look::Push(rank);
    }
    match list.poll_woken(waiter, cx) {
        // Only closing takes a waiter out of its line.
        Poll::Ready(_) => Look::Closed,
        Poll::Pending => Look::Wait,
    }
}

/// If it was woken, the next one is in its stead.
#[cold]
#[inline(never)]
pub(crate) fn give_up<T>(queue: &Queue<T>, mut waiter: Pin<&mut Spot<T>>) {
    let mut list = queue.list.lock();
    if list.is_nudged(waiter.as_mut()) {
        was_woken(&mut list, PUSHERS);
    }
    list.leave(waiter);
    finish(list);
}

impl<T> fmt::Debug for PushAt<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushAt")
            .field("due", &self.due)
            .field("waiting", &!self.waiter.is_idle())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Push<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").field("waiting", &!self.waiter.is_idle()).finish_non_exhaustive()
    }
}
