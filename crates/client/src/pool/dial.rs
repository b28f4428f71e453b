use std::{
    error::Error as StdError,
    io,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{sync::watch, time::Instant};

use super::{
    Dialed, Place, Pool, Protocol,
    drive::{Driver, Frames, Http1Driver, Http2Driver, drive},
    progress::Progress,
};
use crate::{
    alarm::Alarm,
    connect::{Connected, Connector, EgressPolicy, Proxy, Refusal, Tls, connect_tcp},
    connect_failure::ConnectFailure,
    connection::{Connection, History},
    dns::{Addresses, Dns},
    error::{Delivery, Error, Kind, Phase},
    io::{Io, Stream},
    limits::{DialLimits, Limit},
    origin::Origin,
    sender::Sender,
};

/// How a client opens connections.
pub(crate) struct Dialer {
    pub(crate) connector: Connector,
    pub(crate) dns: Dns,
    pub(crate) egress: EgressPolicy,
    pub(crate) tls: Tls,
    pub(crate) http2_prior_knowledge: bool,
    /// How many fields the head of an HTTP/1.1 reply may have. `None`: hyper's 100, which cost no allocation.
    pub(crate) max_header_fields: Option<usize>,
    /// The client's own. A request that has shorter ones leaves a dial, but does not end it.
    pub(crate) limits: DialLimits,
}

impl Dialer {
    // Found dead within 80 s with a request under way; an HTTP/2 connection without one is not disturbed.
    const PING_EVERY: Duration = Duration::from_secs(60);
    const PING_TIMEOUT: Duration = Duration::from_secs(20);

    /// What a dial begins with.
    pub(super) fn first_stage(&self, origin: &Origin, proxy: Option<&Proxy>) -> Limit {
        let hop = proxy.map_or(origin, Proxy::server);
        let asks_own = matches!(self.connector, Connector::Other(_)) || hop.address().is_some();
        let asks_for_proxy =
            proxy.is_some_and(|proxy| self.looks_up_for(proxy)) && origin.address().is_none();
        if asks_own && !asks_for_proxy { Limit::Connect } else { Limit::Dns }
    }

    /// Whether requests to an origin are given to the proxy itself.
    pub(super) fn forwards(&self, origin: &Origin, proxy: &Proxy) -> bool {
        // A proxy that is given a URL looks its host up.
        proxy.forwards(origin, self.http2_prior_knowledge) && !self.egress.looks_at_addresses()
    }

    /// Whether a proxy is asked for an address.
    fn looks_up_for(&self, proxy: &Proxy) -> bool {
        proxy.looks_up_here() || self.egress.looks_at_addresses()
    }

    /// The addresses of an origin's host.
    async fn addresses(&self, origin: &Origin) -> io::Result<Addresses> {
        match origin.address() {
            Some(address) => Ok(Addresses::from([address])),
            None => self.dns.look_up(origin).await,
        }
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
    pub(super) proxy: Option<Proxy>,
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
        let Connected { transport, remote_addr, proxied } = self.connect().await?;
        let (stream, http2) = if self.origin.is_https() {
            let stream = self.stage(Limit::Tls, self.dialer.tls.handshake(&self.origin, transport)).await?;
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            (Stream::Tls(Box::new(stream)), http2)
        } else {
            (Stream::Plain(transport), false)
        };
        let io = TokioIo::new(Io::new(stream, self.place.take()));
        let history = History::new(Instant::now(), remote_addr, proxied);
        let protocol = |error: hyper::Error| DialError::new(Limit::Connect, error);
        if http2 || self.dialer.http2_prior_knowledge {
            let frames = Frames::default();
            let (sender, connection) = http2::Builder::new(frames.clone())
                .timer(TokioTimer::new())
                .initial_max_send_streams(self.streams)
                .keep_alive_interval(Dialer::PING_EVERY)
                .keep_alive_timeout(Dialer::PING_TIMEOUT)
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

    /// A transport to the origin, or to the proxy that takes its requests.
    async fn connect(&self) -> Result<Connected, DialError> {
        let proxy = self.proxy.as_ref();
        let refused = |error| DialError::new(Limit::Connect, error);
        self.dialer.egress.permit(&self.origin, proxy).map_err(refused)?;
        let hop = proxy.map_or(&self.origin, Proxy::server);
        let found = match &self.dialer.connector {
            Connector::Other(_) => Addresses::default(),
            Connector::Tcp => self.stage(Limit::Dns, self.addresses(hop)).await?,
        };
        // A proxy is allowed by its name.
        let usable = match proxy {
            None => self.dialer.egress.usable(hop, &found).map_err(refused)?,
            Some(_) => found.clone(),
        };
        let target = match proxy.filter(|proxy| self.dialer.looks_up_for(proxy)) {
            Some(_) => {
                let found = self.stage(Limit::Dns, self.dialer.addresses(&self.origin)).await?;
                self.dialer.egress.usable(&self.origin, &found).map_err(refused)?.first().copied()
            }
            None => None,
        };
        self.stage(Limit::Connect, async {
            let reached = match &self.dialer.connector {
                Connector::Other(connector) => connector.connect(hop).await,
                Connector::Tcp => {
                    let connected =
                        connect_tcp(&usable).await.inspect_err(|_| self.dialer.dns.forget(hop, &found));
                    connected.map(|(stream, address)| Connected::from(stream).remote_addr(address))
                }
            };
            match proxy {
                None => {
                    let connected = reached?;
                    let permitted = self.dialer.egress.permit_connected(connected.remote_addr);
                    permitted.map(|()| connected).map_err(io::Error::other)
                }
                Some(proxy) => self.go_through(proxy, reached, target).await,
            }
        })
        .await
    }

    /// The addresses of the first hop.
    async fn addresses(&self, hop: &Origin) -> io::Result<Addresses> {
        let found = self.dialer.addresses(hop).await;
        match &self.proxy {
            None => found,
            Some(proxy) => found.map_err(|error| proxy.error(Refusal::Connection(error))),
        }
    }

    /// TLS with the proxy where its URL says so, and a tunnel where the origin needs one.
    async fn go_through(
        &self,
        proxy: &Proxy,
        reached: io::Result<Connected>,
        target: Option<SocketAddr>,
    ) -> io::Result<Connected> {
        let mut connected = reached.map_err(|error| proxy.error(Refusal::Connection(error)))?;
        connected.proxied = true;
        if proxy.server().is_https() {
            let stream = self.dialer.tls.handshake_with_proxy(proxy.server(), connected.transport).await;
            connected.transport = Box::new(stream.map_err(|error| proxy.error(Refusal::Tls(error)))?);
        }
        if !self.dialer.forwards(&self.origin, proxy) {
            proxy.open_tunnel(&mut *connected.transport, &self.origin, target).await?;
        }
        Ok(connected)
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
