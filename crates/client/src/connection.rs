use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Request, Response, Uri, header, uri};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use tokio::time::Instant;
use tokio_util::sync::ReusableBoxFuture;

use crate::{alarm::Alarm, body::Body};

pub(crate) type Sent = Result<Response<Incoming>, TrySendError<Request<Body>>>;

/// The requester's half of an open connection, with all that a request on it needs.
///
/// The boxes travel with the connection and are used again, so that a request on an open connection allocates neither
/// for its future nor for its limits.
pub(crate) struct Connection {
    sender: Sender,
    sent: ReusableBoxFuture<'static, Sent>,
    timer: Option<Alarm>,
    /// How long the server said it keeps an idle connection.
    pub(crate) keep_alive: Option<Duration>,
    /// Whether a request went over it before.
    pub(crate) reused: bool,
}

/// The boxes that travel with a connection.
pub(crate) struct Boxes {
    sent: ReusableBoxFuture<'static, Sent>,
    alarm: Alarm,
}

impl Boxes {
    /// New ones, of the runtime that drives the connection: it is in whose context this is called. They belong to it,
    /// however many others send requests over the connection, and end with it.
    pub(crate) fn new(now: Instant) -> Self {
        Self { sent: ReusableBoxFuture::new(std::future::pending()), alarm: Alarm::new(now) }
    }
}

enum Sender {
    Http1(http1::SendRequest<Body>),
    // The token is only held: how many hold one tells whether the connection is in use.
    Http2 { sender: http2::SendRequest<Body>, token: Arc<()> },
}

/// What a URI on a connection is made of, and the `Host` that goes with it.
pub(crate) struct Address {
    pub(crate) scheme: uri::Scheme,
    pub(crate) authority: uri::Authority,
    pub(crate) host: HeaderValue,
}

impl Connection {
    pub(crate) fn http1(sender: http1::SendRequest<Body>, boxes: Boxes) -> Self {
        Self::new(Sender::Http1(sender), boxes, false)
    }

    /// One of any number of connections over one HTTP/2 connection.
    pub(crate) fn http2(
        sender: http2::SendRequest<Body>,
        token: Arc<()>,
        boxes: Boxes,
        reused: bool,
    ) -> Self {
        Self::new(Sender::Http2 { sender, token }, boxes, reused)
    }

    fn new(sender: Sender, Boxes { sent, alarm }: Boxes, reused: bool) -> Self {
        Self { sender, sent, timer: Some(alarm), keep_alive: None, reused }
    }

    /// What another one over the same HTTP/2 connection can use, if that is the one of this token.
    pub(crate) fn into_boxes(self, of: &Arc<()>) -> Option<Boxes> {
        match &self.sender {
            Sender::Http2 { token, .. } if Arc::ptr_eq(token, of) => {
                Some(Boxes { sent: self.sent, alarm: self.timer? })
            }
            _ => None,
        }
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

    pub(crate) fn take_timer(&mut self) -> Option<Alarm> {
        self.timer.take()
    }

    pub(crate) fn keep_timer(&mut self, timer: Option<Alarm>) {
        self.timer = timer;
    }

    /// Hands a request to the connection; [`poll_sent`](Self::poll_sent) has the answer.
    pub(crate) fn send(&mut self, mut request: Request<Body>, address: &Address) {
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
