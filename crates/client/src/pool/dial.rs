use std::{
    error::Error as StdError,
    io,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::{sync::watch, time::Instant};

use super::{
    Dialed, Place, Pool, Protocol,
    drive::{Driver, Frames, Http1Driver, Http2Driver, drive},
    progress::Progress,
    suspicion::PingTimer,
};
use crate::{
    alarm::Alarm,
    connect::{Connector, Transport},
    connect_failure::ConnectFailure,
    connection::{Connection, History},
    dns::Addresses,
    error::{Delivery, Error, Kind, Phase},
    io::{Io, Stream},
    limits::{DialLimits, Limit},
    origin::Origin,
    sender::Sender,
    tls::Tls,
};

/// How a client opens connections.
pub(crate) struct Dialer {
    pub(crate) connector: Connector,
    pub(crate) tls: Tls,
    pub(crate) http2_prior_knowledge: bool,
    /// How many fields the head of an HTTP/1.1 reply may have. `None`: hyper's 100, which cost no allocation.
    pub(crate) max_header_fields: Option<usize>,
    /// The client's own. A request that has shorter ones leaves a dial, but does not end it.
    pub(crate) limits: DialLimits,
}

impl Dialer {
    /// What a dial begins with.
    pub(super) fn first_stage(&self, origin: &Origin) -> Limit {
        if self.connector.looks_up(origin) { Limit::Dns } else { Limit::Connect }
    }

    /// What connections to an origin will speak, where no server has a say in it.
    pub(super) fn known_protocol(&self, origin: &Origin) -> Option<Protocol> {
        if self.http2_prior_knowledge {
            Some(Protocol::Http2)
        } else if origin.is_https() && self.tls.offers_http2() {
            None
        } else {
            Some(Protocol::Http1)
        }
    }
}

/// Why a dial failed. Shared by all who waited for it.
#[derive(Clone)]
pub(crate) enum DialError {
    ClientClosed,
    Timeout(Limit, Duration),
    Failed(Limit, Arc<dyn StdError + Send + Sync>),
}

impl DialError {
    fn new(stage: Limit, error: impl StdError + Send + Sync + 'static) -> Self {
        Self::Failed(stage, Arc::new(error))
    }

    pub(crate) fn into_error(self, origin: &Origin) -> Error {
        match self {
            Self::ClientClosed => Error::new(Kind::ClientClosed, Phase::PoolWait, Delivery::NotSent),
            Self::Timeout(stage, limit) => Error::timeout(stage, limit, stage.phase()),
            Self::Failed(stage, source) => {
                let kind = if stage == Limit::Tls { Kind::Tls } else { Kind::Connect };
                let why = ConnectFailure::of(stage, &*source);
                Error::new(kind, stage.phase(), Delivery::NotSent)
                    .failed_to_connect(why)
                    .shared_source(source)
            }
        }
        .at(origin)
    }
}

/// A dial to be started: one task that connects, shakes hands and then drives the connection until it is closed.
pub(super) struct Dial {
    // Before the place: first the answer to the one who asked, then room for the next.
    pub(super) report: Report,
    // Taken by the transport once there is one.
    pub(super) place: Option<Place>,
    pub(super) dialer: Arc<Dialer>,
    pub(super) origin: Origin,
    pub(super) alive: watch::Receiver<()>,
    pub(super) limits: DialLimits,
    /// How many streams the server will allow, until it says so.
    pub(super) streams: usize,
}

/// Whatever ends a dial, also a panic in a connector or a runtime that shuts down: who waits for it is told.
pub(super) struct Report {
    pub(super) pool: Weak<Pool>,
    pub(super) generation: u32,
    pub(super) progress: Arc<Progress>,
}

impl Report {
    fn send(&mut self, result: Result<Dialed, DialError>) {
        if let Some(pool) = std::mem::take(&mut self.pool).upgrade() {
            pool.dialed(result, self.generation, &self.progress);
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.send(Err(DialError::new(Limit::Connect, io::Error::other("the dial was given up"))));
    }
}

type Handshake = (Dialed, Driver, Arc<History>);

impl Dial {
    pub(super) fn spawn(self) {
        tokio::spawn(self.run());
    }

    async fn run(mut self) {
        let pool = self.report.pool.clone();
        let mut alive = self.alive.clone();
        let dialed = tokio::select! {
            biased;
            // A message means that the pool is closed, an error that it is gone.
            _ = alive.changed() => return,
            dialed = self.open() => dialed,
        };
        match dialed {
            Ok((dialed, driver, history)) => {
                self.report.send(Ok(dialed));
                drop(self);
                drive(driver, &history, &pool).await;
            }
            Err(error) => self.report.send(Err(error)),
        }
    }

    async fn open(&mut self) -> Result<Handshake, DialError> {
        let (transport, remote_addr) = self.connect().await?;
        let (stream, http2) = if self.origin.is_https() {
            let stream = self.stage(Limit::Tls, self.dialer.tls.handshake(&self.origin, transport)).await?;
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            (Stream::Tls(Box::new(stream)), http2)
        } else {
            (Stream::Plain(transport), false)
        };
        let io = TokioIo::new(Io::new(stream, self.place.take()));
        let history = History::new(Instant::now(), remote_addr);
        let protocol = |error: hyper::Error| DialError::new(Limit::Connect, error);
        if http2 || self.dialer.http2_prior_knowledge {
            let frames = Frames::default();
            let (sender, connection) = http2::Builder::new(frames.clone())
                .timer(PingTimer(history.clone()))
                .initial_max_send_streams(self.streams)
                .keep_alive_interval(PingTimer::INTERVAL)
                .keep_alive_timeout(PingTimer::TIMEOUT)
                .handshake(io)
                .await
                .map_err(protocol)?;
            let pool = self.report.pool.clone();
            let (opened, driver) = Http2Driver::new(sender, connection, &frames, history.clone(), pool);
            Ok((Dialed::Http2(opened), Box::pin(driver), history))
        } else {
            let mut builder = http1::Builder::new();
            if let Some(fields) = self.dialer.max_header_fields {
                builder.max_headers(fields);
            }
            let (sender, connection) = builder.handshake(io).await.map_err(protocol)?;
            let (sender, end) = Sender::new(sender);
            let driver = Box::pin(Http1Driver { connection, _end: end });
            let connection = Connection::http1(sender, history.clone(), Alarm::new(Instant::now()));
            Ok((Dialed::Http1(connection), driver, history))
        }
    }

    async fn connect(&self) -> Result<(Box<dyn Transport>, Option<SocketAddr>), DialError> {
        let tcp = match &self.dialer.connector {
            Connector::Tcp(tcp) => tcp,
            Connector::Other(connector) => {
                let transport = self.stage(Limit::Connect, connector.connect(&self.origin)).await?;
                return Ok((transport, None));
            }
        };
        let addresses = match tcp.literal(&self.origin) {
            Some(address) => Addresses::from([address]),
            None => self.stage(Limit::Dns, tcp.dns.look_up(&self.origin)).await?,
        };
        let connected = self.stage(Limit::Connect, tcp.connect(&addresses)).await;
        let (stream, address) = connected.inspect_err(|_| tcp.dns.forget(&self.origin, &addresses))?;
        Ok((Box::new(stream), Some(address)))
    }

    /// Runs one stage under its limit.
    async fn stage<T>(
        &self,
        stage: Limit,
        work: impl Future<Output = io::Result<T>>,
    ) -> Result<T, DialError> {
        self.report.progress.enter(stage);
        let Some(limit) = self.limits.get(stage) else {
            return work.await.map_err(|error| DialError::new(stage, error));
        };
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result.map_err(|error| DialError::new(stage, error)),
            Err(_) => Err(DialError::Timeout(stage, limit)),
        }
    }
}
