//! A request on its way: admission, attempts and waits, until there is a reply or no use in going on.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    admission::{Admission, Admitted},
    attempt::{Answer, Attempt, Failure},
    destination::Destination,
    error::{Error, ErrorKind},
    item::ItemSender,
    judge::{Case, Next, Rules, Verdict, judge},
    observe::Step,
    record::Record,
    reply::Reply,
    scope::{self, Failed},
};

/// What a run needs to know.
pub(crate) struct Run<'a, A> {
    pub(crate) attempt: A,
    pub(crate) admission: Admission<'a>,
    pub(crate) rules: Rules,
    /// The number of the request in the manager, and the draw that belongs to it.
    pub(crate) number: u64,
    pub(crate) draw: u64,
    /// Where the items of a stream go that is handed on as it comes.
    pub(crate) items: Option<&'a ItemSender>,
}

impl<A: Attempt> Run<'_, A> {
    /// Goes round until there is a reply, or no use in going on.
    pub(crate) async fn run(mut self, record: &mut Record) -> Result<Reply, Error> {
        let mut admitted = self.admission.admit(record).await?;
        loop {
            let Admitted { destination, mut pass, charge, mut expense } = admitted;
            let scope = &destination.scope;
            let deadline = self.admission.deadline();
            let began = Instant::now();
            let call = pass.sent(self.number, began, spread(self.draw));
            scope::watch(&scope.account);
            if let Some(expense) = &mut expense {
                expense.sent();
            }
            let observed = self.admission.observed;
            if let Some(observed) = observed {
                observed.sent(&scope.account, record.next_attempt());
            }
            record.begins(began, destination.prepared.repeatable);
            let sent = self.attempt.send(destination, deadline, pass.probes_reach()).await;
            pass.ended();
            let failure = match sent {
                Ok(Answer { reply, usage, signals }) => {
                    if let Some(observed) = observed {
                        observed.tell(Step::AttemptEnded {
                            attempt: record.next_attempt(),
                            took: began.elapsed(),
                            status: Some(reply.status),
                            failure: None,
                            message: "",
                            usage,
                        });
                    }
                    record.arrived(reply.status, usage);
                    record.cost = expense.map(|expense| expense.answered(usage));
                    scope.succeeded(call, &signals, usage, charge);
                    return Ok(reply);
                }
                Err(failure) => failure,
            };
            let now = Instant::now();
            let message = scope.account.redact(failure.message());
            let verdict = self.judge(destination, &failure, record, deadline, now);
            if let Some(observed) = observed {
                observed.tell(Step::AttemptEnded {
                    attempt: record.next_attempt(),
                    took: now.saturating_duration_since(began),
                    status: failure.status,
                    failure: Some(failure.kind),
                    message: &message,
                    usage: None,
                });
            }
            scope.failed(call, &told(&failure, verdict, &message, now), charge);
            record.failed(&failure, verdict, &message, now);
            if let Some(expense) = expense {
                expense.failed(failure.may_be_billed());
            }
            drop(pass);
            let elsewhere = self.admission.others_take_it(destination, failure.fault.of_account, now)
                && self.may_go_on(&failure, record);
            let wait = match verdict.next {
                _ if failure.is_past_deadline() => return Err(self.admission.past_deadline(record)),
                _ if elsewhere => Duration::ZERO,
                Next::Again(wait) if !self.admission.has_patience_for(wait.max(scope.down_for(now))) => {
                    return Err(failed(failure, record, message));
                }
                Next::Again(wait) => wait,
                Next::TooLate(wait) => return Err(too_late(failure, wait, &message)),
                Next::Fail => return Err(failed(failure, record, message)),
            };
            drop(failure);
            Box::pin(self.admission.back_off(destination, wait, verdict.extra, record)).await?;
            admitted = self.admission.admit(record).await?;
        }
    }

    /// Whether another destination may be asked after this failure: what was wrong is not the request itself, and there are
    /// attempts left.
    fn may_go_on(&self, failure: &Failure, record: &Record) -> bool {
        let begun = self.items.is_some_and(ItemSender::has_begun);
        let attempts_left = record.counts.charged < self.rules.max_attempts;
        let own = matches!(failure.kind, ErrorKind::Rejected | ErrorKind::Invalid | ErrorKind::Unreadable);
        !begun && !own && attempts_left && (self.rules.retry_ambiguous || !failure.may_be_billed())
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
            handed_on: self.items.is_some_and(ItemSender::has_begun),
            left: deadline.saturating_duration_since(now),
            draw: self.draw,
            rules: self.rules,
        })
    }
}

fn told<'a>(failure: &'a Failure, verdict: Verdict, message: &'a str, now: Instant) -> Failed<'a> {
    Failed {
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

/// A draw between 0 and 1.
fn spread(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1_u64 << 53) as f64
}

fn too_late(failure: Failure, wait: Duration, message: &str) -> Error {
    let wait = wait.as_secs_f64();
    let message = format!(
        "the deadline would pass before the request may be sent again, in {wait:.1} s; last: {message}"
    );
    failure.into_error(ErrorKind::Deadline, message)
}

fn failed(failure: Failure, record: &Record, message: String) -> Error {
    let kind = failure.kind;
    failure.into_error(kind, message).after_sends(record.sends())
}

#[cfg(test)]
mod tests;
