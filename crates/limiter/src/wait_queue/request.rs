//! One request to a wait queue: the part of a future that rates and quotas share.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::{task::coop, time::Instant};

use super::{Outcome, Policy, QueueWaiter, WaitQueue};
use crate::budget;

pin_project! {
    #[derive(Debug)]
    pub(crate) struct Request<P: Policy> {
        cost: P::Cost,
        deadline: Option<Instant>,
        #[pin]
        state: State<P>,
    }
}

pin_project! {
    #[project = StateProjection]
    #[derive(Debug)]
    enum State<P: Policy> {
        // Not polled yet, or only with an empty cooperative budget.
        New,
        // In the queue, or let go and not polled since.
        Queued {
            #[pin]
            waiter: QueueWaiter<P>,
        },
        // The outcome was returned. A request that does not wait comes here at once, and neither writes nor drops a waiter.
        Done,
    }
}

impl<P: Policy> Request<P> {
    #[inline]
    pub(crate) fn new(cost: P::Cost) -> Self {
        Self { cost, deadline: None, state: State::New }
    }

    pub(crate) fn cost(&self) -> &P::Cost {
        &self.cost
    }

    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    #[inline]
    pub(crate) fn poll(
        self: Pin<&mut Self>,
        queue: &Arc<WaitQueue<P>>,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<P>> {
        let mut this = self.project();
        if matches!(*this.state, State::New)
            && budget::is_free()
            && queue.admits_at_once(this.cost, Instant::now())
        {
            this.state.set(State::Done);
            return Poll::Ready(Ok(()));
        }
        poll_slow(*this.cost, *this.deadline, this.state, queue, cx)
    }

    #[inline]
    pub(crate) fn leave(self: Pin<&mut Self>, queue: &Arc<WaitQueue<P>>) {
        if let StateProjection::Queued { waiter } = self.project().state.project() {
            leave(queue, waiter);
        }
    }
}

/// Not inlined, so that the drop of a request that never waited is one comparison.
#[cold]
#[inline(never)]
fn leave<P: Policy>(queue: &Arc<WaitQueue<P>>, waiter: Pin<&mut QueueWaiter<P>>) {
    queue.leave(waiter);
}

/// Every poll except a first one that is admitted at once and spends no budget.
#[cold]
fn poll_slow<P: Policy>(
    cost: P::Cost,
    deadline: Option<Instant>,
    mut state: Pin<&mut State<P>>,
    queue: &Arc<WaitQueue<P>>,
    cx: &mut Context<'_>,
) -> Poll<Outcome<P>> {
    let budget = ready!(coop::poll_proceed(cx));
    let is_new = matches!(*state, State::New);
    if is_new {
        state.set(State::Queued { waiter: QueueWaiter::<P>::new() });
    }
    let StateProjection::Queued { mut waiter } = state.as_mut().project() else {
        panic!("polled after it was ready")
    };
    let mut outcome = Poll::Pending;
    if is_new {
        outcome = queue.poll_join(waiter.as_mut(), cost, deadline, cx);
    }
    if outcome.is_pending() {
        // A waiter that has just joined may have to register the timer, so it goes on here.
        outcome = queue.poll_outcome(waiter, cx);
    }
    if outcome.is_ready() {
        // The waiter is dropped here, so that the drop of the future has mostly nothing to do.
        state.set(State::Done);
        budget.made_progress();
    }
    outcome
}
