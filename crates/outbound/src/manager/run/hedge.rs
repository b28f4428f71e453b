//! Hedging: a second call beside one that is slow.

use std::{future::pending, pin::pin, time::Duration};

use futures::future::{Either, select};
use outbound_client::Delivery;
use outbound_retry::{Budget, Latencies};
use tokio::time::{Instant, sleep};

use super::{
    super::{
        attempt::{Attempt, Failure},
        error::ErrorKind,
        hedging::Hedging,
        record::Record,
        reply::Reply,
    },
    AttemptSlot, FailedAttempt, Run, SentAttempt,
};

/// The resolution of a tokio timer.
const TICK: Duration = Duration::from_millis(1);

/// The state of hedging.
#[derive(Debug)]
pub(crate) struct Hedges {
    when: Hedging,
    /// Each call adds to it, and each hedge takes from it.
    budget: Budget,
}

impl Hedges {
    pub(crate) fn new(when: Hedging) -> Self {
        Self { when, budget: Budget::percent(when.budget).reserve(0) }
    }

    /// How long a call has to run until it counts as slow: longer than the percentile, by one tick of the timer.
    fn delay(&self, latencies: &Latencies) -> Option<Duration> {
        let usual = latencies.percentile(self.when.percentile)?;
        Some(usual.saturating_add(TICK).max(self.when.min_delay))
    }
}

impl<'a, A: Attempt> Run<'a, A> {
    /// Whether a call may be hedged.
    pub(super) fn may_hedge(&self, hedges: &Hedges, sent: &SentAttempt<'_>, record: &Record) -> bool {
        let attempt_left = record.counts.charged + 1 < self.rules.max_attempts;
        let harmless = sent.admitted.destination.prepared.repeatable || hedges.when.duplicates;
        self.items.is_none() && harmless && attempt_left
    }

    /// Runs a call, and a hedge beside it if it is slow.
    pub(super) async fn hedged(
        &self,
        hedges: &Hedges,
        first: SentAttempt<'a>,
        deadline: Instant,
        record: &mut Record,
    ) -> Result<Reply, Box<FailedAttempt>> {
        let destination = first.admitted.destination;
        let latencies = destination.scope.model.latencies();
        let began = first.sent_at;
        hedges.budget.deposit();
        let probes = first.admitted.permit.probes_reach();
        let mut one = pin!(self.attempt.send(destination, deadline, probes));
        let slow = async {
            match hedges.delay(latencies) {
                Some(delay) => sleep(delay).await,
                None => pending().await,
            }
        };
        if let Either::Left((result, _)) = select(one.as_mut(), pin!(slow)).await {
            // A call that failed early does not show how slow it would have been.
            if result.is_ok() {
                latencies.record(began.elapsed());
            }
            return self.ended(first, result, deadline, record);
        }
        let Some(second) = self.send_hedge(hedges, &first, record) else {
            let result = one.await;
            record_latency(latencies, began, result.is_ok());
            return self.ended(first, result, deadline, record);
        };
        let mut two = pin!(self.attempt.send(second.admitted.destination, deadline, false));
        let (ended, other, result) = match select(one.as_mut(), two.as_mut()).await {
            Either::Left((result, _)) => (first, second, result),
            Either::Right((result, _)) => (second, first, result),
        };
        let was_first = ended.slot == AttemptSlot::Primary;
        record_latency(latencies, began, was_first && result.is_ok());
        // A final failure would be the same for the other call.
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
            record.abandoned(other.slot);
            drop(other);
            return self.ended(ended, result, deadline, record);
        }
        drop(self.ended(ended, result, deadline, record));
        let result = if was_first { two.await } else { one.await };
        self.ended(other, result, deadline, record)
    }

    /// Sends a hedge, if the limits and the budgets have room for it now.
    fn send_hedge(
        &self,
        hedges: &Hedges,
        first: &SentAttempt<'a>,
        record: &mut Record,
    ) -> Option<SentAttempt<'a>> {
        let admitted = self.admission.admit_hedge(first.admitted.destination)?;
        if !hedges.budget.try_withdraw() {
            admitted.charge.refund();
            return None;
        }
        Some(self.send_out(admitted, AttemptSlot::Hedge, record))
    }
}

/// Records how long the first call took, or at least how long it ran.
fn record_latency(latencies: &Latencies, began: Instant, answered: bool) {
    let took = began.elapsed();
    if answered { latencies.record(took) } else { latencies.record_at_least(took) }
}
