//! A request on its way: admission, attempts, waits, until there is an outcome.

use std::{pin::pin, time::Duration};

use futures::future::{self, Either};
use outbound_client::Delivery;
use outbound_limiter::{Bottleneck, Charge, Cost, QuotaError};
use outbound_provider::Class;
use outbound_retry::{Retry, Verdict, Wait};
use tokio::time::Instant;

use super::{
    clock::WallClock,
    convert,
    error::{Error, ErrorKind},
    exchange::{Answer, Failure, Prepared},
    lifecycle::Lifecycle,
    outcome::Reply,
    record::Record,
    scope::{Scope, Setback},
};

/// Waits between attempts: full jitter over a doubling ceiling.
const WAIT: Wait = Wait::exponential(Duration::from_secs(1)).max(Duration::from_secs(60)).full_jitter();

/// How many hints a request takes at their word before it adds waits of its own.
const GULLIBLE: u32 = 3;

/// How long an address that never answered is left alone.
const UNREACHABLE: Duration = Duration::from_secs(30);

/// A limit beyond the clock's range is none; a century is near enough.
const CENTURY: Duration = Duration::from_secs(3_155_760_000);

/// What a flight needs to know.
#[derive(Debug)]
pub(crate) struct Flight<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) clock: &'a WallClock,
    pub(crate) lifecycle: &'a Lifecycle,
    pub(crate) prepared: Prepared,
    pub(crate) max_attempts: u32,
    /// How long the request may take in all.
    pub(crate) limit: Duration,
    /// Since when; `None` is from its first admission on.
    pub(crate) since: Option<Instant>,
    pub(crate) seed: u64,
}

/// What a failure means for the request.
struct Next {
    verdict: Verdict,
    /// Whether another attempt is an extra call, to be paid for.
    extra: bool,
}

impl Flight<'_> {
    /// Goes round until there is a reply, or no use in going on.
    pub(crate) async fn run(self, record: &mut Record) -> Result<Reply, Error> {
        let mut admitted = self.admit(self.since.map(|since| self.deadline(since)), record).await?;
        let deadline = self.deadline(self.since.unwrap_or_else(Instant::now));
        let policy = Retry::attempts(self.max_attempts).wait(WAIT);
        let mut attempts = policy.start().until(deadline).seed(self.seed);
        loop {
            let sent_at = Instant::now();
            record.begins(self.prepared.repeatable);
            let failure = match self.prepared.exchange(self.scope, self.clock, deadline).await {
                Ok(answer) => return Ok(self.arrived(answer, admitted, record, sent_at)),
                Err(failure) => failure,
            };
            let now = Instant::now();
            let next = self.learn(&failure, record, deadline, sent_at, now);
            // Only now: giving the place back lets the next one through.
            settle(&failure, admitted);
            if failure.is_past_deadline() {
                return Err(self.past_deadline(record));
            }
            let wait = match attempts.decide(next.verdict) {
                Ok(wait) => wait,
                Err(_) => return Err(give_up(failure, record)),
            };
            if next.extra {
                self.scope.pay_for_retry(now);
            }
            drop(failure);
            self.back_off(wait, record).await?;
            admitted = self.admit(Some(deadline), record).await?;
        }
    }

    fn deadline(&self, since: Instant) -> Instant {
        since.checked_add(self.limit).unwrap_or_else(|| since + CENTURY)
    }

    /// Waits for room in every limit at once. Without a deadline it waits for its turn however long that takes, but
    /// not for a provider that said to come back after the request's whole time.
    async fn admit(&self, deadline: Option<Instant>, record: &mut Record) -> Result<Charge, Error> {
        let waiting = Instant::now();
        let before = deadline.unwrap_or_else(|| self.deadline(waiting));
        if waiting >= before {
            return Err(self.past_deadline(record));
        }
        let quota = &self.scope.quota;
        let reserve = pin!(async {
            match quota.reserve(self.prepared.cost).before(before).await {
                Err(QuotaError::MustWait { bottleneck, .. })
                    if deadline.is_none() && bottleneck != Bottleneck::Gate =>
                {
                    quota.reserve(self.prepared.cost).await
                }
                reserved => reserved,
            }
        });
        let stopped = pin!(self.scope.until_stopped());
        if let Some(error) = self.scope.stopped(waiting) {
            return Err(error);
        }
        let reserved = match future::select(reserve, stopped).await {
            Either::Left((reserved, _)) => reserved,
            Either::Right((error, _)) => return Err(error),
        };
        let now = Instant::now();
        record.waited += now - waiting;
        match reserved {
            Ok(_) if deadline.is_some_and(|deadline| now >= deadline) => Err(self.past_deadline(record)),
            // Dropping the reservation gives everything back.
            Ok(reservation) => self.scope.stopped(now).map_or_else(|| Ok(reservation.sent()), Err),
            Err(error @ QuotaError::Impossible { .. }) => {
                Err(Error::new(ErrorKind::Impossible, error.to_string()))
            }
            Err(QuotaError::MustWait { .. }) if now >= before => Err(self.past_deadline(record)),
            Err(QuotaError::MustWait { wait: Some(wait), bottleneck: Bottleneck::Gate, .. }) => {
                let (wait, last) = (wait.as_secs_f64(), record.last("; last: "));
                let message = format!(
                    "the deadline would pass before the provider is to be asked again, in {wait:.1} s{last}"
                );
                Err(Error::new(ErrorKind::Deadline, message))
            }
            Err(error @ QuotaError::MustWait { .. }) => {
                Err(Error::new(ErrorKind::Deadline, format!("{error}{}", record.last("; last: "))))
            }
            Err(_) => Err(turned_away(record)),
        }
    }

    /// Waits before another attempt, unless that becomes pointless meanwhile.
    async fn back_off(&self, wait: Duration, record: &mut Record) -> Result<(), Error> {
        if wait.is_zero() {
            return Ok(());
        }
        let waiting = Instant::now();
        let slept = pin!(tokio::time::sleep(wait));
        let closed = pin!(self.lifecycle.closed());
        let stopped = pin!(self.scope.until_stopped());
        let ended = future::select(slept, future::select(closed, stopped)).await;
        record.waited += waiting.elapsed();
        match ended {
            Either::Left(_) => Ok(()),
            Either::Right((Either::Left(_), _)) => Err(turned_away(record)),
            Either::Right((Either::Right((error, _)), _)) => Err(error),
        }
    }

    fn arrived(&self, answer: Answer, charge: Charge, record: &mut Record, sent_at: Instant) -> Reply {
        record.ended(true);
        record.charged += 1;
        record.usage = answer.usage;
        self.scope.quota.observe(Instant::now(), &convert::signals(sent_at, &answer.signals));
        match answer.usage {
            Some(usage) => {
                charge.settle(Cost::request().input_tokens(usage.input).output_tokens(usage.output));
            }
            // Nobody said what it took: the estimate stands.
            None => charge.keep_estimate(),
        }
        self.scope.succeeded();
        answer.reply
    }

    /// Draws the consequences of a failure for everyone, and says what they are for this request.
    fn learn(
        &self,
        failure: &Failure,
        record: &mut Record,
        deadline: Instant,
        sent_at: Instant,
        now: Instant,
    ) -> Next {
        let Failure { fault, delivery, .. } = failure;
        let sent = *delivery != Delivery::NotSent;
        self.scope.quota.observe(now, &convert::failure(sent_at, &failure.signals, fault));
        record.failed(sent, !failure.was_not_processed(), failure.message());

        let setback = Setback { now, sent_at, spread: (self.seed >> 11) as f64 / (1_u64 << 53) as f64 };
        let worth_it = fault.is_retryable() && fault.wait.is_none_or(|wait| now + wait < deadline);
        let free = |wait| if worth_it { Verdict::RetryFree(wait) } else { Verdict::Stop };
        match fault.class {
            Class::RateLimited | Class::RampLimited => {
                record.refused += 1;
                // With a hint the gate is what holds it back; without one, patience is limited. A server that always
                // says "in a moment" is asked less and less often all the same.
                if fault.wait.is_some() {
                    let wait = match record.refused.saturating_sub(GULLIBLE) {
                        0 => Duration::ZERO,
                        again => WAIT.delay(again, self.seed),
                    };
                    return Next { verdict: free(wait), extra: false };
                }
            }
            Class::Overloaded => {
                record.overloads += 1;
                self.scope.overloaded(setback, fault.wait.filter(|_| worth_it));
                return Next { verdict: free(WAIT.delay(record.overloads, self.seed)), extra: true };
            }
            Class::Terminal(_) if !sent => return Next { verdict: Verdict::Stop, extra: false },
            _ if !sent => return Next { verdict: self.unconnected(failure, record, now), extra: false },
            _ if fault.scope_stop => {
                self.scope.stop(failure.kind, failure.message(), fault.wait.map(|wait| now + wait));
            }
            _ if fault.is_retryable() => self.scope.failed(setback),
            _ => {}
        }
        record.charged += 1;
        let verdict = match fault.wait {
            _ if !worth_it => Verdict::Stop,
            Some(wait) => Verdict::RetryAfter(wait),
            None => Verdict::Retry,
        };
        Next { verdict, extra: !matches!(fault.class, Class::RateLimited | Class::RampLimited) }
    }

    /// No connection: as many of these are borne as attempts, free of charge.
    fn unconnected(&self, failure: &Failure, record: &Record, now: Instant) -> Verdict {
        if record.unconnected < self.max_attempts {
            return Verdict::RetryFree(WAIT.delay(record.unconnected, self.seed));
        }
        if !self.scope.ever_replied() {
            // Nobody was ever there. The others need not find out one by one; later ones may try again.
            self.scope.stop(failure.kind, failure.message(), Some(now + UNREACHABLE));
        }
        Verdict::Stop
    }

    fn past_deadline(&self, record: &Record) -> Error {
        let last = record.last("; last: ");
        let sends = match record.sends() {
            1 => String::from("1 send"),
            sends => format!("{sends} sends"),
        };
        let message = format!("the deadline of {:?} passed, after {sends}{last}", self.limit);
        Error::new(ErrorKind::Deadline, message)
    }
}

fn settle(failure: &Failure, charge: Charge) {
    match (failure.delivery, failure.is_refusal()) {
        (Delivery::NotSent, _) => charge.refund(),
        // An error status: the call counts, tokens were not made.
        (_, true) => charge.settle(Cost::request()),
        // It may have been processed: the estimate stands.
        (_, false) => charge.keep_estimate(),
    }
}

fn give_up(failure: Failure, record: &Record) -> Error {
    let retryable = failure.fault.is_retryable();
    let error = failure.into_error();
    if retryable { error.after_sends(record.sends()) } else { error }
}

/// The error of a request that a shutdown kept from being sent, or sent again.
fn turned_away(record: &Record) -> Error {
    let last = record.last(" again; last: ");
    Error::new(ErrorKind::ShutDown, format!("the manager was shut down before it was sent{last}"))
}
