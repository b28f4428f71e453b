//! An origin and a key: what one request learns here, all of them know.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use http::HeaderMap;
use outbound_client::{Client, Secret};
use outbound_limiter::{Charge, QuotaLimiter};
use outbound_provider::{Auth, Class, Fault, Provider, Signals, Usage};
use outbound_retry::Budget;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, futures::Notified},
    time::Instant,
};

use super::{
    super::{
        error::{BuildError, ErrorKind},
        judge::{Effect, Settle},
        observe::Waiting,
        settings::Settings,
    },
    config::{Endpoint, ModelLimits},
    health::{Admission, FailedCall},
    model::Model,
    quota,
    reach::Reach,
    sharing::{Owner, Sharing},
    stop::{Leave, Standing, Stopped},
};

/// So many models are kept. The one least used is forgotten, with what was learnt of it.
const MODELS: usize = 64;

/// Gateways have been seen to add more than a hundred header fields of their own.
const HEADER_FIELDS: usize = 256;

/// How long an origin is left alone that was never reached. Then it is tried again, as long as before.
const LEFT_ALONE: Duration = Duration::from_secs(30);

/// How long a refusal closes the gate whose body is still to come.
const UNTIL_THE_BODY: Duration = Duration::from_secs(2);

/// An endpoint at work.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) name: Option<String>,
    pub(crate) provider: Provider,
    pub(crate) client: Client,
    pub(crate) headers: HeaderMap,
    pub(crate) max_concurrent: usize,
    key: Option<Secret>,
    /// For messages: the address, without anything secret.
    address: String,
    max_pause: Duration,
    reach: Arc<Reach>,
    quota: QuotaLimiter,
    sharing: Mutex<Sharing>,
    standing: Mutex<Standing>,
    budget: Budget,
    limits_of_models: Vec<(String, ModelLimits)>,
    apart: Mutex<Apart>,
    /// Whether somebody looks for a silence.
    pub(super) watched: AtomicBool,
    /// Most recently used first.
    models: Mutex<Vec<Arc<Model>>>,
}

/// Calls that hang since an outage began, as those on a connection that died without a word do until their own limits end
/// them. They are counted apart from those that may be in flight, so that they do not stand in the way of a probe, nor of
/// the full rate afterwards.
#[derive(Debug, Default)]
struct Apart {
    since: Option<Instant>,
    calls: usize,
}

/// The scope of one request: an account and a model.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) account: Arc<Account>,
    pub(crate) model: Arc<Model>,
}

/// Whether a request may go.
#[derive(Debug)]
pub(crate) enum Ask<'a> {
    Go(Pass<'a>),
    /// Not before this instant, unless something changes.
    Wait(Waiting, Instant),
    Stopped(Stopped),
}

/// What a request that may go is besides itself. Dropping it says that the request has ended, or goes not after all.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    scope: &'a Scope,
    probes_reach: bool,
    probes_model: bool,
    /// It was let go while the account is held, and has no number yet.
    witness: bool,
    /// The number of its call, once it is sent, and when that was.
    call: Option<(u64, Instant)>,
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
    pub(crate) spread: f64,
}

impl Account {
    pub(crate) fn build(
        name: Option<String>,
        endpoint: Endpoint,
        settings: &Settings,
        reach: impl FnOnce(&str) -> Arc<Reach>,
    ) -> Result<Self, BuildError> {
        let provider = endpoint.provider;
        let base_url = endpoint.base_url.as_deref().or(provider.base_url()).ok_or_else(|| {
            let name = provider.name();
            BuildError::new(format!("the provider {name} has no address of its own: give a base_url"))
        })?;
        if endpoint.max_concurrent > Endpoint::MOST_CONCURRENT {
            let (asked, most) = (endpoint.max_concurrent, Endpoint::MOST_CONCURRENT);
            return Err(BuildError::new(format!("{asked} requests at once are more than {most}")));
        }
        let client = endpoint.client.unwrap_or_else(|| Client::builder().max_header_fields(HEADER_FIELDS));
        let mut client = client.base_url(base_url);
        if let Some(key) = &endpoint.key {
            client = match provider.auth() {
                Auth::Bearer => client.bearer_auth(key.clone()),
                Auth::Header(name) => client.auth(name, key.clone()),
            };
        }
        let mut headers = HeaderMap::new();
        for (name, value) in provider.default_headers() {
            headers.insert(*name, http::HeaderValue::from_static(value));
        }
        headers.extend(endpoint.headers);
        let quota = endpoint.limits.quota(Some(endpoint.max_concurrent), provider.charging());
        let client = client.build().map_err(BuildError::of)?;
        let origin = client.get("").origin().map(ToString::to_string).unwrap_or_default();
        Ok(Self {
            name,
            provider,
            client,
            headers,
            max_concurrent: endpoint.max_concurrent,
            key: endpoint.key,
            reach: reach(&origin),
            address: origin,
            max_pause: settings.max_pause,
            quota: quota.build().map_err(BuildError::of)?,
            sharing: Mutex::default(),
            standing: Mutex::default(),
            budget: Budget::percent(10),
            limits_of_models: endpoint.models,
            apart: Mutex::default(),
            watched: AtomicBool::new(false),
            models: Mutex::default(),
        })
    }

    /// The scope of requests for a model.
    pub(crate) fn scope(self: &Arc<Self>, model: Option<&str>) -> Scope {
        let mut models = self.models.lock();
        let model = match models.iter().position(|known| known.name.as_deref() == model) {
            Some(0) => Arc::clone(&models[0]),
            Some(place) => {
                models[..=place].rotate_right(1);
                Arc::clone(&models[0])
            }
            None => {
                let made = Arc::new(self.new_model(model));
                models.insert(0, Arc::clone(&made));
                // One that is in use stays, though its place is gone: its requests end with what they know.
                models.truncate(MODELS);
                made
            }
        };
        Scope { account: Arc::clone(self), model }
    }

    fn new_model(&self, name: Option<&str>) -> Model {
        let told = self.limits_of_models.iter().find(|(of, _)| Some(of.as_str()) == name);
        let limits = told.map(|(_, limits)| *limits).unwrap_or_default();
        let charging = self.provider.charging();
        let below = limits.quota(limits.max_concurrent, charging).under(&self.quota);
        // Checked when the account was built: nothing in it can be wrong now.
        let quota = below.build().unwrap_or_else(|_| self.quota.clone());
        Model::new(name.map(Into::into), quota, limits.max_concurrent, self.max_concurrent)
    }

    /// Cut out of what is shown: the key in all its forms.
    pub(crate) fn redact(&self, text: String) -> String {
        match &self.key {
            Some(key) => key.redact(&text).into_owned(),
            None => text,
        }
    }

    pub(crate) fn redact_body(&self, body: bytes::Bytes) -> bytes::Bytes {
        match &self.key {
            Some(key) => match key.redact_bytes(&body) {
                std::borrow::Cow::Borrowed(_) => body,
                std::borrow::Cow::Owned(clean) => clean.into(),
            },
            None => body,
        }
    }

    /// Told whenever something changes that those who wait may want to know.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.reach.changed.notified()
    }

    pub(crate) fn notify(&self) -> &Notify {
        &self.reach.changed
    }

    /// Why nothing is sent with this key.
    pub(crate) fn stopped(&self, now: Instant) -> Option<Stopped> {
        self.standing.lock().stopped(now).cloned()
    }

    /// Lifts every stop and hold, and forgets outages.
    pub(crate) fn resume(&self, now: Instant) {
        self.standing.lock().resume();
        self.models.lock().iter().for_each(|model| {
            model.resume();
            model.quota.open_gate(now);
        });
        self.reach.resume();
    }

    /// Lets nobody wait for a limit any more.
    pub(crate) fn close(&self) {
        self.quota.close();
        self.reach.changed.notify_waiters();
    }

    /// Whether a retry may be paid for now.
    pub(crate) fn pay_for_retry(&self) -> bool {
        self.budget.try_withdraw()
    }

    /// How many calls are under way.
    pub(super) fn in_flight(&self) -> usize {
        self.quota.snapshot().in_flight
    }

    pub(super) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// The calls that are under way in an outage hang: others may go beside them.
    fn count_apart(&self) {
        let since = self.reach.down_since();
        let mut apart = self.apart.lock();
        if since.is_some() && apart.since != since {
            *apart = Apart { since, calls: self.in_flight() };
            self.quota.set_max_concurrent(Some(self.max_concurrent.saturating_add(apart.calls)));
        }
    }

    fn hung_call_ended(&self, sent_at: Instant) {
        let mut apart = self.apart.lock();
        if apart.calls > 0 && apart.since.is_some_and(|since| sent_at < since) {
            apart.calls -= 1;
            self.quota.set_max_concurrent(Some(self.max_concurrent.saturating_add(apart.calls)));
        }
    }

    fn stop(&self, kind: ErrorKind, message: String, until: Option<Instant>) {
        tracing::warn!(provider = self.provider.name(), %message, "stopped: nothing more is sent");
        self.standing.lock().stop(Stopped { kind, message, until });
        self.reach.changed.notify_waiters();
    }
}

impl Scope {
    /// Whether a request may go now.
    pub(crate) fn ask(&self, now: Instant) -> Ask<'_> {
        // First whether all agree, and only then is anybody elected. One who was elected and has to wait after all would
        // give that back, which wakes those who wait, itself among them, and so on without a pause.
        let reach = self.account.reach.look(now);
        if reach != Admission::Go {
            self.account.count_apart();
        }
        if let Admission::Wait(until) = reach {
            return Ask::Wait(Waiting::Outage, until);
        }
        match self.model.look(now) {
            Ok(Admission::Wait(until)) => return Ask::Wait(Waiting::Outage, until),
            Ok(_) => {}
            Err(why) => return Ask::Stopped(why),
        }
        let mut pass =
            Pass { scope: self, probes_reach: false, probes_model: false, witness: false, call: None };
        let mut standing = self.account.standing.lock();
        match standing.ask(now) {
            Leave::Go => pass.witness = standing.is_held(),
            Leave::Wait(until) => return Ask::Wait(Waiting::Account, until),
            Leave::Stopped(why) => return Ask::Stopped(why),
        }
        drop(standing);
        // Another may have been elected since.
        match self.account.reach.admit(now) {
            Admission::Go => {}
            Admission::Probe => pass.probes_reach = true,
            Admission::Wait(until) => return Ask::Wait(Waiting::Outage, until),
        }
        match self.model.admit(now) {
            Admission::Go => {}
            Admission::Probe => pass.probes_model = true,
            Admission::Wait(until) => return Ask::Wait(Waiting::Outage, until),
        }
        Ask::Go(pass)
    }

    /// Why nothing is sent in this scope now.
    pub(crate) fn stopped(&self, now: Instant) -> Option<Stopped> {
        self.account.stopped(now).or_else(|| self.model.stopped(now))
    }

    /// A reply that is an answer.
    pub(crate) fn succeeded(&self, call: Call, signals: &Signals, usage: Option<Usage>, charge: Charge) {
        let account = &*self.account;
        let now = Instant::now();
        self.observe(now, signals, quota::signals(call.sent_at, signals), call.sent_at);
        match usage {
            Some(usage) => charge.settle(quota::cost(&account.provider, usage)),
            // Nobody said what it took: the estimate stands.
            None => charge.keep_estimate(),
        }
        account.budget.deposit();
        let reached = account.reach.replied(call.sent_at, now);
        let ends = self.model.succeeded(call.sent_at);
        let lifts = account.standing.lock().succeeded(call.number);
        if reached || ends || lifts {
            account.notify().notify_waiters();
        }
    }

    /// What a reply says about limits goes to the quota that they belong to.
    fn observe(&self, now: Instant, told: &Signals, signals: outbound_limiter::Signals, sent_at: Instant) {
        let account = &*self.account;
        let (owner, parts) = account.sharing.lock().note(Arc::as_ptr(&self.model).addr(), sent_at, told);
        if parts {
            tracing::debug!("the models of the account have limits of their own");
            account.quota.forget_readings(now);
        }
        match owner {
            Owner::Model => self.model.quota.observe(now, &signals),
            Owner::Account => {
                account.quota.observe(now, &signals.only_limits());
                self.model.quota.observe(now, &signals.only_gate());
            }
        }
    }

    /// The head of an error status, whose body is still to come: others need not run into the same.
    pub(crate) fn refused_by_head(&self, fault: &Fault, now: Instant) {
        if matches!(fault.class, Class::RateLimited | Class::RampLimited) {
            let wait = fault.wait.unwrap_or(UNTIL_THE_BODY).min(self.account.max_pause);
            self.model.quota.close_gate_until(now, now + wait);
        }
    }

    /// A failed attempt: what it means for all, and what becomes of its quota.
    pub(crate) fn failed(&self, call: Call, failed: &Failed<'_>, charge: Charge) {
        let account = &*self.account;
        let Failed { effect, settle, fault, signals, message, kind, now, .. } = *failed;
        let (told, mut signals) = (signals, quota::signals(call.sent_at, signals));
        if let Effect::Refused { ramp, parallel } = effect {
            signals = if ramp { signals.ramp(fault.wait) } else { signals.refused(fault.wait) };
            if parallel {
                signals = signals.parallel();
            }
        }
        if failed.replied {
            account.reach.replied(call.sent_at, now);
        }
        self.observe(now, told, signals, call.sent_at);
        let Call { request, sent_at, spread, .. } = call;
        let failed_call = FailedCall { request, sent_at, now, spread, hint: fault.wait };
        let mut changed = false;
        match effect {
            Effect::None => {}
            Effect::Account => {
                let until = fault.wait.map(|wait| now + wait);
                let why = Stopped { kind, message: message.to_owned(), until };
                changed = account.standing.lock().refused(call.number, now, why);
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
                self.model.overloaded(call.sent_at, now);
            }
            Effect::Failed => changed |= self.model.failed(failed_call),
            Effect::Unreachable { heals } => {
                let given_up = account.reach.failed(failed_call, heals);
                if let Some(given_up) = given_up {
                    let (address, lasted) = (&account.address, given_up.lasted.as_secs_f64());
                    let message = format!(
                        "{address} was not reached in {lasted:.1} s, in {} tries; last: {message}",
                        given_up.tries
                    );
                    account.stop(ErrorKind::Connection, message, Some(now + LEFT_ALONE));
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

/// A failed attempt in its scope's terms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed<'a> {
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

impl Pass<'_> {
    /// Whether it looks whether the origin can be reached again.
    pub(crate) fn probes_reach(&self) -> bool {
        self.probes_reach
    }

    /// Whether others wait for what becomes of this one: it is a probe or a witness.
    pub(crate) fn is_elected(&self) -> bool {
        self.probes_reach || self.probes_model || self.witness
    }

    /// The request goes out.
    pub(crate) fn sent(&mut self, request: u64, sent_at: Instant, spread: f64) -> Call {
        self.witness = false;
        let number = self.scope.account.standing.lock().sent();
        self.call = Some((number, sent_at));
        Call { number, request, sent_at, spread }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let account = &self.scope.account;
        if self.probes_reach {
            account.reach.probe_ended();
        }
        if self.probes_model {
            self.scope.model.probe_ended();
        }
        let mut standing = account.standing.lock();
        if self.witness {
            standing.withdrawn();
        }
        let may_lift = self.call.is_some_and(|(call, _)| standing.ended(call));
        drop(standing);
        if let Some((_, sent_at)) = self.call {
            account.hung_call_ended(sent_at);
        }
        if self.is_elected() || may_lift {
            account.notify().notify_waiters();
        }
    }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
