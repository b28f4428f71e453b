//! Health: whether a server is up or down, as seen by its calls.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two probes.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pauses between probes: attempts to connect, and calls, which cost something.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE_OF_CALLS: Duration = Duration::from_secs(20);

/// The longest hint of an overloaded server that the probes obey. The request itself waits as long as the hint says.
const LONGEST_HINT: Duration = Duration::from_secs(60);

/// The longest pause between two attempts to connect in the first minute of an outage. They cost no call.
const LONGEST_EARLY_PAUSE: Duration = Duration::from_secs(2);

/// The length of that first minute.
const EARLY_PHASE: Duration = Duration::from_secs(60);

/// A probe that runs this many times longer than the last failure took is a good sign.
const SLOW_PROBE_FACTOR: u32 = 3;

/// How a scope fails. This decides how often it is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureMode {
    /// No connection: a probe costs nothing.
    Unreachable,
    /// Calls fail: a probe is an extra call.
    Failing,
}

/// The health of an origin or a model. Pure: it is told what happened and when, and decides who may be sent.
///
/// ```text
///           `threshold` failures in a row, all of calls sent after the last success
///   up ────────────────────────────────────────────────────────────────────────────▶ down
///    ◀──────────────────────────────────────────────────────────────────────────────
///           a call sent since it is down succeeds
/// ```
///
/// While it is down, one call at a time is sent as a probe. After each failed probe there is a pause, which grows with
/// the length of the outage. A probe that runs longer than the last ones took to fail is a good sign: then a second one
/// is sent, then four in all, and so on. So a slow server is back at its full rate soon.
#[derive(Debug)]
pub(crate) struct Health {
    mode: FailureMode,
    threshold: u32,
    in_a_row: Option<ConsecutiveFailures>,
    /// When the latest successful call was sent. A failure of an earlier call is ignored.
    last_success: Option<Instant>,
    down: Option<Down>,
}

/// Failures without a success between them.
#[derive(Debug, Clone, Copy)]
struct ConsecutiveFailures {
    failures: u32,
    /// When the first failed call was sent. A success of an earlier call is ignored.
    first_sent: Instant,
    /// The request that failed first. `others`: another request has failed since.
    request: u64,
    others: bool,
}

#[derive(Debug, Clone, Copy)]
struct Down {
    since: Instant,
    /// Probes in flight.
    pending: u32,
    /// How many probes may be in flight. More than one only while none fails.
    allowed: u32,
    last_probe: Instant,
    /// Nothing is sent before this.
    next_probe: Instant,
    /// How long the last failed call took to fail.
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
    /// Between 0 and 1, random for each request. It spreads the probes of processes that fail at the same time.
    pub(crate) jitter: f64,
    /// How long the server said to wait.
    pub(crate) hint: Option<Duration>,
}

/// Whether a call may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProbeDecision {
    /// It is up.
    Go,
    /// It is down, and the call is a probe.
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

    /// When the next probe may be sent. `None` if a probe is in flight, or if it is not down.
    pub(crate) fn next_probe(&self) -> Option<Instant> {
        self.down.filter(|down| down.pending == 0).map(|down| down.next_probe)
    }

    /// Marks it as down although no call has failed: the calls in flight hang, and a dial failed after `time_to_fail`.
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

    /// Whether it is down because of several requests, and not of one alone.
    pub(crate) fn is_outage(&self) -> bool {
        self.down.is_some_and(|down| down.several_requests)
    }

    /// A call that was sent at `sent_at` has succeeded. Says whether that ends an outage.
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
            // The call was sent before the outage began, so it says nothing new.
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

    /// Whether a call may be sent now. Changes nothing.
    pub(crate) fn peek(&self, now: Instant) -> ProbeDecision {
        let Some(down) = &self.down else { return ProbeDecision::Go };
        let next = if down.pending == 0 {
            down.next_probe
        } else {
            down.last_probe + (down.time_to_fail * SLOW_PROBE_FACTOR).max(SHORTEST_PAUSE)
        };
        if now < next { ProbeDecision::Wait(next) } else { ProbeDecision::Probe }
    }

    /// Whether a call may be sent now. The end of a probe has to be reported with [`probe_ended`](Self::probe_ended).
    pub(crate) fn admit(&mut self, now: Instant) -> ProbeDecision {
        let decision = self.peek(now);
        let Some(down) = self.down.as_mut().filter(|_| decision == ProbeDecision::Probe) else {
            return decision;
        };
        if down.pending > 0 && down.pending >= down.allowed {
            // No probe has failed, so twice as many may be in flight.
            down.allowed = down.allowed.saturating_mul(2);
        }
        if down.pending == 0 || down.pending + 1 >= down.allowed {
            // The first probe, or the last one of this step. The next step begins later.
            down.last_probe = now;
        }
        down.pending += 1;
        ProbeDecision::Probe
    }

    /// A probe has ended, with any result.
    pub(crate) fn probe_ended(&mut self) {
        if let Some(down) = &mut self.down {
            down.pending = down.pending.saturating_sub(1);
        }
    }
}

/// The pause after a failed probe.
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
