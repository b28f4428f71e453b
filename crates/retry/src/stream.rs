//! The loop for streams: they are opened again until their first item.

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

use crate::{
    Attempt, Report, Retry,
    nested::Mark,
    policy::{Limit, Part, Rules},
    run::Run,
};

pin_project! {
    /// A stream that is opened again while it fails before its first item; made by
    /// [`Retry::stream`](crate::Retry::stream).
    ///
    /// Once an item has been delivered, the stream is never opened again, because that would deliver the first items
    /// twice. All later items are passed on unchanged, errors too. A stream that ends without an item is not opened
    /// again. An [`attempt_timeout`](crate::Retry::attempt_timeout) is the time to the first item.
    ///
    /// Dropping it drops the stream, or ends the wait. A retry that was paid for and not made goes back into the budget.
    /// Dropping its `next` future loses no item.
    ///
    /// # Panics
    ///
    /// When it has to wait outside a tokio runtime with time enabled.
    #[must_use = "streams do nothing unless polled"]
    pub struct RetryStream<P, F, S>
    where
        P: Part,
    {
        retry: Retry<P>,
        run: Run,
        open: F,
        #[pin]
        state: State<S, P::Limit>,
    }

    impl<P, F, S> PinnedDrop for RetryStream<P, F, S>
    where
        P: Part,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.run.abandoned(this.retry.policy.budget());
        }
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, L> {
        // The next attempt can begin.
        Ready,
        // The stream is open and has not failed.
        Open { #[pin] stream: S, #[pin] limit: L },
        // Waiting for the next attempt.
        Sleep { #[pin] sleep: Sleep },
        // The stream has ended.
        Done,
    }
}

impl<P: Part, F, S> RetryStream<P, F, S> {
    pub(crate) const fn new(retry: Retry<P>, open: F) -> Self {
        Self { retry, run: Run::new(), open, state: State::Ready }
    }

    /// The attempts and waits so far, and why it gave up if it did.
    pub fn report(&self) -> Report {
        self.run.report()
    }
}

impl<P, F, S, T, E> Stream for RetryStream<P, F, S>
where
    F: FnMut(Attempt) -> S,
    S: Stream<Item = Result<T, E>>,
    P: Rules<T, E>,
{
    type Item = Result<T, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let Retry { settings, policy } = this.retry;
        loop {
            if let StateProj::Ready = this.state.as_mut().project() {
                let begun = this.run.begin(settings, policy);
                let stream = (this.open)(begun);
                this.state.set(State::Open { stream, limit: P::Limit::at(begun.deadline) });
            }
            let (stream, limit) = match this.state.as_mut().project() {
                StateProj::Open { stream, limit } => (stream, limit),
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
            let item = match polled {
                Poll::Ready(item) => item,
                Poll::Pending if this.run.committed => return Poll::Pending,
                Poll::Pending => {
                    this.run.note_start(settings);
                    Some(ready!(limit.poll_elapsed(cx)))
                }
            };
            let failure = match item {
                None => {
                    this.state.set(State::Done);
                    return Poll::Ready(None);
                }
                Some(item) if this.run.committed => return Poll::Ready(Some(item)),
                Some(item) if item.is_ok() => {
                    this.run.committed = true;
                    return Poll::Ready(Some(item));
                }
                Some(failure) => failure,
            };
            match this.run.judge(settings, policy, &failure) {
                None => {
                    this.state.set(State::Done);
                    return Poll::Ready(Some(failure));
                }
                Some(Duration::ZERO) => {
                    this.state.set(State::Ready);
                    if this.run.should_yield() {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                Some(wait) => this.state.set(State::Sleep { sleep: tokio::time::sleep(wait) }),
            }
        }
    }
}

impl<P: Part + fmt::Debug, F, S> fmt::Debug for RetryStream<P, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryStream")
            .field("retry", &self.retry)
            .field("report", &self.report())
            .finish_non_exhaustive()
    }
}
