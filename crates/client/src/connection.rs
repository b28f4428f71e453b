//! One open connection, as the requests on it use it.

mod driver;
mod http1;
mod http2;
mod io;
mod keep_alive;
mod liveness;

use std::{
    fmt,
    net::SocketAddr,
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use http::{HeaderValue, Request, Response, Uri, header, uri};
use hyper::{
    body::Incoming,
    client::conn::{self, TrySendError},
};
use tokio::time::Instant;
use tokio_util::sync::ReusableBoxFuture;

pub(crate) use self::{
    driver::{ConnectionOwner, Drive, Driver},
    http1::open as open_http1,
    http2::{Opened, Share, open as open_http2},
    io::{Io, SpeaksTls},
    keep_alive::{KeepAlive, sooner},
    liveness::Liveness,
};
use crate::{body::Body, look::Looks, reused_timer::ReusedTimer, sender::Sender};

pub(crate) type Sent = Result<Response<Incoming>, TrySendError<Request<Body>>>;

/// The sending half of an open connection, with all that a request on it needs.
///
/// It is moved often, so it is in a box. It carries boxes that are used again: a request on an open connection
/// allocates neither for its future nor for its limits.
pub(crate) struct Connection(Box<Parts>);

pub(crate) struct Parts {
    version: Version,
    sent: ReusableBoxFuture<'static, Sent>,
    timer: Option<ReusedTimer>,
    /// What the server said about keeping the connection.
    pub(crate) keep_alive: KeepAlive,
    /// Whether the connection was idle or in use before this request. If so, it may end without the request being the
    /// reason.
    pub(crate) reused: bool,
    /// When it is too old to be used.
    pub(crate) ends: Option<Instant>,
    pub(crate) history: Arc<History>,
    /// How many requests were sent on it, including the last one.
    pub(crate) requests: u64,
    /// How often its pool had been drained when it was dialled.
    pub(crate) generation: u32,
    /// Since when it was idle when this request took it, and when the request took it.
    pub(crate) idle: Option<(Instant, Instant)>,
}

/// What is known about a connection since it was made.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) opened: Instant,
    pub(crate) remote_addr: Option<SocketAddr>,
    /// Whether `remote_addr` is the address of a proxy.
    pub(crate) proxied: bool,
    requests: AtomicU64,
    pub(crate) looks: Looks,
    /// For HTTP/2.
    pub(crate) liveness: Liveness,
    // Whether the server ended or failed the connection, and not the runtime.
    ended: AtomicBool,
}

impl History {
    pub(crate) fn new(opened: Instant, remote_addr: Option<SocketAddr>, proxied: bool) -> Arc<Self> {
        let (requests, ended) = (AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Self {
            opened,
            remote_addr,
            proxied,
            requests,
            looks: Looks::default(),
            liveness: Liveness::default(),
            ended,
        })
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

enum Version {
    Http1(Sender<conn::http1::SendRequest<Body>>),
    // With a share of the connection while a request is on it.
    Http2(Sender<conn::http2::SendRequest<Body>>, Option<Share>),
}

/// What the URI of a request on a connection is made of, and the matching `Host`.
pub(crate) struct Address {
    pub(crate) scheme: uri::Scheme,
    pub(crate) authority: uri::Authority,
    pub(crate) host: HeaderValue,
    /// Set if requests are sent to a proxy itself.
    pub(crate) forward: Option<Forward>,
}

/// What a request to a proxy carries, in addition to its whole URL.
pub(crate) struct Forward {
    pub(crate) authorization: Option<HeaderValue>,
}

impl Connection {
    /// The timer belongs to the runtime that drives the connection, whichever runtimes send requests on it.
    pub(crate) fn http1(
        sender: Sender<conn::http1::SendRequest<Body>>,
        history: Arc<History>,
        timer: ReusedTimer,
    ) -> Self {
        Self::new(Version::Http1(sender), history, timer)
    }

    /// The sending half of an HTTP/2 connection, for one request at a time.
    pub(crate) fn http2(
        sender: Sender<conn::http2::SendRequest<Body>>,
        history: Arc<History>,
        timer: ReusedTimer,
    ) -> Self {
        Self::new(Version::Http2(sender, None), history, timer)
    }

    fn new(version: Version, history: Arc<History>, timer: ReusedTimer) -> Self {
        Self(Box::new(Parts {
            version,
            sent: ReusableBoxFuture::new(std::future::pending()),
            timer: Some(timer),
            keep_alive: KeepAlive::default(),
            reused: false,
            ends: None,
            history,
            requests: 0,
            generation: 0,
            idle: None,
        }))
    }

    /// Begins a request on HTTP/2.
    pub(crate) fn begin(&mut self, of: Share) {
        if let Version::Http2(_, stream) = &mut self.version {
            *stream = Some(of);
        }
    }

    /// Ends a request on HTTP/2 for which nothing more will come.
    pub(crate) fn finish(mut self) {
        if let Version::Http2(_, stream) = &mut self.version
            && let Some(stream) = stream.take()
        {
            stream.finish(self);
        }
    }

    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.version, Version::Http2(..))
    }

    /// Whether other requests got their replies on the HTTP/2 connection of this request.
    pub(crate) fn serves_others(&self) -> bool {
        matches!(&self.version, Version::Http2(_, Some(stream)) if stream.has_replied())
    }

    pub(crate) fn is_closed(&self) -> bool {
        match &self.version {
            Version::Http1(sender) => sender.lock().as_ref().is_none_or(conn::http1::SendRequest::is_closed),
            Version::Http2(sender, _) => {
                sender.lock().as_ref().is_none_or(conn::http2::SendRequest::is_closed)
            }
        }
    }

    /// Ready with `true` if it takes a request, with `false` if it has ended.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let ready = match &self.version {
            Version::Http1(sender) => sender.lock().as_mut().map(|sender| sender.poll_ready(cx)),
            Version::Http2(sender, _) => sender.lock().as_mut().map(|sender| sender.poll_ready(cx)),
        };
        ready.map_or(Poll::Ready(false), |ready| ready.map(|ready| ready.is_ok()))
    }

    pub(crate) fn take_timer(&mut self) -> Option<ReusedTimer> {
        self.timer.take()
    }

    pub(crate) fn keep_timer(&mut self, timer: Option<ReusedTimer>) {
        self.timer = timer;
    }

    /// Takes a request, unless the connection has ended. [`poll_sent`](Self::poll_sent) gives the answer.
    pub(crate) fn send(&mut self, request: &mut Option<Request<Body>>, address: &Address) {
        let Parts { version, sent, history, requests, .. } = &mut *self.0;
        match version {
            Version::Http1(sender) => {
                let mut sender = sender.lock();
                let Some(sender) = &mut *sender else { return };
                let Some(request) = request.take() else { return };
                sent.set(sender.try_send_request(request));
            }
            Version::Http2(sender, _) => {
                let mut sender = sender.lock();
                let Some(sender) = &mut *sender else { return };
                let Some(mut request) = request.take() else { return };
                address.absolute_form(&mut request);
                sent.set(sender.try_send_request(request));
            }
        }
        *requests = history.requests.fetch_add(1, Ordering::Relaxed) + 1;
    }

    pub(crate) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Sent> {
        self.sent.poll(cx)
    }

    /// A limit passed while the connection had a request, so the connection may be dead.
    pub(crate) fn suspect(&self) {
        if self.is_http2() {
            self.history.liveness.suspect();
        }
    }

    /// The request on the connection was answered.
    pub(crate) fn replied(&self) {
        if let Version::Http2(_, Some(stream)) = &self.version {
            stream.replied();
        }
    }
}

impl Forward {
    /// Adds what a proxy needs, and makes the URI absolute.
    #[cold]
    pub(crate) fn apply(&self, request: &mut Request<Body>, address: &Address) {
        address.absolute_form(request);
        request.headers_mut().insert(header::HOST, address.host.clone());
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
    }
}

impl Address {
    /// Adds scheme and authority, as HTTP/2 and proxies require them.
    pub(crate) fn absolute_form(&self, request: &mut Request<Body>) {
        // A request that an HTTP/1.1 connection gave back has this header. Here the authority is in the URI.
        request.headers_mut().remove(header::HOST);
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        // A URI with all three parts is always valid.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
}

/// Removes scheme and authority from a request that a connection gave back.
pub(crate) fn origin_form(request: &mut Request<Body>) {
    let parts = std::mem::take(request.uri_mut()).into_parts();
    *request.uri_mut() = parts.path_and_query.map(Uri::from).unwrap_or_default();
}

impl Deref for Connection {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = if self.is_http2() { "HTTP/2" } else { "HTTP/1.1" };
        f.debug_struct("Connection")
            .field("version", &version)
            .field("reused", &self.reused)
            .finish_non_exhaustive()
    }
}
