use std::{
    error::Error as StdError,
    future::{pending, poll_fn},
    io,
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use outbound_timer::Timer;
use tokio::{sync::watch, time::Instant};

use super::{Dialed, Pool, Protocol};
use crate::{
    alarm::Flag,
    connect::Connect,
    connection::{Boxes, Connection},
    error::{Delivery, Error, Kind, Phase},
    io::{Io, Stream},
    limits::Limit,
    origin::Origin,
    tls::Tls,
};

/// How a client opens connections.
pub(crate) struct Dialer {
    pub(crate) connector: Box<dyn Connect>,
    pub(crate) tls: Tls,
    pub(crate) http2_prior_knowledge: bool,
}

impl Dialer {
    // Found dead within 80 s with a request under way; an HTTP/2 connection without one is not disturbed.
    const PING_EVERY: Duration = Duration::from_secs(60);
    const PING_TIMEOUT: Duration = Duration::from_secs(20);

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
    Timeout(Duration),
    Connect(Arc<dyn StdError + Send + Sync>),
    Tls(Arc<dyn StdError + Send + Sync>),
}

impl DialError {
    pub(crate) fn into_error(self, origin: &Origin) -> Error {
        let error = |kind| Error::new(kind, Phase::Connect, Delivery::NotSent);
        match self {
            Self::Timeout(limit) => Error::timeout(Limit::Connect, limit, Phase::Connect),
            Self::Connect(source) => error(Kind::Connect).shared_source(source),
            Self::Tls(source) => error(Kind::Tls).shared_source(source),
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
    pub(super) limit: Option<Duration>,
}

/// Whatever ends a dial, also a panic in a connector or a runtime that shuts down: who waits for it is told.
pub(super) struct Report(pub(super) Weak<Pool>);

impl Report {
    fn send(&mut self, result: Result<Dialed, DialError>) {
        if let Some(pool) = std::mem::take(&mut self.0).upgrade() {
            pool.dialed(result);
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.dialed(Err(DialError::Connect(Arc::new(io::Error::other("the dial was given up")))));
        }
    }
}

type Handshake = (Dialed, Driver);
// What ends a connection is told to the requests on it.
type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

impl Dial {
    pub(super) fn spawn(self) {
        tokio::spawn(self.run());
    }

    async fn run(mut self) {
        let pool = self.report.0.clone();
        let mut alive = self.alive.clone();
        let limit = self.limit;
        let dialed = tokio::select! {
            biased;
            // An error means that the pool is gone.
            _ = alive.changed() => return,
            dialed = self.open() => dialed,
            () = sleep(limit) => Err(DialError::Timeout(limit.unwrap_or_default())),
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
        let connect = |error: io::Error| DialError::Connect(Arc::new(error));
        let transport = self.dialer.connector.connect(&self.origin).await.map_err(connect)?;
        let (stream, http2) = if self.origin.is_https() {
            let stream = self.dialer.tls.handshake(&self.origin, transport).await;
            let stream = stream.map_err(|error| DialError::Tls(Arc::new(error)))?;
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            (Stream::Tls(Box::new(stream)), http2)
        } else {
            (Stream::Plain(transport), false)
        };
        let place = std::mem::replace(&mut self.place, Place(Weak::new()));
        let io = TokioIo::new(Io::new(stream, place));
        let protocol = |error: hyper::Error| DialError::Connect(Arc::new(error));
        if http2 || self.dialer.http2_prior_knowledge {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(Dialer::PING_EVERY)
                .keep_alive_timeout(Dialer::PING_TIMEOUT)
                .handshake(io)
                .await
                .map_err(protocol)?;
            let driver = Box::pin(connection);
            Ok((Dialed::Http2(sender), driver))
        } else {
            let (sender, connection) = http1::Builder::new().handshake(io).await.map_err(protocol)?;
            let driver = Box::pin(connection);
            Ok((Dialed::Http1(Connection::http1(sender, Boxes::new(Instant::now()))), driver))
        }
    }
}

/// Runs a connection to its end, and closes idle ones in passing.
async fn drive(mut driver: Driver, pool: &Weak<Pool>) {
    let mut timer = pin!(Timer::new());
    let sweep = || pool.upgrade()?.sweep(Instant::now());
    if let Some(next) = sweep() {
        timer.as_mut().set(next);
    }
    // The connection wakes this task several times in a request, the timer hardly ever. This is a task's own future, so
    // its waker is one and the same.
    let mut flag = None;
    poll_fn(|cx| {
        if driver.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let flag = flag.get_or_insert_with(|| Flag::raised(cx.waker()));
        if flag.take() {
            let waker = Waker::from(flag.clone());
            let mut cx = Context::from_waker(&waker);
            while timer.as_mut().poll_elapsed(&mut cx).is_ready() {
                match sweep() {
                    Some(next) => timer.as_mut().set(next),
                    None => timer.as_mut().clear(),
                }
            }
        }
        Poll::Pending
    })
    .await;
}

async fn sleep(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => pending().await,
    }
}
