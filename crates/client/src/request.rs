use std::{collections::VecDeque, fmt, sync::Arc};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use serde::Serialize;

use crate::{
    body::{Body, Segment},
    error::{BoxError, Error, Kind},
    limits::Limits,
    multipart::Multipart,
    pool::Pool,
    send::ReplyFuture,
    target,
};

/// A request being put together, from [`Client::request`](crate::Client::request).
///
/// Nothing is sent before the future of [`send`](Self::send) is polled. What is wrong with a part shows there too, as
/// an error of [`Kind::Request`], so that the chain need not be broken.
///
/// | part | default |
/// |---|---|
/// | headers | the client's, if the request goes to its base URL's origin |
/// | body | none |
/// | limits | the client's |
/// | replayable | no |
/// | timings | the client's |
#[must_use = "a request does nothing before it is sent"]
pub struct RequestBuilder {
    method: Method,
    pool: Option<Arc<Pool>>,
    target: String,
    headers: HeaderMap,
    body: Body,
    limits: Arc<Limits>,
    replayable: bool,
    timings: bool,
    // The first thing that was wrong.
    error: Option<Error>,
}

impl RequestBuilder {
    pub(crate) fn new(
        method: Method,
        target: Result<(Arc<Pool>, String), Error>,
        headers: HeaderMap,
        limits: Arc<Limits>,
        timings: bool,
    ) -> Self {
        let (pool, target, error) = match target {
            Ok((pool, target)) => (Some(pool), target, None),
            Err(error) => (None, String::new(), Some(error)),
        };
        let mut this = Self {
            method,
            pool,
            target,
            headers,
            body: Body::EMPTY,
            limits,
            replayable: false,
            timings,
            error,
        };
        if this.method == Method::CONNECT {
            this.reject("CONNECT asks a proxy for a tunnel, which this client does not do");
        }
        this
    }

    /// Sets a header, in place of the client's default of the same name.
    ///
    /// Not for the headers that say where a message goes and where it ends (`host`, `content-length`,
    /// `transfer-encoding`, `connection` and its like): these are the client's to write.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        HeaderName: TryFrom<N>,
        HeaderValue: TryFrom<V>,
    {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(_)) if is_framing(&name) => {
                self.reject("a header of the message's framing cannot be set");
            }
            (Ok(name), Ok(value)) => drop(self.headers.insert(name, value)),
            (Err(_), _) => self.reject("a header's name has characters that it cannot have"),
            (_, Err(_)) => self.reject("a header's value has characters that it cannot have"),
        }
        self
    }

    /// Appends pairs to the query, encoded.
    pub fn query<K: AsRef<str>, V: AsRef<str>>(mut self, pairs: &[(K, V)]) -> Self {
        if !pairs.is_empty() {
            self.target.push(if self.target.contains('?') { '&' } else { '?' });
            target::push_pairs(&mut self.target, pairs, "%20");
        }
        self
    }

    /// A body of bytes, without a content type.
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = Body::bytes(bytes.into());
        self
    }

    /// A body of JSON, `application/json` unless a content type is set.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => self.typed("application/json").body(json),
            Err(error) => {
                let why =
                    Error::invalid(Kind::Request, "the body cannot be written as JSON").source_from(error);
                self.error.get_or_insert(why);
                self
            }
        }
    }

    /// A body of pairs as a form, `application/x-www-form-urlencoded` unless a content type is set.
    pub fn form<K: AsRef<str>, V: AsRef<str>>(self, pairs: &[(K, V)]) -> Self {
        let mut form = String::new();
        target::push_pairs(&mut form, pairs, "+");
        self.typed("application/x-www-form-urlencoded").body(form)
    }

    /// A body of several parts, each with its headers.
    pub fn multipart(mut self, multipart: Multipart) -> Self {
        let (content_type, body) = multipart.into_body();
        self.headers.insert(header::CONTENT_TYPE, content_type);
        self.body = body;
        self
    }

    /// A body that is read while it is sent. With a length it is announced as that long, and fails if it is not; else
    /// it is sent in chunks. What the stream fails with is the source of an error of [`Kind::RequestBody`].
    pub fn stream<S, E>(mut self, stream: S, length: Option<u64>) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.body = Body::segments(VecDeque::from([Segment::stream(stream)]), length);
        self
    }

    /// Other limits than the client's, all of them.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Arc::new(limits);
        self
    }

    /// Whether the request may be sent once more by itself when a connection that had been used before ended under it,
    /// although the server may have seen it. For requests that do no harm twice, and whose body is not a stream.
    ///
    /// Without this, only what the server has certainly not seen is sent again.
    pub fn replayable(mut self, replayable: bool) -> Self {
        self.replayable = replayable;
        self
    }

    /// Sets `Idempotency-Key`, for servers that do a request with the same key only once. It changes nothing about
    /// when this client sends again: say [`replayable`](Self::replayable) where the server documents such keys.
    pub fn idempotency_key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// Whether to record how long each phase took: for [`Reply::timings`](crate::Reply::timings) and
    /// [`Error::timings`](crate::Error::timings).
    pub fn timings(mut self, timings: bool) -> Self {
        self.timings = timings;
        self
    }

    /// Sends the request. The future is ready with the reply's head.
    pub fn send(self) -> ReplyFuture {
        let Self { method, pool, target, headers, body, limits, replayable, timings, error } = self;
        let pool = match (pool, error) {
            (Some(pool), None) => pool,
            (Some(pool), Some(error)) => return ReplyFuture::invalid(error.at(&pool.origin)),
            (None, error) => {
                let no_url = || Error::invalid(Kind::Request, "the request has no URL");
                return ReplyFuture::invalid(error.unwrap_or_else(no_url));
            }
        };
        let path = match target::finish(target) {
            Ok(path) => path,
            Err(error) => return ReplyFuture::invalid(error),
        };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from(path);
        *request.headers_mut() = headers;
        ReplyFuture::new(pool, request, limits, replayable, timings)
    }

    fn typed(mut self, content_type: &'static str) -> Self {
        self.headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
        self
    }

    fn reject(&mut self, why: &'static str) {
        self.error.get_or_insert_with(|| Error::invalid(Kind::Request, why));
    }
}

impl fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the query nor the headers' values: both carry keys.
        f.debug_struct("RequestBuilder")
            .field("method", &self.method)
            .field("origin", &self.pool.as_ref().map(|pool| &pool.origin))
            .field("path", &self.target.split('?').next().unwrap_or_default())
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

/// Whether a header says where a message goes or where it ends, or belongs to one connection only.
pub(crate) fn is_framing(name: &HeaderName) -> bool {
    const NAMES: [&str; 9] = [
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    NAMES.contains(&name.as_str())
}
