//! The hedging policy: when a slow call is made a second time.

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
/// A retry answers failures, and a hedge answers slowness. Where a call has run longer than most of the latest calls, a
/// second call is likely to be done before the first (Dean, Barroso: "The Tail at Scale", 2013). The first success is the
/// answer, and the other call is dropped.
///
/// | setter | default |
/// |---|---|
/// | [`min_delay`](Self::min_delay) | 1 ms, the smallest value |
/// | [`until`](Self::until) | no deadline |
/// | [`when`](Self::when) | after every error the other attempt runs on |
///
/// It is plain data, usable in a `const`. A setter makes a variant for one call.
///
/// ```
/// use outbound_retry::{Budget, Hedge, Latencies};
///
/// const HEDGE: Hedge = Hedge::at_percentile(95);
///
/// # async fn fetch(_: u32) -> Result<&'static str, ()> { Ok("page") }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// // Both are handles. Use one of each for all calls to a server.
/// let (latencies, budget) = (Latencies::new(), Budget::percent(5));
/// let reply = HEDGE.call_idempotent(&latencies, &budget, |attempt| fetch(attempt.number())).await;
/// assert_eq!(reply, Ok("page"));
/// # }
/// ```
///
/// A call has at most one hedge. At the 95th percentile, both attempts are slow in one call of 400 if slowness is random.
/// If it is not random, all calls are slow, and more calls would make the server slower.
#[derive(Clone, Copy, Debug)]
#[must_use = "a policy does nothing until something is called under it"]
pub struct Hedge<P = AnyError> {
    percentile: u32,
    min_delay: Duration,
    until: Option<Instant>,
    policy: P,
}

impl Hedge {
    /// Hedges the calls that run longer than this percentile of the latest calls: see [`Latencies::percentile`]. At 95,
    /// at most about one call in twenty is hedged. At 100, none is.
    pub const fn at_percentile(percentile: u32) -> Self {
        Self { percentile, min_delay: MIN_DELAY, until: None, policy: AnyError }
    }

    /// Asks `when` about each error once there is a hedge. It returns a `bool` or a [`Verdict`](crate::Verdict). On stop,
    /// the error is returned at once and the other attempt is dropped. On any other verdict the other attempt runs on. The
    /// waits in a verdict have no effect on a hedge.
    pub fn when<E, V, F>(self, when: F) -> Hedge<When<E, AnyError, F>>
    where
        F: FnMut(&E) -> V,
        V: Into<crate::Verdict>,
    {
        let Self { percentile, min_delay, until, policy: AnyError } = self;
        Hedge { percentile, min_delay, until, policy: When { policy: AnyError, when, error: PhantomData } }
    }
}

/// The step of tokio's timer.
const MIN_DELAY: Duration = Duration::from_millis(1);

impl<P> Hedge<P> {
    /// No hedge is made sooner than this, however fast the latest calls were. Less than 1 ms counts as 1 ms.
    pub const fn min_delay(mut self, delay: Duration) -> Self {
        self.min_delay = if delay.as_nanos() > MIN_DELAY.as_nanos() { delay } else { MIN_DELAY };
        self
    }

    /// The instant by which everything must be done. Where it is set twice, the earlier one counts. No hedge is made at
    /// this instant or after it. An attempt under way runs on, unless the operation puts [`Attempt::deadline`] on it.
    pub fn until(mut self, instant: impl Into<Option<Instant>>) -> Self {
        self.until = [self.until, instant.into()].into_iter().flatten().min();
        self
    }

    /// Calls `operation`, and calls it again if it is slow. The operation must be idempotent (RFC 9110, section 9.2.2).
    /// Here this means that it is safe to run it twice at the same time, and to drop it at any point.
    ///
    /// [`Attempt::number`] is 1 for the original and 2 for the hedge. The hedge should go to another server where there
    /// is one.
    ///
    /// Each call pays into the budget, and each hedge takes one retry out. Where the budget refuses, the call goes on
    /// without a hedge. A retry around the hedge may have the same budget: then both pay in, and both take out of the sum.
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

    /// How long a call runs before its hedge is due. `None` while too few latencies are known.
    fn delay(&self, latencies: &Latencies) -> Option<Duration> {
        latencies.percentile(self.percentile).map(|latency| latency.max(self.min_delay))
    }

    /// Whether a hedge that is made at this instant has time left.
    fn is_in_time(&self, instant: Instant) -> bool {
        self.until.is_none_or(|until| instant < until)
    }

    fn attempt(&self, number: u32) -> Attempt {
        Attempt { number, deadline: self.until }
    }
}
