//! A second call beside one that is slow.

use std::{future::pending, pin::pin, time::Duration};

use futures::future::{Either, select};
use outbound_client::Delivery;
use outbound_retry::{Budget, Latencies};
use tokio::time::{Instant, sleep};

use super::{
    super::{
        attempt::{Attempt, Failure},
        error::ErrorKind,
        record::Record,
        reply::Reply,
    },
    Failed, Run, Sent, UnderWay,
};

/// When a call that is slow is made a second time while it runs: the first answer counts, and the other call is given up
/// (Dean, Barroso: "The Tail at Scale", 2013). Given to
/// [`RequestManagerBuilder::hedge`](crate::RequestManagerBuilder::hedge).
///
/// | setter | default |
/// |---|---|
/// | [`min_delay`](Self::min_delay) | none |
/// | [`budget`](Self::budget) | 5 percent |
/// | [`allow_duplicates`](Self::allow_duplicates) | no |
///
/// What is slow is known for each model by its last 256 calls, once 20 are known. A second call is made only where the limits
/// have room for it at once, and counts against [`max_attempts`](crate::RequestManagerBuilder::max_attempts) as a retry does.
/// It goes to another endpoint where several share the name. No probe of an outage is hedged, and no
/// [`stream`](crate::RequestManager::stream).
///
/// ```
/// use outbound::{Hedging, Provider, RequestManager};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = RequestManager::builder()
///     .provider(Provider::http())
///     .base_url("https://search.example")
///     .hedge(Hedging::at_percentile(95))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it does nothing until a manager has it"]
pub struct Hedging {
    percentile: u32,
    min_delay: Duration,
    budget: u32,
    duplicates: bool,
}

impl Hedging {
    /// Hedges the calls that run longer than so many of a hundred did lately. At 95 that is about one call in twenty; at 100,
    /// none.
    pub const fn at_percentile(percentile: u32) -> Self {
        Self { percentile, min_delay: Duration::ZERO, budget: 5, duplicates: false }
    }

    /// No second call is made sooner, however fast the others were.
    pub const fn min_delay(mut self, delay: Duration) -> Self {
        self.min_delay = delay;
        self
    }

    /// So many second calls there are at most among a hundred calls.
    pub const fn budget(mut self, percent: u32) -> Self {
        self.budget = percent;
        self
    }

    /// Hedges also what may then be processed, and billed, twice. By default that is what is sent twice without harm: methods that
    /// are idempotent (RFC 9110, section 9.2.2), and providers that promise to honour an idempotency key.
    pub const fn allow_duplicates(mut self) -> Self {
        self.duplicates = true;
        self
    }
}

/// What a timer of tokio's can tell apart.
const TICK: Duration = Duration::from_millis(1);

/// Hedging at work.
#[derive(Debug)]
pub(crate) struct Hedges {
    when: Hedging,
    /// Each call pays in, and each second call is paid from it.
    budget: Budget,
}

impl Hedges {
    pub(crate) fn new(when: Hedging) -> Self {
        Self { when, budget: Budget::percent(when.budget).reserve(0) }
    }

    /// How long a call runs that is slow: longer than the others did, by what a timer can tell apart.
    fn delay(&self, latencies: &Latencies) -> Option<Duration> {
        let usual = latencies.percentile(self.when.percentile)?;
        Some(usual.saturating_add(TICK).max(self.when.min_delay))
    }
}

impl<'a, A: Attempt> Run<'a, A> {
    /// Whether a call may be made a second time.
    pub(super) fn may_hedge(&self, hedges: &Hedges, sent: &Sent<'_>, record: &Record) -> bool {
        let attempt_left = record.counts.charged + 1 < self.rules.max_attempts;
        let harmless = sent.admitted.destination.prepared.repeatable || hedges.when.duplicates;
        self.items.is_none() && harmless && attempt_left
    }

    /// A call, and a second one if it is slow.
    pub(super) async fn hedged(
        &self,
        hedges: &Hedges,
        first: Sent<'a>,
        deadline: Instant,
        record: &mut Record,
    ) -> Result<Reply, Box<Failed>> {
        let destination = first.admitted.destination;
        let latencies = destination.scope.model.latencies();
        let began = first.sent_at;
        hedges.budget.deposit();
        let probes = first.admitted.pass.probes_reach();
        let mut one = pin!(self.attempt.send(destination, deadline, probes));
        let slow = async {
            match hedges.delay(latencies) {
                Some(delay) => sleep(delay).await,
                None => pending().await,
            }
        };
        if let Either::Left((result, _)) = select(one.as_mut(), pin!(slow)).await {
            // A failure before it was slow says nothing of how slow it would have been.
            if result.is_ok() {
                latencies.record(began.elapsed());
            }
            return self.ended(first, result, deadline, record);
        }
        let Some(second) = self.second(hedges, &first, record) else {
            let result = one.await;
            note(latencies, began, result.is_ok());
            return self.ended(first, result, deadline, record);
        };
        let mut two = pin!(self.attempt.send(second.admitted.destination, deadline, false));
        let (ended, other, result) = match select(one.as_mut(), two.as_mut()).await {
            Either::Left((result, _)) => (first, second, result),
            Either::Right((result, _)) => (second, first, result),
        };
        let was_first = ended.attempt == UnderWay::First;
        note(latencies, began, was_first && result.is_ok());
        // What the server refuses for what it is, it refuses twice.
        if result.as_ref().err().is_none_or(Failure::is_final) {
            let failure = Some(ErrorKind::Cancelled);
            self.admission.attempt_ended(
                other.number,
                other.sent_at,
                (Delivery::MaybeSent, None),
                failure,
                "",
                None,
            );
            record.given_up(other.attempt);
            drop(other);
            return self.ended(ended, result, deadline, record);
        }
        drop(self.ended(ended, result, deadline, record));
        let result = if was_first { two.await } else { one.await };
        self.ended(other, result, deadline, record)
    }

    /// A second call, if the limits and the budgets have room for it now.
    fn second(&self, hedges: &Hedges, first: &Sent<'a>, record: &mut Record) -> Option<Sent<'a>> {
        let admitted = self.admission.admit_second(first.admitted.destination)?;
        if !hedges.budget.try_withdraw() {
            admitted.charge.refund();
            return None;
        }
        Some(self.send_out(admitted, UnderWay::Second, record))
    }
}

/// How long the first call took, or would have taken at least.
fn note(latencies: &Latencies, began: Instant, answered: bool) {
    let took = began.elapsed();
    if answered { latencies.record(took) } else { latencies.record_at_least(took) }
}
