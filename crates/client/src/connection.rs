use std::{
    fmt,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Request, Response, Uri, header, uri};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use outbound_timer::Timer;
use tokio::time::Instant;
use tokio_util::sync::ReusableBoxFuture;

use crate::body::Body;

pub(crate) type Sent = Result<Response<Incoming>, TrySendError<Request<Body>>>;

/// The requester's half of an open connection, with all that a request on it needs.
///
/// The boxes travel with the connection and are used again, so that a request on an open connection allocates neither
/// for its future nor for its limits.
pub(crate) struct Connection {
    sender: Sender,
    sent: ReusableBoxFuture<'static, Sent>,
    timer: Option<Pin<Box<Timer>>>,
    pub(crate) history: Arc<History>,
    /// How many requests had gone over the connection with the last one sent.
    pub(crate) requests: u64,
    /// How long the server said it keeps an idle connection.
    pub(crate) keep_alive: Option<Duration>,
    /// Whether a request went over it before.
    pub(crate) reused: bool,
}

enum Sender {
    Http1(http1::SendRequest<Body>),
    // The token is only held: how many hold one tells whether the connection is in use.
    Http2 { sender: http2::SendRequest<Body>, _token: Arc<()> },
}

/// What is known of a connection since it was made.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) opened: Instant,
    pub(crate) remote_addr: Option<SocketAddr>,
    requests: AtomicU64,
}

impl History {
    pub(crate) fn new(opened: Instant, remote_addr: Option<SocketAddr>) -> Arc<Self> {
        Arc::new(Self { opened, remote_addr, requests: AtomicU64::new(0) })
    }
}

/// What a URI on a connection is made of, and the `Host` that goes with it.
pub(crate) struct Address {
    pub(crate) scheme: uri::Scheme,
    pub(crate) authority: uri::Authority,
    pub(crate) host: HeaderValue,
}

impl Connection {
    pub(crate) fn http1(
        sender: http1::SendRequest<Body>,
        history: Arc<History>,
        timer: Pin<Box<Timer>>,
    ) -> Self {
        Self::new(Sender::Http1(sender), history, Some(timer), false)
    }

    /// One of any number of connections over one HTTP/2 connection.
    pub(crate) fn http2(
        sender: http2::SendRequest<Body>,
        history: Arc<History>,
        token: Arc<()>,
        reused: bool,
    ) -> Self {
        Self::new(Sender::Http2 { sender, _token: token }, history, None, reused)
    }

    fn new(sender: Sender, history: Arc<History>, timer: Option<Pin<Box<Timer>>>, reused: bool) -> Self {
        let sent = ReusableBoxFuture::new(std::future::pending());
        Self { sender, sent, timer, history, requests: 0, keep_alive: None, reused }
    }

    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2 { .. })
    }

    pub(crate) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2 { sender, .. } => sender.is_closed(),
        }
    }

    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        match &mut self.sender {
            Sender::Http1(sender) => sender.poll_ready(cx),
            Sender::Http2 { sender, .. } => sender.poll_ready(cx),
        }
    }

    pub(crate) fn take_timer(&mut self) -> Option<Pin<Box<Timer>>> {
        self.timer.take()
    }

    pub(crate) fn keep_timer(&mut self, timer: Option<Pin<Box<Timer>>>) {
        self.timer = timer;
    }

    /// Hands a request to the connection; [`poll_sent`](Self::poll_sent) has the answer.
    pub(crate) fn send(&mut self, mut request: Request<Body>, address: &Address) {
        self.requests = self.history.requests.fetch_add(1, Ordering::Relaxed) + 1;
        match &mut self.sender {
            Sender::Http1(sender) => {
                request.headers_mut().insert(header::HOST, address.host.clone());
                self.sent.set(sender.try_send_request(request));
            }
            Sender::Http2 { sender, .. } => {
                // A request given back by an HTTP/1.1 connection has one, and here the authority is in the URI.
                request.headers_mut().remove(header::HOST);
                let mut parts = std::mem::take(request.uri_mut()).into_parts();
                parts.scheme = Some(address.scheme.clone());
                parts.authority = Some(address.authority.clone());
                // A URI with all of its three parts is always one.
                *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
                self.sent.set(sender.try_send_request(request));
            }
        }
    }

    pub(crate) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Sent> {
        self.sent.poll(cx)
    }
}

/// Takes scheme and authority away from a request that a connection gave back.
pub(crate) fn origin_form(request: &mut Request<Body>) {
    let parts = std::mem::take(request.uri_mut()).into_parts();
    *request.uri_mut() = parts.path_and_query.map(Uri::from).unwrap_or_default();
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
