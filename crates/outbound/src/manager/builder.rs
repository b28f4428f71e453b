//! The builder of a manager.

use std::{
    collections::BTreeMap,
    fmt,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, SystemTime},
};

use outbound_client::{ClientBuilder, Secret};
use outbound_provider::Provider;

use super::{
    admission::MAX_ENDPOINTS_PER_NAME,
    cache::ResponseCache,
    error::BuildError,
    guarded_observer::GuardedObserver,
    hedging::Hedging,
    inner::{Accounts, Inner},
    money::{Money, Prices},
    observe::Observer,
    route::Route,
    scope::{Account, Endpoint, Reachability},
    send_log::SendLog,
    settings::Settings,
};

mod quota_store;

/// Builds a [`RequestManager`](super::RequestManager). Made by [`RequestManager::builder`](super::RequestManager::builder).
///
/// | | default |
/// |---|---|
/// | `provider` | [`Provider::openai`] |
/// | `base_url`, `key`, `max_concurrent`, limits per minute | those of [`Endpoint`] |
/// | `deadline` | 30 minutes |
/// | `attempt_timeout` | 5 minutes |
/// | `first_item_timeout` | 60 seconds |
/// | `idle_timeout` | 60 seconds |
/// | `connect_timeout` | 10 seconds |
/// | `unreachable_timeout` | 30 seconds |
/// | `max_pause` | 15 minutes |
/// | `max_attempts` | 5 |
/// | `retry_ambiguous` | yes |
/// | `stop_after_equal_refusals` | 20 |
/// | `fallback` | none |
/// | `prices`, `budget` | none |
/// | `coalesce` | no |
/// | `cache` | none |
/// | `hedge` | never |
/// | `observer` | none |
/// | `send_log` | none |
/// | `quota_store` | none: this process has all of its limits |
/// | `seed` | drawn at random |
/// | `wall_clock` | the system's, read once |
#[must_use = "a builder does nothing until it builds"]
pub struct RequestManagerBuilder {
    endpoint: Endpoint,
    /// Endpoints that share requests with `endpoint`.
    more: Vec<Endpoint>,
    others: BTreeMap<String, Vec<Endpoint>>,
    settings: Settings,
    observers: Vec<GuardedObserver>,
    seed: Option<u64>,
    wall_clock: Option<SystemTime>,
}

impl RequestManagerBuilder {
    pub(crate) fn new() -> Self {
        Self {
            endpoint: Endpoint::new(Provider::openai()),
            more: Vec::new(),
            others: BTreeMap::new(),
            settings: Settings::default(),
            observers: Vec::new(),
            seed: None,
            wall_clock: None,
        }
    }

    /// The provider of requests that name no other endpoint.
    pub fn provider(mut self, provider: Provider) -> Self {
        self.endpoint.provider = provider;
        self
    }

    /// See [`Endpoint::base_url`].
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint = self.endpoint.base_url(url);
        self
    }

    /// See [`Endpoint::key`].
    pub fn key(mut self, key: impl Into<Secret>) -> Self {
        self.endpoint = self.endpoint.key(key);
        self
    }

    /// See [`Endpoint::client`].
    pub fn client(mut self, client: ClientBuilder) -> Self {
        self.endpoint = self.endpoint.client(client);
        self
    }

    /// See [`Endpoint::change_client`].
    ///
    /// ```
    /// use outbound::{Provider, RequestManager};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = RequestManager::builder()
    ///     .provider(Provider::openai())
    ///     .change_client(|client| client.proxy("http://proxy.example:3128"))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn change_client(mut self, change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Self {
        self.endpoint = self.endpoint.change_client(change);
        self
    }

    /// See [`Endpoint::max_concurrent`].
    pub fn max_concurrent(mut self, requests: usize) -> Self {
        self.endpoint = self.endpoint.max_concurrent(requests);
        self
    }

    /// See [`Endpoint::auto_concurrency`].
    pub fn auto_concurrency(mut self, most: usize) -> Self {
        self.endpoint = self.endpoint.auto_concurrency(most);
        self
    }

    /// See [`Endpoint::requests_per_minute`].
    pub fn requests_per_minute(mut self, requests: u64) -> Self {
        self.endpoint = self.endpoint.requests_per_minute(requests);
        self
    }

    /// See [`Endpoint::tokens_per_minute`].
    pub fn tokens_per_minute(mut self, tokens: u64) -> Self {
        self.endpoint = self.endpoint.tokens_per_minute(tokens);
        self
    }

    /// The endpoint of requests that name no other, as a whole. It replaces all that was set for this endpoint before.
    pub fn default_endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// Another endpoint for requests that name none, with another key or at another address. Such a request is sent to
    /// the least loaded endpoint that has room.
    ///
    /// When one endpoint refuses a request for its rate, its load or its key, another one takes it at once. Each call
    /// adds one endpoint. At most 64 may share a name.
    ///
    /// ```
    /// use outbound::{Endpoint, Provider, RequestManager};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = RequestManager::builder()
    ///     .key("key-of-one-account")
    ///     .another_endpoint(Endpoint::new(Provider::openai()).key("key-of-another").weight(2))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn another_endpoint(mut self, endpoint: Endpoint) -> Self {
        self.more.push(endpoint);
        self
    }

    /// An endpoint for requests that [name it](super::request::Request::to). Several endpoints of one name share its
    /// requests, as those of [`another_endpoint`](Self::another_endpoint) do.
    pub fn endpoint(mut self, name: impl Into<String>, endpoint: Endpoint) -> Self {
        self.others.entry(name.into()).or_default().push(endpoint);
        self
    }

    /// A route for requests that failed on their own route, and that have no fallbacks of their own. Each call adds one
    /// route. They are tried in this order.
    pub fn fallback(mut self, route: Route) -> Self {
        self.settings.fallbacks.push(route);
        self
    }

    /// How long a request may take in all, from `send` or `submit` on: waits and attempts together. In a batch the time
    /// begins with the first admission, so waiting for its turn does not count.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// How long one attempt may take, from the moment it has a connection to the last byte of the reply.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.settings.attempt_timeout = timeout;
        self
    }

    /// How long a stream may take until its first item. Comments and pings are not items.
    pub fn first_item_timeout(mut self, timeout: Duration) -> Self {
        self.settings.first_item_timeout = timeout;
        self
    }

    /// How long a reply may pause between two pieces of its body; comments and pings count as pieces. Also how long the
    /// server may take no more of the body of a request.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings.idle_timeout = timeout;
        self
    }

    /// How long each step of connecting may take: resolution, TCP, TLS.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// How long an address that has never replied is tried before everything stops. After 30 more seconds it is tried
    /// again. Once an address has replied, requests wait for it until their deadlines.
    pub fn unreachable_timeout(mut self, timeout: Duration) -> Self {
        self.settings.unreachable_timeout = timeout;
        self
    }

    /// The longest pause that is waited out when a server says how long to wait. A longer pause stops the
    /// model.
    pub fn max_pause(mut self, pause: Duration) -> Self {
        self.settings.max_pause = pause;
        self
    }

    /// Whether a request is sent again after a failure that does not tell whether it was processed: a timeout, a
    /// connection that broke after the request was written, a broken stream. The request may then be processed and
    /// billed twice. If so, [`Outcome::possible_duplicate`](super::Outcome::possible_duplicate) is set.
    pub fn retry_ambiguous(mut self, retry: bool) -> Self {
        self.settings.retry_ambiguous = retry;
        self
    }

    /// How many equal refusals stop a batch: its first outcomes are all the same refusal, and none is a success.
    /// `None`: never.
    pub fn stop_after_equal_refusals(mut self, refusals: impl Into<Option<NonZeroU32>>) -> Self {
        self.settings.stop_after_equal_refusals = refusals.into();
        self
    }

    /// The prices of models. With them each [outcome](super::Outcome::cost) has the cost of its answer, and
    /// [`RequestManager::spent`](super::RequestManager::spent) has the sum.
    pub fn prices(mut self, prices: Prices) -> Self {
        self.settings.prices = Some(Arc::new(prices));
        self
    }

    /// The most that may be spent, by the [`prices`](Self::prices). Every model that requests name needs a price.
    ///
    /// A request is sent only while its estimate fits into the budget, beside what was spent and the estimates of all
    /// calls in flight. An estimate counts each byte of the body as a token, and all the output that the request
    /// allows. So the budget is never passed where requests limit their output (`max_tokens`). Where they do not, it is
    /// passed at most by the calls in flight. A call whose end is not known (aborted, timed out, a broken stream)
    /// counts with its estimate. A refusal costs nothing. When the next request does not fit and no call is in flight,
    /// nothing more is sent: batches stop and return the other requests.
    pub fn budget(mut self, most: Money) -> Self {
        self.settings.budget = Some(most);
        self
    }

    /// Whether equal requests in flight share one call. The first request makes the call, and the others get its
    /// answer, each within its own deadline. If the call is aborted, or fails for another reason than the content of
    /// the request, the next request makes its own call.
    ///
    /// [`ResponseCache`] says which requests are equal. Requests of [`stream`](super::RequestManager::stream) make
    /// their own calls.
    pub fn coalesce(mut self, coalesce: bool) -> Self {
        self.settings.coalesces = coalesce;
        self
    }

    /// A cache of answers, for equal requests that come later.
    pub fn cache(mut self, cache: ResponseCache) -> Self {
        self.settings.cache = Some(cache);
        self
    }

    /// Makes a second call beside one that is slow.
    pub fn hedge(mut self, when: Hedging) -> Self {
        self.settings.hedging = Some(when);
        self
    }

    /// An observer of the events of each request. Each call adds one. Observers are called in this order.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(GuardedObserver::new(observer));
        self
    }

    /// A log that is written before a request is sent. Default: none.
    pub fn send_log(mut self, log: impl SendLog) -> Self {
        self.settings.send_log = Some(Box::new(log));
        self
    }

    /// How often a request may be sent, counting charged sends only. These are not charged: a request that was not
    /// sent, a refusal for its rate, an overload, and a probe of an outage. The deadline limits them.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.settings.max_attempts = attempts;
        self
    }

    /// Fixes every random draw (jitter, idempotency keys), for runs that must repeat. Use it in tests only: two
    /// managers with the same seed send the same keys for different requests.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The wall-clock time of this moment, for servers that send absolute times without a `Date`.
    pub fn wall_clock(mut self, now: SystemTime) -> Self {
        self.wall_clock = Some(now);
        self
    }

    /// Checks the options, and makes what all handles of the manager share.
    pub(super) fn into_inner(self) -> Result<Inner, BuildError> {
        let mut settings = self.settings;
        settings.observers = self.observers.into();
        let times = [
            ("deadline", settings.deadline),
            ("attempt_timeout", settings.attempt_timeout),
            ("first_item_timeout", settings.first_item_timeout),
            ("idle_timeout", settings.idle_timeout),
            ("connect_timeout", settings.connect_timeout),
            ("unreachable_timeout", settings.unreachable_timeout),
        ];
        if let Some((name, _)) = times.iter().find(|(_, time)| time.is_zero()) {
            return Err(BuildError::new(format!("{name} is zero")));
        }
        if settings.max_attempts == 0 {
            return Err(BuildError::new(String::from("max_attempts is zero")));
        }
        // Accounts at one origin share its reachability.
        let mut by_origin: BTreeMap<String, Arc<Reachability>> = BTreeMap::new();
        let mut reach = |origin: &str| {
            let entry = by_origin.entry(origin.to_owned());
            Arc::clone(entry.or_insert_with(|| Arc::new(Reachability::new(settings.unreachable_timeout))))
        };
        let mut others = BTreeMap::new();
        for (name, endpoints) in self.others {
            let accounts = accounts(endpoints, &settings, &mut reach);
            others.insert(name.clone(), accounts.map_err(|error| error.of_endpoint(&name))?);
        }
        for endpoint in settings.fallbacks.iter().filter_map(Route::endpoint) {
            if !others.contains_key(endpoint) {
                let message =
                    format!("a fallback goes to {endpoint:?}, and there is no endpoint of that name");
                return Err(BuildError::new(message));
            }
        }
        let own = std::iter::once(self.endpoint).chain(self.more);
        let accounts = accounts(own, &settings, &mut reach)?;
        let seed = self.seed.unwrap_or_else(rand::random);
        let wall_clock = self.wall_clock.unwrap_or_else(SystemTime::now);
        Ok(Inner::new(accounts, others, settings, seed, wall_clock))
    }
}

/// The accounts behind one name.
fn accounts(
    endpoints: impl IntoIterator<Item = Endpoint>,
    settings: &Settings,
    reach: &mut impl FnMut(&str) -> Arc<Reachability>,
) -> Result<Accounts, BuildError> {
    let build = |endpoint| Account::build(endpoint, settings, &mut *reach).map(Arc::new);
    let accounts = endpoints.into_iter().map(build).collect::<Result<Accounts, _>>()?;
    if accounts.len() > MAX_ENDPOINTS_PER_NAME {
        let message =
            format!("{} endpoints share a name, and {MAX_ENDPOINTS_PER_NAME} are the most", accounts.len());
        return Err(BuildError::new(message));
    }
    Ok(accounts)
}

impl fmt::Debug for RequestManagerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestManagerBuilder")
            .field("endpoint", &self.endpoint)
            .field("more", &self.more)
            .field("others", &self.others)
            .field("settings", &self.settings)
            .field("observers", &self.observers.len())
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
