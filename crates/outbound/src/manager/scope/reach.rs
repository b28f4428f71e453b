//! An origin: whether it can be reached. Shared by all accounts there.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::health::{Admission, FailedCall, Health, Trouble};

/// So many calls in a row that found no connection are an outage.
const IN_A_ROW: u32 = 4;

/// So many tries, in this time, where what failed never heals by itself and nobody has ever replied.
const HOPELESS_TRIES: u32 = 3;
const HOPELESS_TIME: Duration = Duration::from_secs(5);

/// The way to one origin.
#[derive(Debug)]
pub(crate) struct Reach {
    state: Mutex<State>,
    /// Told to all who wait, whenever something changes in any scope of this origin.
    pub(crate) changed: Arc<Notify>,
    /// How long an origin that has never replied is tried.
    unreachable_timeout: Duration,
}

#[derive(Debug)]
struct State {
    health: Health,
    /// When it replied last.
    heard: Option<Instant>,
    /// When the first attempt to connect failed, and how many have failed since, until the first reply.
    failing: Option<(Instant, u32)>,
}

impl Reach {
    pub(crate) fn new(unreachable_timeout: Duration) -> Self {
        let health = Health::new(Trouble::Unreachable, IN_A_ROW);
        let state = Mutex::new(State { health, heard: None, failing: None });
        Self { state, changed: Arc::new(Notify::new()), unreachable_timeout }
    }

    /// Whether a call may go out; elects no probe.
    pub(crate) fn look(&self, now: Instant) -> Admission {
        self.state.lock().health.look(now)
    }

    pub(crate) fn admit(&self, now: Instant) -> Admission {
        self.state.lock().health.admit(now)
    }

    pub(crate) fn probe_ended(&self) {
        self.state.lock().health.probe_ended();
        self.changed.notify_waiters();
    }

    /// Since when it cannot be reached.
    pub(super) fn down_since(&self) -> Option<Instant> {
        self.state.lock().health.down_since()
    }

    /// Since when nothing was heard of it; `None` if it never replied, or is known to be down.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        state.heard.filter(|_| !state.health.is_down())
    }

    /// Nothing is heard of it, and it cannot be reached anew: the last look took so long to fail.
    pub(super) fn lost(&self, now: Instant, fails_in: Duration) {
        self.state.lock().health.lost(now, fails_in);
        self.changed.notify_waiters();
    }

    /// A reply to a call that was sent then. Says whether that ends an outage.
    pub(crate) fn replied(&self, sent_at: Instant, now: Instant) -> bool {
        let mut state = self.state.lock();
        state.heard = Some(now);
        state.failing = None;
        let ends = state.health.succeeded(sent_at);
        drop(state);
        if ends {
            self.changed.notify_waiters();
        }
        ends
    }

    /// No connection was made. Says whether it is of no use to go on: nobody was ever there.
    pub(crate) fn failed(&self, failed: FailedCall, heals: bool) -> Option<GivenUp> {
        let FailedCall { sent_at, now, .. } = failed;
        let mut state = self.state.lock();
        let begins = state.health.failed(failed);
        let given_up = if state.heard.is_some() {
            None
        } else {
            let (since, tries) = state.failing.get_or_insert((sent_at, 0));
            *tries = tries.saturating_add(1);
            let lasted = now.saturating_duration_since(*since);
            let hopeless = !heals && (*tries >= HOPELESS_TRIES || lasted >= HOPELESS_TIME);
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
        state.health = Health::new(Trouble::Unreachable, IN_A_ROW);
        state.failing = None;
        drop(state);
        self.changed.notify_waiters();
    }
}

/// An origin that never replied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GivenUp {
    pub(crate) tries: u32,
    pub(crate) lasted: Duration,
}

#[cfg(test)]
#[path = "reach_tests.rs"]
mod tests;
