//! A model of an account: its limits, the gate of its refusals, its failures and overloads.

use std::sync::OnceLock;

use outbound_limiter::QuotaLimiter;
use outbound_retry::Latencies;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    super::shared_quota::SharedQuota,
    fair_queue::FairQueue,
    health::{FailedCall, FailureMode, Health, ProbeDecision},
    overload::OverloadLimit,
    stopped::Stopped,
};

/// How many calls are sent before any limit is known. The benchmark of goodput decides: with 48, scenario B has at most
/// 7 refusals in 1,000 (40: 3, all 64: 14.5), and scenario C reaches 0.930 (32: 0.918).
const FIRST_CALLS: usize = 48;

/// The same where the limits are shared with other processes, which may begin at the same moment.
const FIRST_CALLS_SHARED: usize = 4;

/// How many failed calls in a row are an outage.
const IN_A_ROW: u32 = 4;

/// A model of an account. The one without a name stands for requests that name no model.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: Option<Box<str>>,
    pub(crate) quota: QuotaLimiter,
    /// Its limits, as far as they are shared with other processes.
    pub(crate) shared: Option<SharedQuota>,
    /// The order in which its requests ask the quota.
    pub(crate) queue: FairQueue,
    /// How many calls may be in flight, if the user has set that for this model.
    own_max: Option<usize>,
    /// How long its calls take. Kept only with hedging.
    latencies: OnceLock<Latencies>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    health: Health,
    overload_limit: OverloadLimit,
    /// Why nothing is sent: a refusal, or a pause that is too long to wait for.
    stopped: Option<Stopped>,
}

impl Model {
    /// `own_max` is the concurrency limit of this model alone, `all` that of the account.
    pub(super) fn new(
        name: Option<Box<str>>,
        quota: QuotaLimiter,
        own_max: Option<usize>,
        all: usize,
    ) -> Self {
        let health = Health::new(FailureMode::Failing, IN_A_ROW);
        let overload_limit = OverloadLimit::new(own_max.unwrap_or(all));
        Self {
            name,
            quota,
            shared: None,
            queue: FairQueue::default(),
            own_max,
            latencies: OnceLock::new(),
            state: Mutex::new(State { health, overload_limit, stopped: None }),
        }
    }

    /// For a model without configured limits: few calls are sent before the first replies, so that few are refused.
    pub(super) fn starting_slowly(self) -> Self {
        let mut state = self.state.lock();
        let before = state.overload_limit.bound();
        let first = if self.shared.is_some() { FIRST_CALLS_SHARED } else { FIRST_CALLS };
        state.overload_limit.start_with(first);
        self.apply_limit(&state, before);
        drop(state);
        self
    }

    /// How long its calls take. Measured from the first use of this function on.
    pub(crate) fn latencies(&self) -> &Latencies {
        self.latencies.get_or_init(Latencies::new)
    }

    /// Whether a call may be sent. Chooses no probe.
    pub(super) fn peek(&self, now: Instant) -> Result<ProbeDecision, Stopped> {
        match self.stopped(now) {
            Some(why) => Err(why),
            None => Ok(self.state.lock().health.peek(now)),
        }
    }

    pub(super) fn admit(&self, now: Instant) -> ProbeDecision {
        self.state.lock().health.admit(now)
    }

    /// Why nothing is sent for this model now, if it is stopped.
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
        let before = state.overload_limit.bound();
        if ends {
            state.overload_limit.reset();
        }
        state.overload_limit.succeeded();
        self.apply_limit(&state, before);
        ends
    }

    /// Says whether an outage begins.
    pub(super) fn failed(&self, failed: FailedCall) -> bool {
        self.state.lock().health.failed(failed)
    }

    pub(super) fn overloaded(&self, sent_at: Instant, now: Instant) {
        let mut state = self.state.lock();
        // In an outage the probes are the bound. The overload limit is for a server that can still handle some calls.
        if !state.health.is_down() {
            let before = state.overload_limit.bound();
            let in_flight = self.quota.in_flight();
            state.overload_limit.overloaded(sent_at, now, in_flight);
            self.apply_limit(&state, before);
        }
    }

    /// Stops the model. A stop that lasts longer stays as it is.
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
        state.health = Health::new(FailureMode::Failing, IN_A_ROW);
    }

    fn apply_limit(&self, state: &State, before: usize) {
        let bound = state.overload_limit.bound();
        if bound != before {
            // At the ceiling the limit of the account is enough.
            let all = bound == state.overload_limit.ceiling();
            self.quota.set_max_concurrent(if all { self.own_max } else { Some(bound) });
        }
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
