//! The loop as a future: an operation with its retries.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::{
    Operation, Report, Retry,
    nested::Mark,
    policy::{Limit, Part, Rules},
    run::Run,
};

pin_project! {
    /// An operation with its retries; made by [`Retry::call`] and [`Retry::operate`].
    ///
    /// The output is the operation's own: its success, or its last error. A failed attempt is dropped before the wait
    /// begins.
    ///
    /// Nothing here allocates. A success at the first attempt draws no random number, and reads no clock if it is ready
    /// at once and there is no limit in time. A wait of zero takes no timer. At any time there is at most one timer: that
    /// of the attempt, where the policy limits it, or that of the wait.
    ///
    /// Dropping this future drops the attempt under way, or ends the wait. A retry that was paid for and not made goes
    /// back into the budget.
    ///
    /// # Panics
    ///
    /// When polled after it has finished, and when it has to wait outside a tokio runtime with time enabled.
    #[must_use = "futures do nothing unless polled"]
    pub struct Call<P, F, Fut>
    where
        P: Part,
    {
        retry: Retry<P>,
        run: Run,
        operation: F,
        #[pin]
        state: State<Fut, P::Limit>,
    }

    impl<P, F, Fut> PinnedDrop for Call<P, F, Fut>
    where
        P: Part,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // A finished call has nothing to give back. This check first keeps the drop after a success cheap.
            if !matches!(this.state.project(), StateProj::Done) {
                this.run.abandoned(this.retry.policy.budget());
            }
        }
    }
}

pin_project! {
    #[project = StateProj]
    enum State<Fut, L> {
        // The next attempt can begin.
        Ready,
        // An attempt is under way.
        Attempt { #[pin] attempt: Fut, #[pin] limit: L },
        // Waiting for the next attempt.
        Sleep { #[pin] sleep: Sleep },
        // The output has been given.
        Done,
    }
}

impl<P: Part, F, Fut> Call<P, F, Fut> {
    #[inline]
    pub(crate) const fn new(retry: Retry<P>, operation: F) -> Self {
        Self { retry, run: Run::new(), operation, state: State::Ready }
    }

    /// The attempts and waits so far, and why it gave up if it did. To read it after the end, pin the call and await it
    /// by reference:
    ///
    /// ```
    /// # use std::pin::pin;
    /// # use outbound_retry::{Retry, Wait};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let policy = Retry::attempts(3).wait(Wait::none());
    /// let mut call = pin!(policy.call(|attempt| async move { if attempt.is_retry() { Ok(()) } else { Err(()) } }));
    /// assert_eq!(call.as_mut().await, Ok(()));
    /// assert_eq!(call.report().attempts(), 2);
    /// # }
    /// ```
    #[inline]
    pub fn report(&self) -> Report {
        self.run.report()
    }
}

impl<P, F, Fut, T, E> Future for Call<P, F, Fut>
where
    F: Operation<Future = Fut>,
    Fut: Future<Output = Result<T, E>>,
    P: Rules<T, E>,
{
    type Output = Result<T, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Retry { settings, policy } = this.retry;
        let mut next = match this.state.as_mut().project() {
            StateProj::Ready => true,
            StateProj::Attempt { .. } => false,
            StateProj::Sleep { .. } | StateProj::Done => {
                ready!(waited(this.state.as_mut(), cx));
                true
            }
        };
        loop {
            if next {
                let begun = this.run.begin(settings, policy);
                let attempt = this.operation.attempt(begun);
                this.state.set(State::Attempt { attempt, limit: P::Limit::at(begun.deadline) });
            }
            let StateProj::Attempt { attempt, limit } = this.state.as_mut().project() else {
                unreachable!("set above")
            };
            let polled = {
                let _mark = Mark::attempt();
                attempt.poll(cx)
            };
            let result = match polled {
                Poll::Ready(result) => result,
                Poll::Pending => {
                    this.run.note_start(settings);
                    // The limit comes second: a result that is ready wins.
                    ready!(limit.poll_elapsed(cx))
                }
            };
            match this.run.judge(settings, policy, &result) {
                None => {
                    this.state.set(State::Done);
                    return Poll::Ready(result);
                }
                Some(Duration::ZERO) => {
                    this.state.set(State::Ready);
                    if this.run.should_yield() {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    next = true;
                }
                Some(wait) => {
                    this.state.set(State::Sleep { sleep: tokio::time::sleep(wait) });
                    // This poll registers the timer. Where the wait is over already, other tasks run all the same.
                    if waited(this.state, cx).is_ready() {
                        cx.waker().wake_by_ref();
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

/// Ready once the wait is over. Panics if the call has finished.
#[cold]
fn waited<Fut, L>(state: Pin<&mut State<Fut, L>>, cx: &mut Context<'_>) -> Poll<()> {
    let StateProj::Sleep { sleep } = state.project() else { panic!("`Call` polled after it had finished") };
    sleep.poll(cx)
}

impl<P: Part + fmt::Debug, F, Fut> fmt::Debug for Call<P, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("retry", &self.retry)
            .field("report", &self.report())
            .finish_non_exhaustive()
    }
}
