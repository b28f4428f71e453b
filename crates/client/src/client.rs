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
/// A clone is another handle on the same pool. Connections live in tasks of the runtime that dialled them; those that
/// are idle, and dials nobody waits for, end when the last handle and the last future and reply of it are gone.
///
/// It is a `tower_service::Service` of `http::Request<Body>` too, which is always ready; see
/// [`execute`](Self::execute).
#[derive(Clone)]
pub struct Client {
    pub(crate) core: Arc<Core>,
    pub(crate) stack: Option<Arc<dyn Stack>>,
}

/// What is under the layers: the pools, and what goes with each request at the last moment.
pub(crate) struct Core {
    origins: Origins,
    base: Option<Base>,
    // For the base URL's origin, if there is one.
    headers: HeaderMap,
    /// Whether these ask for codings, so that bodies are given as they come.
    pub(crate) takes_codings: bool,
    /// What is asked for, to be undone here.
    accept_encoding: Option<HeaderValue>,
    // For all.
    user_agent: HeaderValue,
    pub(crate) limits: Arc<Limits>,
    pub(crate) timings: bool,
    pub(crate) redirects: Redirects,
    pub(crate) secrets: Secrets,
    #[cfg(feature = "cookies")]
    pub(crate) cookies: Option<CookieJar>,
    /// For the base URL's origin.
    #[cfg(feature = "digest")]
    pub(crate) credentials: Option<Arc<Credentials>>,
}

struct Base {
    pool: Arc<Pool>,
    path: String,
    // Of every path under it.
    query: String,
}

impl Core {
    /// Where a request to an origin goes, through the proxies that it names or else through the client's.
    pub(crate) fn pool(&self, origin: Origin, proxies: Option<&Proxies>) -> Result<Arc<Pool>, Error> {
        match &self.base {
            Some(base) if proxies.is_none() && base.pool.origin == origin => Ok(base.pool.clone()),
            _ => self.origins.pool(origin, proxies),
        }
    }

    /// The same for requests to switch to another protocol.
    pub(crate) fn pool_for_upgrade(
        &self,
        origin: Origin,
        proxies: Option<&Proxies>,
    ) -> Result<Arc<Pool>, Error> {
        self.origins.pool_for_upgrade(origin, proxies)
    }

    /// Adds the client's headers to a request that goes to `pool`, those that it has not itself: all if that is the
    /// base URL's origin, none if it is another, or if the request has been to another.
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

    /// The same for a request that has no headers of its own and was nowhere else, over HTTP/1.1: made once, for to copy
    /// them costs less than half of putting them together.
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

    /// How many headers the client may add to a request beside those of every client.
    pub(crate) fn own_headers(&self) -> usize {
        self.headers.len()
    }

    fn is_home(&self, pool: &Arc<Pool>) -> bool {
        self.base.as_ref().is_none_or(|base| Arc::ptr_eq(pool, &base.pool) || pool.origin == base.pool.origin)
    }

    /// What a request has that says nothing else.
    pub(crate) fn options(&self) -> Options {
        Options {
            limits: self.limits.clone(),
            timings: self.timings,
            replayable: false,
            redirects: self.redirects,
            proxies: None,
            upgrade: false,
            left: false,
            #[cfg(feature = "cookies")]
            crossed: false,
            #[cfg(feature = "digest")]
            credentials: self.credentials.clone(),
            ends: None,
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

    /// The limits of requests that have none of their own.
    pub fn limits(&self) -> Limits {
        *self.core.limits
    }

    /// Starts a request to a path under the base URL, or to an absolute `http` or `https` URL.
    ///
    /// A path is appended to the base URL's own, and the base URL's query to the path's: it cannot leave the origin nor climb above the base path, and a `.`
    /// or `..` segment, a leading `//`, a backslash or a fragment in it is an error. The client's key and default
    /// headers go with every request to the base URL's origin, however it was named, and with none to another. They
    /// are added when the request is sent, so no layer sees them. What may not stand in a URL is percent-encoded; what
    /// is encoded already stays as it is.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        RequestBuilder::new(method, self.core.target(url), self)
    }

    /// Sends a request that is a value, with an absolute URI: from [`RequestBuilder::build`], or one of your own.
    ///
    /// The client adds the same headers as for [`request`](Self::request), and writes the headers of the message's
    /// framing (`host`, `content-length` and their like) itself: what the request has of these is dropped.
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

/// Starts a GET of an absolute URL with a client of its own, which ends with it. For more than one request, keep a
/// [`Client`]: its connections are used again.
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
