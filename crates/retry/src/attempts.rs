use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::{Attempt, Budget, Report, Retry, StopReason, Verdict, run::Run};

/// The attempts of one operation, for a loop that the caller writes; made by [`Retry::start`].
///
/// The loop is for operations that borrow, for decisions that await, and for those who like to see it:
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
#[must_use = "it counts the failures it is told of"]
pub struct Attempts {
    retry: Retry,
    run: Run,
    budget: Option<Budget>,
}

impl Attempts {
    pub(crate) fn new(retry: Retry) -> Self {
        let mut run = Run::new();
        run.anchor(&retry);
        Self { retry, run, budget: None }
    }

    /// Makes the jitter repeatable: the same seed gives the same waits. By default each loop draws its own.
    pub fn seed(mut self, seed: u64) -> Self {
        self.run.timing().set_seed(seed);
        self
    }

    /// The instant by which everything must be done, as [`Retry::within`] is a length; the earlier of the two counts.
    pub fn until(mut self, instant: impl Into<Option<Instant>>) -> Self {
        self.run.timing().set_until(instant.into());
        self
    }

    /// Pays for retries out of a shared budget. Deposits once, for the first attempt.
    pub fn budget(mut self, budget: Budget) -> Self {
        budget.deposit();
        self.budget = Some(budget);
        self
    }

    /// The attempt under way.
    pub fn attempt(&self) -> Attempt {
        self.run.attempt(&self.retry)
    }

    /// The attempt failed, and is worth another: waits and gives `Ok`, or gives the error back where the policy gives
    /// up. [`failed_as`](Self::failed_as) with [`Verdict::Retry`].
    pub fn failed<E>(&mut self, error: E) -> Failed<'_, E> {
        self.failed_as(Verdict::Retry, error)
    }

    /// The attempt failed and this is to be done about it. The failure is recorded and decided on at once; the returned
    /// future only waits, then gives `Ok`. Where there is nothing to wait for because the policy gives up, it gives the
    /// error back.
    pub fn failed_as<E>(&mut self, verdict: impl Into<Verdict>, error: E) -> Failed<'_, E> {
        let (state, error) = match self.judge(verdict.into()) {
            Err(_) => (State::Ready, Some(error)),
            Ok(Duration::ZERO) if self.run.should_yield() => (State::Yield, None),
            Ok(Duration::ZERO) => (State::Ready, None),
            Ok(wait) => (State::Sleep { sleep: tokio::time::sleep(wait) }, None),
        };
        Failed { attempts: self, error, state }
    }

    /// As [`failed_as`](Self::failed_as), for a caller that does the waiting itself: how long to wait, or why to give up.
    ///
    /// A retry paid for out of the budget stays paid, whether or not it is made; see [`Budget::refund`].
    pub fn decide(&mut self, verdict: impl Into<Verdict>) -> Result<Duration, StopReason> {
        let decision = self.judge(verdict.into());
        self.run.begun();
        decision
    }

    fn judge(&mut self, verdict: Verdict) -> Result<Duration, StopReason> {
        if self.run.committed && verdict != Verdict::Stop {
            return Err(self.run.refused(verdict, StopReason::Committed));
        }
        self.run.failed(&self.retry, self.budget.as_ref(), verdict, Some)
    }

    /// Something has been delivered, such as the first item of a stream: no failure is retried from now on.
    pub fn commit(&mut self) {
        self.run.committed = true;
    }

    /// What it has come to so far.
    pub fn report(&self) -> Report {
        self.run.report()
    }
}

pin_project! {
    /// The wait after a failure; made by [`Attempts::failed`].
    ///
    /// Gives `Ok` once it is time for the next attempt, or `Err` with the caller's error at once where there is none.
    ///
    /// Dropping it ends the wait and puts the retry it had paid for back into the budget; the failure stays recorded.
    #[must_use = "it waits, and gives the error back where there is no further attempt"]
    pub struct Failed<'a, E> {
        attempts: &'a mut Attempts,
        // There is no further attempt.
        error: Option<E>,
        #[pin]
        state: State,
    }

    impl<E> PinnedDrop for Failed<'_, E> {
        fn drop(this: Pin<&mut Self>) {
            let attempts = this.project().attempts;
            attempts.run.abandoned(attempts.budget.as_ref());
        }
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State {
        // Nothing, or nothing more, to wait for.
        Ready,
        // Lets other tasks run once.
        Yield,
        // Waiting for the next attempt.
        Sleep { #[pin] sleep: Sleep },
    }
}

impl<E> Future for Failed<'_, E> {
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
        this.attempts.run.begun();
        Poll::Ready(this.error.take().map_or(Ok(()), Err))
    }
}

impl<E> fmt::Debug for Failed<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failed")
            .field("attempts", &self.attempts)
            .field("gives_up", &self.error.is_some())
            .finish_non_exhaustive()
    }
}
