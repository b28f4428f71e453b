//! The scope of a request: whether it may be sent, and what its call changes for all requests of the scope.

use std::{sync::Arc, time::Duration};

use outbound_limiter::{Charge, End};
use outbound_provider::{Class, Fault, Signals, Usage};
use tokio::time::Instant;

use super::{
    super::{
        error::ErrorKind,
        judge::{Effect, Settle},
        observe::Waiting,
    },
    account::Account,
    breaker::{self, AccountDecision, RefusalResult},
    health::{FailedCall, ProbeDecision},
    model::Model,
    quota,
    sharing::Owner,
    stopped::Stopped,
};

/// How long everything stops for an origin that was never reached. After that it is tried again.
const UNREACHABLE_STOP: Duration = Duration::from_secs(30);

/// How long a refusal closes the gate while its body is still to come.
const GATE_UNTIL_BODY: Duration = Duration::from_secs(2);

/// The scope of a request: an account and a model.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) account: Arc<Account>,
    pub(crate) model: Arc<Model>,
}

/// Whether a request may be sent.
#[derive(Debug)]
pub(crate) enum ScopeDecision<'a> {
    Go(ScopePermit<'a>),
    /// Not before this instant, unless something changes.
    Wait(Waiting, Instant),
    Stopped(Stopped),
}

/// The permission to send one request. Dropping it says that the call has ended, or that nothing was sent.
#[derive(Debug)]
pub(crate) struct ScopePermit<'a> {
    scope: &'a Scope,
    probes_reach: bool,
    probes_model: bool,
    /// It is the witness of a held account, and was not sent yet.
    witness: bool,
    /// The number of the call and the time of sending. `None`: not sent yet.
    call: Option<(u64, Instant)>,
    /// The call is in flight.
    in_flight: bool,
}

/// A call in flight, as its scope knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// The number of the call in the account.
    number: u64,
    /// The number of the request in the manager.
    pub(crate) request: u64,
    pub(crate) sent_at: Instant,
    /// A random number between 0 and 1 that belongs to the request.
    pub(crate) jitter: f64,
}

impl Scope {
    /// The scope of requests for this model.
    pub(crate) fn of(account: &Arc<Account>, model: Option<&str>) -> Self {
        Self { account: Arc::clone(account), model: account.model(model) }
    }

    /// Whether a request may be sent now.
    pub(crate) fn admit(&self, now: Instant) -> ScopeDecision<'_> {
        // All levels are asked before a probe or a witness is chosen. A chosen request that has to wait after all would
        // return its role, which wakes all waiting requests, itself included. That would repeat without end.
        let reach = self.account.reach.peek(now);
        if reach != ProbeDecision::Go {
            self.account.exclude_hung_calls();
        }
        if let ProbeDecision::Wait(until) = reach {
            return ScopeDecision::Wait(Waiting::Outage, until);
        }
        match self.model.peek(now) {
            Ok(ProbeDecision::Wait(until)) => return ScopeDecision::Wait(Waiting::Outage, until),
            Ok(_) => {}
            Err(why) => return ScopeDecision::Stopped(why),
        }
        let mut permit = ScopePermit {
            scope: self,
            probes_reach: false,
            probes_model: false,
            witness: false,
            call: None,
            in_flight: false,
        };
        let mut breaker = self.account.breaker.lock();
        match breaker.decide(now) {
            AccountDecision::Go => permit.witness = breaker.is_held(),
            AccountDecision::Wait(until) => return ScopeDecision::Wait(Waiting::Account, until),
            AccountDecision::Stopped(why) => return ScopeDecision::Stopped(why),
        }
        drop(breaker);
        // Another request may have been chosen since.
        match self.account.reach.admit(now) {
            ProbeDecision::Go => {}
            ProbeDecision::Probe => {
                permit.probes_reach = true;
                self.account.probe_chosen();
            }
            ProbeDecision::Wait(until) => return ScopeDecision::Wait(Waiting::Outage, until),
        }
        match self.model.admit(now) {
            ProbeDecision::Go => {}
            ProbeDecision::Probe => permit.probes_model = true,
            ProbeDecision::Wait(until) => return ScopeDecision::Wait(Waiting::Outage, until),
        }
        ScopeDecision::Go(permit)
    }

    /// Why nothing is sent in this scope now, if it is stopped.
    pub(crate) fn stopped(&self, now: Instant) -> Option<Stopped> {
        self.account.stopped(now).or_else(|| self.model.stopped(now))
    }

    /// How long the origin or the model has been down. Zero if neither is.
    pub(crate) fn down_for(&self, now: Instant) -> Duration {
        let since = self.account.reach.out_since().or(self.model.down_since());
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Whether a request could be sent now if the limits had room.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.account.reach.peek(now) == ProbeDecision::Go
            && matches!(self.model.peek(now), Ok(ProbeDecision::Go))
            && self.account.stopped(now).is_none()
            && self.model.quota.gate_closed_until(now).is_none()
    }

    /// An attempt has brought an answer.
    pub(crate) fn succeeded(&self, call: Call, signals: &Signals, usage: Option<Usage>, charge: Charge) {
        let account = &*self.account;
        let now = Instant::now();
        self.observe(now, signals, quota::observation(call.sent_at, signals), call.sent_at);
        match usage {
            Some(usage) => charge.settle(quota::cost(&account.provider, usage)),
            // The reply reports no tokens, so the estimate stays charged.
            None => charge.keep_estimate(),
        }
        if let Some(shared) = &self.model.shared {
            shared.replied(call.sent_at);
        }
        account.budget.deposit();
        let work = usage.map_or(1, |usage| usage.output);
        account.record_call_end(now, call.sent_at, End::Done { work });
        let reached = account.replied(call.sent_at, now, true);
        let ends = self.model.succeeded(call.sent_at);
        let lifts = account.breaker.lock().succeeded(call.number);
        if reached || ends || lifts {
            account.notify().notify_waiters();
        }
    }

    /// Passes what a reply reports about limits to the quota that they belong to.
    fn observe(
        &self,
        now: Instant,
        signals: &Signals,
        observation: outbound_limiter::Observation,
        sent_at: Instant,
    ) {
        let account = &*self.account;
        let (owner, is_new) = account.sharing.lock().note(Arc::as_ptr(&self.model).addr(), sent_at, signals);
        if is_new {
            tracing::debug!(?owner, "the reported limits belong to another owner than before");
            account.forget_readings(now);
        }
        match owner {
            Owner::Model => self.model.quota.observe(now, &observation),
            Owner::Account => {
                account.quota.observe(now, &observation.only_limits());
                self.model.quota.observe(now, &observation.only_gate());
            }
        }
    }

    /// A part of a stream has come, of a call that was sent at `sent_at`.
    pub(crate) fn note_activity(&self, sent_at: Instant) {
        self.account.note_activity(sent_at, Instant::now());
    }

    /// The head of an error reply has come, and its body is still to come. A refusal closes the gate at once.
    pub(crate) fn refused_by_head(&self, fault: &Fault, now: Instant) {
        if matches!(fault.class, Class::RateLimited | Class::RampLimited) {
            let wait = fault.wait.unwrap_or(GATE_UNTIL_BODY).min(self.account.max_pause);
            self.model.quota.close_gate_until(now, now + wait);
        }
    }

    /// An attempt has failed: updates the state of the scope, and settles the quota.
    pub(crate) fn failed(&self, call: Call, failed: &ScopeFailure<'_>, charge: Charge) {
        let account = &*self.account;
        let ScopeFailure { effect, settle, fault, signals, message, kind, now, .. } = *failed;
        let mut observation = quota::observation(call.sent_at, signals);
        if let Effect::Refused { ramp, parallel } = effect {
            observation = if ramp { observation.ramp(fault.wait) } else { observation.refused(fault.wait) };
            if parallel {
                observation = observation.parallel();
            }
        }
        let hung = !failed.replied && kind == ErrorKind::Timeout;
        if failed.replied {
            account.replied(call.sent_at, now, false);
        } else if !hung && !matches!(effect, Effect::Unreachable { .. }) {
            // A broken connection is a sign of activity.
            account.note_activity(call.sent_at, now);
        }
        self.observe(now, signals, observation, call.sent_at);
        if let Some(shared) = &self.model.shared {
            match effect {
                Effect::Refused { parallel: false, .. } => {
                    if let Some(until) = self.model.quota.gate_closed_until(now) {
                        shared.refused(now, until);
                    }
                }
                _ => shared.replied(call.sent_at),
            }
        }
        let Call { request, sent_at, jitter, .. } = call;
        let failed_call = FailedCall { request, sent_at, now, jitter, hint: fault.wait };
        let mut changed = false;
        account.record_call_end(now, sent_at, end_of(effect));
        match effect {
            Effect::None => {}
            Effect::AccountRefused => {
                let until = Some(now + fault.wait.unwrap_or(breaker::REFUSAL_STOP));
                let why = Stopped { kind, message: message.to_owned(), until };
                let model = Arc::as_ptr(&self.model).addr();
                let refusal = account.breaker.lock().refused(call.number, model, now, why);
                changed = refusal != RefusalResult::Unchanged;
                if let RefusalResult::StopsModel(why) = refusal {
                    self.model.stop(why);
                }
            }
            Effect::Refused { .. } => {
                if let Some(wait) = fault.wait.filter(|wait| *wait > account.max_pause) {
                    let why = Stopped { kind, message: message.to_owned(), until: Some(now + wait) };
                    tracing::warn!(
                        provider = account.provider.name(),
                        ?wait,
                        "stopped: the pause is too long"
                    );
                    self.model.stop(why);
                    changed = true;
                }
            }
            Effect::Overloaded => {
                changed |= self.model.failed(failed_call);
                // An account that finds its concurrency by itself has reacted already.
                if !account.finds_concurrency() {
                    self.model.overloaded(call.sent_at, now);
                }
            }
            // When nothing comes back from the origin, a call that hangs says nothing about the model.
            Effect::Failed if hung && account.reach.is_unresponsive() => {}
            Effect::Failed => changed |= self.model.failed(failed_call),
            Effect::Unreachable { can_heal } => {
                let given_up = account.reach.failed(failed_call, can_heal);
                if let Some(given_up) = given_up {
                    let (address, lasted) = (&account.address, given_up.lasted.as_secs_f64());
                    let message = format!(
                        "{address} was not reached in {lasted:.1} s, in {} tries; last: {message}",
                        given_up.tries
                    );
                    account.stop(ErrorKind::Connection, message, Some(now + UNREACHABLE_STOP));
                }
            }
        }
        if changed {
            account.notify().notify_waiters();
        }
        // Last, because giving back quota wakes the next request.
        match settle {
            Settle::Refund if matches!(effect, Effect::Refused { parallel: false, .. }) => charge.refused(),
            Settle::Refund => charge.refund(),
            Settle::RequestOnly => charge.settle(outbound_limiter::Cost::request()),
            Settle::Keep => charge.keep_estimate(),
        }
    }
}

/// What a failed call means for the concurrency.
fn end_of(effect: Effect) -> End {
    match effect {
        Effect::Overloaded => End::Overloaded,
        Effect::Failed => End::Failed,
        _ => End::Abandoned,
    }
}

/// A failed attempt, as its scope sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScopeFailure<'a> {
    pub(crate) effect: Effect,
    pub(crate) settle: Settle,
    pub(crate) fault: &'a Fault,
    pub(crate) signals: &'a Signals,
    pub(crate) message: &'a str,
    pub(crate) kind: ErrorKind,
    /// A reply came back.
    pub(crate) replied: bool,
    pub(crate) now: Instant,
}

impl ScopePermit<'_> {
    /// Whether it probes the origin.
    pub(crate) fn probes_reach(&self) -> bool {
        self.probes_reach
    }

    /// Whether other requests wait for the result of this one: it is a probe or a witness.
    pub(crate) fn is_probe_or_witness(&self) -> bool {
        self.probes_reach || self.probes_model || self.witness
    }

    /// The request is sent.
    pub(crate) fn sent(&mut self, request: u64, sent_at: Instant, jitter: f64) -> Call {
        self.witness = false;
        let number = self.scope.account.breaker.lock().sent();
        self.scope.account.call_began(sent_at);
        self.call = Some((number, sent_at));
        self.in_flight = true;
        Call { number, request, sent_at, jitter }
    }
}

impl ScopePermit<'_> {
    /// The call has ended, and its result was reported to the scope.
    pub(crate) fn ended(&mut self) {
        self.in_flight = false;
    }
}

impl Drop for ScopePermit<'_> {
    fn drop(&mut self) {
        let account = &self.scope.account;
        if self.probes_reach {
            account.reach.probe_ended(self.call.is_some(), Instant::now());
        }
        if self.probes_model {
            self.scope.model.probe_ended();
        }
        let mut breaker = account.breaker.lock();
        if self.witness {
            breaker.witness_withdrawn();
        }
        let may_lift = self.call.is_some_and(|(call, _)| breaker.ended(call));
        drop(breaker);
        if let Some((_, sent_at)) = self.call {
            account.call_ended(sent_at);
            if self.in_flight {
                account.record_call_end(Instant::now(), sent_at, End::Abandoned);
            }
        }
        if self.is_probe_or_witness() || may_lift {
            account.notify().notify_waiters();
        }
    }
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
