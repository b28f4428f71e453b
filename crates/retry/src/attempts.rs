//! The loop written out by the caller, which reports each failure.

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
    Attempt, Report, Retry, StopReason, Verdict,
    policy::{AnyError, Judge, Part},
    run::Run,
};

/// The attempts of one operation, for a loop that the caller writes; made by [`Retry::start`].
///
/// The loop is for operations that borrow, and for decisions that await:
///
/// ```
/// use outbound_retry::{Retry, Wait};
///
/// # async fn fetch(pages: &mut Vec<u32>) -> Result<(), std::io::Error> {
/// #     pages.push(1);
/// #     if pages.len() < 3 { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), std::io::Error> {
/// let mut pages = Vec::new();
/// let mut attempts = Retry::attempts(5).wait(Wait::none()).start();
/// loop {
///     match fetch(&mut pages).await {
///         Ok(()) => break,
///         Err(error) => attempts.failed(error).await?,
///     }
/// }
/// assert_eq!(attempts.report().attempts(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "it does nothing until a failure is reported to it"]
pub struct Attempts<P = AnyError> {
    retry: Retry<P>,
    run: Run,
    attempt: Attempt,
}

impl<P: Part> Attempts<P> {
    pub(crate) fn new(retry: Retry<P>) -> Self {
        let mut run = Run::new();
        let attempt = run.begin(&retry.settings, &retry.policy);
        Self { retry, run, attempt }
    }

    /// The attempt under way. The loop itself has to put the [`deadline`](Attempt::deadline) on what it does.
    pub const fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Says that the attempt failed. Where the policy retries, the returned future waits and gives `Ok`. Where it gives
    /// up, the future gives the error back.
    ///
    /// This call records and judges the failure at once, by [`when`](Retry::when) and with the policy's hooks. The
    /// returned future only waits.
    ///
    /// The loop does not report its successes, so hooks see a `Result<(), E>` here. [`judge`](Self::judge) shows them the
    /// whole result.
    pub fn failed<E>(&mut self, error: E) -> Failed<'_, P, E>
    where
        P: Judge<(), E>,
    {
        let result = Err(error);
        let wait = self.run.judge(&self.retry.settings, &mut self.retry.policy, &result);
        self.wait(wait, result)
    }

    /// As [`failed`](Self::failed), with a verdict given by the caller.
    pub fn failed_as<E>(&mut self, verdict: impl Into<Verdict>, error: E) -> Failed<'_, P, E>
    where
        P: Judge<(), E>,
    {
        let result = Err(error);
        let wait = self.run.failed(&self.retry.settings, &mut self.retry.policy, &result, verdict.into());
        self.wait(wait, result)
    }

    fn wait<E>(&mut self, wait: Option<Duration>, result: Result<(), E>) -> Failed<'_, P, E> {
        let (state, error) = match wait {
            None => (State::Ready, result.err()),
            Some(Duration::ZERO) if self.run.should_yield() => (State::Yield, None),
            Some(Duration::ZERO) => (State::Ready, None),
            Some(wait) => (State::Sleep { sleep: tokio::time::sleep(wait) }, None),
        };
        Failed { attempts: self, error, state }
    }

    /// Judges the result of the attempt, for a caller that waits by itself. Returns how long to wait before the next
    /// attempt, or `None` where there is no further attempt.
    ///
    /// A retry that the budget has paid for stays paid, even if the caller does not make it; see
    /// [`Budget::refund`](crate::Budget::refund).
    pub fn judge<T, E>(&mut self, result: &Result<T, E>) -> Option<Duration>
    where
        P: Judge<T, E>,
    {
        let wait = self.run.judge(&self.retry.settings, &mut self.retry.policy, result)?;
        self.attempt = self.run.begin_after(&self.retry.settings, &self.retry.policy, wait);
        Some(wait)
    }

    /// As [`judge`](Self::judge), with a verdict given by the caller and without a result, so that no hook is called.
    /// Returns how long to wait, or why to give up.
    pub fn decide(&mut self, verdict: impl Into<Verdict>) -> Result<Duration, StopReason> {
        let wait = self.run.decide(&self.retry.settings, self.retry.policy.budget(), verdict.into())?;
        self.attempt = self.run.begin_after(&self.retry.settings, &self.retry.policy, wait);
        Ok(wait)
    }

    /// Says that something has been delivered, such as the first item of a stream. From now on no failure is retried.
    pub const fn commit(&mut self) {
        self.run.committed = true;
    }

    /// The attempts and waits so far, and why it gave up if it did.
    pub fn report(&self) -> Report {
        self.run.report()
    }
}

pin_project! {
    /// The wait after a failure; made by [`Attempts::failed`].
    ///
    /// It gives `Ok` once it is time for the next attempt. Where there is no further attempt, it gives `Err` with the
    /// caller's error at once.
    ///
    /// Dropping it ends the wait, and a retry that was paid for goes back into the budget. The failure stays recorded.
    #[must_use = "it waits, and gives the error back where there is no further attempt"]
    pub struct Failed<'a, P, E>
    where
        P: Part,
    {
        attempts: &'a mut Attempts<P>,
        // Set where there is no further attempt.
        error: Option<E>,
        #[pin]
        state: State,
    }

    impl<P, E> PinnedDrop for Failed<'_, P, E>
    where
        P: Part,
    {
        fn drop(this: Pin<&mut Self>) {
            let attempts = this.project().attempts;
            attempts.run.abandoned(attempts.retry.policy.budget());
        }
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State {
        // There is nothing to wait for, or the wait is over.
        Ready,
        // Pending once, so that other tasks run.
        Yield,
        // Waiting for the next attempt.
        Sleep { #[pin] sleep: Sleep },
    }
}

impl<P: Part, E> Future for Failed<'_, P, E> {
    type Output = Result<(), E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        match this.state.as_mut().project() {
            StateProj::Ready => {}
            StateProj::Yield => {
                this.state.set(State::Ready);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            StateProj::Sleep { sleep } => {
                ready!(sleep.poll(cx));
                this.state.set(State::Ready);
            }
        }
        if let Some(error) = this.error.take() {
            return Poll::Ready(Err(error));
        }
        let Attempts { retry, run, attempt } = &mut **this.attempts;
        *attempt = run.begin_after(&retry.settings, &retry.policy, Duration::ZERO);
        Poll::Ready(Ok(()))
    }
}

impl<P: Part + fmt::Debug, E> fmt::Debug for Failed<'_, P, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failed")
            .field("attempts", &self.attempts)
            .field("gives_up", &self.error.is_some())
            .finish_non_exhaustive()
    }
}
