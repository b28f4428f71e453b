//! One request in its scope: whether it may go, and what its call teaches all who share the scope.

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

/// How long an origin is left alone that was never reached. Then it is tried again, as long as before.
const UNREACHABLE_STOP: Duration = Duration::from_secs(30);

/// How long a refusal closes the gate whose body is still to come.
const GATE_UNTIL_BODY: Duration = Duration::from_secs(2);

/// The scope of one request: an account and a model.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) account: Arc<Account>,
    pub(crate) model: Arc<Model>,
}

/// Whether a request may go.
#[derive(Debug)]
pub(crate) enum ScopeDecision<'a> {
    Go(ScopePermit<'a>),
    /// Not before this instant, unless something changes.
    Wait(Waiting, Instant),
    Stopped(Stopped),
}

/// What a request that may go is besides itself. Dropping it says that the request has ended, or goes not after all.
#[derive(Debug)]
pub(crate) struct ScopePermit<'a> {
    scope: &'a Scope,
    probes_reach: bool,
    probes_model: bool,
    /// It was let go while the account is held, and has no number yet.
    witness: bool,
    /// The number of its call, once it is sent, and when that was.
    call: Option<(u64, Instant)>,
    /// Its call is under way.
    under_way: bool,
}

/// A call under way, as its scope knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// Its number in the account.
    number: u64,
    /// The number of its request in the manager.
    pub(crate) request: u64,
    pub(crate) sent_at: Instant,
    /// Between 0 and 1, of the request's own.
    pub(crate) jitter: f64,
}

impl Scope {
    /// The scope of requests for a model.
    pub(crate) fn of(account: &Arc<Account>, model: Option<&str>) -> Self {
        Self { account: Arc::clone(account), model: account.model(model) }
    }

    /// Whether a request may go now.
    pub(crate) fn admit(&self, now: Instant) -> ScopeDecision<'_> {
        // First whether all agree, and only then is anybody elected. One who was elected and has to wait after all would
        // give that back, which wakes those who wait, itself among them, and so on without a pause.
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
            under_way: false,
        };
        let mut breaker = self.account.breaker.lock();
        match breaker.decide(now) {
            AccountDecision::Go => permit.witness = breaker.is_held(),
            AccountDecision::Wait(until) => return ScopeDecision::Wait(Waiting::Account, until),
            AccountDecision::Stopped(why) => return ScopeDecision::Stopped(why),
        }
        drop(breaker);
        // Another may have been elected since.
        match self.account.reach.admit(now) {
            ProbeDecision::Go => {}
            ProbeDecision::Probe => {
                permit.probes_reach = true;
                self.account.probe_elected();
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

    /// Why nothing is sent in this scope now.
    pub(crate) fn stopped(&self, now: Instant) -> Option<Stopped> {
        self.account.stopped(now).or_else(|| self.model.stopped(now))
    }

    /// How long it has been out; nothing if it is not.
    pub(crate) fn down_for(&self, now: Instant) -> Duration {
        let since = self.account.reach.out_since().or(self.model.down_since());
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Whether nothing but the limits keeps a request from going now.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.account.reach.peek(now) == ProbeDecision::Go
            && matches!(self.model.peek(now), Ok(ProbeDecision::Go))
            && self.account.stopped(now).is_none()
            && self.model.quota.gate_closed_until(now).is_none()
    }

    /// A reply that is an answer.
    pub(crate) fn succeeded(&self, call: Call, signals: &Signals, usage: Option<Usage>, charge: Charge) {
        let account = &*self.account;
        let now = Instant::now();
        self.observe(now, signals, quota::observation(call.sent_at, signals), call.sent_at);
        match usage {
            Some(usage) => charge.settle(quota::cost(&account.provider, usage)),
            // Nobody said what it took: the estimate stands.
            None => charge.keep_estimate(),
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

    /// What a reply says about limits goes to the quota that they belong to.
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
            tracing::debug!(?owner, "whose limits replies tell is seen otherwise");
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

    /// A piece of a stream has come, of a call that was sent then.
    pub(crate) fn heard(&self, sent_at: Instant) {
        self.account.heard(sent_at, Instant::now());
    }

    /// The head of an error status, whose body is still to come: others need not run into the same.
    pub(crate) fn refused_by_head(&self, fault: &Fault, now: Instant) {
        if matches!(fault.class, Class::RateLimited | Class::RampLimited) {
            let wait = fault.wait.unwrap_or(GATE_UNTIL_BODY).min(self.account.max_pause);
            self.model.quota.close_gate_until(now, now + wait);
        }
    }

    /// A failed attempt: what it means for all, and what becomes of its quota.
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
            // A connection that breaks is not silent.
            account.heard(call.sent_at, now);
        }
        self.observe(now, signals, observation, call.sent_at);
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
                // Where it is found out by itself how many may be under way, that is not done twice.
                if !account.finds_concurrency() {
                    self.model.overloaded(call.sent_at, now);
                }
            }
            // What hangs with all others is no news of the model.
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
        // Only now: giving the place back lets the next one through.
        match settle {
            Settle::Refund => charge.refund(),
            Settle::RequestOnly => charge.settle(outbound_limiter::Cost::request()),
            Settle::Keep => charge.keep_estimate(),
        }
    }
}

/// What a failed call says of how many may be under way.
fn end_of(effect: Effect) -> End {
    match effect {
        Effect::Overloaded => End::Overloaded,
        Effect::Failed => End::Failed,
        _ => End::Abandoned,
    }
}

/// A failed attempt in its scope's terms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScopeFailure<'a> {
    pub(crate) effect: Effect,
    pub(crate) settle: Settle,
    pub(crate) fault: &'a Fault,
    pub(crate) signals: &'a Signals,
    pub(crate) message: &'a str,
    pub(crate) kind: ErrorKind,
    /// Something came back.
    pub(crate) replied: bool,
    pub(crate) now: Instant,
}

impl ScopePermit<'_> {
    /// Whether it looks whether the origin can be reached again.
    pub(crate) fn probes_reach(&self) -> bool {
        self.probes_reach
    }

    /// Whether others wait for what becomes of this one: it is a probe or a witness.
    pub(crate) fn is_probe_or_witness(&self) -> bool {
        self.probes_reach || self.probes_model || self.witness
    }

    /// The request goes out.
    pub(crate) fn sent(&mut self, request: u64, sent_at: Instant, jitter: f64) -> Call {
        self.witness = false;
        let number = self.scope.account.breaker.lock().sent();
        self.scope.account.call_began(sent_at);
        self.call = Some((number, sent_at));
        self.under_way = true;
        Call { number, request, sent_at, jitter }
    }
}

impl ScopePermit<'_> {
    /// Its call has ended, and its scope is told how.
    pub(crate) fn ended(&mut self) {
        self.under_way = false;
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
            if self.under_way {
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
