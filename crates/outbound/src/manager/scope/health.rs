//! Whether a server is there, learnt from how its calls fare; and how many calls it bears when it is overloaded.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two probes.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);

/// The longest time between two attempts to connect, and between two calls as probes, which cost something.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE_OF_CALLS: Duration = Duration::from_secs(20);

/// A server that is overloaded and says how long is believed so far. The request itself waits as long as it was told.
const LONGEST_HINT: Duration = Duration::from_secs(60);

/// The longest time between two attempts to connect in the first minute. They cost no call.
const LONGEST_EARLY_PAUSE: Duration = Duration::from_secs(2);

/// What the first minute is.
const EARLY_PHASE: Duration = Duration::from_secs(60);

/// A probe that has not failed for so many times as long as the last one took to fail is a good sign.
const SLOW_PROBE_FACTOR: u32 = 3;

/// How a scope fails when it does: it decides how patiently it is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureMode {
    /// No connection: a probe costs nothing.
    Unreachable,
    /// Calls fail: a probe is an extra call.
    Failing,
}

/// The state of one scope. Pure: it is told what happened and when, and says who may go.
///
/// ```text
///           `threshold` failures in a row, all of calls sent after the last success
///   up ────────────────────────────────────────────────────────────────────────────▶ down
///    ◀──────────────────────────────────────────────────────────────────────────────
///           a call sent since it is down succeeds
/// ```
///
/// While it is down one call at a time goes out as a probe, and after each that fails there is a pause that grows with
/// the length of the outage. A probe that takes longer than the last ones took to fail is a good sign: a second may go,
/// then four, and so on, so that a server that answers slowly is at its full rate soon.
#[derive(Debug)]
pub(crate) struct Health {
    mode: FailureMode,
    threshold: u32,
    in_a_row: Option<ConsecutiveFailures>,
    /// When the call was sent that was sent last of those that succeeded: a failure of an earlier one is no news.
    last_success: Option<Instant>,
    down: Option<Down>,
}

/// Failures without a success between them.
#[derive(Debug, Clone, Copy)]
struct ConsecutiveFailures {
    failures: u32,
    /// When the first of the failed calls was sent: a success of a call sent before it is no news.
    first_sent: Instant,
    /// The request that failed first, and whether others have failed since.
    request: u64,
    others: bool,
}

#[derive(Debug, Clone, Copy)]
struct Down {
    since: Instant,
    /// Probes under way.
    pending: u32,
    /// How many probes may be under way: more than one only while they do not fail.
    allowed: u32,
    last_probe: Instant,
    /// Nothing is sent before this.
    next_probe: Instant,
    /// How long the last failure took to come.
    time_to_fail: Duration,
    /// Calls of more than one request fail.
    several_requests: bool,
}

/// A call that has failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailedCall {
    /// The number of its request.
    pub(crate) request: u64,
    pub(crate) sent_at: Instant,
    pub(crate) now: Instant,
    /// Between 0 and 1, of the request's own: keeps processes apart that fail together.
    pub(crate) jitter: f64,
    /// How long the server said to wait.
    pub(crate) hint: Option<Duration>,
}

/// Whether a call may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProbeDecision {
    /// All is well.
    Go,
    /// As a probe.
    Probe,
    /// Not before this instant, unless something changes.
    Wait(Instant),
}

impl Health {
    pub(crate) const fn new(mode: FailureMode, threshold: u32) -> Self {
        Self { mode, threshold, in_a_row: None, last_success: None, down: None }
    }

    pub(crate) const fn is_down(&self) -> bool {
        self.down.is_some()
    }

    /// Since when it is down.
    pub(crate) fn down_since(&self) -> Option<Instant> {
        self.down.map(|down| down.since)
    }

    /// When the next call may go as a probe; `None` while one is under way, or if it is not down.
    pub(crate) fn next_probe(&self) -> Option<Instant> {
        self.down.filter(|down| down.pending == 0).map(|down| down.next_probe)
    }

    /// It is known to be down, though no call has failed: the calls under way hang. A look took so long to fail.
    pub(crate) fn mark_down(&mut self, now: Instant, time_to_fail: Duration) {
        if self.down.is_none() {
            self.down = Some(Down {
                since: now,
                pending: 0,
                allowed: 1,
                last_probe: now,
                next_probe: now + SHORTEST_PAUSE,
                time_to_fail,
                several_requests: true,
            });
        }
    }

    /// Down, and not because of one request alone.
    pub(crate) fn is_outage(&self) -> bool {
        self.down.is_some_and(|down| down.several_requests)
    }

    /// A call that was sent at `sent_at` has brought a reply. Says whether that ended an outage.
    pub(crate) fn succeeded(&mut self, sent_at: Instant) -> bool {
        self.last_success = self.last_success.max(Some(sent_at));
        if self.in_a_row.is_some_and(|in_a_row| sent_at >= in_a_row.first_sent) {
            self.in_a_row = None;
        }
        let ends = self.down.is_some_and(|down| sent_at >= down.since);
        if ends {
            (self.down, self.in_a_row) = (None, None);
        }
        ends
    }

    /// A call has failed. Says whether an outage begins.
    pub(crate) fn failed(&mut self, failed: FailedCall) -> bool {
        let FailedCall { request, sent_at, now, .. } = failed;
        if self.last_success.is_some_and(|good| sent_at < good) {
            return false;
        }
        let first = ConsecutiveFailures { failures: 0, first_sent: sent_at, request, others: false };
        let in_a_row = self.in_a_row.get_or_insert(first);
        in_a_row.failures = in_a_row.failures.saturating_add(1);
        in_a_row.others |= in_a_row.request != request;
        let (failures, others) = (in_a_row.failures, in_a_row.others);
        let time_to_fail = now.saturating_duration_since(sent_at);
        match &mut self.down {
            Some(down) if sent_at >= down.since => {
                down.allowed = 1;
                down.time_to_fail = time_to_fail;
                down.several_requests |= others;
                let elapsed = now.saturating_duration_since(down.since);
                down.next_probe = now + pause(self.mode, elapsed, &failed);
                false
            }
            // It was under way when the outage began: an echo.
            Some(_) => false,
            None if failures >= self.threshold => {
                self.down = Some(Down {
                    since: now,
                    pending: 0,
                    allowed: 1,
                    last_probe: now,
                    next_probe: now + pause(self.mode, Duration::ZERO, &failed),
                    time_to_fail,
                    several_requests: others,
                });
                true
            }
            None => false,
        }
    }

    /// Whether a call may go out now; changes nothing.
    pub(crate) fn peek(&self, now: Instant) -> ProbeDecision {
        let Some(down) = &self.down else { return ProbeDecision::Go };
        let next = if down.pending == 0 {
            down.next_probe
        } else {
            down.last_probe + (down.time_to_fail * SLOW_PROBE_FACTOR).max(SHORTEST_PAUSE)
        };
        if now < next { ProbeDecision::Wait(next) } else { ProbeDecision::Probe }
    }

    /// Whether a call may go out now. One that goes as a probe has to tell its end with [`probe_ended`](Self::probe_ended).
    pub(crate) fn admit(&mut self, now: Instant) -> ProbeDecision {
        let decision = self.peek(now);
        let Some(down) = self.down.as_mut().filter(|_| decision == ProbeDecision::Probe) else {
            return decision;
        };
        if down.pending > 0 && down.pending >= down.allowed {
            // None of them has failed: twice as many may be out.
            down.allowed = down.allowed.saturating_mul(2);
        }
        if down.pending == 0 || down.pending + 1 >= down.allowed {
            // The first, or the last of this step: the next step begins later.
            down.last_probe = now;
        }
        down.pending += 1;
        ProbeDecision::Probe
    }

    /// A probe has ended, however it did.
    pub(crate) fn probe_ended(&mut self) {
        if let Some(down) = &mut self.down {
            down.pending = down.pending.saturating_sub(1);
        }
    }
}

/// How long nothing is sent after a probe failed.
fn pause(mode: FailureMode, elapsed: Duration, failed: &FailedCall) -> Duration {
    let (part, longest) = match mode {
        FailureMode::Unreachable if elapsed < EARLY_PHASE => (8, LONGEST_EARLY_PAUSE),
        FailureMode::Unreachable => (8, LONGEST_PAUSE),
        FailureMode::Failing => (4, LONGEST_PAUSE_OF_CALLS),
    };
    let own =
        (elapsed / part).clamp(SHORTEST_PAUSE, longest).mul_f64(0.75 + failed.jitter.clamp(0.0, 1.0) / 4.0);
    own.max(failed.hint.unwrap_or_default().min(LONGEST_HINT))
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
