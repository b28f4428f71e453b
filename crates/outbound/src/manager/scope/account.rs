//! An account: an origin and a key. Its requests share everything that is learnt here.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderValue, header::ACCEPT_ENCODING};
use outbound_client::{Client, Origin, Redirects, Secret};
use outbound_limiter::{AutoConcurrency, End, QuotaLimiter};
use outbound_provider::{Auth, Provider};
use outbound_retry::Budget;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, futures::Notified},
    time::Instant,
};

use super::{
    super::{
        error::{BuildError, ErrorKind},
        settings::Settings,
        shared_quota::{SharedQuota, account_name},
    },
    breaker::Breaker,
    endpoint::{Endpoint, ModelLimits, default_client},
    model::Model,
    reachability::Reachability,
    sharing::Sharing,
    stopped::Stopped,
};

/// How many models an account keeps. The least recently used one is forgotten, with all that was learnt about it.
pub(super) const MODELS: usize = 64;

/// How many hung probes may be in flight in addition to `max_concurrent` other hung calls. The bound holds however
/// often a server falls silent.
const MAX_HUNG_PROBES: usize = 16;

/// An account in use: its client, its limits and its state.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) provider: Provider,
    pub(crate) client: Client,
    pub(crate) headers: HeaderMap,
    max_concurrent: AtomicUsize,
    /// Set if the account finds its concurrency by itself. The number is the highest that it tries.
    auto: Option<(Mutex<AutoConcurrency>, usize)>,
    weight: NonZeroU32,
    key: Option<Secret>,
    pub(crate) origin: Option<Origin>,
    /// The address for messages, without secrets.
    pub(crate) address: String,
    /// The address that paths are relative to.
    pub(crate) base_url: String,
    pub(super) max_pause: Duration,
    pub(crate) reach: Arc<Reachability>,
    pub(crate) quota: QuotaLimiter,
    /// Its limits, as far as they are shared with other processes.
    pub(crate) shared: Option<SharedQuota>,
    pub(super) sharing: Mutex<Sharing>,
    pub(super) breaker: Mutex<Breaker>,
    pub(super) budget: Budget,
    limits_of_models: Vec<(String, ModelLimits)>,
    hung_calls: Mutex<HungCalls>,
    /// Whether a task watches for silence.
    pub(super) watched: AtomicBool,
    /// Most recently used first.
    pub(crate) models: Mutex<Vec<Arc<Model>>>,
}

/// Calls that hang since an outage began, as on a connection that died without notice. They end only by their own
/// timeouts. They do not count against the concurrency limit, so that they block neither a probe nor the full rate
/// after the outage.
#[derive(Debug, Default)]
struct HungCalls {
    sent_before: Option<Instant>,
    calls: usize,
}

impl HungCalls {
    /// Whether a call that was sent at `sent_at` is one of them.
    fn counts(&self, sent_at: Instant) -> bool {
        self.calls > 0 && self.sent_before.is_some_and(|hung_before| sent_at < hung_before)
    }
}

impl Account {
    pub(crate) fn build(
        endpoint: Endpoint,
        settings: &Settings,
        reach: impl FnOnce(&str) -> Arc<Reachability>,
    ) -> Result<Self, BuildError> {
        let provider = endpoint.provider;
        let base_url = endpoint.base_url.as_deref().or(provider.base_url()).ok_or_else(|| {
            let name = provider.name();
            BuildError::new(format!("the provider {name} has no address of its own: give a base_url"))
        })?;
        if endpoint.max_concurrent > Endpoint::CONCURRENCY_CEILING {
            let (asked, most) = (endpoint.max_concurrent, Endpoint::CONCURRENCY_CEILING);
            return Err(BuildError::new(format!("{asked} requests at once are more than {most}")));
        }
        let client = endpoint.client.unwrap_or_else(default_client);
        // A redirect means that the address is wrong, so the user gets an error. No coding is asked for: a body that
        // has one all the same is decoded where it is read, because some bodies only claim to have one.
        let base_url = base_url.to_owned();
        let mut client = client
            .base_url(base_url.as_str())
            .redirects(Redirects::none())
            .default_header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(key) = &endpoint.key {
            client = match provider.auth() {
                Auth::Bearer => client.bearer_auth(key.clone()),
                Auth::Header(name) => client.auth(name, key.clone()),
            };
        }
        let mut headers = HeaderMap::new();
        for (name, value) in provider.default_headers() {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        headers.extend(endpoint.headers);
        let most = endpoint.max_concurrent;
        let auto = endpoint.auto_concurrency.then(|| AutoConcurrency::new(1, most));
        let max_concurrent = auto.as_ref().map_or(most, AutoConcurrency::limit);
        let quota = endpoint.limits.quota(Some(max_concurrent), provider.charging());
        let client = client.build().map_err(BuildError::of)?;
        let origin = client.get("").origin().cloned();
        let address = origin.as_ref().map(ToString::to_string).unwrap_or_default();
        let quota = quota.build().map_err(BuildError::of)?;
        let shared = settings.quota_store.as_ref().map(|store| {
            let name = account_name(provider.name(), &address, endpoint.key.as_ref().map(Secret::expose));
            SharedQuota::new(Arc::clone(store), name, quota.clone(), None)
        });
        Ok(Self {
            provider,
            client,
            headers,
            max_concurrent: AtomicUsize::new(max_concurrent),
            auto: auto.map(|auto| (Mutex::new(auto), most)),
            weight: endpoint.weight,
            key: endpoint.key,
            reach: reach(&address),
            origin,
            address,
            base_url,
            max_pause: settings.max_pause,
            quota,
            shared,
            sharing: Mutex::default(),
            breaker: Mutex::default(),
            budget: Budget::percent(10),
            limits_of_models: endpoint.models,
            hung_calls: Mutex::default(),
            watched: AtomicBool::new(false),
            models: Mutex::default(),
        })
    }

    /// A model of the account. `None` stands for requests that name no model.
    pub(super) fn model(&self, model: Option<&str>) -> Arc<Model> {
        let mut models = self.models.lock();
        match models.iter().position(|known| known.name.as_deref() == model) {
            Some(0) => Arc::clone(&models[0]),
            Some(index) => {
                models[..=index].rotate_right(1);
                Arc::clone(&models[0])
            }
            None => {
                let made = Arc::new(self.new_model(model));
                models.insert(0, Arc::clone(&made));
                // A model that is removed while in use stays alive until its requests have ended.
                models.truncate(MODELS);
                made
            }
        }
    }

    fn new_model(&self, name: Option<&str>) -> Model {
        let configured = self.limits_of_models.iter().find(|(of, _)| Some(of.as_str()) == name);
        let limits = configured.map(|(_, limits)| *limits).unwrap_or_default();
        let charging = self.provider.charging();
        let below = limits.quota(limits.max_concurrent, charging).under(&self.quota);
        // The limits were checked when the account was built, so this cannot fail.
        let quota = below.build().unwrap_or_else(|_| self.quota.clone());
        let mut model =
            Model::new(name.map(Into::into), quota, limits.max_concurrent, self.concurrency_ceiling());
        if let Some(shared) = &self.shared {
            let scope = format!("{} {}", shared.name(), name.unwrap_or("-"));
            let store = Arc::clone(shared.store());
            let shared = SharedQuota::new(store, scope, model.quota.clone(), Some(shared));
            shared.start();
            model.shared = Some(shared);
        }
        let has_limits =
            [&self.quota, &model.quota].iter().any(|quota| !quota.snapshot().dimensions.is_empty());
        if has_limits || self.auto.is_some() { model } else { model.starting_slowly() }
    }

    /// Removes the key, in all its forms, from a text that is shown.
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

    /// Notified whenever a change may matter to waiting requests.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.reach.changed.notified()
    }

    pub(crate) fn notify(&self) -> &Notify {
        &self.reach.changed
    }

    /// Why nothing is sent with this key, if it is stopped.
    pub(crate) fn stopped(&self, now: Instant) -> Option<Stopped> {
        self.breaker.lock().stopped(now).cloned()
    }

    /// Lifts every stop and hold, and forgets outages.
    pub(crate) fn resume(&self, now: Instant) {
        self.breaker.lock().resume();
        self.models.lock().iter().for_each(|model| {
            model.resume();
            model.quota.open_gate(now);
        });
        if self.shared.is_some() {
            // A refusal that another process has heard may have closed it.
            self.quota.open_gate(now);
        }
        self.reach.resume();
    }

    /// Forgets what replies reported about limits, for the account and its models.
    pub(super) fn forget_readings(&self, now: Instant) {
        self.quota.forget_readings(now);
        self.models.lock().iter().for_each(|model| model.quota.forget_readings(now));
    }

    /// Ends every wait for a limit.
    pub(crate) fn close(&self) {
        self.quota.close();
        self.reach.changed.notify_waiters();
    }

    /// Gives back what is in hand of limits that are shared with other processes.
    pub(crate) fn end_sharing(&self) {
        self.shared.iter().for_each(SharedQuota::end);
        self.models.lock().iter().filter_map(|model| model.shared.as_ref()).for_each(SharedQuota::end);
    }

    /// As [`end_sharing`](Self::end_sharing), and waits for it.
    pub(crate) async fn sharing_ended(&self) {
        if let Some(shared) = &self.shared {
            self.end_sharing();
            let models = self.models.lock().clone();
            let models = models.iter().filter_map(|model| model.shared.as_ref());
            futures::future::join_all(models.chain([shared]).map(SharedQuota::ended)).await;
        }
    }

    /// Takes an extra call from the retry budget. `false`: the budget is empty.
    pub(crate) fn pay_for_retry(&self) -> bool {
        self.budget.try_withdraw()
    }

    /// How many calls may be in flight now.
    pub(crate) fn max_concurrent(&self) -> usize {
        self.max_concurrent.load(Ordering::Relaxed)
    }

    /// How many calls may be in flight at most, at any time.
    pub(crate) fn concurrency_ceiling(&self) -> usize {
        self.auto.as_ref().map_or_else(|| self.max_concurrent(), |(_, most)| *most)
    }

    /// Whether the account finds its concurrency by itself.
    pub(super) fn finds_concurrency(&self) -> bool {
        self.auto.is_some()
    }

    /// A call is sent.
    pub(super) fn call_began(&self, now: Instant) {
        if let Some((auto, _)) = &self.auto {
            auto.lock().started(now, self.in_flight());
        }
    }

    /// A call has ended: adjusts the concurrency, if the account finds it by itself.
    pub(super) fn record_call_end(&self, now: Instant, sent_at: Instant, end: End) {
        let Some((auto, _)) = &self.auto else { return };
        let limit = auto.lock().ended(now, sent_at, end);
        if let Some(limit) = limit {
            self.set_limits(&ModelLimits::new().max_concurrent(limit));
        }
    }

    /// Changes the limits that are set in `limits`.
    pub(crate) fn set_limits(&self, limits: &ModelLimits) {
        if let Some(requests) = limits.max_concurrent {
            self.max_concurrent.store(requests.min(Endpoint::CONCURRENCY_CEILING), Ordering::Relaxed);
            let mut hung = self.hung_calls.lock();
            let calls = hung.calls;
            self.set_hung_calls(&mut hung, calls);
        }
        for (dimension, limit) in limits.per_minute() {
            self.quota.set_limit(dimension, Some(limit));
        }
        self.shared.iter().for_each(SharedQuota::limits_changed);
    }

    /// The calls in flight, divided by the weight.
    pub(crate) fn load(&self) -> f64 {
        self.in_flight() as f64 / f64::from(self.weight.get())
    }

    /// How many calls are in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.quota.in_flight()
    }

    pub(super) fn reach(&self) -> &Reachability {
        &self.reach
    }

    /// Calls that hang in an outage no longer count against the concurrency limit.
    pub(super) fn exclude_hung_calls(&self) {
        let hung_before = self.reach.hung_before();
        let mut hung = self.hung_calls.lock();
        if hung_before.is_some() && hung.sent_before != hung_before {
            hung.sent_before = hung_before;
            self.set_hung_calls(&mut hung, self.in_flight());
        }
    }

    /// A call was chosen as a probe of the origin.
    pub(super) fn probe_chosen(&self) {
        self.exclude_hung_calls();
        if self.reach.is_unresponsive() {
            // A probe needs a new connection. The server may have forgotten the connection on which other calls hang.
            drop(self.client.drain());
        }
    }

    pub(super) fn call_ended(&self, sent_at: Instant) {
        let mut hung = self.hung_calls.lock();
        if hung.counts(sent_at) {
            let calls = hung.calls - 1;
            self.set_hung_calls(&mut hung, calls);
        }
    }

    /// A part of a reply has come.
    pub(super) fn note_activity(&self, sent_at: Instant, now: Instant) {
        self.forget_hung_calls(sent_at);
        self.reach.note_activity(now);
    }

    /// A reply has come. Says whether that ends an outage.
    pub(super) fn replied(&self, sent_at: Instant, now: Instant, is_answer: bool) -> bool {
        self.forget_hung_calls(sent_at);
        if is_answer { self.reach.answered(sent_at, now) } else { self.reach.replied(sent_at, now) }
    }

    fn forget_hung_calls(&self, sent_at: Instant) {
        let mut hung = self.hung_calls.lock();
        if hung.counts(sent_at) {
            // The calls were only slow, so they count as all others do.
            self.set_hung_calls(&mut hung, 0);
        }
    }

    fn set_hung_calls(&self, hung: &mut HungCalls, calls: usize) {
        hung.calls = calls.min(self.max_concurrent().saturating_add(MAX_HUNG_PROBES));
        let calls = hung.calls;
        self.quota.set_max_concurrent(Some(self.max_concurrent().saturating_add(calls)));
    }

    pub(crate) fn stop(&self, kind: ErrorKind, message: String, until: Option<Instant>) {
        tracing::warn!(provider = self.provider.name(), %message, "stopped: nothing more is sent");
        self.breaker.lock().stop(Stopped { kind, message, until });
        self.reach.changed.notify_waiters();
    }
}
