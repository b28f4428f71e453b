//! The limits of a request: how long each phase may take, and how much is read.

use std::{fmt, time::Duration};

use crate::error::Phase;

/// How long each phase of a request may take, and how much of a reply is read.
///
/// This is plain data, for a client or for one request. `limits` ([of the client](crate::ClientBuilder::limits), [of
/// a request](crate::RequestBuilder::limits)) replaces all of them. `change_limits` ([of the
/// client](crate::ClientBuilder::change_limits), [of a request](crate::RequestBuilder::change_limits)) changes some
/// and keeps the others. `None` means no limit. Time that is spent in one phase never counts against the limit of
/// another phase. `exchange` and `total` include several phases, as the table says.
///
/// | limit | from | until | default |
/// |---|---|---|---|
/// | `pool_wait` | the maximum of connections is reached | a connection, or the start of a dial | none |
/// | `dns` | the look-up of the origin's name begins | the addresses are known | 10 s |
/// | `connect` | the first address is tried, or the connector is asked | a transport is open | 10 s |
/// | `tls` | the TLS handshake begins | its end | 10 s |
/// | `write_idle` | the server takes nothing of the request's body | it takes more | 300 s |
/// | `first_byte` | the last byte of the request was handed to the connection | the head of the reply | 600 s |
/// | `idle` | the reader waits for the reply's body | its next bytes | 300 s |
/// | `exchange` | a connection is held | the last byte of the reply's body | none |
/// | `total` | the first poll of the future of `send` | the last byte of the reply's body | none |
/// | `max_body` | | the most bytes that a whole-body read (`bytes`, `text`, `json`) takes | 64 MiB |
/// | `max_line` | | the most bytes that one line takes (`lines`, `ndjson`) | 8 MiB |
/// | `max_event` | | the most bytes that one server-sent event takes | 8 MiB |
///
/// For an open WebSocket, `idle` limits how long the server may be silent, `write_idle` how long it may take nothing
/// of a message, and `max_body` the size of one message. The other limits hold until the WebSocket is open.
///
/// Data that has arrived counts more than a limit that has passed. A task that polls late, or a process that was
/// stopped, reads that data first: a head, and as much of a body as sockets can have held (8 MiB).
///
/// `first_byte` is long, because a completion that is not streamed sends nothing until it is complete. The heads of
/// replies are bounded as well: 100 header fields and 400 KiB (HTTP/1.1), 16 KiB of fields (HTTP/2).
///
/// A dial may serve other requests than the one that started it. So each request stops waiting at its own `dns`,
/// `connect` and `tls`, counted from when it began to wait for the dial. The dial continues for the client's limits
/// or that first request's, whichever are longer. In 10 s, a look-up whose first packet was lost is repeated (most
/// resolvers do so after 5 s), and the first TCP segment is sent four times.
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
    /// Waiting for a connection permit in the pool.
    pub pool_wait: Option<Duration>,
    /// The look-up of a name.
    pub dns: Option<Duration>,
    /// TCP, over all addresses of a name; or the connector's work.
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

    /// The defaults, but with one duration for every phase: `pool_wait`, `dns`, `connect`, `tls`, `write_idle`,
    /// `first_byte` and `idle`. This does not limit the whole request; `total` does.
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

    /// Limits the wait for a connection permit in the pool.
    pub fn pool_wait(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.pool_wait = limit.into();
        self
    }

    /// Limits the look-up of a name.
    pub fn dns(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.dns = limit.into();
        self
    }

    /// Limits TCP, over all addresses of a name; or the connector's work.
    pub fn connect(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.connect = limit.into();
        self
    }

    /// Limits the TLS handshake.
    pub fn tls(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.tls = limit.into();
        self
    }

    /// Limits the time between two pieces of the request's body that the server takes.
    pub fn write_idle(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.write_idle = limit.into();
        self
    }

    /// Limits the time from the request's last byte to the reply's head.
    pub fn first_byte(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.first_byte = limit.into();
        self
    }

    /// Limits the time between two pieces of the reply's body.
    pub fn idle(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.idle = limit.into();
        self
    }

    /// Limits the time from holding a connection to the reply's last byte.
    pub fn exchange(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.exchange = limit.into();
        self
    }

    /// Limits the time from the first poll of `send` to the reply's last byte.
    pub fn total(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.total = limit.into();
        self
    }

    /// Limits reads of a whole body, in bytes.
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Limits one line, in bytes.
    pub const fn max_line(mut self, bytes: usize) -> Self {
        self.max_line = bytes;
        self
    }

    /// Limits one server-sent event, in bytes.
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

    /// The limits of a dial.
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
    /// `None` if this limit is not a stage of a dial.
    pub(crate) fn get(&self, limit: Limit) -> Option<Duration> {
        match limit {
            Limit::Dns => self.dns,
            Limit::Connect => self.connect,
            Limit::Tls => self.tls,
            _ => None,
        }
    }

    /// The longer of two limits, for each stage.
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

/// Which of the time [`Limits`] has passed.
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
    /// The phase of a wait for a connection to which this limit belongs.
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
