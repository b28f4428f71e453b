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
        state: State,
        // Made only when there is no way around waiting: the fast path neither writes nor drops it.
        #[pin]
        place: Option<Place<D>>,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not polled yet, or only with an empty cooperative budget.
    New,
    /// In line, or let go and not polled since.
    InLine,
    /// Has its answer.
    Done,
}

impl<D: Desk> Turn<D> {
    #[inline]
    pub(crate) fn new(ask: D::Ask) -> Self {
        Self { ask, deadline: None, state: State::New, place: None }
    }

    pub(crate) fn ask(&self) -> &D::Ask {
        &self.ask
    }

    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    #[inline]
    pub(crate) fn poll(self: Pin<&mut Self>, line: &Arc<Line<D>>, cx: &mut Context<'_>) -> Poll<Answer<D>> {
        let this = self.project();
        if *this.state == State::New && budget::is_free() && line.admits_at_once(this.ask) {
            *this.state = State::Done;
            return Poll::Ready(Ok(()));
        }
        poll_slow(*this.ask, *this.deadline, this.state, this.place, line, cx)
    }

    #[inline]
    pub(crate) fn leave(self: Pin<&mut Self>, line: &Arc<Line<D>>) {
        let this = self.project();
        if *this.state == State::InLine
            && let Some(place) = this.place.as_pin_mut()
        {
            line.leave(place);
        }
    }
}

/// Everything but a first poll that is ready and free.
#[cold]
fn poll_slow<D: Desk>(
    ask: D::Ask,
    deadline: Option<Instant>,
    state: &mut State,
    mut place: Pin<&mut Option<Place<D>>>,
    line: &Arc<Line<D>>,
    cx: &mut Context<'_>,
) -> Poll<Answer<D>> {
    let budget = ready!(coop::poll_proceed(cx));
    let is_new = *state == State::New;
    if is_new {
        place.set(Some(Place::<D>::new()));
        *state = State::InLine;
    }
    let Some(mut waiter) = place.as_mut().as_pin_mut() else { panic!("polled after it was ready") };
    let mut answer = Poll::Pending;
    if is_new {
        answer = line.poll_join(waiter.as_mut(), ask, deadline, cx);
    }
    if answer.is_pending() {
        // One that has just joined, too, sees to the timer.
        answer = line.poll_answer(waiter, cx);
    }
    if answer.is_ready() {
        *state = State::Done;
        // Here already, so that where the future is dropped there is mostly nothing to do but to see that.
        place.set(None);
        budget.made_progress();
    }
    answer
}
