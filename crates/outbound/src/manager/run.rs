//! The run of a request on one route: admission, attempts and waits, until there is a reply or a final error.

use std::time::Duration;

use outbound_client::Delivery;
use tokio::time::Instant;

use super::{
    admission::{Admission, Admitted},
    attempt::{Answer, Attempt, Failure},
    destination::Destination,
    error::{Error, ErrorKind},
    item::ItemSender,
    judge::{Case, Next, Rules, Verdict, judge},
    record::{AttemptSlot, Record},
    reply::Reply,
    request_log::RequestLog,
    scope::{self, Call},
};

/// Where writing the log took longer, the limits are asked again. Else all who waited for it would be sent at once, by what was
/// free long ago.
const LONG_WRITE: Duration = Duration::from_secs(1);

/// What a run needs.
pub(crate) struct Run<'a, A> {
    pub(crate) attempt: A,
    pub(crate) admission: Admission<'a>,
    pub(crate) rules: Rules,
    /// `None`: slow calls are not hedged.
    pub(crate) hedges: Option<&'a Hedges>,
    /// `None`: nothing is logged before the request is sent.
    pub(crate) log: Option<RequestLog<'a>>,
    /// The number of the request in the manager. `draw` is the random number that belongs to it.
    pub(crate) number: u64,
    pub(crate) draw: u64,
    /// Where the items of a stream are sent, for [`RequestManager::stream`](super::RequestManager::stream).
    pub(crate) items: Option<&'a ItemSender>,
}

/// An attempt that was sent.
struct SentAttempt<'a> {
    admitted: Admitted<'a>,
    call: Call,
    sent_at: Instant,
    slot: AttemptSlot,
    /// The number of the attempt, from 1.
    number: u32,
}

/// An attempt that has failed, and what follows.
struct FailedAttempt {
    failure: Failure,
    verdict: Verdict,
    message: String,
    at: Instant,
}

impl<'a, A: Attempt> Run<'a, A> {
    /// Repeats admission and attempt until there is a reply or a final error.
    pub(crate) async fn run(mut self, record: &mut Record) -> Result<Reply, Error> {
        let mut admitted = self.admission.admit(record).await?;
        loop {
            if let Some(log) = &self.log {
                let admitted_at = Instant::now();
                admitted = log.write_before_send(admitted, &self.admission, record).await?;
                if admitted_at.elapsed() > LONG_WRITE {
                    // What it took of the limits is over by now, and is not given back.
                    drop(admitted);
                    let again = self.admission.admit(record).await;
                    admitted = again.inspect_err(|_| log.failed(false, record))?;
                }
            }
            let sent = self.send_out(admitted, AttemptSlot::Primary, record);
            let destination = sent.admitted.destination;
            let deadline = self.admission.deadline();
            let ended = match self.hedges.filter(|hedges| self.may_hedge(hedges, &sent, record)) {
                None => {
                    let probes = sent.admitted.permit.probes_reach();
                    let result = self.attempt.send(destination, deadline, probes).await;
                    self.ended(sent, result, deadline, record)
                }
                Some(hedges) => Box::pin(self.hedged(hedges, sent, deadline, record)).await,
            };
            let FailedAttempt { failure, verdict, message, at } = match ended {
                Ok(reply) => return Ok(reply),
                Err(failed) => *failed,
            };
            if let Some(log) = &self.log {
                log.failed(failure.maybe_processed(), record);
            }
            let elsewhere = self.admission.another_accepts(destination, failure.fault.of_account, at)
                && self.may_go_on(&failure, record);
            let wait = match verdict.next {
                _ if failure.is_past_deadline() => return Err(self.admission.past_deadline(record)),
                _ if elsewhere => Duration::ZERO,
                Next::Retry(wait)
                    if !self.admission.has_patience_for(wait.max(destination.scope.down_for(at))) =>
                {
                    return Err(give_up(failure, record, message));
                }
                Next::Retry(wait) => wait,
                Next::TooLate(wait) => return Err(too_late(failure, wait, &message)),
                Next::Fail => return Err(give_up(failure, record, message)),
            };
            drop(failure);
            Box::pin(self.admission.back_off(destination, wait, verdict.extra, record)).await?;
            admitted = self.admission.admit(record).await?;
        }
    }

    /// Counts the request as sent.
    fn send_out(
        &self,
        mut admitted: Admitted<'a>,
        slot: AttemptSlot,
        record: &mut Record,
    ) -> SentAttempt<'a> {
        let Destination { scope, prepared } = admitted.destination;
        let sent_at = Instant::now();
        let call = admitted.permit.sent(self.number, sent_at, jitter(self.draw));
        scope::watch(&scope.account);
        if let Some(budget_reservation) = &mut admitted.budget_reservation {
            budget_reservation.sent();
        }
        let number = record.start_attempt(slot, sent_at, prepared.repeatable);
        if let Some(emitter) = self.admission.emitter {
            emitter.sent(&scope.account, number);
        }
        SentAttempt { admitted, call, sent_at, slot, number }
    }

    /// Records the end of an attempt, and reports it to the scope.
    fn ended(
        &self,
        sent: SentAttempt<'_>,
        result: Result<Answer, Failure>,
        deadline: Instant,
        record: &mut Record,
    ) -> Result<Reply, Box<FailedAttempt>> {
        let SentAttempt { admitted, call, sent_at, slot, number } = sent;
        let Admitted { destination, mut permit, charge, budget_reservation } = admitted;
        let scope = &destination.scope;
        permit.ended();
        let failure = match result {
            Ok(Answer { reply, usage, signals }) => {
                let replied = (Delivery::Replied, Some(reply.status));
                self.admission.attempt_ended(number, sent_at, replied, None, "", usage);
                record.succeeded(slot, reply.status, usage);
                record.cost = budget_reservation.map(|budget_reservation| budget_reservation.answered(usage));
                scope.succeeded(call, &signals, usage, charge);
                return Ok(reply);
            }
            Err(failure) => failure,
        };
        let at = Instant::now();
        let message = scope.account.redact(failure.message());
        let verdict = self.judge(destination, &failure, record, deadline, at);
        let replied = (failure.delivery, failure.status);
        self.admission.attempt_ended(number, sent_at, replied, Some(failure.kind), &message, None);
        scope.failed(call, &scope_failure(&failure, verdict, &message, at), charge);
        record.failed(slot, &failure, verdict, &message, at);
        if let Some(budget_reservation) = budget_reservation {
            budget_reservation.failed(failure.may_be_billed());
        }
        Err(Box::new(FailedAttempt { failure, verdict, message, at }))
    }

    /// Whether another destination may be tried after this failure: the fault is not in the request itself, and
    /// attempts are left.
    fn may_go_on(&self, failure: &Failure, record: &Record) -> bool {
        let delivered = self.items.is_some_and(ItemSender::has_delivered);
        let attempts_left = record.counts.charged < self.rules.max_attempts;
        let own = matches!(failure.kind, ErrorKind::Rejected | ErrorKind::Invalid | ErrorKind::Unreadable);
        !delivered && !own && attempts_left && (self.rules.retry_ambiguous || !failure.may_be_billed())
    }

    fn judge(
        &self,
        destination: &Destination<'_>,
        failure: &Failure,
        record: &Record,
        deadline: Instant,
        now: Instant,
    ) -> Verdict {
        judge(&Case {
            fault: &failure.fault,
            delivery: failure.delivery,
            connect: failure.connect,
            refused_by_status: failure.is_refused_by_status(),
            tells_limits: !failure.signals.is_empty(),
            counts: record.counts,
            outage: destination.scope.model.is_outage(),
            past_deadline: failure.is_past_deadline(),
            items_delivered: self.items.is_some_and(ItemSender::has_delivered),
            left: deadline.saturating_duration_since(now),
            draw: self.draw,
            rules: self.rules,
        })
    }
}

fn scope_failure<'a>(
    failure: &'a Failure,
    verdict: Verdict,
    message: &'a str,
    now: Instant,
) -> scope::ScopeFailure<'a> {
    scope::ScopeFailure {
        effect: verdict.effect,
        settle: verdict.settle,
        fault: &failure.fault,
        signals: &failure.signals,
        message,
        kind: failure.kind,
        replied: failure.status.is_some(),
        now,
    }
}

/// A number between 0 and 1.
fn jitter(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1_u64 << 53) as f64
}

fn too_late(failure: Failure, wait: Duration, message: &str) -> Error {
    let wait = wait.as_secs_f64();
    let message = format!(
        "the deadline would pass before the request may be sent again, in {wait:.1} s; last: {message}"
    );
    failure.into_error(ErrorKind::Deadline, message)
}

fn give_up(failure: Failure, record: &Record, message: String) -> Error {
    let kind = failure.kind;
    failure.into_error(kind, message).after_sends(record.sends())
}

mod hedge;

pub(crate) use self::hedge::Hedges;

#[cfg(test)]
mod tests;
