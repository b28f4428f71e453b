//! The client: its handle, and the parts that all its requests share.

mod builder;

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, Request, header};

pub use self::builder::ClientBuilder;
#[cfg(feature = "cookies")]
use crate::cookies::CookieJar;
#[cfg(feature = "digest")]
use crate::digest::Credentials;
use crate::{
    body::Body,
    connect::Proxies,
    error::{Error, Kind},
    layers::{Options, Stack},
    limits::Limits,
    origin::Origin,
    pool::{Origins, Pool},
    redirect::Redirects,
    request::RequestBuilder,
    secret::Secrets,
    send::ReplyFuture,
    target::{self, Target},
};

/// An HTTP client: a pool of connections, and what all its requests have in common.
///
/// A clone is another handle on the same pool. Each connection lives in a task of the runtime that dialled it. Idle
/// connections, and dials that no request waits for, end when the last handle, future and reply of the client are
/// dropped.
///
/// The client is also a `tower_service::Service` of `http::Request<Body>`, and always ready; see
/// [`execute`](Self::execute).
#[derive(Clone)]
pub struct Client {
    pub(crate) core: Arc<Core>,
    pub(crate) stack: Option<Arc<dyn Stack>>,
}

/// The part under the layers: the pools, and what is added to each request just before it is sent.
pub(crate) struct Core {
    origins: Origins,
    base: Option<Base>,
    // Headers for the origin of the base URL. Empty if there is no base URL.
    headers: HeaderMap,
    /// Whether these headers ask for content codings. Then bodies are given as they come.
    pub(crate) takes_codings: bool,
    /// The codings that are asked for, and that this client decodes itself.
    accept_encoding: Option<HeaderValue>,
    // For requests to every origin.
    user_agent: HeaderValue,
    pub(crate) limits: Arc<Limits>,
    pub(crate) timings: bool,
    pub(crate) redirects: Redirects,
    pub(crate) secrets: Secrets,
    #[cfg(feature = "cookies")]
    pub(crate) cookies: Option<CookieJar>,
    /// Digest credentials, for the origin of the base URL.
    #[cfg(feature = "digest")]
    pub(crate) credentials: Option<Arc<Credentials>>,
}

struct Base {
    pool: Arc<Pool>,
    path: String,
    // The query that is added to every path under the base URL.
    query: String,
}

impl Core {
    /// The pool for an origin, through these proxies or else through the client's.
    pub(crate) fn pool(&self, origin: Origin, proxies: Option<&Proxies>) -> Result<Arc<Pool>, Error> {
        match &self.base {
            Some(base) if proxies.is_none() && base.pool.origin == origin => Ok(base.pool.clone()),
            _ => self.origins.pool(origin, proxies),
        }
    }

    /// The same, for requests that switch to another protocol.
    pub(crate) fn pool_for_upgrade(
        &self,
        origin: Origin,
        proxies: Option<&Proxies>,
    ) -> Result<Arc<Pool>, Error> {
        self.origins.pool_for_upgrade(origin, proxies)
    }

    /// Adds the client's headers to a request that goes to `pool`, except those that the request has itself. It adds
    /// all of them if `pool` is for the base URL's origin, and none if it is for another origin or if a redirect led
    /// the request to another origin before.
    #[inline]
    pub(crate) fn add_headers(&self, pool: &Arc<Pool>, has_left: bool, headers: &mut HeaderMap) {
        headers.entry(header::USER_AGENT).or_insert_with(|| self.user_agent.clone());
        if !self.headers.is_empty() && !has_left && self.is_home(pool) {
            for (name, value) in &self.headers {
                headers.entry(name).or_insert_with(|| value.clone());
            }
        }
        if let Some(codings) = &self.accept_encoding
            && !headers.contains_key(header::RANGE)
        {
            headers.entry(header::ACCEPT_ENCODING).or_insert_with(|| codings.clone());
        }
    }

    /// The same for a request without headers of its own, to the base URL's origin, over HTTP/1.1. The map is made
    /// once: to copy it costs less than half of making it.
    #[inline]
    pub(crate) fn all_headers(&self, pool: &Arc<Pool>) -> HeaderMap {
        let make = || {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, pool.address.host.clone());
            self.add_headers(pool, false, &mut headers);
            headers
        };
        pool.headers.get_or_init(make).clone()
    }

    /// How many headers the client may add to a request, without those that every client adds.
    pub(crate) fn own_headers(&self) -> usize {
        self.headers.len()
    }

    fn is_home(&self, pool: &Arc<Pool>) -> bool {
        self.base.as_ref().is_none_or(|base| Arc::ptr_eq(pool, &base.pool) || pool.origin == base.pool.origin)
    }

    /// The options of a request that sets none itself.
    pub(crate) fn options(&self) -> Options {
        Options {
            limits: self.limits.clone(),
            timings: self.timings,
            replayable: false,
            redirects: self.redirects,
            proxies: None,
            upgrade: false,
            left_origin: false,
            #[cfg(feature = "cookies")]
            left_site: false,
            #[cfg(feature = "digest")]
            credentials: self.credentials.clone(),
            deadline: None,
        }
    }

    fn target(&self, url: &str) -> Result<(Arc<Pool>, Target), Error> {
        if let Some((origin, target)) = target::absolute(url)? {
            return Ok((self.pool(origin, None)?, Target::from(&*target)));
        }
        match &self.base {
            Some(base) => {
                let mut target = target::join(&base.path, url)?;
                if !base.query.is_empty() {
                    target.push(if target.has_query() { "&" } else { "?" });
                    target.push(&base.query);
                }
                Ok((base.pool.clone(), target))
            }
            None => {
                let why =
                    "the URL begins with neither `http://` nor `https://`, and the client has no base URL";
                Err(Error::invalid(Kind::Request, why))
            }
        }
    }
}

impl Client {
    /// A client with all defaults, without a base URL.
    pub fn new() -> Self {
        Self::builder().build().expect("defaults fit together")
    }

    /// Starts to build a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// The limits of requests that set none themselves.
    pub fn limits(&self) -> Limits {
        *self.core.limits
    }

    /// Starts a request to a path under the base URL, or to an absolute `http` or `https` URL.
    ///
    /// A path is appended to the base URL's path, and the base URL's query is added. The path cannot leave the origin
    /// or the base path: a `.` or `..` segment, a leading `//`, a backslash and a fragment are errors. The client's
    /// key and default headers go with every request to the base URL's origin, also if the URL was absolute, and with
    /// no request to another origin. They are added when the request is sent, so layers do not see them. Characters
    /// that a URL cannot have are percent-encoded; text that is encoded already stays as it is.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        RequestBuilder::new(method, self.core.target(url), self)
    }

    /// Sends a request that is a value with an absolute URI: from [`RequestBuilder::build`], or one that you made.
    ///
    /// The client adds the same headers as for [`request`](Self::request). It writes the headers of the message's
    /// framing (`host`, `content-length` and the like) itself, and drops those that the request has.
    pub fn execute(&self, request: Request<Body>) -> ReplyFuture {
        ReplyFuture::of_request(self, request)
    }

    /// Starts a GET. See [`request`](Self::request).
    pub fn get(&self, url: &str) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// Starts a POST. See [`request`](Self::request).
    pub fn post(&self, url: &str) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// Starts a PATCH. See [`request`](Self::request).
    pub fn patch(&self, url: &str) -> RequestBuilder {
        self.request(Method::PATCH, url)
    }

    /// Starts a HEAD. See [`request`](Self::request).
    pub fn head(&self, url: &str) -> RequestBuilder {
        self.request(Method::HEAD, url)
    }

    /// Starts a PUT. See [`request`](Self::request).
    pub fn put(&self, url: &str) -> RequestBuilder {
        self.request(Method::PUT, url)
    }

    /// Starts a DELETE. See [`request`](Self::request).
    pub fn delete(&self, url: &str) -> RequestBuilder {
        self.request(Method::DELETE, url)
    }

    pub(crate) fn origins(&self) -> &Origins {
        &self.core.origins
    }

    pub(crate) fn target(&self, url: &str) -> Result<(Arc<Pool>, Target), Error> {
        self.core.target(url)
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

/// Starts a GET of an absolute URL with a new client, which ends with the request. For more than one request keep a
/// [`Client`]: it uses its connections again.
///
/// ```no_run
/// # async fn run() -> Result<(), outbound_client::Error> {
/// let page = outbound_client::get("https://example.com/").send().await?.error_for_status().await?.text().await?;
/// # Ok(())
/// # }
/// ```
pub fn get(url: &str) -> RequestBuilder {
    Client::new().get(url)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.core.base.as_ref().map(|base| &base.pool))
            .field("headers", &self.core.headers.keys().collect::<Vec<_>>())
            .field("limits", &self.core.limits)
            .field("origins", &self.core.origins)
            .field("layers", &self.stack.is_some())
            .finish()
    }
}

impl Base {
    fn new(url: &str, origins: &Origins) -> Result<Self, Error> {
        let not_absolute =
            || Error::invalid(Kind::Config, "the base URL begins with neither `http://` nor `https://`");
        let (origin, target) = target::absolute(url)?.ok_or_else(not_absolute)?;
        let (path, query) = target::base(&target)?;
        Ok(Self { path, query, pool: origins.pool(origin, None)? })
    }
}
