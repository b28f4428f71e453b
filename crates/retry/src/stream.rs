use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::{Attempt, Budget, Report, Retry, call::failed, nested::Mark, policy::Policy, run::Run};

pin_project! {
    /// A stream that is opened again while it fails before its first item; made by
    /// [`Retrying::stream`](crate::Retrying::stream).
    ///
    /// Once an item has been delivered the stream is committed: what comes after it is passed on as it is, errors too,
    /// because opening the stream again would deliver the first items twice. A stream that ends without an item ends.
    ///
    /// Dropping it drops the stream, or ends the wait and puts the retry it had paid for back into the budget. No item is
    /// lost by dropping its `next` future.
    ///
    /// # Panics
    ///
    /// When it has to wait outside a tokio runtime with time enabled.
    #[must_use = "streams do nothing unless polled"]
    pub struct RetryStream<'a, P, F, S> {
        retry: &'a Retry,
        budget: Option<&'a Budget>,
        run: Run,
        policy: P,
        open: F,
        #[pin]
        state: State<S>,
    }

    impl<P, F, S> PinnedDrop for RetryStream<'_, P, F, S> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.run.abandoned(*this.budget);
        }
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S> {
        // The next attempt can begin.
        Ready,
        // Open, and not known to have failed.
        Open { #[pin] stream: S },
        // Waiting for the next attempt.
        Sleep { #[pin] sleep: Sleep },
        // Ended.
        Done,
    }
}

impl<'a, P, F, S> RetryStream<'a, P, F, S> {
    pub(crate) const fn new(
        retry: &'a Retry,
        budget: Option<&'a Budget>,
        run: Run,
        policy: P,
        open: F,
    ) -> Self {
        Self { retry, budget, run, policy, open, state: State::Ready }
    }

    /// What it has come to so far.
    pub fn report(&self) -> Report {
        self.run.report()
    }
}

impl<P, F, S, T, E> Stream for RetryStream<'_, P, F, S>
where
    F: FnMut(Attempt) -> S,
    S: Stream<Item = Result<T, E>>,
    P: Policy<T, E>,
{
    type Item = Result<T, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            if let StateProj::Ready = this.state.as_mut().project() {
                this.run.begin(*this.budget);
                let stream = (this.open)(this.run.attempt(this.retry));
                this.state.set(State::Open { stream });
            }
            let stream = match this.state.as_mut().project() {
                StateProj::Open { stream } => stream,
                StateProj::Sleep { sleep } => {
                    ready!(sleep.poll(cx));
                    this.state.set(State::Ready);
                    continue;
                }
                StateProj::Ready | StateProj::Done => return Poll::Ready(None),
            };
            let polled = {
                let _mark = Mark::attempt();
                stream.poll_next(cx)
            };
            let Poll::Ready(item) = polled else {
                this.run.anchor(this.retry);
                return Poll::Pending;
            };
            let failure = match item {
                None => {
                    this.state.set(State::Done);
                    return Poll::Ready(None);
                }
                Some(item) if item.is_ok() || this.run.committed => {
                    this.run.committed = true;
                    return Poll::Ready(Some(item));
                }
                Some(failure) => failure,
            };
            let verdict = this.policy.verdict(&failure);
            match failed(this.run, this.retry, *this.budget, this.policy, verdict) {
                Err(_) => {
                    this.state.set(State::Done);
                    return Poll::Ready(Some(failure));
                }
                Ok(Duration::ZERO) => {
                    this.state.set(State::Ready);
                    if this.run.should_yield() {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                Ok(wait) => this.state.set(State::Sleep { sleep: tokio::time::sleep(wait) }),
            }
        }
    }
}

impl<P: fmt::Debug, F, S> fmt::Debug for RetryStream<'_, P, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryStream")
            .field("retry", &self.retry)
            .field("policy", &self.policy)
            .field("report", &self.report())
            .finish_non_exhaustive()
    }
}
