//! Counts what a run does, as an observer of the manager. Progress, summary and report read these counts.
//!
//! Their size does not grow with the number of requests: only ids of requests inside the manager are kept.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use outbound::{ErrorKind, Event, Observer, Outcome, Snapshot, Step, Usage, client::Delivery};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::run::is_for_another_run;

mod histogram;
mod left;
mod limits;
mod pace;
mod series;
mod waits;

pub(crate) use self::{
    histogram::Histogram,
    left::Ids,
    limits::{Limits, Used, scarce, waiting},
    pace::Pace,
    series::{Bucket, Series},
    waits::{WAITS, Waits},
};

/// At most this many models have a count of their own.
const MODELS: usize = 256;

/// Cheap to clone. All clones share the same counts.
#[derive(Debug, Clone)]
pub(crate) struct Watch(Arc<Mutex<Counts>>);

/// The counts.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) began: Instant,
    /// Attempts that were sent.
    pub(crate) attempts: u64,
    /// Those of them that were not the first of their request.
    pub(crate) retries: u64,
    /// Attempts that a rate limit refused.
    pub(crate) refused: u64,
    /// Failed attempts by the name of the failure, without those that an interrupt cut off.
    pub(crate) failed_attempts: BTreeMap<&'static str, u64>,
    pub(crate) in_flight: u64,
    /// Requests with an answer in the output. `failed`: those with a failure there.
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) waits: Waits,
    pub(crate) limits: Limits,
    pub(crate) used: BTreeMap<String, Used>,
    /// The rates of the last minute.
    pub(crate) pace: Pace,
    /// How long attempts with an answer took. `serving`: their sum.
    pub(crate) latency: Histogram,
    pub(crate) serving: Duration,
    /// When the last attempt ended, or the first began.
    pub(crate) last_end: Instant,
    /// What the provider said when it refused the key or the money.
    pub(crate) refusal: Option<String>,
    /// Only for the report.
    pub(crate) series: Option<Series>,
    /// Requests that are not in the output yet, by id.
    inside: HashMap<String, Inside>,
    /// Requests that an interrupt ended before their answer.
    interrupted: left::Left,
}

/// A request inside the manager.
#[derive(Debug, Clone, Copy, Default)]
struct Inside {
    under_way: u32,
    /// An attempt was interrupted or broke after it was sent: it may be billed.
    perhaps_billed: bool,
    ended: bool,
    answered: bool,
}

impl Watch {
    /// `in_time`: also keep what happened when, for the report.
    pub(crate) fn new(in_time: bool) -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(Counts {
            began: now,
            attempts: 0,
            retries: 0,
            refused: 0,
            failed_attempts: BTreeMap::new(),
            in_flight: 0,
            answered: 0,
            failed: 0,
            input_tokens: 0,
            output_tokens: 0,
            waits: Waits::default(),
            limits: Limits::new(now),
            used: BTreeMap::new(),
            pace: Pace::new(now),
            latency: Histogram::default(),
            serving: Duration::ZERO,
            last_end: now,
            refusal: None,
            series: in_time.then(|| Series::new(now)),
            inside: HashMap::new(),
            interrupted: left::Left::default(),
        })))
    }

    /// To be called when an outcome is in the output, or was ended by an interrupt.
    pub(crate) fn handed_over(&self, outcome: &Outcome) {
        let mut counts = self.0.lock();
        let now = Instant::now();
        let inside = outcome.id.as_deref().and_then(|id| counts.inside.remove_entry(id));
        match outcome.error_kind() {
            Some(_) if is_for_another_run(outcome) => {
                if let Some((id, inside)) = inside {
                    counts.interrupted.add(&id, inside);
                }
                return;
            }
            Some(_) => counts.failed += 1,
            None => counts.answered += 1,
        }
        counts.pace.done(now);
        if let Some(series) = &mut counts.series {
            series.done(now, outcome.result.is_ok());
        }
    }

    /// Takes the limits and waits from a snapshot of the manager. To be called often: what happens between two calls is not seen.
    pub(crate) fn look(&self, snapshot: &Snapshot) {
        let mut counts = self.0.lock();
        let now = Instant::now();
        let Counts { limits, series, waits, .. } = &mut *counts;
        limits.look(snapshot, now);
        if let Some(series) = series {
            series.look(now, waits, limits);
        }
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&Counts) -> T) -> T {
        read(&self.0.lock())
    }
}

impl Observer for Watch {
    fn event(&self, event: &Event<'_>) {
        self.0.lock().hear(event, Instant::now());
    }
}

impl Counts {
    fn hear(&mut self, event: &Event<'_>, now: Instant) {
        let id = event.id.unwrap_or_default();
        match event.step {
            Step::Queued => drop(self.inside.insert(id.to_owned(), Inside::default())),
            Step::Waiting { reason, .. } => self.waits.begin(reason, now),
            Step::Waited { reason, took } => self.waits.end(reason, took, now),
            Step::Sent { attempt } => {
                self.attempts += 1;
                self.retries += u64::from(attempt > 1);
                if self.in_flight == 0 {
                    self.last_end = now;
                }
                self.in_flight += 1;
                self.pace.sent(now);
                if let Some(inside) = self.inside.get_mut(id) {
                    inside.under_way += 1;
                }
                if let Some(series) = &mut self.series {
                    series.sent(now, self.in_flight);
                }
            }
            Step::AttemptEnded { took, delivery, status, failure, message, .. } => {
                self.in_flight = self.in_flight.saturating_sub(1);
                self.last_end = now;
                if let Some(series) = &mut self.series {
                    series.in_flight(now, self.in_flight);
                }
                self.attempt_ended(took, failure, message, now);
                if delivery == Delivery::NotSent {
                    let began = now.checked_sub(took).unwrap_or(now);
                    self.pace.not_sent(began);
                    if let Some(series) = &mut self.series {
                        series.not_sent(began);
                    }
                }
                if let Some(inside) = self.inside.get_mut(id) {
                    inside.under_way = inside.under_way.saturating_sub(1);
                    // A failed attempt with a status was refused, unless it is a success whose body broke off.
                    inside.perhaps_billed |= delivery == Delivery::MaybeSent
                        || (failure.is_some() && status.is_some_and(|status| status.is_success()));
                }
            }
            Step::Ended { failure, usage, sends, .. } => {
                if let Some(inside) = self.inside.get_mut(id) {
                    inside.ended = !matches!(
                        failure,
                        Some(ErrorKind::ShutDown | ErrorKind::Cancelled | ErrorKind::Stopped)
                    );
                    inside.answered = failure.is_none();
                }
                if sends > 0 {
                    self.uses(event.model.unwrap_or_default(), usage.unwrap_or_default(), now);
                }
            }
            _ => {}
        }
    }

    fn attempt_ended(&mut self, took: Duration, failure: Option<ErrorKind>, message: &str, now: Instant) {
        match failure {
            None => {
                self.latency.add(took);
                self.serving = self.serving.saturating_add(took);
                if let Some(series) = &mut self.series {
                    series.answered(now, took);
                }
            }
            Some(ErrorKind::ShutDown | ErrorKind::Cancelled) => {}
            Some(kind) => {
                *self.failed_attempts.entry(kind.as_str()).or_default() += 1;
                if kind == ErrorKind::RateLimited {
                    self.refused += 1;
                    if let Some(series) = &mut self.series {
                        series.refused(now);
                    }
                }
                if matches!(kind, ErrorKind::Auth | ErrorKind::QuotaSpent) {
                    self.refusal = Some(message.to_owned());
                }
            }
        }
    }

    /// Adds what a request used of the limits.
    fn uses(&mut self, model: &str, usage: Usage, now: Instant) {
        self.input_tokens = self.input_tokens.saturating_add(usage.input);
        self.output_tokens = self.output_tokens.saturating_add(usage.output);
        let tokens = usage.input.saturating_add(usage.output);
        self.pace.tokens(now, tokens);
        if let Some(series) = &mut self.series {
            series.tokens(now, tokens);
        }
        if self.used.contains_key(model) || self.used.len() < MODELS {
            self.used.entry(model.to_owned()).or_default().add(usage);
        }
    }

    /// The number of requests whose ids are kept.
    #[cfg(test)]
    pub(crate) fn inside(&self) -> usize {
        self.inside.len()
    }

    /// Requests with a line in the output.
    pub(crate) fn done(&self) -> u64 {
        self.answered + self.failed
    }
}
