//! An origin: whether it can be reached. Shared by all accounts there.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::health::{FailedCall, FailureMode, Health, ProbeDecision};

/// So many calls in a row that found no connection are an outage.
const IN_A_ROW: u32 = 4;

/// So many tries, in this time, where what failed never can_heal by itself and nobody has ever replied.
const HOPELESS_TRIES: u32 = 3;
const HOPELESS_TIME: Duration = Duration::from_secs(5);

/// An origin is mute when nothing has come back for so many times as long as the slowest of its last answers took, and at
/// the least for so long.
const UNRESPONSIVE_FACTOR: u32 = 4;
const UNRESPONSIVE_MIN: Duration = Duration::from_secs(10);

/// The slowest answer is forgotten by this part with each answer that follows.
const SLOWEST_DECAY: u32 = 64;

/// The longest time between two calls to a mute origin.
const LONGEST_UNRESPONSIVE_PAUSE: Duration = Duration::from_secs(60);

/// The way to one origin.
#[derive(Debug)]
pub(crate) struct Reachability {
    state: Mutex<State>,
    /// Told to all who wait, whenever something changes in any scope of this origin.
    pub(crate) changed: Arc<Notify>,
    /// How long an origin that has never replied is tried.
    unreachable_timeout: Duration,
}

#[derive(Debug)]
struct State {
    health: Health,
    /// When anything came back last, once there was a reply.
    heard: Option<Instant>,
    /// How long the slowest of the last answers took.
    slowest: Duration,
    unresponsive: Option<Unresponsive>,
    /// When the first attempt to connect failed, and how many have failed since, until the first reply.
    failing: Option<(Instant, u32)>,
}

/// It takes connections and calls, and nothing comes back. A call that goes out as a probe may hang as the others do, so
/// each is sent after a longer pause than the one before, whatever becomes of them. Anything that comes back ends it.
#[derive(Debug)]
struct Unresponsive {
    /// Since when nothing has come back.
    silent_since: Instant,
    /// When the last probe was elected, or when it was found out: calls sent before hang.
    hung_before: Instant,
    next_probe: Instant,
}

impl Reachability {
    pub(crate) fn new(unreachable_timeout: Duration) -> Self {
        let health = Health::new(FailureMode::Unreachable, IN_A_ROW);
        let state = Mutex::new(State {
            health,
            heard: None,
            slowest: Duration::ZERO,
            unresponsive: None,
            failing: None,
        });
        Self { state, changed: Arc::new(Notify::new()), unreachable_timeout }
    }

    /// Whether a call may go out; elects no probe.
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

    /// A probe has ended, however it did. One that was not sent leaves it to the next.
    pub(crate) fn probe_ended(&self, was_sent: bool, now: Instant) {
        let mut state = self.state.lock();
        state.health.probe_ended();
        if let Some(unresponsive) = state.unresponsive.as_mut().filter(|_| !was_sent) {
            unresponsive.next_probe = now;
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Calls that were sent before this hang, if it is down or mute.
    pub(super) fn hung_before(&self) -> Option<Instant> {
        let state = self.state.lock();
        state.health.down_since().or(state.unresponsive.as_ref().map(|unresponsive| unresponsive.hung_before))
    }

    /// Since when nothing has come back, though it was tried.
    pub(crate) fn out_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        let never_reached = state.failing.map(|(since, _)| since);
        never_reached
            .or(state.health.down_since())
            .or(state.unresponsive.as_ref().map(|unresponsive| unresponsive.silent_since))
    }

    /// When the next call looks whether it is back; `None` while one does, or if it is not out.
    pub(crate) fn next_probe(&self) -> Option<Instant> {
        let state = self.state.lock();
        if state.health.is_down() {
            return state.health.next_probe();
        }
        state.unresponsive.as_ref().map(|unresponsive| unresponsive.next_probe)
    }

    /// Whether it takes calls, and nothing comes back.
    pub(super) fn is_unresponsive(&self) -> bool {
        self.state.lock().unresponsive.is_some()
    }

    /// Since when nothing has come back, and after how long that is too long for a server that is only slow. `None` if it
    /// never replied, or is known to be down or mute.
    pub(super) fn silence(&self) -> Option<(Instant, Duration)> {
        let state = self.state.lock();
        let heard = state.heard.filter(|_| !state.health.is_down() && state.unresponsive.is_none())?;
        Some((heard, (state.slowest * UNRESPONSIVE_FACTOR).max(UNRESPONSIVE_MIN)))
    }

    /// It takes connections, and nothing comes back.
    pub(super) fn mark_unresponsive(&self, silent_since: Instant, now: Instant) {
        self.state.lock().unresponsive =
            Some(Unresponsive { silent_since, hung_before: now, next_probe: now });
        self.changed.notify_waiters();
    }

    /// Nothing is heard of it, and it cannot be reached anew: the last look took so long to fail.
    pub(super) fn mark_down(&self, now: Instant, time_to_fail: Duration) {
        self.state.lock().health.mark_down(now, time_to_fail);
        self.changed.notify_waiters();
    }

    /// Something has come back that is no whole reply: a piece of a stream, or the end of a connection. The head of a reply
    /// is not enough: some servers send it before they have begun.
    pub(super) fn heard(&self, now: Instant) {
        let mut state = self.state.lock();
        // Only a whole reply proves that somebody is there.
        state.heard = state.heard.map(|heard| heard.max(now));
        let ends = state.unresponsive.take().is_some();
        drop(state);
        if ends {
            self.changed.notify_waiters();
        }
    }

    /// An answer to a call that was sent then: replies take so long.
    pub(super) fn answered(&self, sent_at: Instant, now: Instant) -> bool {
        let mut state = self.state.lock();
        let took = now.saturating_duration_since(sent_at);
        state.slowest = took.max(state.slowest - state.slowest / SLOWEST_DECAY);
        drop(state);
        self.replied(sent_at, now)
    }

    /// A reply to a call that was sent then. Says whether that ends an outage.
    pub(super) fn replied(&self, sent_at: Instant, now: Instant) -> bool {
        let mut state = self.state.lock();
        state.heard = Some(now);
        let ends = state.health.succeeded(sent_at) | state.unresponsive.take().is_some();
        drop(state);
        if ends {
            self.changed.notify_waiters();
        }
        ends
    }

    /// No connection was made. Says whether it is of no use to go on: nobody was ever there.
    pub(crate) fn failed(&self, failed: FailedCall, can_heal: bool) -> Option<GivenUp> {
        let FailedCall { sent_at, now, .. } = failed;
        let mut state = self.state.lock();
        let mut begins = state.health.failed(failed);
        if state.unresponsive.take().is_some() {
            // It takes no connections either now.
            state.health.mark_down(now, now.saturating_duration_since(sent_at));
            begins = true;
        }
        let given_up = if state.heard.is_some() {
            None
        } else {
            let (since, tries) = state.failing.get_or_insert((sent_at, 0));
            *tries = tries.saturating_add(1);
            let lasted = now.saturating_duration_since(*since);
            let hopeless = !can_heal && (*tries >= HOPELESS_TRIES || lasted >= HOPELESS_TIME);
            (hopeless || lasted >= self.unreachable_timeout).then_some(GivenUp { tries: *tries, lasted })
        };
        if given_up.is_some() {
            // Whoever tries it again begins anew.
            state.failing = None;
        }
        drop(state);
        if begins {
            self.changed.notify_waiters();
        }
        given_up
    }

    /// Forgets what was learnt, so that it is tried again.
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

/// An origin that never replied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GivenUp {
    pub(crate) tries: u32,
    pub(crate) lasted: Duration,
}

#[cfg(test)]
#[path = "reachability_tests.rs"]
mod tests;
