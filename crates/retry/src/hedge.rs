use std::{future::Future, marker::PhantomData, time::Duration};

use tokio::time::Instant;

use crate::{
    Attempt, Budget,
    policy::{AnyError, Judge, When},
};

mod hedged;
mod latencies;

pub use hedged::Hedged;
pub use latencies::Latencies;

/// A hedging policy: when a call is slow enough to be made a second time while it still runs.
///
/// A retry answers failures, a hedge answers slowness: where a call has run longer than most of the latest did, the
/// chance that a second one is faster than the rest of the first is good (Dean, Barroso: "The Tail at Scale", 2013).
/// The first to succeed is the answer, and the other is dropped.
///
/// | setter | default |
/// |---|---|
/// | [`min_delay`](Self::min_delay) | 1 ms, the least there is |
/// | [`until`](Self::until) | no deadline |
/// | [`when`](Self::when) | every error leaves the other attempt its chance |
///
/// It is plain data, usable in a `const`; a setter makes a variant for one call.
///
/// ```
/// use outbound_retry::{Budget, Hedge, Latencies};
///
/// const HEDGE: Hedge = Hedge::at_percentile(95);
///
/// # async fn fetch(_: u32) -> Result<&'static str, ()> { Ok("page") }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// // Both are handles: one of each for all calls to a server.
/// let (latencies, budget) = (Latencies::new(), Budget::percent(5));
/// let reply = HEDGE.call_idempotent(&latencies, &budget, |attempt| fetch(attempt.number())).await;
/// assert_eq!(reply, Ok("page"));
/// # }
/// ```
///
/// There is one hedge for a call and never a second. At the 95th percentile both are slow in one call of 400, where
/// slowness strikes by chance; where it does not, all are slow, and more of them are what the server needs least.
#[derive(Clone, Copy, Debug)]
#[must_use = "a policy does nothing until something is called under it"]
pub struct Hedge<P = AnyError> {
    percentile: u32,
    min_delay: Duration,
    until: Option<Instant>,
    policy: P,
}

impl Hedge {
    /// Hedges the calls that run longer than so many of a hundred did lately, by [`Latencies::percentile`]. At 95, no
    /// more than about one call in twenty is hedged; at 100, none is.
    pub const fn at_percentile(percentile: u32) -> Self {
        Self { percentile, min_delay: MIN_DELAY, until: None, policy: AnyError }
    }

    /// Asks `when` about an error that could be final, with a `bool` or a [`Verdict`](crate::Verdict). Where it says
    /// stop, the error is returned at once and the other attempt dropped: it would fare no better. Any other verdict
    /// leaves it its chance; a hedge waits for nothing.
    pub fn when<E, V, F>(self, when: F) -> Hedge<When<E, AnyError, F>>
    where
        F: FnMut(&E) -> V,
        V: Into<crate::Verdict>,
    {
        let Self { percentile, min_delay, until, policy: AnyError } = self;
        Hedge { percentile, min_delay, until, policy: When { policy: AnyError, when, error: PhantomData } }
    }
}

/// What a timer of tokio's can tell apart.
const MIN_DELAY: Duration = Duration::from_millis(1);

impl<P> Hedge<P> {
    /// No hedge is made sooner, however fast the others were. Less than 1 ms counts as 1 ms.
    pub const fn min_delay(mut self, delay: Duration) -> Self {
        self.min_delay = if delay.as_nanos() > MIN_DELAY.as_nanos() { delay } else { MIN_DELAY };
        self
    }

    /// The instant by which everything must be done; the earlier one where it is set twice. No hedge is made at it or
    /// after it. What is under way is not cut by it, unless the operation puts [`Attempt::deadline`] on it.
    pub fn until(mut self, instant: impl Into<Option<Instant>>) -> Self {
        self.until = [self.until, instant.into()].into_iter().flatten().min();
        self
    }

    /// Calls `operation`, and calls it again if it is slow. It must be idempotent (RFC 9110, section 9.2.2), which here
    /// means: safe to run twice, both at the same time, and to be dropped at any point.
    ///
    /// The [`Attempt`] tells the two apart: its [`number`](Attempt::number) is 1, and 2 for the hedge, which had better
    /// go to another server where there is one.
    ///
    /// Each call is a deposit in the budget and each hedge a withdrawal. Where the budget refuses, the call goes on
    /// without a hedge. A retry around the hedge that has the same budget pays in as well, and both draw from the sum.
    pub fn call_idempotent<'a, F, Fut, T, E>(
        self,
        latencies: &'a Latencies,
        budget: &'a Budget,
        operation: F,
    ) -> Hedged<'a, P, F, Fut>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        P: Judge<T, E>,
    {
        Hedged::new(self, latencies, budget, operation)
    }

    /// How long a call may run before its hedge is due, where enough is known.
    fn delay(&self, latencies: &Latencies) -> Option<Duration> {
        latencies.percentile(self.percentile).map(|latency| latency.max(self.min_delay))
    }

    /// Whether a hedge made then has any time left.
    fn is_in_time(&self, instant: Instant) -> bool {
        self.until.is_none_or(|until| instant < until)
    }

    fn attempt(&self, number: u32) -> Attempt {
        Attempt { number, deadline: self.until }
    }
}
