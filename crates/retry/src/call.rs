use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::{Attempt, Budget, Report, Retry, StopReason, Verdict, nested::Mark, policy::Policy, run::Run};

pin_project! {
    /// An operation with its retries; made by [`Retry::call`] and [`Retrying::call`](crate::Retrying::call).
    ///
    /// The output is the operation's own: its success, or its last error. The failed attempt is dropped before the wait
    /// begins. Success at the first attempt reads no clock, draws no random number and allocates nothing; nothing here
    /// ever allocates. A wait of zero takes no timer.
    ///
    /// Dropping this future drops the attempt under way, or ends the wait and puts the retry it had paid for back into
    /// the budget.
    ///
    /// # Panics
    ///
    /// When polled after it has finished, and when it has to wait outside a tokio runtime with time enabled.
    #[must_use = "futures do nothing unless polled"]
    pub struct Call<'a, P, F, Fut> {
        retry: &'a Retry,
        budget: Option<&'a Budget>,
        run: Run,
        policy: P,
        operation: F,
        #[pin]
        state: State<Fut>,
    }

    impl<P, F, Fut> PinnedDrop for Call<'_, P, F, Fut> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // Nothing is owed in the end; to ask this first spares a success the rest.
            if !matches!(this.state.project(), StateProj::Done) {
                this.run.abandoned(*this.budget);
            }
        }
    }
}

pin_project! {
    #[project = StateProj]
    enum State<Fut> {
        // The next attempt can begin.
        Ready,
        // An attempt is under way.
        Attempt { #[pin] attempt: Fut },
        // Waiting for the next attempt.
        Sleep { #[pin] sleep: Sleep },
        // The output has been given.
        Done,
    }
}

impl<'a, P, F, Fut> Call<'a, P, F, Fut> {
    pub(crate) const fn new(
        retry: &'a Retry,
        budget: Option<&'a Budget>,
        run: Run,
        policy: P,
        operation: F,
    ) -> Self {
        Self { retry, budget, run, policy, operation, state: State::Ready }
    }

    /// What it has come to so far. To read it after the end, pin the call and await it by reference:
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

impl<P, F, Fut, T, E> Future for Call<'_, P, F, Fut>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    P: Policy<T, E>,
{
    type Output = Result<T, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (retry, budget) = (*this.retry, *this.budget);
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
                this.run.begin(budget);
                let attempt = (this.operation)(this.run.attempt(retry));
                this.state.set(State::Attempt { attempt });
            }
            let StateProj::Attempt { attempt } = this.state.as_mut().project() else {
                unreachable!("set above")
            };
            let polled = {
                let _mark = Mark::attempt();
                attempt.poll(cx)
            };
            let Poll::Ready(result) = polled else {
                this.run.anchor(retry);
                return Poll::Pending;
            };
            let verdict = this.policy.verdict(&result);
            if result.is_ok() && verdict == Verdict::Stop {
                this.state.set(State::Done);
                return Poll::Ready(result);
            }
            match failed(this.run, retry, budget, this.policy, verdict) {
                Err(_) => {
                    this.state.set(State::Done);
                    return Poll::Ready(result);
                }
                Ok(Duration::ZERO) => {
                    this.state.set(State::Ready);
                    if this.run.should_yield() {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    next = true;
                }
                Ok(wait) => {
                    this.state.set(State::Sleep { sleep: tokio::time::sleep(wait) });
                    // Armed now. A wait that is over before it began still lets other tasks run.
                    if waited(this.state, cx).is_ready() {
                        cx.waker().wake_by_ref();
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

/// Whether the wait is over. Panics where the call is.
#[cold]
fn waited<Fut>(state: Pin<&mut State<Fut>>, cx: &mut Context<'_>) -> Poll<()> {
    let StateProj::Sleep { sleep } = state.project() else { panic!("`Call` polled after it had finished") };
    sleep.poll(cx)
}

/// An attempt did not do: how long to wait for the next one, or why there is none.
#[inline(always)]
pub(crate) fn failed<T, E, P: Policy<T, E>>(
    run: &mut Run,
    retry: &Retry,
    budget: Option<&Budget>,
    policy: &mut P,
    verdict: Verdict,
) -> Result<Duration, StopReason> {
    let attempt = run.attempt(retry);
    let decision = run.failed(retry, budget, verdict, |wait| {
        if policy.stop(&attempt) { None } else { Some(policy.wait(&attempt, wait)) }
    });
    if let Ok(wait) = decision {
        policy.before_sleep(&attempt, wait);
    }
    decision
}

impl<P: fmt::Debug, F, Fut> fmt::Debug for Call<'_, P, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("retry", &self.retry)
            .field("policy", &self.policy)
            .field("report", &self.report())
            .finish_non_exhaustive()
    }
}
