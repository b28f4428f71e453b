//! How long each phase of a request took, and which connection it used.

use std::{
    net::SocketAddr,
    ops::{Index, IndexMut},
    time::Duration,
};

use http::Version;
use tokio::time::Instant;

use crate::{
    body::{Stage, Upload},
    limits::Limit,
};

/// How long a request was in each phase, up to the head of its reply or to its error.
///
/// It is recorded if [`RequestBuilder::timings`](crate::RequestBuilder::timings) or
/// [`ClientBuilder::timings`](crate::ClientBuilder::timings) asks for it. It is this request's own time: a dial that
/// began for another request counts from when this request began to wait for it. On an open connection `dns`,
/// `connect` and `tls` are zero. If a request was sent more than once, the waits are added, and `upload` and
/// `first_byte` are those of the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// Waiting for a connection permit in the pool.
    pub pool_wait: Duration,
    /// The look-up of the name.
    pub dns: Duration,
    /// TCP, or the connector's work.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// From holding a connection until it had the last byte of the request.
    pub upload: Duration,
    /// From then to the head of the reply. Zero if the head came earlier.
    pub first_byte: Duration,
    /// From the first poll of `send` to the head of the reply or the error.
    pub total: Duration,
}

/// The connection that a reply came over, from [`Reply::connection`](crate::Reply::connection).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Whether another request used it before.
    pub reused: bool,
    /// How many requests used it so far, including this one.
    pub requests: u64,
    /// How long ago it was opened.
    pub age: Duration,
    /// The version of HTTP that it speaks.
    pub version: Version,
    /// The address of the other end, which is the proxy if there is one. `None` with a connector that does not state
    /// it, and with a unix socket.
    pub remote_addr: Option<SocketAddr>,
    /// Whether it goes through a [`Proxy`](crate::Proxy).
    pub proxied: bool,
}

/// How a wait for a connection was spent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waited {
    pool: Duration,
    dns: Duration,
    connect: Duration,
    tls: Duration,
}

impl Index<Limit> for Waited {
    type Output = Duration;

    fn index(&self, stage: Limit) -> &Duration {
        match stage {
            Limit::PoolWait => &self.pool,
            Limit::Dns => &self.dns,
            Limit::Tls => &self.tls,
            _ => &self.connect,
        }
    }
}

impl IndexMut<Limit> for Waited {
    fn index_mut(&mut self, stage: Limit) -> &mut Duration {
        match stage {
            Limit::PoolWait => &mut self.pool,
            Limit::Dns => &mut self.dns,
            Limit::Tls => &mut self.tls,
            _ => &mut self.connect,
        }
    }
}

/// Timings that are being recorded.
#[derive(Debug)]
pub(crate) struct Recorder {
    timings: Timings,
    started: Option<Instant>,
    held: Option<Instant>,
}

impl Recorder {
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self { timings: Timings::default(), started: None, held: None })
    }

    pub(crate) fn start(&mut self, now: Instant) {
        self.started.get_or_insert(now);
        self.held = None;
    }

    pub(crate) fn waited(&mut self, waited: Waited) {
        self.timings.pool_wait += waited.pool;
        self.timings.dns += waited.dns;
        self.timings.connect += waited.connect;
        self.timings.tls += waited.tls;
    }

    pub(crate) fn hold(&mut self, now: Instant) {
        self.held = Some(now);
    }

    /// The head has come, or an error in place of it.
    pub(crate) fn finish(&mut self, upload: Option<&Upload>) {
        let now = Instant::now();
        let since = |from: Option<Instant>| from.map_or(Duration::ZERO, |from| now - from);
        self.timings.total = since(self.started);
        let after_upload = match upload.map(Upload::stage) {
            // A body this small is sent at once.
            None => since(self.held),
            Some(Stage::Done(at)) => since(Some(at)),
            Some(Stage::Sending(_) | Stage::Producing) => Duration::ZERO,
        };
        if self.held.is_some() {
            self.timings.first_byte = after_upload;
            self.timings.upload = since(self.held).saturating_sub(after_upload);
        }
    }

    pub(crate) fn timings(&self) -> Timings {
        self.timings
    }
}
