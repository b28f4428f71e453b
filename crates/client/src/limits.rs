use std::{fmt, time::Duration};

/// How long each phase of a request may take, and how much of a reply is read.
///
/// Plain data, for a whole client ([`ClientBuilder::limits`](crate::ClientBuilder::limits)) or for one request
/// ([`RequestBuilder::limits`](crate::RequestBuilder::limits), which replaces the client's: start from
/// [`Client::limits`](crate::Client::limits) to change one). `None` is no limit. Time spent in one phase never
/// counts against another phase's limit; `exchange` and `total` span phases and say which.
///
/// | limit | from | until | default |
/// |---|---|---|---|
/// | `pool_wait` | all places are in use | a connection, or the start of a dial | none |
/// | `connect` | the start of a dial: name look-up, TCP, TLS | the connection | 10 s |
/// | `first_byte` | the last byte of the request was handed to the connection | the head of the reply | 600 s |
/// | `idle` | a body stands still: the reply's under its reader, the request's under the server | its next bytes | 300 s |
/// | `exchange` | a connection is held | the last byte of the reply's body | none |
/// | `total` | the first poll of the future of `send` | the last byte of the reply's body | none |
/// | `max_body` | | the most bytes that a whole-body read (`bytes`, `text`, `json`) takes | 64 MiB |
/// | `max_line` | | the most bytes that one line takes (`lines`, `ndjson`) | 8 MiB |
/// | `max_event` | | the most bytes that one server-sent event takes | 8 MiB |
///
/// `first_byte` is long because a completion that is not streamed says nothing until it is whole. Heads of replies
/// are bounded as well: 100 header fields and 400 KiB (HTTP/1.1), 16 KiB of fields (HTTP/2).
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
    /// Name look-up, TCP and TLS.
    pub connect: Option<Duration>,
    /// From the request's last byte to the reply's head.
    pub first_byte: Option<Duration>,
    /// Between two pieces of a body.
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
            connect: Some(Duration::from_secs(10)),
            first_byte: Some(Duration::from_secs(600)),
            idle: Some(Duration::from_secs(300)),
            exchange: None,
            total: None,
            max_body: 64 << 20,
            max_line: 8 << 20,
            max_event: 8 << 20,
        }
    }

    /// Bounds the wait for a place in the pool.
    pub fn pool_wait(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.pool_wait = limit.into();
        self
    }

    /// Bounds name look-up, TCP and TLS together.
    pub fn connect(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.connect = limit.into();
        self
    }

    /// Bounds the wait from the request's last byte to the reply's head.
    pub fn first_byte(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.first_byte = limit.into();
        self
    }

    /// Bounds the wait between two pieces of a body.
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
    /// [`Limits::connect`]
    Connect,
    /// [`Limits::first_byte`]
    FirstByte,
    /// [`Limits::idle`]
    Idle,
    /// [`Limits::exchange`]
    Exchange,
    /// [`Limits::total`]
    Total,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PoolWait => "pool_wait",
            Self::Connect => "connect",
            Self::FirstByte => "first_byte",
            Self::Idle => "idle",
            Self::Exchange => "exchange",
            Self::Total => "total",
        })
    }
}
