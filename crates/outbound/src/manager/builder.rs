//! Putting a manager together.

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
/// | `seed` | drawn at random |
/// | `wall_clock` | the system's, read once |
#[must_use = "a builder does nothing until it builds"]
pub struct RequestManagerBuilder {
    endpoint: Endpoint,
    /// Beside `endpoint`.
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

    /// The endpoint of requests that name no other, in one piece: replaces what was said of it before.
    pub fn default_endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// An endpoint beside the default one, with another key or at another address: requests that name none go to whichever
    /// has room, the least loaded first.
    ///
    /// What one of them refuses for its rate, its load or its key, another takes at once. Each call adds one; 64 are the
    /// most that share a name.
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

    /// A further endpoint, for requests that [name it](super::request::Request::to). Several of one name share its requests,
    /// as those of [`another_endpoint`](Self::another_endpoint) do.
    pub fn endpoint(mut self, name: impl Into<String>, endpoint: Endpoint) -> Self {
        self.others.entry(name.into()).or_default().push(endpoint);
        self
    }

    /// Another way for requests whose own has failed and that name none; each call adds one, and they are tried in this
    /// order.
    pub fn fallback(mut self, route: Route) -> Self {
        self.settings.fallbacks.push(route);
        self
    }

    /// How long a request may take in all, from `send` or `submit` on: queue, waits, attempts. In a batch, from its
    /// first admission on, since how long it waits for its turn is the batch's doing.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// How long one attempt may take, from the moment a connection is held to the last byte of the reply.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.settings.attempt_timeout = timeout;
        self
    }

    /// How long a stream may take to its first item. Comments and pings are none.
    pub fn first_item_timeout(mut self, timeout: Duration) -> Self {
        self.settings.first_item_timeout = timeout;
        self
    }

    /// How long a reply may pause between two pieces of its body, comments and pings included; and how long a request's
    /// body may wait for the server to take more of it.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings.idle_timeout = timeout;
        self
    }

    /// How long each step of connecting may take: resolution, TCP, TLS.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// How long an address that has never replied is tried before everything stops, for 30 seconds; then it is tried again.
    /// Once it has replied, requests wait for it until their deadlines.
    pub fn unreachable_timeout(mut self, timeout: Duration) -> Self {
        self.settings.unreachable_timeout = timeout;
        self
    }

    /// The longest pause that is waited out when a server says how long to wait. A longer one stops what it concerns.
    pub fn max_pause(mut self, pause: Duration) -> Self {
        self.settings.max_pause = pause;
        self
    }

    /// Whether a request is sent again after a failure that does not say whether it was processed: a limit in time, a
    /// connection that broke after the request was written, a stream that broke. It may then be processed, and paid for,
    /// twice; [`Outcome::possible_duplicate`](super::Outcome::possible_duplicate) says so.
    pub fn retry_ambiguous(mut self, retry: bool) -> Self {
        self.settings.retry_ambiguous = retry;
        self
    }

    /// A batch stops where its first so many outcomes are the same refusal, and none has succeeded: `None` never.
    pub fn stop_after_equal_refusals(mut self, refusals: impl Into<Option<NonZeroU32>>) -> Self {
        self.settings.stop_after_equal_refusals = refusals.into();
        self
    }

    /// What models cost. Then each [outcome](super::Outcome::cost) says what its answer cost, and
    /// [`RequestManager::spent`](super::RequestManager::spent) what all did.
    pub fn prices(mut self, prices: Prices) -> Self {
        self.settings.prices = Some(Arc::new(prices));
        self
    }

    /// The most that may be spent, by the [`prices`](Self::prices), which have to hold all models that requests name.
    ///
    /// A request goes only while it fits beside what was spent and the most that all under way may cost: each byte of a body a
    /// token, and all the output that it allows. So it is never passed where requests say how much output they allow
    /// (`max_tokens`), and else at most by what is in flight. A call that nobody knows the end of (cut off, timed out, a
    /// broken stream) counts at its most; a refusal counts nothing. When the next request does not fit and nothing is under
    /// way, nothing more is sent: batches stop, and give the rest back.
    pub fn budget(mut self, most: Money) -> Self {
        self.settings.budget = Some(most);
        self
    }

    /// Whether equal requests in flight share one call: the first makes it, the others get its answer, each within its own
    /// deadline. If it fails for anything but what the request is, or is cut off, the next makes its own.
    ///
    /// Equal are requests as [`ResponseCache`] says. Those of [`stream`](super::RequestManager::stream) make their own calls.
    pub fn coalesce(mut self, coalesce: bool) -> Self {
        self.settings.coalesces = coalesce;
        self
    }

    /// Answers that are kept, for the next equal request.
    pub fn cache(mut self, cache: ResponseCache) -> Self {
        self.settings.cache = Some(cache);
        self
    }

    /// Makes calls that are slow a second time while they run.
    pub fn hedge(mut self, when: Hedging) -> Self {
        self.settings.hedging = Some(when);
        self
    }

    /// Who is told what becomes of each request while it happens. Each call adds one, and they are told in this order.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(GuardedObserver::new(observer));
        self
    }

    /// Where it is written down that a request leaves, before it does. Default: nowhere.
    pub fn send_log(mut self, log: impl SendLog) -> Self {
        self.settings.send_log = Some(Box::new(log));
        self
    }

    /// How often a request is sent at most, charged sends counted. Not charged is what never left, a refusal for the
    /// rate, an overload, and a probe of an outage: these are bounded by the deadline.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.settings.max_attempts = attempts;
        self
    }

    /// Fixes every draw (jitter, idempotency keys), for runs that must repeat. Two managers with one seed send the same
    /// keys for different requests: for tests only.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The wall-clock time of this moment, for servers that tell times without a `Date`.
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
        // Accounts at one origin share what is known of the way to it.
        let mut ways: BTreeMap<String, Arc<Reachability>> = BTreeMap::new();
        let mut reach = |origin: &str| {
            let way = ways.entry(origin.to_owned());
            Arc::clone(way.or_insert_with(|| Arc::new(Reachability::new(settings.unreachable_timeout))))
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
