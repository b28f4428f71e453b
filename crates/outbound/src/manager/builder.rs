//! Putting a manager together.

use std::{
    collections::BTreeMap,
    error, fmt,
    time::{Duration, SystemTime},
};

use outbound_client::{ClientBuilder, Secret};
use outbound_provider::Provider;

use super::{
    endpoint::Endpoint,
    manager::{RequestManager, Settings},
    scope::Scope,
};

/// Builds a [`RequestManager`]. Made by [`RequestManager::builder`].
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
/// | `max_attempts` | 5 |
/// | `seed` | drawn at random |
/// | `wall_clock` | the system's, read once |
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct RequestManagerBuilder {
    endpoint: Endpoint,
    others: BTreeMap<String, Endpoint>,
    settings: Settings,
    seed: Option<u64>,
    wall_clock: Option<SystemTime>,
}

impl RequestManagerBuilder {
    pub(crate) fn new() -> Self {
        Self {
            endpoint: Endpoint::new(Provider::openai()),
            others: BTreeMap::new(),
            settings: Settings::default(),
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

    /// See [`Endpoint::max_concurrent`].
    pub fn max_concurrent(mut self, requests: usize) -> Self {
        self.endpoint = self.endpoint.max_concurrent(requests);
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

    /// A further endpoint, for requests that [name it](super::request::Request::to).
    pub fn endpoint(mut self, name: impl Into<String>, endpoint: Endpoint) -> Self {
        self.others.insert(name.into(), endpoint);
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

    /// How often a request is sent at most, charged sends counted: a refusal with a hint when to return is not
    /// charged, nor is an overload, whose patience is bounded by the deadline. As many failures to connect are
    /// borne.
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

    /// Builds the manager.
    ///
    /// # Errors
    ///
    /// If a limit is zero, an address is none, or an endpoint has no address.
    pub fn build(self) -> Result<RequestManager, BuildError> {
        let settings = self.settings;
        let times = [
            ("deadline", settings.deadline),
            ("attempt_timeout", settings.attempt_timeout),
            ("first_item_timeout", settings.first_item_timeout),
            ("idle_timeout", settings.idle_timeout),
            ("connect_timeout", settings.connect_timeout),
        ];
        if let Some((name, _)) = times.iter().find(|(_, time)| time.is_zero()) {
            return Err(BuildError::new(format!("{name} is zero")));
        }
        if settings.max_attempts == 0 {
            return Err(BuildError::new(String::from("max_attempts is zero")));
        }
        let mut scopes = BTreeMap::new();
        for (name, endpoint) in self.others {
            let scope = Scope::build(endpoint, &settings).map_err(|error| error.of_endpoint(&name))?;
            scopes.insert(name, scope);
        }
        let scope = Scope::build(self.endpoint, &settings)?;
        let seed = self.seed.unwrap_or_else(rand::random);
        let wall_clock = self.wall_clock.unwrap_or_else(SystemTime::now);
        Ok(RequestManager::new(scope, scopes, settings, seed, wall_clock))
    }
}

/// Why a manager could not be built.
#[derive(Debug)]
pub struct BuildError(String);

impl BuildError {
    pub(crate) fn new(message: String) -> Self {
        Self(message)
    }

    pub(crate) fn of(error: impl error::Error) -> Self {
        Self(error.to_string())
    }

    fn of_endpoint(self, name: &str) -> Self {
        Self(format!("endpoint {name}: {}", self.0))
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for BuildError {}
