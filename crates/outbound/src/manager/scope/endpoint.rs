//! Endpoints: where requests are sent, with which key, and within which limits.

use std::{fmt, num::NonZeroU32, time::Duration};

use http::HeaderMap;
use outbound_client::{Client, ClientBuilder, Secret};
use outbound_limiter::{QuotaBuilder, QuotaDimension, QuotaLimiter};
use outbound_provider::{Charging, Provider};

use super::quota;

/// The default client of an endpoint.
pub(super) fn default_client() -> ClientBuilder {
    // Some gateways add more than a hundred header fields of their own.
    const HEADER_FIELDS: usize = 256;
    Client::builder().max_header_fields(HEADER_FIELDS)
}

/// One provider at one address with one key, and the limits that come with the key.
///
/// | | default |
/// |---|---|
/// | `base_url` | the provider's own |
/// | `key` | none |
/// | `max_concurrent` | 64 |
/// | `weight` | 1 |
/// | `requests_per_minute`, `tokens_per_minute`, `input_tokens_per_minute`, `output_tokens_per_minute` | what the provider reports in headers, or what its refusals show |
/// | `model` | none: each model has the limits that its replies report |
/// | `headers` | those the provider asks for |
/// | `client` | [`Client::builder()`](crate::Client::builder) |
#[must_use = "an endpoint does nothing until a manager is built with it"]
pub struct Endpoint {
    pub(crate) provider: Provider,
    pub(crate) base_url: Option<String>,
    pub(crate) key: Option<Secret>,
    pub(crate) headers: HeaderMap,
    pub(crate) client: Option<ClientBuilder>,
    pub(crate) max_concurrent: usize,
    /// `max_concurrent` is the highest number that is tried.
    pub(crate) auto_concurrency: bool,
    pub(crate) weight: NonZeroU32,
    pub(crate) limits: ModelLimits,
    pub(crate) models: Vec<(String, ModelLimits)>,
}

/// Limits for one model, or limits to be [changed](crate::RequestManager::set_limits). By default none is set, and the
/// limits that the server reports hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use]
pub struct ModelLimits {
    pub(crate) max_concurrent: Option<usize>,
    requests_per_minute: Option<u64>,
    tokens_per_minute: Option<u64>,
    input_tokens_per_minute: Option<u64>,
    output_tokens_per_minute: Option<u64>,
}

impl ModelLimits {
    /// No limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many requests may be in flight at once.
    pub fn max_concurrent(mut self, requests: usize) -> Self {
        self.max_concurrent = Some(requests);
        self
    }

    /// Requests per minute, at most.
    pub fn requests_per_minute(mut self, requests: u64) -> Self {
        self.requests_per_minute = Some(requests);
        self
    }

    /// Tokens per minute, input and output together, at most.
    pub fn tokens_per_minute(mut self, tokens: u64) -> Self {
        self.tokens_per_minute = Some(tokens);
        self
    }

    /// Tokens of input per minute, at most.
    pub fn input_tokens_per_minute(mut self, tokens: u64) -> Self {
        self.input_tokens_per_minute = Some(tokens);
        self
    }

    /// Tokens of output per minute, at most.
    pub fn output_tokens_per_minute(mut self, tokens: u64) -> Self {
        self.output_tokens_per_minute = Some(tokens);
        self
    }

    /// The limits that are set for windows of a minute.
    pub(super) fn per_minute(&self) -> impl Iterator<Item = (QuotaDimension, u64)> + use<> {
        let limits = [
            (QuotaDimension::Requests, self.requests_per_minute),
            (QuotaDimension::Tokens, self.tokens_per_minute),
            (QuotaDimension::InputTokens, self.input_tokens_per_minute),
            (QuotaDimension::OutputTokens, self.output_tokens_per_minute),
        ];
        limits.into_iter().filter_map(|(dimension, limit)| Some((dimension, limit?)))
    }

    /// A quota with these limits, and with this concurrency limit.
    pub(super) fn quota(&self, max_concurrent: Option<usize>, charging: Option<Charging>) -> QuotaBuilder {
        let mut quota = QuotaLimiter::builder();
        if let Some(charging) = charging.and_then(quota::charging) {
            quota = quota.charging(charging);
        }
        if let Some(requests) = max_concurrent {
            quota = quota.max_concurrent(requests);
        }
        const MINUTE: Duration = Duration::from_secs(60);
        self.per_minute().fold(quota, |quota, (dimension, limit)| quota.limit(dimension, MINUTE, limit))
    }
}

impl Endpoint {
    /// The default of [`max_concurrent`](Self::max_concurrent).
    pub const DEFAULT_MAX_CONCURRENT: usize = 64;

    pub(crate) const CONCURRENCY_CEILING: usize = 100_000;

    /// An endpoint of this provider, at its own address, without a key.
    pub fn new(provider: Provider) -> Self {
        Self {
            provider,
            base_url: None,
            key: None,
            headers: HeaderMap::new(),
            client: None,
            max_concurrent: Self::DEFAULT_MAX_CONCURRENT,
            auto_concurrency: false,
            weight: NonZeroU32::MIN,
            limits: ModelLimits::new(),
            models: Vec::new(),
        }
    }

    /// The base URL that the paths of requests are relative to, such as `http://127.0.0.1:8000/v1`.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// The key. It is sent in the form that the provider wants, and only to the origin of this endpoint.
    pub fn key(mut self, key: impl Into<Secret>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Headers for every request.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// A client builder to start from, for TLS, pool and connector. The manager sets address, key, headers and time
    /// limits on it.
    pub fn client(mut self, client: ClientBuilder) -> Self {
        self.client = Some(client);
        self
    }

    /// Changes a setting of the client, such as a proxy or a certificate, and keeps all others.
    pub fn change_client(mut self, change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Self {
        let client = self.client.unwrap_or_else(default_client);
        self.client = Some(change(client));
        self
    }

    /// How many requests may be in flight at once: 1 to 100,000. Calls that hang in an outage do not count (see Silence
    /// on the [crate's page](crate)).
    pub fn max_concurrent(mut self, requests: usize) -> Self {
        (self.max_concurrent, self.auto_concurrency) = (requests, false);
        self
    }

    /// Finds by itself how many requests to have in flight, between 1 and `most`. It is for servers that report no
    /// limit and get more done with more requests, up to a point (`vLLM`, `SGLang`, TGI). See
    /// [`AutoConcurrency`](outbound_limiter::AutoConcurrency). It begins with 32. Some servers get less done with too
    /// many requests. On them it may be above the best number for some minutes, so choose a `most` that the server can
    /// surely handle.
    pub fn auto_concurrency(mut self, most: usize) -> Self {
        (self.max_concurrent, self.auto_concurrency) = (most, true);
        self
    }

    /// The share of requests that it has in flight, compared to other endpoints of the same name. Zero counts as 1.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = NonZeroU32::new(weight).unwrap_or(NonZeroU32::MIN);
        self
    }

    /// Requests per minute, at most.
    pub fn requests_per_minute(mut self, requests: u64) -> Self {
        self.limits = self.limits.requests_per_minute(requests);
        self
    }

    /// Tokens per minute, input and output together, at most.
    pub fn tokens_per_minute(mut self, tokens: u64) -> Self {
        self.limits = self.limits.tokens_per_minute(tokens);
        self
    }

    /// Tokens of input per minute, at most.
    pub fn input_tokens_per_minute(mut self, tokens: u64) -> Self {
        self.limits = self.limits.input_tokens_per_minute(tokens);
        self
    }

    /// Tokens of output per minute, at most.
    pub fn output_tokens_per_minute(mut self, tokens: u64) -> Self {
        self.limits = self.limits.output_tokens_per_minute(tokens);
        self
    }

    /// Limits for one model, in addition to those of the whole endpoint. `name` is the model as requests name it.
    pub fn model(mut self, name: impl Into<String>, limits: ModelLimits) -> Self {
        self.models.push((name.into(), limits));
        self
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An address may hold a password, and headers may hold keys.
        f.debug_struct("Endpoint")
            .field("provider", &self.provider)
            .field("key", &self.key)
            .field("max_concurrent", &self.max_concurrent)
            .field("auto_concurrency", &self.auto_concurrency)
            .field("limits", &self.limits)
            .field("models", &self.models)
            .finish_non_exhaustive()
    }
}
