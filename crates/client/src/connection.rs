use std::{
    fmt,
    pin::Pin,
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

use crate::{
    body::Body,
    pool::{KeepAlive, Stream},
    sender::Sender,
};

pub(crate) type Sent = Result<Response<Incoming>, TrySendError<Request<Body>>>;

/// The requester's half of an open connection, with all that a request on it needs.
///
/// The boxes travel with the connection and are used again, so that a request on an open connection allocates neither
/// for its future nor for its limits.
pub(crate) struct Connection {
    version: Version,
    spare: Spare,
    timer: Option<Pin<Box<Timer>>>,
    /// What the server said about keeping it.
    pub(crate) keep_alive: KeepAlive,
    /// Whether it was idle or in use before this request, so that it may be closed without being to blame.
    pub(crate) reused: bool,
    pub(crate) opened: Instant,
    /// How many requests went over it.
    pub(crate) requests: u32,
    /// How often its pool had been drained when it was dialled.
    pub(crate) generation: u32,
    /// When it was taken for this request, and for how long it had been idle.
    pub(crate) idle: Option<(Instant, Duration)>,
}

/// What a finished request over HTTP/2 leaves for the next.
pub(crate) struct Spare {
    sent: ReusableBoxFuture<'static, Sent>,
    buffer: Vec<u8>,
}

impl Default for Spare {
    fn default() -> Self {
        Self { sent: ReusableBoxFuture::new(std::future::pending()), buffer: Vec::new() }
    }
}

enum Version {
    Http1(Sender<http1::SendRequest<Body>>),
    Http2 { sender: Sender<http2::SendRequest<Body>>, stream: Stream },
}

/// What a URI on a connection is made of, and the `Host` that goes with it.
pub(crate) struct Address {
    pub(crate) scheme: uri::Scheme,
    pub(crate) authority: uri::Authority,
    pub(crate) host: HeaderValue,
}

impl Connection {
    pub(crate) fn http1(sender: Sender<http1::SendRequest<Body>>, timer: Pin<Box<Timer>>) -> Self {
        Self::new(Version::Http1(sender), Spare::default(), Some(timer), Instant::now())
    }

    /// One request's share of an HTTP/2 connection.
    pub(crate) fn http2(
        sender: Sender<http2::SendRequest<Body>>,
        stream: Stream,
        spare: Spare,
        opened: Instant,
    ) -> Self {
        Self::new(Version::Http2 { sender, stream }, spare, None, opened)
    }

    fn new(version: Version, spare: Spare, timer: Option<Pin<Box<Timer>>>, opened: Instant) -> Self {
        Self {
            version,
            spare,
            timer,
            keep_alive: KeepAlive::default(),
            reused: false,
            opened,
            requests: 0,
            generation: 0,
            idle: None,
        }
    }

    /// Ends a request over HTTP/2 of which nothing is to come any more.
    pub(crate) fn finish(self) {
        if let Version::Http2 { stream, .. } = self.version {
            stream.finish(self.spare);
        }
    }

    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.version, Version::Http2 { .. })
    }

    /// Whether others had their replies over the connection, of HTTP/2, that this request is on.
    pub(crate) fn serves_others(&self) -> bool {
        matches!(&self.version, Version::Http2 { stream, .. } if stream.has_replied())
    }

    pub(crate) fn is_closed(&self) -> bool {
        match &self.version {
            Version::Http1(sender) => sender.with(|sender| sender.is_closed()),
            Version::Http2 { sender, .. } => sender.with(|sender| sender.is_closed()),
        }
        .unwrap_or(true)
    }

    /// Ready with whether it takes a request; it has ended if not.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<bool> {
        match &self.version {
            Version::Http1(sender) => sender.with(|sender| sender.poll_ready(cx)),
            Version::Http2 { sender, .. } => sender.with(|sender| sender.poll_ready(cx)),
        }
        .map_or(Poll::Ready(false), |ready| ready.map(|ready| ready.is_ok()))
    }

    pub(crate) fn take_timer(&mut self) -> Option<Pin<Box<Timer>>> {
        self.timer.take()
    }

    pub(crate) fn keep_timer(&mut self, timer: Option<Pin<Box<Timer>>>) {
        self.timer = timer;
    }

    /// A buffer for a copy of the request.
    pub(crate) fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.spare.buffer)
    }

    pub(crate) fn keep_buffer(&mut self, buffer: Vec<u8>) {
        self.spare.buffer = buffer;
    }

    /// Hands a request to the connection; [`poll_sent`](Self::poll_sent) has the answer. It comes back if the
    /// connection has ended.
    pub(crate) fn send(&mut self, request: Request<Body>, address: &Address) -> Option<Request<Body>> {
        let mut request = Some(request);
        match &self.version {
            Version::Http1(sender) => {
                self.requests = self.requests.saturating_add(1);
                sender.with(|sender| {
                    let mut request = request.take()?;
                    request.headers_mut().insert(header::HOST, address.host.clone());
                    self.spare.sent.set(sender.try_send_request(request));
                    Some(())
                });
            }
            Version::Http2 { sender, .. } => {
                sender.with(|sender| {
                    let mut request = request.take()?;
                    absolute_form(&mut request, address);
                    self.spare.sent.set(sender.try_send_request(request));
                    Some(())
                });
            }
        }
        request
    }

    pub(crate) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Sent> {
        let sent = self.spare.sent.poll(cx);
        if let (Poll::Ready(Ok(_)), Version::Http2 { stream, .. }) = (&sent, &self.version) {
            stream.replied();
        }
        sent
    }
}

/// Adds scheme and authority, as HTTP/2 wants them.
fn absolute_form(request: &mut Request<Body>, address: &Address) {
    // A request given back by an HTTP/1.1 connection has one, and here the authority is in the URI.
    request.headers_mut().remove(header::HOST);
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(address.scheme.clone());
    parts.authority = Some(address.authority.clone());
    // A URI with all of its three parts is always one.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
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
