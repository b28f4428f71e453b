//! One waiter's way through the line: the part of a future that rates and quotas share.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::{task::coop, time::Instant};

use super::{Answer, Desk, Line, Place};
use crate::budget;

pin_project! {
    #[derive(Debug)]
    pub(crate) struct Turn<D: Desk> {
        ask: D::Ask,
        deadline: Option<Instant>,
        #[pin]
        state: State<D>,
    }
}

pin_project! {
    #[project = StateProjection]
    #[derive(Debug)]
    enum State<D: Desk> {
        // Not polled yet, or only with an empty cooperative budget.
        New,
        // In line, or let go and not polled since.
        InLine {
            #[pin]
            place: Place<D>,
        },
        // Has its answer. The way without waiting comes here at once, and neither writes nor drops a place.
        Done,
    }
}

impl<D: Desk> Turn<D> {
    #[inline]
    pub(crate) fn new(ask: D::Ask) -> Self {
        Self { ask, deadline: None, state: State::New }
    }

    pub(crate) fn ask(&self) -> &D::Ask {
        &self.ask
    }

    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    #[inline]
    pub(crate) fn poll(self: Pin<&mut Self>, line: &Arc<Line<D>>, cx: &mut Context<'_>) -> Poll<Answer<D>> {
        let mut this = self.project();
        if matches!(*this.state, State::New)
            && budget::is_free()
            && line.admits_at_once(this.ask, Instant::now())
        {
            this.state.set(State::Done);
            return Poll::Ready(Ok(()));
        }
        poll_slow(*this.ask, *this.deadline, this.state, line, cx)
    }

    #[inline]
    pub(crate) fn leave(self: Pin<&mut Self>, line: &Arc<Line<D>>) {
        if let StateProjection::InLine { place } = self.project().state.project() {
            leave(line, place);
        }
    }
}

/// Out of line, so that the drop of one that never waited is a comparison.
#[cold]
#[inline(never)]
fn leave<D: Desk>(line: &Arc<Line<D>>, place: Pin<&mut Place<D>>) {
    line.leave(place);
}

/// Everything but a first poll that is ready and free.
#[cold]
fn poll_slow<D: Desk>(
    ask: D::Ask,
    deadline: Option<Instant>,
    mut state: Pin<&mut State<D>>,
    line: &Arc<Line<D>>,
    cx: &mut Context<'_>,
) -> Poll<Answer<D>> {
    let budget = ready!(coop::poll_proceed(cx));
    let is_new = matches!(*state, State::New);
    if is_new {
        state.set(State::InLine { place: Place::<D>::new() });
    }
    let StateProjection::InLine { mut place } = state.as_mut().project() else {
        panic!("polled after it was ready")
    };
    let mut answer = Poll::Pending;
    if is_new {
        answer = line.poll_join(place.as_mut(), ask, deadline, cx);
    }
    if answer.is_pending() {
        // One that has just joined, too, sees to the timer.
        answer = line.poll_answer(place, cx);
    }
    if answer.is_ready() {
        // Here already, so that where the future is dropped there is mostly nothing to do but to see that.
        state.set(State::Done);
        budget.made_progress();
    }
    answer
}
