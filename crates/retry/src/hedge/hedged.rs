//! A call with its hedge: two attempts, of which the first success counts.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{Attempt, Budget, Hedge, Latencies, Verdict, policy::Judge};

pin_project! {
    /// An operation that is called a second time where it is slow; made by [`Hedge::call_idempotent`].
    ///
    /// The output is that of the attempt that succeeds first. If one attempt fails while the other runs, the other may
    /// still succeed. Where both fail, the error is that of the original, as it would be without a hedge, unless
    /// [`when`](Hedge::when) says stop for the error of the hedge. A failure before the hedge is due is returned at once:
    /// it is the task of a retry.
    ///
    /// When the output is returned, both attempts have been dropped. Where both are ready, the original counts. Nothing
    /// here allocates. A call that is ready at once reads no clock and takes no lock.
    ///
    /// Dropping this future drops both attempts. A hedge is paid for at the moment when it is made, so a drop has nothing
    /// to give back to the budget.
    ///
    /// # Panics
    ///
    /// When polled after it has finished, and when it has to wait for its hedge outside a tokio runtime with time
    /// enabled.
    #[must_use = "futures do nothing unless polled"]
    pub struct Hedged<'a, P, F, Fut>
    where
        Fut: Future,
    {
        hedge: Hedge<P>,
        latencies: &'a Latencies,
        budget: &'a Budget,
        operation: F,
        // Set from the first `Pending` on.
        waiting: Option<Waiting>,
        // `None` before it is made, and after it has failed.
        #[pin]
        original: Option<Fut>,
        // The failure of the original, while the hedge may still succeed.
        failure: Option<Fut::Output>,
        #[pin]
        second: Second<Fut>,
    }

    impl<P, F, Fut> PinnedDrop for Hedged<'_, P, F, Fut>
    where
        Fut: Future,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !matches!(this.second.project(), SecondProj::Done) {
                measure(*this.waiting, this.latencies, false);
            }
        }
    }
}

pin_project! {
    #[project = SecondProj]
    enum Second<Fut> {
        // Not decided: the original has not returned `Pending`.
        Unknown,
        // It is made when this sleep ends.
        Due { #[pin] sleep: Sleep },
        // It is under way.
        Made { #[pin] attempt: Fut },
        // There is none, or it has failed: only the original runs.
        None,
        // The output has been given.
        Done,
    }
}

/// The wait of a call that was not ready at once.
#[derive(Clone, Copy)]
struct Waiting {
    since: Instant,
    // A call that takes longer than this is slow. `None` while that is not known.
    delay: Option<Duration>,
}

impl<'a, P, F, Fut: Future> Hedged<'a, P, F, Fut> {
    pub(super) const fn new(
        hedge: Hedge<P>,
        latencies: &'a Latencies,
        budget: &'a Budget,
        operation: F,
    ) -> Self {
        Self {
            hedge,
            latencies,
            budget,
            operation,
            waiting: None,
            original: None,
            failure: None,
            second: Second::Unknown,
        }
    }
}

impl<P, F, Fut, T, E> Future for Hedged<'_, P, F, Fut>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    P: Judge<T, E>,
{
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.as_mut().project();
        match this.second.as_mut().project() {
            SecondProj::Unknown if this.original.is_none() => {
                this.budget.deposit();
                let attempt = (this.operation)(this.hedge.attempt(1));
                this.original.set(Some(attempt));
            }
            SecondProj::Done => panic!("`Hedged` polled after it had finished"),
            _ => {}
        }

        if let Some(original) = this.original.as_mut().as_pin_mut()
            && let Poll::Ready(result) = original.poll(cx)
        {
            let alone = !matches!(this.second.as_mut().project(), SecondProj::Made { .. });
            if alone || this.hedge.policy.verdict(&result) == Verdict::Stop {
                let succeeded = result.is_ok();
                return self.finish(result, succeeded);
            }
            // The original is measured up to its failure. How long the hedge takes after that says nothing about it.
            measure(this.waiting.take(), this.latencies, false);
            this.original.set(None);
            *this.failure = Some(result);
        }

        if let SecondProj::Unknown = this.second.as_mut().project() {
            let (waiting, due) = start_waiting(this.hedge, this.latencies);
            *this.waiting = Some(waiting);
            this.second.set(due.map_or(Second::None, |due| Second::Due { sleep: sleep_until(due) }));
        }
        if let SecondProj::Due { sleep } = this.second.as_mut().project()
            && sleep.poll(cx).is_ready()
        {
            // The budget is asked last, and a hedge that it pays for is made at once.
            let granted = this.hedge.is_in_time(Instant::now()) && this.budget.try_withdraw();
            let attempt = granted.then(|| (this.operation)(this.hedge.attempt(2)));
            this.second.set(attempt.map_or(Second::None, |attempt| Second::Made { attempt }));
        }
        if let SecondProj::Made { attempt } = this.second.as_mut().project()
            && let Poll::Ready(result) = attempt.poll(cx)
        {
            if this.hedge.policy.verdict(&result) == Verdict::Stop {
                return self.finish(result, false);
            }
            if let Some(failure) = this.failure.take() {
                return self.finish(failure, false);
            }
            this.second.set(Second::None);
        }
        Poll::Pending
    }
}

impl<P, F, Fut: Future> Hedged<'_, P, F, Fut> {
    fn finish(self: Pin<&mut Self>, result: Fut::Output, original_succeeded: bool) -> Poll<Fut::Output> {
        let mut this = self.project();
        measure(*this.waiting, this.latencies, original_succeeded);
        // Both attempts are dropped before the output is returned.
        this.second.set(Second::Done);
        this.original.set(None);
        *this.failure = None;
        Poll::Ready(result)
    }
}

/// The call has to wait. Returns what is measured from now on, and the instant of the hedge if there is to be one.
fn start_waiting<P>(hedge: &Hedge<P>, latencies: &Latencies) -> (Waiting, Option<Instant>) {
    let (since, delay) = (Instant::now(), hedge.delay(latencies));
    let due = delay.and_then(|delay| since.checked_add(delay)).filter(|due| hedge.is_in_time(*due));
    (Waiting { since, delay }, due)
}

/// The call is over: records what is known of the time of the original. The docs of [`Latencies`] have the rules.
fn measure(waiting: Option<Waiting>, latencies: &Latencies, original_succeeded: bool) {
    let Some(Waiting { since, delay }) = waiting else { return };
    let latency = since.elapsed();
    if original_succeeded {
        latencies.record(latency);
    } else if delay.is_some_and(|delay| latency >= delay) {
        latencies.record_at_least(latency);
    }
}

impl<P: fmt::Debug, F, Fut: Future> fmt::Debug for Hedged<'_, P, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedged")
            .field("hedge", &self.hedge)
            .field("latencies", &self.latencies)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
