//! The builder of a client, with the table of all defaults.

mod auth;
mod connect;
mod layer;
mod pool;

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use self::{auth::Auth, connect::Connecting, layer::MakeStack};
use super::{Base, Client, Core};
#[cfg(feature = "cookies")]
use crate::cookies::CookieJar;
#[cfg(feature = "digest")]
use crate::digest::Credentials;
use crate::{
    connect::{Connect, Connector, Dialer, Dns, Resolve, SystemResolver, Tls},
    error::{Error, Kind},
    layers::ClientService,
    limits::Limits,
    pool::{Origins, PoolSettings},
    redirect::Redirects,
    request::{bad_value, framing, is_framing},
    secret::Secrets,
};

/// The settings of a [`Client`].
///
/// | part | default |
/// |---|---|
/// | [`base_url`](Self::base_url) | none: requests name absolute URLs |
/// | [`auth`](Self::auth), [`bearer_auth`](Self::bearer_auth), [`basic_auth`](Self::basic_auth), `digest_auth` | none |
/// | [`default_header`](Self::default_header) | none |
/// | [`user_agent`](Self::user_agent) | `outbound-client/` and the version |
/// | [`limits`](Self::limits) | [`Limits::new`] |
/// | [`max_connections`](Self::max_connections) | none |
/// | [`max_connections_per_origin`](Self::max_connections_per_origin) | none |
/// | [`max_idle_per_origin`](Self::max_idle_per_origin) | 256 |
/// | [`idle_timeout`](Self::idle_timeout) | 90 s |
/// | [`max_lifetime`](Self::max_lifetime) | 1 h |
/// | [`max_requests_per_connection`](Self::max_requests_per_connection) | none |
/// | [`max_header_fields`](Self::max_header_fields) | 100 |
/// | [`http2_prior_knowledge`](Self::http2_prior_knowledge) | no: HTTP/2 where TLS agrees on it (ALPN), else HTTP/1.1 |
/// | [`tls_config`](Self::tls_config) | TLS 1.2 and 1.3, what the platform trusts, ALPN `h2` and `http/1.1` |
/// | [`add_root_pem`](Self::add_root_pem), [`only_added_roots`](Self::only_added_roots) | none, no |
/// | [`client_certificate_pem`](Self::client_certificate_pem) | none |
/// | [`min_tls_version`](Self::min_tls_version) | 1.2 |
/// | [`sni`](Self::sni), [`tls_key_log`](Self::tls_key_log) | yes, no |
/// | [`danger_accept_any_certificate`](Self::danger_accept_any_certificate) | no |
/// | [`resolver`](Self::resolver) | the system's |
/// | [`dns_ttl`](Self::dns_ttl) | 30 s |
/// | [`connector`](Self::connector), [`unix_socket`](Self::unix_socket) | TCP with `TCP_NODELAY` and probes after 60 s of silence |
/// | [`proxy`](Self::proxy) | what the environment says; none with a connector or a unix socket |
/// | [`egress`](Self::egress) | everything is allowed |
/// | [`timings`](Self::timings) | no |
/// | [`redirects`](Self::redirects) | up to 10 in a row, never from `https` to `http` |
/// | [`secret_header`](Self::secret_header), [`secret_query`](Self::secret_query) | none beside what [`Redirects`] names |
/// | `cookies` (with the feature of this name) | none are kept |
/// | [`layer`](Self::layer) | none |
#[must_use = "a builder does nothing before it is built"]
pub struct ClientBuilder {
    base_url: Option<String>,
    auth: Option<Auth>,
    headers: HeaderMap,
    limits: Limits,
    settings: PoolSettings,
    http2_prior_knowledge: bool,
    max_header_fields: Option<usize>,
    tls_config: Option<Arc<rustls::ClientConfig>>,
    resolver: Option<Box<dyn Resolve>>,
    dns_ttl: Duration,
    connector: Option<Box<dyn Connect>>,
    timings: bool,
    connecting: Connecting,
    redirects: Redirects,
    secrets: Secrets,
    accept_encoding: Option<HeaderValue>,
    #[cfg(feature = "cookies")]
    cookies: Option<CookieJar>,
    layers: Vec<MakeStack>,
    // The first setting that was wrong.
    error: Option<Error>,
}

impl ClientBuilder {
    const USER_AGENT: HeaderValue =
        HeaderValue::from_static(concat!("outbound-client/", env!("CARGO_PKG_VERSION")));
    const MAX_IDLE: usize = 256;
    const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
    // An hour costs nearly nothing, and follows a name to its new addresses soon enough.
    const MAX_LIFETIME: Duration = Duration::from_secs(3600);

    pub(super) fn new() -> Self {
        Self {
            base_url: None,
            auth: None,
            headers: HeaderMap::new(),
            limits: Limits::new(),
            settings: PoolSettings {
                max_connections: None,
                max_connections_per_origin: None,
                max_idle_per_origin: Self::MAX_IDLE,
                idle_timeout: Some(Self::IDLE_TIMEOUT),
                max_lifetime: Some(Self::MAX_LIFETIME),
                max_requests_per_connection: None,
            },
            http2_prior_knowledge: false,
            max_header_fields: None,
            tls_config: None,
            resolver: None,
            dns_ttl: Dns::TTL,
            connector: None,
            timings: false,
            connecting: Connecting::default(),
            redirects: Redirects::default(),
            secrets: Secrets::default(),
            accept_encoding: None,
            #[cfg(feature = "cookies")]
            cookies: None,
            layers: Vec::new(),
            error: None,
        }
    }

    /// The absolute `http` or `https` URL that paths are appended to. It has no user part. Its query is added to
    /// every path, for servers that expect a version there (`?api-version=...`).
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// A header for every request. If there is a base URL, it goes to that URL's origin only, because a secret value
    /// is not always marked as one. If not, it goes to every origin. (`user-agent` always goes to every origin.)
    pub fn default_header<N, V>(mut self, name: N, value: V) -> Self
    where
        HeaderName: TryFrom<N>,
        HeaderValue: TryFrom<V>,
    {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) if !is_framing(&name) => drop(self.headers.insert(name, value)),
            (Ok(name), Ok(_)) => self.reject(framing(&name)),
            (Ok(name), Err(_)) => self.reject(bad_value(&name)),
            (Err(_), _) => self.reject("a default header's name has characters that it cannot have"),
        }
        self
    }

    /// The `user-agent` of requests that set none themselves, to any origin.
    pub fn user_agent<V>(self, value: V) -> Self
    where
        HeaderValue: TryFrom<V>,
    {
        self.default_header(header::USER_AGENT, value)
    }

    /// A limit on all the time from the first poll of `send` to the reply's last byte: [`Limits::total`].
    pub fn timeout(self, limit: impl Into<Option<Duration>>) -> Self {
        self.change_limits(|limits| limits.total(limit))
    }

    /// The limits of requests that set none themselves. This replaces all limits that were set before.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Changes some of the limits, and keeps the others as they were set.
    ///
    /// ```
    /// use std::time::Duration;
    /// use outbound_client::{Client, Limits};
    ///
    /// # fn main() -> Result<(), outbound_client::Error> {
    /// let builder = Client::builder().limits(Limits::new().max_body(1 << 20));
    /// let client = builder.change_limits(|limits| limits.idle(Duration::from_secs(60))).build()?;
    /// assert_eq!(client.limits(), Limits::new().max_body(1 << 20).idle(Duration::from_secs(60)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn change_limits(mut self, change: impl FnOnce(Limits) -> Limits) -> Self {
        self.limits = change(self.limits);
        self
    }

    /// The most header fields that an HTTP/1.1 reply may have. More than the default cost two allocations for each
    /// reply.
    pub fn max_header_fields(mut self, fields: usize) -> Self {
        self.max_header_fields = Some(fields);
        self
    }

    /// Speaks HTTP/2 without negotiation, also without TLS.
    pub fn http2_prior_knowledge(mut self) -> Self {
        self.http2_prior_knowledge = true;
        self
    }

    /// The whole TLS configuration. No other TLS setting can be used beside it. If its list of ALPN protocols is
    /// empty, the client fills it in. The type comes from [`rustls`](crate::rustls), which this crate re-exports.
    pub fn tls_config(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls_config = Some(config);
        self
    }

    /// The resolver that looks up names, in place of the system's.
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.resolver = Some(Box::new(resolver));
        self
    }

    /// How long the addresses of a name are used before the name is looked up again. Zero: a look-up for every dial.
    ///
    /// All dials that need the same name at the same time share one look-up. A failure is not kept. If a look-up
    /// fails, addresses up to 10 minutes old are used, unless none of them could be connected to. At most 1024 names
    /// are kept.
    pub fn dns_ttl(mut self, ttl: Duration) -> Self {
        self.dns_ttl = ttl;
        self
    }

    /// Opens connections with this connector, without name look-up and addresses.
    pub fn connector(mut self, connector: impl Connect) -> Self {
        self.connector = Some(Box::new(connector));
        self
    }

    /// Opens all connections, for every origin, to a socket in the file system: for daemons on the same machine. The
    /// origin is still sent as `Host`, and `https` still means TLS. This replaces a [`connector`](Self::connector),
    /// and a connector replaces this.
    #[cfg(unix)]
    pub fn unix_socket(self, path: impl Into<std::path::PathBuf>) -> Self {
        self.connector(crate::connect::Unix(path.into().into()))
    }

    /// Whether requests record their [`Timings`](crate::Timings), unless a request sets it otherwise. It costs
    /// nothing if off.
    pub fn timings(mut self, timings: bool) -> Self {
        self.timings = timings;
        self
    }

    /// Which redirects are followed, unless a request sets it otherwise.
    pub fn redirects(mut self, redirects: Redirects) -> Self {
        self.redirects = redirects;
        self
    }

    /// The name of a request header that carries a secret. No redirect takes it to another origin, and the `Debug` of
    /// a request in a layer does not show it. (The client's own headers never leave their origin, and layers do not
    /// see them.)
    pub fn secret_header<N>(mut self, name: N) -> Self
    where
        HeaderName: TryFrom<N>,
    {
        match HeaderName::try_from(name) {
            Ok(name) => self.secrets.headers.push(name),
            Err(_) => self.reject("a secret header's name is not valid"),
        }
        self
    }

    /// A key in a query whose value is a secret. If a redirect to another origin repeats this pair, it is followed
    /// without it.
    pub fn secret_query(mut self, key: impl Into<String>) -> Self {
        self.secrets.query.push(key.into());
        self
    }

    /// Keeps the cookies of replies in a jar, and sends the matching ones with each request, also after a redirect. A
    /// request's own `cookie` header stays, in front of the jar's cookies; a cookie that it already names is not sent
    /// twice.
    #[cfg(feature = "cookies")]
    pub fn cookies(mut self, jar: CookieJar) -> Self {
        self.cookies = Some(jar);
        self
    }

    /// Asks for the content codings whose features are compiled in (`zstd`, `br`, `gzip` and `deflate`). It does so
    /// in requests that have no `accept-encoding` of their own and do not ask for a range. Bodies are decoded while
    /// they are read; see [`Reply::content_encoding`](crate::Reply::content_encoding).
    #[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
    pub fn decompress(mut self) -> Self {
        self.accept_encoding = Some(HeaderValue::from_static(crate::coding::ASKED));
        self
    }

    /// Builds the client. No connection is opened before the first request.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`]: a base URL that is not an absolute `http` or `https` URL or that has a user; a header that
    /// is not valid; a key without a base URL; a maximum of zero connections or zero requests; a resolver together
    /// with a connector or a unix socket, which do not need one; a proxy, a certificate or an egress policy that is
    /// not valid.
    pub fn build(mut self) -> Result<Client, Error> {
        if self.auth.is_some() && self.base_url.is_none() {
            self.reject("a key needs a base URL, to whose origin it is bound");
        }
        let PoolSettings { max_connections, max_connections_per_origin, max_requests_per_connection, .. } =
            self.settings;
        if max_connections == Some(0) || max_connections_per_origin == Some(0) {
            self.reject("a client needs at least one connection per origin");
        }
        if max_requests_per_connection == Some(0) {
            self.reject("a connection needs to take at least one request");
        }
        if self.resolver.is_some() && self.connector.is_some() && !self.connecting.has_proxy() {
            self.reject("a connector looks up no names, so a resolver beside it would not be used");
        }
        if let Err(error) = self.connecting.check(self.tls_config.is_some()) {
            self.error.get_or_insert(error);
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut headers = self.headers;
        #[cfg(feature = "digest")]
        let mut credentials = None;
        match self.auth {
            None => {}
            Some(Auth::Header(name, value)) => drop(headers.insert(name, value)),
            #[cfg(feature = "digest")]
            Some(Auth::Digest(user, password)) => credentials = Some((user, password)),
        }
        let alpn: &[&[u8]] = if self.http2_prior_knowledge { &[b"h2"] } else { &[b"h2", b"http/1.1"] };
        let connector = match self.connector {
            Some(connector) => Connector::Other(connector),
            None => Connector::Tcp,
        };
        let proxies = self.connecting.proxies(&connector);
        let resolver = self.resolver.unwrap_or_else(|| Box::new(SystemResolver));
        let dialer = Dialer {
            connector,
            dns: Dns::new(resolver, self.dns_ttl),
            egress: self.connecting.egress,
            limits: self.limits.dial(),
            tls: Tls::new(self.tls_config, self.connecting.tls, alpn),
            http2_prior_knowledge: self.http2_prior_knowledge,
            max_header_fields: self.max_header_fields,
        };
        let origins = Origins::new(dialer, self.settings, proxies);
        let base = match self.base_url {
            Some(url) => Some(Base::new(&url, &origins).map_err(|error| error.of_kind(Kind::Config))?),
            None => None,
        };
        #[cfg(feature = "digest")]
        let credentials = base.as_ref().zip(credentials).map(|(base, (user, password))| {
            Arc::new(Credentials { user, password, origin: base.pool.origin.clone() })
        });
        let limits = Arc::new(self.limits);
        let Self { timings, redirects, secrets, accept_encoding, .. } = self;
        let user_agent = headers.remove(header::USER_AGENT).unwrap_or(Self::USER_AGENT);
        let takes_codings = headers.contains_key(header::ACCEPT_ENCODING);
        let core = Arc::new(Core {
            origins,
            base,
            headers,
            takes_codings,
            accept_encoding,
            user_agent,
            limits,
            timings,
            redirects,
            secrets,
            #[cfg(feature = "cookies")]
            cookies: self.cookies,
            #[cfg(feature = "digest")]
            credentials,
        });
        let stack = self.layers.into_iter().fold(None, |stack, layer| {
            Some(layer(stack.map_or_else(|| ClientService::connections(core.clone()), ClientService::layers)))
        });
        Ok(Client { core, stack })
    }

    fn reject(&mut self, why: impl Into<Box<str>>) {
        self.error.get_or_insert_with(|| Error::unusable(Kind::Config, why));
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The base URL is left out: it was not checked yet and may contain a password.
        f.debug_struct("ClientBuilder")
            .field("limits", &self.limits)
            .field("rules", &self.settings)
            .field("http2_prior_knowledge", &self.http2_prior_knowledge)
            .field("dns_ttl", &self.dns_ttl)
            .field("timings", &self.timings)
            .field("connecting", &self.connecting)
            .field("redirects", &self.redirects)
            .field("secrets", &self.secrets)
            .field("layers", &self.layers.len())
            .finish_non_exhaustive()
    }
}
