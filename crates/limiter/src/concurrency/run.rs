//! A future that runs while it holds a permit.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{Acquire, ConcurrencyLimiter, Permit};
use crate::closed::Closed;

pin_project! {
    /// Waits for a permit, then runs a future: what [`ConcurrencyLimiter::run`] returns.
    ///
    /// # Panics
    ///
    /// If it is polled after it was ready.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Run<'a, F> {
        // Before `state`, since fields are dropped in order: the work ends before its permit is given back.
        #[pin]
        work: Option<F>,
        #[pin]
        state: State<'a>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<'a> {
        // In line for a permit; the work is not polled.
        Waiting { #[pin] acquire: Acquire<'a> },
        // Holding a permit while the work runs.
        Running { permit: Permit<'a> },
        // Over: the work has been dropped, the permit given back.
        Done,
    }
}

impl<'a, F> Run<'a, F> {
    pub(super) fn new(limiter: &'a ConcurrencyLimiter, work: F) -> Self {
        Self { work: Some(work), state: State::Waiting { acquire: limiter.acquire() } }
    }
}

impl<F: Future> Future for Run<'_, F> {
    type Output = Result<F::Output, Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let StateProj::Waiting { acquire } = this.state.as_mut().project() {
            match ready!(acquire.poll(cx)) {
                Ok(permit) => this.state.set(State::Running { permit }),
                Err(closed) => {
                    this.work.set(None);
                    this.state.set(State::Done);
                    return Poll::Ready(Err(closed));
                }
            }
        }
        let Some(work) = this.work.as_mut().as_pin_mut() else { panic!("polled after it was ready") };
        let output = ready!(work.poll(cx));
        this.work.set(None);
        this.state.set(State::Done);
        Poll::Ready(Ok(output))
    }
}
