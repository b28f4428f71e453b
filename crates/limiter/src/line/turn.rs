//! One waiter's way through the line: the part of a future that rates and quotas share.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::{task::coop, time::Instant};

use super::{Answer, Desk, Line, Place};

pin_project! {
    #[derive(Debug)]
    pub(crate) struct Turn<D: Desk> {
        ask: D::Ask,
        deadline: Option<Instant>,
        state: State,
        #[pin]
        place: Place<D>,
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
    pub(crate) fn new(ask: D::Ask) -> Self {
        Self { ask, deadline: None, state: State::New, place: Place::<D>::new() }
    }

    pub(crate) fn ask(&self) -> &D::Ask {
        &self.ask
    }

    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    pub(crate) fn poll(self: Pin<&mut Self>, line: &Arc<Line<D>>, cx: &mut Context<'_>) -> Poll<Answer<D>> {
        let mut this = self.project();
        let budget = ready!(coop::poll_proceed(cx));
        if *this.state == State::New {
            if let Poll::Ready(answer) = line.poll_join(this.place.as_mut(), *this.ask, *this.deadline, cx) {
                *this.state = State::Done;
                budget.made_progress();
                return Poll::Ready(answer);
            }
            *this.state = State::InLine;
        }
        assert!(*this.state == State::InLine, "polled after it was ready");
        let answer = ready!(line.poll_answer(this.place, cx));
        *this.state = State::Done;
        budget.made_progress();
        Poll::Ready(answer)
    }

    pub(crate) fn leave(self: Pin<&mut Self>, line: &Arc<Line<D>>) {
        let this = self.project();
        if *this.state == State::InLine {
            line.leave(this.place);
        }
    }
}
