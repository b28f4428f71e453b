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

/// How long a request was in each of its phases, up to the head of its reply or to its error.
///
/// Recorded where [`RequestBuilder::timings`](crate::RequestBuilder::timings) or
/// [`ClientBuilder::timings`](crate::ClientBuilder::timings) asks for it. It is this request's own time: a dial that
/// began for another counts from when this request waited for it, and on an open connection `dns`, `connect` and `tls`
/// are zero. Where a request was sent more than once, the waits add up and `upload` and `first_byte` are the last's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// Waiting for a place in the pool.
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
    /// Whether another request went over it before.
    pub reused: bool,
    /// How many requests had gone over it, with this one.
    pub requests: u64,
    /// How long ago it was opened.
    pub age: Duration,
    /// The version of HTTP that it speaks.
    pub version: Version,
    /// The address of the other side, which is the proxy where there is one; none where a connector does not state it,
    /// nor with a unix socket.
    pub remote_addr: Option<SocketAddr>,
    /// Whether it goes through a [`Proxy`](crate::Proxy).
    pub proxied: bool,
}

/// What a wait for a connection was spent on.
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

/// Timings in the making.
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

    /// The head has come, or an error instead of it.
    pub(crate) fn finish(&mut self, upload: Option<&Upload>) {
        let now = Instant::now();
        let since = |from: Option<Instant>| from.map_or(Duration::ZERO, |from| now - from);
        self.timings.total = since(self.started);
        let after_upload = match upload.map(Upload::stage) {
            // Small enough to be gone at once.
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
