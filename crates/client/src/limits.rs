use std::{fmt, time::Duration};

use crate::error::Phase;

/// How long each phase of a request may take, and how much of a reply is read.
///
/// Plain data, for a whole client or for one request. `limits` ([of the client](crate::ClientBuilder::limits),
/// [of a request](crate::RequestBuilder::limits)) replaces all of them. `change_limits`
/// ([there](crate::ClientBuilder::change_limits), [here](crate::RequestBuilder::change_limits)) changes those that it
/// names and leaves the others. `None` is no limit. Time spent in one phase never counts against another phase's limit;
/// `exchange` and `total` span phases and say which.
///
/// | limit | from | until | default |
/// |---|---|---|---|
/// | `pool_wait` | all places are in use | a connection, or the start of a dial | none |
/// | `dns` | the look-up of the origin's name begins | its addresses | 10 s |
/// | `connect` | the first address is tried, or the connector is asked | a transport | 10 s |
/// | `tls` | the TLS handshake begins | its end | 10 s |
/// | `write_idle` | the request's body stands still under the server | it takes more | 300 s |
/// | `first_byte` | the last byte of the request was handed to the connection | the head of the reply | 600 s |
/// | `idle` | the reply's body stands still under its reader | its next bytes | 300 s |
/// | `exchange` | a connection is held | the last byte of the reply's body | none |
/// | `total` | the first poll of the future of `send` | the last byte of the reply's body | none |
/// | `max_body` | | the most bytes that a whole-body read (`bytes`, `text`, `json`) takes | 64 MiB |
/// | `max_line` | | the most bytes that one line takes (`lines`, `ndjson`) | 8 MiB |
/// | `max_event` | | the most bytes that one server-sent event takes | 8 MiB |
///
/// Of an open WebSocket, `idle` bounds the server's silence, `write_idle` a send that it does not take, and `max_body`
/// one message; the others hold until it is open.
///
/// What has arrived beats a limit that has passed. Who polls late, or was stopped, reads it first: a head, and as much of
/// a body as sockets can have held (8 MiB).
///
/// `first_byte` is long because a completion that is not streamed says nothing until it is whole. Heads of replies
/// are bounded as well: 100 header fields and 400 KiB (HTTP/1.1), 16 KiB of fields (HTTP/2).
///
/// A dial may serve others than the request that it was started for. So each request leaves at its own `dns`,
/// `connect` and `tls`, counted from when it began to wait for the dial, and the dial goes on for as long as the longer
/// of the client's and that first request's limits. 10 s let a look-up whose first packet was lost be asked again (most
/// resolvers do after 5 s), and a first segment be sent four times.
///
/// ```
/// use std::time::Duration;
/// use outbound_client::Limits;
///
/// let limits = Limits::new().total(Duration::from_secs(120)).idle(None);
/// assert_eq!(limits.connect, Some(Duration::from_secs(10)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Waiting for a place in the pool.
    pub pool_wait: Option<Duration>,
    /// The look-up of a name.
    pub dns: Option<Duration>,
    /// TCP, with all addresses of a name; or a connector's work.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// Between two pieces of the request's body that the server takes.
    pub write_idle: Option<Duration>,
    /// From the request's last byte to the reply's head.
    pub first_byte: Option<Duration>,
    /// Between two pieces of the reply's body.
    pub idle: Option<Duration>,
    /// From holding a connection to the reply's last byte.
    pub exchange: Option<Duration>,
    /// From the first poll of `send` to the reply's last byte.
    pub total: Option<Duration>,
    /// The most bytes of a whole-body read.
    pub max_body: usize,
    /// The most bytes of one line.
    pub max_line: usize,
    /// The most bytes of one server-sent event.
    pub max_event: usize,
}

impl Limits {
    /// The defaults of the table above.
    pub const fn new() -> Self {
        Self {
            pool_wait: None,
            dns: Some(Duration::from_secs(10)),
            connect: Some(Duration::from_secs(10)),
            tls: Some(Duration::from_secs(10)),
            write_idle: Some(Duration::from_secs(300)),
            first_byte: Some(Duration::from_secs(600)),
            idle: Some(Duration::from_secs(300)),
            exchange: None,
            total: None,
            max_body: 64 << 20,
            max_line: 8 << 20,
            max_event: 8 << 20,
        }
    }

    /// The defaults, with one time for every phase: `pool_wait`, `dns`, `connect`, `tls`, `write_idle`, `first_byte` and
    /// `idle`. It is no bound on the whole; `total` is.
    pub const fn each(limit: Duration) -> Self {
        let limit = Some(limit);
        Self {
            pool_wait: limit,
            dns: limit,
            connect: limit,
            tls: limit,
            write_idle: limit,
            first_byte: limit,
            idle: limit,
            ..Self::new()
        }
    }

    /// Bounds the wait for a place in the pool.
    pub fn pool_wait(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.pool_wait = limit.into();
        self
    }

    /// Bounds the look-up of a name.
    pub fn dns(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.dns = limit.into();
        self
    }

    /// Bounds TCP, with all addresses of a name; or a connector's work.
    pub fn connect(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.connect = limit.into();
        self
    }

    /// Bounds the TLS handshake.
    pub fn tls(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.tls = limit.into();
        self
    }

    /// Bounds the wait between two pieces of the request's body that the server takes.
    pub fn write_idle(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.write_idle = limit.into();
        self
    }

    /// Bounds the wait from the request's last byte to the reply's head.
    pub fn first_byte(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.first_byte = limit.into();
        self
    }

    /// Bounds the wait between two pieces of the reply's body.
    pub fn idle(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.idle = limit.into();
        self
    }

    /// Bounds everything from holding a connection to the reply's last byte.
    pub fn exchange(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.exchange = limit.into();
        self
    }

    /// Bounds everything from the first poll of `send` to the reply's last byte.
    pub fn total(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.total = limit.into();
        self
    }

    /// Bounds whole-body reads, in bytes.
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Bounds one line, in bytes.
    pub const fn max_line(mut self, bytes: usize) -> Self {
        self.max_line = bytes;
        self
    }

    /// Bounds one server-sent event, in bytes.
    pub const fn max_event(mut self, bytes: usize) -> Self {
        self.max_event = bytes;
        self
    }

    pub(crate) fn get(&self, limit: Limit) -> Option<Duration> {
        match limit {
            Limit::PoolWait => self.pool_wait,
            Limit::Dns => self.dns,
            Limit::Connect => self.connect,
            Limit::Tls => self.tls,
            Limit::WriteIdle => self.write_idle,
            Limit::FirstByte => self.first_byte,
            Limit::Idle => self.idle,
            Limit::Exchange => self.exchange,
            Limit::Total => self.total,
        }
    }

    /// Those that bound a dial.
    pub(crate) fn dial(&self) -> DialLimits {
        DialLimits { dns: self.dns, connect: self.connect, tls: self.tls }
    }
}

/// The limits of the stages of a dial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DialLimits {
    dns: Option<Duration>,
    connect: Option<Duration>,
    tls: Option<Duration>,
}

impl DialLimits {
    /// None for what is no stage of a dial.
    pub(crate) fn get(&self, limit: Limit) -> Option<Duration> {
        match limit {
            Limit::Dns => self.dns,
            Limit::Connect => self.connect,
            Limit::Tls => self.tls,
            _ => None,
        }
    }

    /// For each stage the longer of two limits.
    pub(crate) fn longer(self, other: Self) -> Self {
        let longer = |a: Option<Duration>, b: Option<Duration>| Some(a?.max(b?));
        Self {
            dns: longer(self.dns, other.dns),
            connect: longer(self.connect, other.connect),
            tls: longer(self.tls, other.tls),
        }
    }

    pub(crate) fn shortest(&self) -> Option<Duration> {
        [self.dns, self.connect, self.tls].into_iter().flatten().min()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// Which of the [`Limits`] in time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::pool_wait`]
    PoolWait,
    /// [`Limits::dns`]
    Dns,
    /// [`Limits::connect`]
    Connect,
    /// [`Limits::tls`]
    Tls,
    /// [`Limits::write_idle`]
    WriteIdle,
    /// [`Limits::first_byte`]
    FirstByte,
    /// [`Limits::idle`]
    Idle,
    /// [`Limits::exchange`]
    Exchange,
    /// [`Limits::total`]
    Total,
}

impl Limit {
    /// What is done while this limit, one for the wait for a connection, runs.
    pub(crate) fn phase(self) -> Phase {
        match self {
            Self::PoolWait => Phase::PoolWait,
            Self::Dns => Phase::Dns,
            Self::Tls => Phase::Tls,
            _ => Phase::Connect,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PoolWait => "pool_wait",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::WriteIdle => "write_idle",
            Self::FirstByte => "first_byte",
            Self::Idle => "idle",
            Self::Exchange => "exchange",
            Self::Total => "total",
        })
    }
}
