//! One model of an account: the limits learnt from its replies, the gate of its refusals, its overloads.

use std::sync::OnceLock;

use outbound_limiter::QuotaLimiter;
use outbound_retry::Latencies;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    health::{Clearance, FailedCall, Health, Pressure, Trouble},
    line::Line,
    stop::Stopped,
};

/// How many calls go out before anything is known. In the bench of goodput, refused per 1,000 at worst, B has 7 with it,
/// 3 with 40, 14.5 with all 64; settled, C has 0.930 with it and 0.918 with 32.
const FIRST_CALLS: usize = 48;

/// So many calls in a row that failed are an outage.
const IN_A_ROW: u32 = 4;

/// A model as its account knows it; one without a name stands for the requests that name none.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: Option<Box<str>>,
    pub(crate) quota: QuotaLimiter,
    /// The order in which its requests ask the quota.
    pub(crate) line: Line,
    /// How many calls may be in flight, if that was told for this model.
    told: Option<usize>,
    /// How long its calls take, where that matters.
    latencies: OnceLock<Latencies>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    health: Health,
    pressure: Pressure,
    /// A pause that is too long to wait for.
    stopped: Option<Stopped>,
}

impl Model {
    /// `told` is how many calls of this model alone may be in flight, `all` how many of the account.
    pub(super) fn new(name: Option<Box<str>>, quota: QuotaLimiter, told: Option<usize>, all: usize) -> Self {
        let health = Health::new(Trouble::Failing, IN_A_ROW);
        let pressure = Pressure::new(told.unwrap_or(all));
        Self {
            name,
            quota,
            line: Line::default(),
            told,
            latencies: OnceLock::new(),
            state: Mutex::new(State { health, pressure, stopped: None }),
        }
    }

    /// No limit was told: so few calls go out before the first replies that hardly any of them is refused.
    pub(super) fn starting_slowly(self) -> Self {
        let mut state = self.state.lock();
        let before = state.pressure.bound();
        state.pressure.start_with(FIRST_CALLS);
        self.tell(&state, before);
        drop(state);
        self
    }

    /// How long its calls take: known from the first time on that it is asked.
    pub(crate) fn latencies(&self) -> &Latencies {
        self.latencies.get_or_init(Latencies::new)
    }

    /// Whether a call may go out; elects no probe.
    pub(super) fn look(&self, now: Instant) -> Result<Clearance, Stopped> {
        match self.stopped(now) {
            Some(why) => Err(why),
            None => Ok(self.state.lock().health.look(now)),
        }
    }

    pub(super) fn admit(&self, now: Instant) -> Clearance {
        self.state.lock().health.admit(now)
    }

    /// Why nothing is sent for this model now.
    pub(crate) fn stopped(&self, now: Instant) -> Option<Stopped> {
        let mut state = self.state.lock();
        if state.stopped.as_ref().is_some_and(|why| why.until.is_some_and(|until| until <= now)) {
            state.stopped = None;
        }
        state.stopped.clone()
    }

    pub(super) fn probe_ended(&self) {
        self.state.lock().health.probe_ended();
    }

    /// Whether calls of several requests fail, and none succeeds.
    pub(crate) fn is_outage(&self) -> bool {
        self.state.lock().health.is_outage()
    }

    pub(crate) fn down_since(&self) -> Option<Instant> {
        self.state.lock().health.down_since()
    }

    pub(crate) fn next_probe(&self) -> Option<Instant> {
        self.state.lock().health.next_probe()
    }

    pub(crate) fn is_down(&self) -> bool {
        self.state.lock().health.is_down()
    }

    /// Says whether an outage ends.
    pub(super) fn succeeded(&self, sent_at: Instant) -> bool {
        let mut state = self.state.lock();
        let ends = state.health.succeeded(sent_at);
        let before = state.pressure.bound();
        if ends {
            state.pressure.reset();
        }
        state.pressure.succeeded();
        self.tell(&state, before);
        ends
    }

    /// Says whether an outage begins.
    pub(super) fn failed(&self, failed: FailedCall) -> bool {
        self.state.lock().health.failed(failed)
    }

    pub(super) fn overloaded(&self, sent_at: Instant, now: Instant) {
        let mut state = self.state.lock();
        // An outage is probed by one call at a time; the bound is for a server that bears some.
        if !state.health.is_down() {
            let before = state.pressure.bound();
            let in_flight = self.quota.in_flight();
            state.pressure.overloaded(sent_at, now, in_flight);
            self.tell(&state, before);
        }
    }

    /// Nothing is sent any more. A stop that holds longer is not shortened.
    pub(crate) fn stop(&self, why: Stopped) {
        let stopped = &mut self.state.lock().stopped;
        match stopped {
            Some(known) if known.holds_as_long_as(&why) => {}
            _ => *stopped = Some(why),
        }
    }

    pub(super) fn resume(&self) {
        let mut state = self.state.lock();
        state.stopped = None;
        state.health = Health::new(Trouble::Failing, IN_A_ROW);
    }

    fn tell(&self, state: &State, before: usize) {
        let bound = state.pressure.bound();
        if bound != before {
            // All that the account allows is no bound of the model.
            let all = bound == state.pressure.ceiling();
            self.quota.set_max_concurrent(if all { self.told } else { Some(bound) });
        }
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
