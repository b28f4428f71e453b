//! The reachability of an origin. All accounts at the origin share it.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::health::{FailedCall, FailureMode, Health, ProbeDecision};

/// How many attempts to connect have to fail in a row for an outage.
const IN_A_ROW: u32 = 4;

/// When an origin is given up that never replied, and whose failure cannot heal by itself: after so many tries, or so
/// long.
const HOPELESS_TRIES: u32 = 3;
const HOPELESS_TIME: Duration = Duration::from_secs(5);

/// An origin is unresponsive when nothing has come back for this many times the slowest recent answer, and at least for
/// this time.
const UNRESPONSIVE_FACTOR: u32 = 4;
const UNRESPONSIVE_MIN: Duration = Duration::from_secs(10);

/// With each answer the slowest time shrinks by this part of itself.
const SLOWEST_DECAY: u32 = 64;

/// The longest pause between two probes of an unresponsive origin.
const LONGEST_UNRESPONSIVE_PAUSE: Duration = Duration::from_secs(60);

/// Whether an origin can be reached.
#[derive(Debug)]
pub(crate) struct Reachability {
    state: Mutex<State>,
    /// Notified whenever something changes in any scope of this origin.
    pub(crate) changed: Arc<Notify>,
    /// How long an origin that has never replied is tried.
    unreachable_timeout: Duration,
}

#[derive(Debug)]
struct State {
    health: Health,
    /// When anything came back last. `None` before the first reply.
    last_activity: Option<Instant>,
    /// How long the slowest recent answer took.
    slowest: Duration,
    unresponsive: Option<Unresponsive>,
    /// When the first attempt to connect failed, and how many have failed, until the first reply.
    failing: Option<(Instant, u32)>,
}

/// The origin takes connections and calls, and nothing comes back. A probe may hang like other calls. So the next one
/// is sent after a longer pause, whatever happens to those before it. Anything that comes back ends this state.
#[derive(Debug)]
struct Unresponsive {
    /// Since when nothing has come back.
    silent_since: Instant,
    /// Calls that were sent before this time hang: when the last probe was chosen, or when the state began.
    hung_before: Instant,
    next_probe: Instant,
}

impl Reachability {
    pub(crate) fn new(unreachable_timeout: Duration) -> Self {
        let health = Health::new(FailureMode::Unreachable, IN_A_ROW);
        let state = Mutex::new(State {
            health,
            last_activity: None,
            slowest: Duration::ZERO,
            unresponsive: None,
            failing: None,
        });
        Self { state, changed: Arc::new(Notify::new()), unreachable_timeout }
    }

    /// Whether a call may be sent. Chooses no probe.
    pub(crate) fn peek(&self, now: Instant) -> ProbeDecision {
        self.state.lock().peek(now)
    }

    pub(crate) fn admit(&self, now: Instant) -> ProbeDecision {
        let mut state = self.state.lock();
        if state.health.is_down() {
            return state.health.admit(now);
        }
        let decision = state.peek(now);
        if decision == ProbeDecision::Probe
            && let Some(unresponsive) = &mut state.unresponsive
        {
            unresponsive.hung_before = now;
            let silent = now.saturating_duration_since(unresponsive.silent_since);
            unresponsive.next_probe = now + (silent / 2).min(LONGEST_UNRESPONSIVE_PAUSE);
        }
        decision
    }

    /// A probe has ended, with any result. If it was not sent, the next request may be the probe.
    pub(crate) fn probe_ended(&self, was_sent: bool, now: Instant) {
        let mut state = self.state.lock();
        state.health.probe_ended();
        if let Some(unresponsive) = state.unresponsive.as_mut().filter(|_| !was_sent) {
            unresponsive.next_probe = now;
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Calls that were sent before this time hang, if the origin is down or unresponsive.
    pub(super) fn hung_before(&self) -> Option<Instant> {
        let state = self.state.lock();
        state.health.down_since().or(state.unresponsive.as_ref().map(|unresponsive| unresponsive.hung_before))
    }

    /// Since when nothing has come back, though calls were sent.
    pub(crate) fn out_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        let never_reached = state.failing.map(|(since, _)| since);
        never_reached
            .or(state.health.down_since())
            .or(state.unresponsive.as_ref().map(|unresponsive| unresponsive.silent_since))
    }

    /// When the next probe may be sent. `None` if a probe is in flight, or if the origin is not out.
    pub(crate) fn next_probe(&self) -> Option<Instant> {
        let state = self.state.lock();
        if state.health.is_down() {
            return state.health.next_probe();
        }
        state.unresponsive.as_ref().map(|unresponsive| unresponsive.next_probe)
    }

    /// Whether the origin takes calls and nothing comes back.
    pub(super) fn is_unresponsive(&self) -> bool {
        self.state.lock().unresponsive.is_some()
    }

    /// When anything came back last, and after how long a silence is too long for a slow server. `None` if the origin
    /// never replied, or is known to be down or unresponsive.
    pub(super) fn silence(&self) -> Option<(Instant, Duration)> {
        let state = self.state.lock();
        let last_activity =
            state.last_activity.filter(|_| !state.health.is_down() && state.unresponsive.is_none())?;
        Some((last_activity, (state.slowest * UNRESPONSIVE_FACTOR).max(UNRESPONSIVE_MIN)))
    }

    /// The origin takes connections, and nothing comes back.
    pub(super) fn mark_unresponsive(&self, silent_since: Instant, now: Instant) {
        self.state.lock().unresponsive =
            Some(Unresponsive { silent_since, hung_before: now, next_probe: now });
        self.changed.notify_waiters();
    }

    /// Nothing comes back, and a dial failed after `time_to_fail`.
    pub(super) fn mark_down(&self, now: Instant, time_to_fail: Duration) {
        self.state.lock().health.mark_down(now, time_to_fail);
        self.changed.notify_waiters();
    }

    /// Something has come back that is not a whole reply: a part of a stream, or the end of a connection. The head of a
    /// reply is not reported here, because some servers send it before they begin to work.
    pub(super) fn note_activity(&self, now: Instant) {
        let mut state = self.state.lock();
        // Only a whole reply proves that the server has ever answered.
        state.last_activity = state.last_activity.map(|last| last.max(now));
        let ends = state.unresponsive.take().is_some();
        drop(state);
        if ends {
            self.changed.notify_waiters();
        }
    }

    /// An answer has come. Its time counts for [`silence`](Self::silence).
    pub(super) fn answered(&self, sent_at: Instant, now: Instant) -> bool {
        let mut state = self.state.lock();
        let took = now.saturating_duration_since(sent_at);
        state.slowest = took.max(state.slowest - state.slowest / SLOWEST_DECAY);
        drop(state);
        self.replied(sent_at, now)
    }

    /// A reply has come to a call that was sent at `sent_at`. Says whether that ends an outage.
    pub(super) fn replied(&self, sent_at: Instant, now: Instant) -> bool {
        let mut state = self.state.lock();
        state.last_activity = Some(now);
        let ends = state.health.succeeded(sent_at) | state.unresponsive.take().is_some();
        drop(state);
        if ends {
            self.changed.notify_waiters();
        }
        ends
    }

    /// An attempt to connect has failed. Returns a value if an origin is given up that never replied.
    pub(crate) fn failed(&self, failed: FailedCall, can_heal: bool) -> Option<GivenUp> {
        let FailedCall { sent_at, now, .. } = failed;
        let mut state = self.state.lock();
        let mut begins = state.health.failed(failed);
        if state.unresponsive.take().is_some() {
            // Now the origin does not even take connections.
            state.health.mark_down(now, now.saturating_duration_since(sent_at));
            begins = true;
        }
        let given_up = if state.last_activity.is_some() {
            None
        } else {
            let (since, tries) = state.failing.get_or_insert((sent_at, 0));
            *tries = tries.saturating_add(1);
            let lasted = now.saturating_duration_since(*since);
            let hopeless = !can_heal && (*tries >= HOPELESS_TRIES || lasted >= HOPELESS_TIME);
            (hopeless || lasted >= self.unreachable_timeout).then_some(GivenUp { tries: *tries, lasted })
        };
        if given_up.is_some() {
            // The next attempts begin to count again.
            state.failing = None;
        }
        drop(state);
        if begins {
            self.changed.notify_waiters();
        }
        given_up
    }

    /// Forgets all failures, so that the origin is tried again.
    pub(crate) fn resume(&self) {
        let mut state = self.state.lock();
        state.health = Health::new(FailureMode::Unreachable, IN_A_ROW);
        (state.failing, state.unresponsive) = (None, None);
        drop(state);
        self.changed.notify_waiters();
    }
}

impl State {
    fn peek(&self, now: Instant) -> ProbeDecision {
        match &self.unresponsive {
            Some(unresponsive) if !self.health.is_down() && now < unresponsive.next_probe => {
                ProbeDecision::Wait(unresponsive.next_probe)
            }
            Some(_) if !self.health.is_down() => ProbeDecision::Probe,
            _ => self.health.peek(now),
        }
    }
}

/// An origin that never replied, and is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GivenUp {
    pub(crate) tries: u32,
    pub(crate) lasted: Duration,
}

#[cfg(test)]
#[path = "reachability_tests.rs"]
mod tests;
