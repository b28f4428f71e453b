//! The futures that wait for permits.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::task::coop;

use super::{ConcurrencyLimiter, MAX_PERMITS, OwnedPermit, Permit, PermitWaiter, Shared};
use crate::budget;

pin_project! {
    /// The future of [`ConcurrencyLimiter::acquire`] and [`acquire_many`](ConcurrencyLimiter::acquire_many).
    ///
    /// # Panics
    ///
    /// If it is polled after it was ready.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Acquire<'a> {
        shared: &'a Shared,
        #[pin]
        request: Request,
    }

    impl PinnedDrop for Acquire<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.request.leave(this.shared);
        }
    }
}

pin_project! {
    /// The future of [`ConcurrencyLimiter::acquire_owned`] and
    /// [`acquire_many_owned`](ConcurrencyLimiter::acquire_many_owned).
    ///
    /// # Panics
    ///
    /// If it is polled after it was ready.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct AcquireOwned {
        limiter: ConcurrencyLimiter,
        #[pin]
        request: Request,
    }

    impl PinnedDrop for AcquireOwned {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.request.leave(&this.limiter.shared);
        }
    }
}

pin_project! {
    // A request for permits: the part that both futures share.
    #[derive(Debug)]
    struct Request {
        count: usize,
        state: State,
        // Made only where the request has to wait. The fast path neither writes nor drops it.
        #[pin]
        waiter: Option<PermitWaiter>,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not polled yet, or only with an empty cooperative budget.
    New,
    /// In the queue, or let go and not polled since.
    Queued,
    /// The permits were returned.
    Done,
}

impl<'a> Acquire<'a> {
    #[inline]
    pub(super) fn new(shared: &'a Shared, count: usize) -> Self {
        Self { shared, request: Request::new(count) }
    }
}

impl AcquireOwned {
    pub(super) fn new(limiter: ConcurrencyLimiter, count: usize) -> Self {
        Self { limiter, request: Request::new(count) }
    }
}

impl<'a> Future for Acquire<'a> {
    type Output = Permit<'a>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let count = this.request.count;
        this.request.poll(this.shared, cx).map(|()| Permit::new(this.shared, count))
    }
}

impl Future for AcquireOwned {
    type Output = OwnedPermit;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let count = this.request.count;
        this.request.poll(&this.limiter.shared, cx).map(|()| OwnedPermit::new(this.limiter.clone(), count))
    }
}

impl Request {
    #[inline]
    fn new(count: usize) -> Self {
        Self { count: count.min(MAX_PERMITS), state: State::New, waiter: None }
    }

    #[inline]
    fn poll(self: Pin<&mut Self>, shared: &Shared, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if *this.state == State::New && budget::is_free() && shared.word.take_unlocked(*this.count) {
            *this.state = State::Done;
            return Poll::Ready(());
        }
        poll_slow(*this.count, this.state, this.waiter, shared, cx)
    }

    #[inline]
    fn leave(self: Pin<&mut Self>, shared: &Shared) {
        let this = self.project();
        if *this.state == State::Queued
            && let Some(waiter) = this.waiter.as_pin_mut()
        {
            shared.leave(waiter);
        }
    }
}

/// Every poll except a first one that is ready at once and spends no budget.
#[cold]
fn poll_slow(
    count: usize,
    state: &mut State,
    mut waiter: Pin<&mut Option<PermitWaiter>>,
    shared: &Shared,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let budget = ready!(coop::poll_proceed(cx));
    if *state == State::New && !shared.word.take_unlocked(count) {
        waiter.set(Some(PermitWaiter::new()));
        *state = State::Queued;
    }
    let answer = match (*state, waiter.as_mut().as_pin_mut()) {
        (State::New, _) => Poll::Ready(()),
        (State::Queued, Some(waiter)) => shared.poll_queue(waiter, count, cx),
        _ => panic!("polled after it was ready"),
    };
    if answer.is_ready() {
        *state = State::Done;
        // The waiter is dropped here, so that the drop of the future has mostly nothing to do.
        waiter.set(None);
        budget.made_progress();
    }
    answer
}
