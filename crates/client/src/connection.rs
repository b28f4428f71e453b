mod driver;
mod http1;
mod http2;
mod io;
mod keep_alive;
mod suspicion;

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
    driver::{Drive, Driver, Keeper},
    http1::open as open_http1,
    http2::{Opened, Share, open as open_http2},
    io::{Io, SpeaksTls},
    keep_alive::{KeepAlive, sooner},
    suspicion::Suspicion,
};
use crate::{alarm::Alarm, body::Body, look::Looks, sender::Sender};

pub(crate) type Sent = Result<Response<Incoming>, TrySendError<Request<Body>>>;

/// The requester's half of an open connection, with all that a request on it needs.
///
/// It goes from hand to hand, in a box. The boxes in it travel with it and are used again, so that a request on an open
/// connection allocates neither for its future nor for its limits.
pub(crate) struct Connection(Box<Parts>);

pub(crate) struct Parts {
    version: Version,
    sent: ReusableBoxFuture<'static, Sent>,
    timer: Option<Alarm>,
    /// What the server said about keeping it.
    pub(crate) keep_alive: KeepAlive,
    /// Whether it was idle or in use before this request, so that it may be closed without being to blame.
    pub(crate) reused: bool,
    /// When it will be too old to be used.
    pub(crate) ends: Option<Instant>,
    pub(crate) history: Arc<History>,
    /// How many requests had gone over it with the last one sent.
    pub(crate) requests: u64,
    /// How often its pool had been drained when it was dialled.
    pub(crate) generation: u32,
    /// Since when it had been idle when it was taken for this request, and when that was.
    pub(crate) idle: Option<(Instant, Instant)>,
}

/// What is known of a connection since it was made.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) opened: Instant,
    pub(crate) remote_addr: Option<SocketAddr>,
    /// Whether that is a proxy's.
    pub(crate) proxied: bool,
    requests: AtomicU64,
    pub(crate) looks: Looks,
    /// Of HTTP/2.
    pub(crate) suspicion: Suspicion,
    // Whether the server ended it, or failed it, and not the runtime.
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
            suspicion: Suspicion::default(),
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
    // With a stream while it is in use.
    Http2(Sender<conn::http2::SendRequest<Body>>, Option<Share>),
}

/// What a URI on a connection is made of, and the `Host` that goes with it.
pub(crate) struct Address {
    pub(crate) scheme: uri::Scheme,
    pub(crate) authority: uri::Authority,
    pub(crate) host: HeaderValue,
    /// Where requests are given to a proxy itself.
    pub(crate) forward: Option<Forward>,
}

/// What a request to a proxy carries, beside its whole URL.
pub(crate) struct Forward {
    pub(crate) authorization: Option<HeaderValue>,
}

impl Connection {
    /// The alarm belongs to the runtime that drives the connection, however many others send requests over it.
    pub(crate) fn http1(
        sender: Sender<conn::http1::SendRequest<Body>>,
        history: Arc<History>,
        alarm: Alarm,
    ) -> Self {
        Self::new(Version::Http1(sender), history, alarm)
    }

    /// What one request at a time needs of an HTTP/2 connection.
    pub(crate) fn http2(
        sender: Sender<conn::http2::SendRequest<Body>>,
        history: Arc<History>,
        alarm: Alarm,
    ) -> Self {
        Self::new(Version::Http2(sender, None), history, alarm)
    }

    fn new(version: Version, history: Arc<History>, alarm: Alarm) -> Self {
        Self(Box::new(Parts {
            version,
            sent: ReusableBoxFuture::new(std::future::pending()),
            timer: Some(alarm),
            keep_alive: KeepAlive::default(),
            reused: false,
            ends: None,
            history,
            requests: 0,
            generation: 0,
            idle: None,
        }))
    }

    /// Begins a request over HTTP/2.
    pub(crate) fn begin(&mut self, of: Share) {
        if let Version::Http2(_, stream) = &mut self.version {
            *stream = Some(of);
        }
    }

    /// Ends a request over HTTP/2 of which nothing is to come any more.
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

    /// Whether others had their replies over the connection, of HTTP/2, that this request is on.
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

    /// Ready with whether it takes a request; it has ended if not.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let ready = match &self.version {
            Version::Http1(sender) => sender.lock().as_mut().map(|sender| sender.poll_ready(cx)),
            Version::Http2(sender, _) => sender.lock().as_mut().map(|sender| sender.poll_ready(cx)),
        };
        ready.map_or(Poll::Ready(false), |ready| ready.map(|ready| ready.is_ok()))
    }

    pub(crate) fn take_timer(&mut self) -> Option<Alarm> {
        self.timer.take()
    }

    pub(crate) fn keep_timer(&mut self, timer: Option<Alarm>) {
        self.timer = timer;
    }

    /// Takes a request, unless the connection has ended; [`poll_sent`](Self::poll_sent) has the answer.
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

    /// A limit passed while it had a request: it may be dead.
    pub(crate) fn suspect(&self) {
        if self.is_http2() {
            self.history.suspicion.raise();
        }
    }

    /// The request on it was answered.
    pub(crate) fn replied(&self) {
        if let Version::Http2(_, Some(stream)) = &self.version {
            stream.replied();
        }
    }
}

impl Forward {
    /// Adds what a proxy goes by, in place of the `Host` too.
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
    /// Adds scheme and authority, as HTTP/2 and proxies want them.
    pub(crate) fn absolute_form(&self, request: &mut Request<Body>) {
        // A request given back by an HTTP/1.1 connection has one, and here the authority is in the URI.
        request.headers_mut().remove(header::HOST);
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        // A URI with all of its three parts is always one.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
}

/// Takes scheme and authority away from a request that a connection gave back.
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
