//! Why a run waits.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use outbound::{ModelSnapshot, Snapshot, Waiting, limiter::Bottleneck};
use serde::Serialize;
use tokio::time::Instant;

use super::words::{plain, time};
use crate::watch::{self, Counts};

/// A longer wait, in seconds, is printed at once.
const LONG: f64 = 5.0;

/// A shorter wait for a limit is normal, and its time is not printed.
const SHORT: Duration = Duration::from_secs(1);

/// For so long no attempt must end before that is given as the reason.
const SILENCE: Duration = Duration::from_secs(5);

/// The reason why a run waits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Why {
    /// The [name of a wait](Waiting::as_str), or `finishing`, `stopped`, `concurrency`, `no_answer`, `output`, `input`.
    pub(crate) reason: &'static str,
    /// The limit or the model that it is about. The same reason for another one is reported again.
    pub(crate) of: String,
    /// The shortest time that is left to wait, in seconds.
    pub(crate) seconds: Option<f64>,
    /// The reason as text for people.
    pub(crate) text: String,
}

impl Why {
    pub(crate) fn of(counts: &Counts, snapshot: &Snapshot, interrupted: bool, now: Instant) -> Option<Self> {
        if interrupted {
            let text = format!("finishing {} in flight; Ctrl-C again stops at once", counts.in_flight);
            return Some(Self::new("finishing", "", None, text));
        }
        if snapshot.paused {
            return Some(Self::new(Waiting::Paused.as_str(), "", None, "paused"));
        }
        outage(snapshot, now)
            .or_else(|| account(counts))
            .or_else(|| stopped(snapshot))
            .or_else(|| refused(snapshot, now))
            .or_else(|| money(counts, snapshot))
            .or_else(|| limits(snapshot, now))
            .or_else(|| nothing_moves(counts, snapshot, now))
            .or_else(|| places(snapshot))
    }

    fn new(
        reason: &'static str,
        of: impl Into<String>,
        wait: Option<Duration>,
        text: impl Into<String>,
    ) -> Self {
        let seconds = wait.map(|wait| (wait.as_secs_f64() * 10.0).round() / 10.0);
        Self { reason, of: of.into(), seconds, text: text.into() }
    }

    /// Whether the end of the wait is not known: it depends on a probe, a person or an answer.
    pub(crate) fn has_no_end(&self) -> bool {
        !matches!(self.reason, "limits" | "refused" | "backoff" | "concurrency")
    }

    /// Whether the wait is long enough to be printed at once.
    pub(crate) fn is_long(&self) -> bool {
        self.has_no_end() || self.seconds.is_some_and(|seconds| seconds > LONG)
    }

    /// Whether it is another reason than the one before.
    pub(crate) fn differs(&self, before: Option<&Self>) -> bool {
        before.is_none_or(|before| (before.reason, &before.of) != (self.reason, &self.of))
    }
}

/// A server that cannot be reached, or a model that only fails.
fn outage(snapshot: &Snapshot, now: Instant) -> Option<Why> {
    let next = |probe: Option<Instant>| match probe {
        Some(at) if at > now => {
            let wait = at - now;
            (Some(wait), format!("next probe in {}", time(wait)))
        }
        Some(_) => (None, String::from("the next request is a probe")),
        None => (None, String::from("a probe is under way")),
    };
    for endpoint in &snapshot.endpoints {
        let name = endpoint.name.as_deref().unwrap_or("provider");
        if let Some(out_for) = endpoint.out_for {
            let (wait, next) = next(endpoint.next_probe);
            let text = format!("{} down since {}, {next}", plain(name), clock(out_for));
            return Some(Why::new(Waiting::Outage.as_str(), &endpoint.address, wait, text));
        }
        for model in &endpoint.models {
            let Some(failing_for) = model.failing_for else { continue };
            let (wait, next) = next(model.next_probe);
            let whose = model.name.as_deref().map(|name| format!(" for {}", plain(name))).unwrap_or_default();
            let text = format!("{} down{whose} since {}, {next}", plain(name), clock(failing_for));
            return Some(Why::new(Waiting::Outage.as_str(), format!("{name}{whose}"), wait, text));
        }
    }
    None
}

/// The provider refused the key or the quota for one request. One more request finds out whether it refuses all.
fn account(counts: &Counts) -> Option<Why> {
    let held = counts.waits.of(Waiting::Account).now;
    let why = counts.refusal.as_deref().unwrap_or("the key or the quota was refused");
    let text = || format!("account on hold: {}; one more request is sent to check that", plain(why));
    (held > 0).then(|| Why::new(Waiting::Account.as_str(), "", None, text()))
}

/// Nothing more is sent, and requests in flight are finished.
fn stopped(snapshot: &Snapshot) -> Option<Why> {
    let of_models = |endpoint: &outbound::EndpointSnapshot| {
        endpoint.models.iter().find_map(|model| model.stopped.clone())
    };
    let mut endpoints = snapshot.endpoints.iter();
    let stopped = endpoints.find_map(|endpoint| endpoint.stopped.clone().or_else(|| of_models(endpoint)))?;
    Some(Why::new("stopped", "", None, format!("stopped: {}", plain(&stopped.message))))
}

/// The server refused requests because of their rate, and nothing is sent until a time.
fn refused(snapshot: &Snapshot, now: Instant) -> Option<Why> {
    let models = snapshot.endpoints.iter().flat_map(|endpoint| &endpoint.models);
    let closed = models.filter_map(|model| Some((model.quota.gate_closed_until?, model)));
    let (until, model) = closed.filter(|(until, _)| *until > now).max_by_key(|(until, _)| *until)?;
    let (wait, name) = (until - now, model.name.as_deref().unwrap_or_default());
    let whose = if name.is_empty() { String::new() } else { format!(" for model {}", plain(name)) };
    let text = format!("pause of {} after a refusal (429){whose}", time(wait));
    Some(Why::new(Waiting::Refused.as_str(), name, Some(wait), text))
}

fn money(counts: &Counts, snapshot: &Snapshot) -> Option<Why> {
    let budget = snapshot.budget.filter(|_| counts.waits.of(Waiting::Money).now > 0)?;
    let spent = snapshot.spent;
    let text = format!(
        "{spent} of the budget of {budget} spent; waiting for requests in flight, which may cost less than reserved"
    );
    Some(Why::new(Waiting::Money.as_str(), "", None, text))
}

/// A limit of the provider or of an option: the one with the longest wait.
fn limits(snapshot: &Snapshot, now: Instant) -> Option<Why> {
    let waiting = watch::waiting(snapshot).filter_map(|(endpoint, model)| {
        let Some(Bottleneck::Dimension(dimension)) = model.quota.bottleneck else { return None };
        let wait = model.quota.next_admission.map(|at| at.saturating_duration_since(now));
        Some((wait.unwrap_or_default(), watch::scarce(dimension, endpoint, model)))
    });
    let (wait, what) = waiting.max_by_key(|(wait, _)| *wait)?;
    let text = if wait < SHORT {
        format!("at the limit on {}", plain(&what))
    } else {
        format!("waiting {} for the limit on {}", time(wait), plain(&what))
    };
    Some(Why::new(Waiting::Limits.as_str(), what, Some(wait), text))
}

/// No attempt ends, or none is in flight.
fn nothing_moves(counts: &Counts, snapshot: &Snapshot, now: Instant) -> Option<Why> {
    let in_flight = counts.in_flight;
    let silent = now.saturating_duration_since(counts.last_end);
    if in_flight > 0 {
        let text = || format!("{in_flight} in flight, and none has ended for {}", time(silent));
        return (silent >= SILENCE).then(|| Why::new("no_answer", "", None, text()));
    }
    let waiting = |reason: Waiting| Some(counts.waits.of(reason).now).filter(|waiting| *waiting > 0);
    if let Some(waiting) = waiting(Waiting::Backoff) {
        let text = format!("{waiting} waiting for the next attempt");
        return Some(Why::new(Waiting::Backoff.as_str(), "", Some(Duration::ZERO), text));
    }
    if let Some(waiting) = waiting(Waiting::Budget) {
        let text = format!(
            "{waiting} waiting to be retried: the retry budget is used up until more requests succeed"
        );
        return Some(Why::new(Waiting::Budget.as_str(), "", None, text));
    }
    if snapshot.active > 0 || silent < SILENCE {
        return None;
    }
    let ended = counts.left();
    if ended.unwritten.count > 0 {
        let text = format!("{} answered, waiting until the output can be written", ended.unwritten.count);
        return Some(Why::new("output", "", None, text));
    }
    Some(Why::new("input", "", None, "waiting for more input"))
}

/// The limit on concurrent requests is reached.
fn places(snapshot: &Snapshot) -> Option<Why> {
    let is_full = |model: &ModelSnapshot| model.quota.bottleneck == Some(Bottleneck::Concurrency);
    watch::waiting(snapshot).find(|(_, model)| is_full(model))?;
    let places =
        snapshot.endpoints.iter().filter_map(|endpoint| endpoint.quota.max_concurrent).sum::<usize>();
    let text = format!("at the concurrency limit of {places}");
    Some(Why::new("concurrency", "", None, text))
}

/// The time of day so long ago, and how long ago: `14:02 UTC (3m 20s)`.
fn clock(ago: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let then = now.saturating_sub(ago).as_secs();
    let (hours, minutes) = (then / 3_600 % 24, then / 60 % 60);
    format!("{hours:02}:{minutes:02} UTC ({})", time(ago))
}
