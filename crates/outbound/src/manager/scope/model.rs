//! One model of an account: the limits learnt from its replies, the gate of its refusals, its overloads.

use outbound_limiter::QuotaLimiter;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    health::{Admission, FailedCall, Health, Pressure, Trouble},
    stop::Stopped,
};

/// So many calls in a row that failed are an outage.
const IN_A_ROW: u32 = 4;

/// A model as its account knows it; one without a name stands for the requests that name none.
#[derive(Debug)]
pub(crate) struct Model {
    pub(super) name: Option<Box<str>>,
    pub(crate) quota: QuotaLimiter,
    /// How many calls may be in flight, if that was told for this model.
    told: Option<usize>,
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
        Self { name, quota, told, state: Mutex::new(State { health, pressure, stopped: None }) }
    }

    pub(super) fn admit(&self, now: Instant) -> Result<Admission, Stopped> {
        let mut state = self.state.lock();
        match &state.stopped {
            Some(why) if why.until.is_none_or(|until| now < until) => return Err(why.clone()),
            _ => state.stopped = None,
        }
        Ok(state.health.admit(now))
    }

    pub(super) fn probe_ended(&self) {
        self.state.lock().health.probe_ended();
    }

    /// Whether calls of several requests fail, and none succeeds.
    pub(crate) fn is_outage(&self) -> bool {
        self.state.lock().health.is_outage()
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
            let in_flight = self.quota.snapshot().in_flight;
            state.pressure.overloaded(sent_at, now, in_flight);
            self.tell(&state, before);
        }
    }

    pub(super) fn stop(&self, why: Stopped) {
        self.state.lock().stopped = Some(why);
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
