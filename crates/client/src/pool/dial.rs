use std::{
    error::Error as StdError,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use outbound_timer::Timer;
use tokio::{sync::watch, time::Instant};

use super::{Dialed, Pool, Protocol, progress::Progress};
use crate::{
    connect::{Connector, Transport},
    connection::{Connection, History},
    dns::Addresses,
    error::{Delivery, Error, Kind},
    io::{Io, Stream},
    limits::{DialLimits, Limit},
    origin::Origin,
    tls::Tls,
};

/// How a client opens connections.
pub(crate) struct Dialer {
    pub(crate) connector: Connector,
    pub(crate) tls: Tls,
    pub(crate) http2_prior_knowledge: bool,
    /// The client's own. A request that has shorter ones leaves a dial, but does not end it.
    pub(crate) limits: DialLimits,
}

impl Dialer {
    // Found dead within 80 s with a request under way; an HTTP/2 connection without one is not disturbed.
    const PING_EVERY: Duration = Duration::from_secs(60);
    const PING_TIMEOUT: Duration = Duration::from_secs(20);

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

/// One of the open transports that the pool counts, from the start of its dial until it is closed.
pub(crate) struct Place(pub(super) Weak<Pool>);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.closed();
        }
    }
}

/// Why a dial failed. Shared by all who waited for it.
#[derive(Clone)]
pub(crate) enum DialError {
    Timeout(Limit, Duration),
    Failed(Limit, Arc<dyn StdError + Send + Sync>),
}

impl DialError {
    fn new(stage: Limit, error: impl StdError + Send + Sync + 'static) -> Self {
        Self::Failed(stage, Arc::new(error))
    }

    pub(crate) fn into_error(self, origin: &Origin) -> Error {
        match self {
            Self::Timeout(stage, limit) => Error::timeout(stage, limit, stage.phase()),
            Self::Failed(stage, source) => {
                let kind = if stage == Limit::Tls { Kind::Tls } else { Kind::Connect };
                Error::new(kind, stage.phase(), Delivery::NotSent).shared_source(source)
            }
        }
        .at(origin)
    }
}

/// A dial to be started: one task that connects, shakes hands and then drives the connection until it is closed.
pub(super) struct Dial {
    // Before the place: first the answer to the one who asked, then room for the next.
    pub(super) report: Report,
    pub(super) place: Place,
    pub(super) dialer: Arc<Dialer>,
    pub(super) origin: Origin,
    pub(super) alive: watch::Receiver<()>,
    pub(super) limits: DialLimits,
}

/// Whatever ends a dial, also a panic in a connector or a runtime that shuts down: who waits for it is told.
pub(super) struct Report {
    pub(super) pool: Weak<Pool>,
    pub(super) progress: Arc<Progress>,
}

impl Report {
    fn send(&mut self, result: Result<Dialed, DialError>) {
        if let Some(pool) = std::mem::take(&mut self.pool).upgrade() {
            self.progress.end();
            pool.dialed(result);
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.send(Err(DialError::new(Limit::Connect, io::Error::other("the dial was given up"))));
    }
}

type Handshake = (Dialed, Driver);
type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Dial {
    pub(super) fn spawn(self) {
        tokio::spawn(self.run());
    }

    async fn run(mut self) {
        let pool = self.report.pool.clone();
        let mut alive = self.alive.clone();
        let dialed = tokio::select! {
            biased;
            // An error means that the pool is gone.
            _ = alive.changed() => return,
            dialed = self.open() => dialed,
        };
        match dialed {
            Ok((dialed, driver)) => {
                self.report.send(Ok(dialed));
                drop(self);
                drive(driver, &pool).await;
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
        let place = std::mem::replace(&mut self.place, Place(Weak::new()));
        let io = TokioIo::new(Io::new(stream, place));
        let history = History::new(Instant::now(), remote_addr);
        let protocol = |error: hyper::Error| DialError::new(Limit::Connect, error);
        if http2 || self.dialer.http2_prior_knowledge {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(Dialer::PING_EVERY)
                .keep_alive_timeout(Dialer::PING_TIMEOUT)
                .handshake(io)
                .await
                .map_err(protocol)?;
            let driver = Box::pin(async move { drop(connection.await) });
            Ok((Dialed::Http2(sender, history), driver))
        } else {
            let (sender, connection) = http1::Builder::new().handshake(io).await.map_err(protocol)?;
            let driver = Box::pin(async move { drop(connection.await) });
            Ok((Dialed::Http1(Connection::http1(sender, history, requests_timer())), driver))
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

/// The timer for requests on a connection, registered here and now: it belongs to the runtime that drives the
/// connection, however many others send requests over it, and ends with it.
fn requests_timer() -> Pin<Box<Timer>> {
    let mut timer = Box::pin(Timer::new());
    timer.as_mut().set(Instant::now() + Duration::from_secs(3600));
    let _ = timer.as_mut().poll_elapsed(&mut Context::from_waker(std::task::Waker::noop()));
    timer
}

/// Runs a connection to its end, and closes idle ones in passing.
async fn drive(mut driver: Driver, pool: &Weak<Pool>) {
    let mut timer = pin!(Timer::new());
    let sweep = || pool.upgrade()?.sweep(Instant::now());
    if let Some(next) = sweep() {
        timer.as_mut().set(next);
    }
    poll_fn(|cx| {
        if driver.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while timer.as_mut().poll_elapsed(cx).is_ready() {
            match sweep() {
                Some(next) => timer.as_mut().set(next),
                None => timer.as_mut().clear(),
            }
        }
        Poll::Pending
    })
    .await;
}
