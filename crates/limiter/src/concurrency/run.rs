//! Work that begins only once it has a permit.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{Acquire, ConcurrencyLimiter, Permit};

pin_project! {
    /// The future of [`ConcurrencyLimiter::run`]: waits for a permit, then begins the work and runs it.
    ///
    /// # Panics
    ///
    /// If it is polled after it was ready.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Run<'a, F, Fut> {
        // Before `permit`, because fields are dropped in order: the work is dropped before its permit is given back.
        #[pin]
        state: State<'a, F, Fut>,
        permit: Option<Permit<'a>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<'a, F, Fut> {
        // Waiting for a permit. The work has not begun.
        Waiting { #[pin] acquire: Acquire<'a>, work: Option<F> },
        // Holding a permit while the work runs.
        Running { #[pin] work: Fut },
        // The work has been dropped, and the permit was given back.
        Done,
    }
}

impl<'a, F, Fut> Run<'a, F, Fut> {
    pub(super) fn new(limiter: &'a ConcurrencyLimiter, work: F) -> Self {
        let state = State::Waiting { acquire: limiter.acquire(), work: Some(work) };
        Self { state, permit: None }
    }
}

impl<F, Fut> Future for Run<'_, F, Fut>
where
    F: FnOnce() -> Fut,
    Fut: Future,
{
    type Output = Fut::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Fut::Output> {
        let mut this = self.project();
        if let StateProj::Waiting { acquire, work } = this.state.as_mut().project() {
            *this.permit = Some(ready!(acquire.poll(cx)));
            // The state is `Done` while the closure runs. If it panics, nothing is left to be polled.
            let work = work.take();
            this.state.set(State::Done);
            if let Some(work) = work {
                this.state.set(State::Running { work: work() });
            }
        }
        let StateProj::Running { work } = this.state.as_mut().project() else {
            panic!("polled after it was ready")
        };
        let output = ready!(work.poll(cx));
        this.state.set(State::Done);
        *this.permit = None;
        Poll::Ready(output)
    }
}

impl<F, Fut> fmt::Debug for Run<'_, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("permit", &self.permit).finish_non_exhaustive()
    }
}
