//! The builder of a request.

mod auth;
#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
mod coding;
mod content;
mod framing;
mod proxy;
mod upgrade;

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use serde::Serialize;

pub(crate) use self::{
    framing::{FRAMING, announce_nothing, bad_value, framing, is_framing},
    upgrade::ask,
};
use crate::{
    body::Body,
    client::Client,
    error::{Error, Kind},
    layers::{Layered, Options, Stack},
    limits::Limits,
    origin::Origin,
    pairs,
    pool::Pool,
    redirect::Redirects,
    send::{Call, ReplyFuture},
    target::Target,
};

/// A request that is being built, from [`Client::request`](crate::Client::request).
///
/// Nothing is sent before the future of [`send`](Self::send) is polled. An error in a setting is reported there too,
/// as an error of [`Kind::Request`], so the chain of calls need not be interrupted.
///
/// | part | default |
/// |---|---|
/// | headers | none; the client's are added when it is sent |
/// | key | the client's, to the base URL's origin |
/// | body | none |
/// | limits | the client's |
/// | replayable | no |
/// | redirects | the client's |
/// | proxy | the client's |
/// | timings | the client's |
#[must_use = "a request does nothing before it is sent"]
pub struct RequestBuilder<B = Buffered> {
    // `Err` is a request without a destination. Then `error` is set.
    call: Result<Box<Call>, Box<Request<Body>>>,
    stack: Option<Arc<dyn Stack>>,
    replayable: bool,
    timings: bool,
    // The first setting that was wrong.
    error: Option<Error>,
    body: PhantomData<fn() -> B>,
}

/// Marks a request without a body, or with a body in memory: it can be sent more than once.
#[derive(Debug)]
pub enum Buffered {}

/// Marks a request whose body is read while it is sent, so that it can be sent only once.
#[derive(Debug)]
pub enum Streamed {}

impl RequestBuilder {
    pub(crate) fn new(method: Method, target: Result<(Arc<Pool>, Target), Error>, client: &Client) -> Self {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        let (call, error) = match target {
            Ok((pool, target)) => (Ok(Call::new(&client.core, pool, target, request)), None),
            Err(error) => (Err(Box::new(request)), Some(error)),
        };
        let (stack, timings) = (client.stack.clone(), client.core.timings);
        let mut this = Self { call, stack, replayable: false, timings, error, body: PhantomData };
        if this.method() == Method::CONNECT {
            this.reject(NO_TUNNEL);
        }
        this
    }

    /// Whether the client may send the request again when a used connection ends with the request on it, although the
    /// server may have seen the request. For requests that can be repeated without harm.
    ///
    /// Without this, the client repeats a request only if the server has certainly not seen it. A body that is read
    /// while it is sent cannot be sent twice, so a request with such a body does not have this method:
    ///
    /// ```compile_fail
    /// # fn run(client: outbound_client::Client, upload: outbound_client::Multipart) {
    /// client.post("https://api.example.com/files").multipart(upload).replayable(true);
    /// # }
    /// ```
    ///
    /// If it is called before such a body is set, it is an error of [`Kind::Request`].
    pub fn replayable(mut self, replayable: bool) -> Self {
        self.replayable = replayable;
        self
    }

    /// The bytes of the body. Empty if there is none.
    pub fn bytes(&self) -> &[u8] {
        self.request().body().as_bytes().unwrap_or_default()
    }
}

impl<B> RequestBuilder<B> {
    /// Sets a header, in place of the client's header of the same name.
    ///
    /// It cannot set the headers of a message's framing (`host`, `content-length`, `transfer-encoding`, `connection`
    /// and the like): the client writes these itself.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        HeaderName: TryFrom<N>,
        HeaderValue: TryFrom<V>,
    {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(_)) if is_framing(&name) => self.reject(framing(&name)),
            (Ok(name), Ok(value)) => drop(self.headers_mut().insert(name, value)),
            (Ok(name), Err(_)) => self.reject(bad_value(&name)),
            (Err(_), _) => self.reject("a header's name has characters that it cannot have"),
        }
        self
    }

    /// Sets headers: all values of a name, in place of the client's default headers of that name.
    ///
    /// It cannot set the headers of a message's framing, as with [`header`](Self::header).
    pub fn headers(mut self, headers: &HeaderMap) -> Self {
        if let Some(name) = headers.keys().find(|name| is_framing(name)) {
            self.reject(framing(name));
            return self;
        }
        let own = self.headers_mut();
        own.reserve(headers.len());
        for name in headers.keys() {
            let mut values = headers.get_all(name).iter();
            if let Some(first) = values.next() {
                own.insert(name, first.clone());
            }
            for value in values {
                own.append(name, value.clone());
            }
        }
        self
    }

    /// Appends pairs to the query and encodes them: a list of pairs, a map or a struct. A value is text, a number, a
    /// boolean, `None` (the pair is left out), or a list of these (the key is repeated).
    pub fn query<T: Serialize + ?Sized>(mut self, pairs: &T) -> Self {
        let Ok(call) = &mut self.call else { return self };
        let separator = if call.target.has_query() { '&' } else { '?' };
        let mut query = String::new();
        if let Err(error) = pairs::push(&mut query, pairs, "%20", Some(separator)) {
            let why = Error::invalid(Kind::Request, "the query is not made of pairs");
            self.error.get_or_insert(why.source_from(error));
        }
        call.target.push(&query);
        self
    }

    /// A limit on all the time from the first poll of `send` to the reply's last byte, in place of the client's:
    /// [`Limits::total`].
    pub fn timeout(self, limit: impl Into<Option<Duration>>) -> Self {
        self.change_limits(|limits| limits.total(limit))
    }

    /// Sets all limits, in place of the client's.
    pub fn limits(self, limits: Limits) -> Self {
        self.change_limits(|_| limits)
    }

    /// Changes some of the limits. The others stay as the client's, or as they were set before.
    ///
    /// ```no_run
    /// # async fn run(client: outbound_client::Client) -> Result<(), outbound_client::Error> {
    /// use std::time::Duration;
    ///
    /// let soon = Duration::from_secs(3);
    /// let probe = client.get("/models").change_limits(|limits| limits.dns(soon).connect(soon).tls(soon));
    /// probe.send().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn change_limits(mut self, change: impl FnOnce(Limits) -> Limits) -> Self {
        if let Ok(call) = &mut self.call {
            call.limit_timer.limits = Arc::new(change(*call.limit_timer.limits));
        }
        self
    }

    /// Which redirects to follow, in place of the client's setting.
    pub fn redirects(mut self, redirects: Redirects) -> Self {
        if let Ok(call) = &mut self.call {
            call.redirects = redirects;
        }
        self
    }

    /// Whether to record how long each phase took, for [`Reply::timings`](crate::Reply::timings) and
    /// [`Error::timings`](crate::Error::timings).
    pub fn timings(mut self, timings: bool) -> Self {
        self.timings = timings;
        self
    }

    /// Sets `Idempotency-Key`, for servers that process requests with the same key only once. It does not change when
    /// this client repeats a request: set [`replayable`](Self::replayable) if the server documents such keys.
    pub fn idempotency_key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// The method.
    pub fn method(&self) -> &Method {
        self.request().method()
    }

    /// The origin that the request goes to. `None` if the URL is not valid.
    pub fn origin(&self) -> Option<&Origin> {
        self.call.as_ref().ok().map(|call| &call.pool.origin)
    }

    /// Path and query as they will be sent. A query may contain something that must not be logged.
    pub fn target(&self) -> &str {
        self.call.as_ref().map_or("", |call| call.target.as_str())
    }

    /// The headers so far. The client's own headers and those of the framing are added when the request is sent.
    pub fn headers_ref(&self) -> &HeaderMap {
        self.request().headers()
    }

    /// Sends the request. The future is ready with the reply's head.
    pub fn send(self) -> ReplyFuture {
        let (stack, replayable, timings) = (self.stack.clone(), self.replayable, self.timings);
        let mut call = match self.finish() {
            Ok(call) => call,
            Err(error) => return ReplyFuture::invalid(error),
        };
        let Some(stack) = stack else {
            call.start(replayable, timings);
            return ReplyFuture::new(call);
        };
        let (origin, options) = (call.pool.origin.clone(), options(&call, replayable, timings));
        ReplyFuture::layered(Layered::new(call.core.clone(), stack, into_value(call), options, origin))
    }

    /// The request as a value with an absolute URI, for [`Client::execute`](crate::Client::execute) or a
    /// `tower_service::Service`. Its limits and all other settings are stored in an extension.
    ///
    /// # Errors
    ///
    /// The first setting that was wrong, as [`send`](Self::send) would report it.
    pub fn build(self) -> Result<Request<Body>, Error> {
        let (replayable, timings) = (self.replayable, self.timings);
        let call = self.finish()?;
        let options = options(&call, replayable, timings);
        let mut request = into_value(call);
        request.extensions_mut().insert(options);
        Ok(request)
    }

    fn finish(self) -> Result<Box<Call>, Error> {
        let Self { call, error, .. } = self;
        match (call, error) {
            (Ok(mut call), None) => match std::mem::take(&mut call.target).finish() {
                Ok(target) => {
                    if let Some(request) = &mut call.request {
                        *request.uri_mut() = Uri::from(target);
                        #[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
                        coding::code(request).map_err(|error| error.at(&call.pool.origin))?;
                    }
                    Ok(call)
                }
                Err(error) => Err(error.at(&call.pool.origin)),
            },
            (Ok(call), Some(error)) => Err(error.at(&call.pool.origin)),
            (Err(_), error) => {
                Err(error.unwrap_or_else(|| Error::invalid(Kind::Request, "the request has no URL")))
            }
        }
    }

    fn request(&self) -> &Request<Body> {
        match &self.call {
            Ok(call) => call.request.as_ref().expect(UNSENT),
            Err(request) => request,
        }
    }

    fn request_mut(&mut self) -> &mut Request<Body> {
        match &mut self.call {
            Ok(call) => call.request.as_mut().expect(UNSENT),
            Err(request) => request,
        }
    }

    /// When the first header is set, there is room for the client's headers and for what most requests have, so that
    /// the map does not grow later. A map for more than six headers is much more expensive to allocate.
    fn headers_mut(&mut self) -> &mut HeaderMap {
        let own = self.call.as_ref().map_or(0, |call| call.core.own_headers());
        let headers = self.request_mut().headers_mut();
        if own > 0 && headers.capacity() == 0 {
            headers.reserve(own + 5);
        }
        headers
    }

    fn reject(&mut self, why: impl Into<Box<str>>) {
        self.error.get_or_insert_with(|| Error::unusable(Kind::Request, why));
    }
}

impl<B> fmt::Debug for RequestBuilder<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query and the values of headers are left out: both can contain keys.
        f.debug_struct("RequestBuilder")
            .field("method", self.method())
            .field("origin", &self.origin())
            .field("path", &self.target().split('?').next().unwrap_or_default())
            .field("headers", &self.headers_ref().keys().collect::<Vec<_>>())
            .field("body", self.request().body())
            .finish_non_exhaustive()
    }
}

pub(crate) const NO_TUNNEL: &str = "CONNECT asks a proxy for a tunnel, which this client does not do";
pub(crate) const NOT_REPLAYABLE: &str =
    "a request whose body is a stream cannot be sent twice, so it is not replayable";
const UNSENT: &str = "a request that is being built has not been sent";

fn options(call: &Call, replayable: bool, timings: bool) -> Options {
    let (limits, redirects, proxies) =
        (call.limit_timer.limits.clone(), call.redirects, call.proxies.clone());
    Options {
        limits,
        timings,
        replayable,
        redirects,
        proxies,
        upgrade: call.pool.for_upgrade,
        left_origin: false,
        #[cfg(feature = "cookies")]
        left_site: false,
        #[cfg(feature = "digest")]
        credentials: call.credentials.clone(),
        deadline: None,
    }
}

fn into_value(call: Box<Call>) -> Request<Body> {
    let Call { request, pool, core, .. } = *call;
    let mut request = request.expect(UNSENT);
    core.secrets.mark(request.headers_mut());
    pool.address.absolute_form(&mut request);
    request
}
