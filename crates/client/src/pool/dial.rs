use std::{
    io,
    sync::{Arc, Weak},
};

use tokio::{sync::watch, time::Instant};

use super::{Dialed, Place, Pool, progress::Progress};
use crate::{
    connect::{DialError, Dialer, Proxy},
    connection::{Driver, History, Io, drive, open_http1, open_http2},
    limits::{DialLimits, Limit},
    origin::Origin,
};

/// A dial to be started: one task that connects, shakes hands and then drives the connection until it is closed.
pub(super) struct Dial {
    // Before the place: first the answer to the one who asked, then room for the next.
    pub(super) report: Report,
    // Taken by the transport once there is one.
    pub(super) place: Option<Place>,
    pub(super) dialer: Arc<Dialer>,
    pub(super) origin: Origin,
    pub(super) proxy: Option<Proxy>,
    pub(super) for_upgrade: bool,
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
        let progress = self.report.progress.clone();
        let enter = move |stage| progress.enter(stage);
        let Self { origin, proxy, for_upgrade, limits, .. } = &*self;
        let reached = self.dialer.dial(origin, proxy.as_ref(), *for_upgrade, *limits, &enter).await?;
        let history = History::new(Instant::now(), reached.remote_addr, reached.proxied);
        let io = Io::new(reached.stream, self.place.take().map(|place| Box::new(place) as _));
        let protocol = |error: hyper::Error| DialError::new(Limit::Connect, error);
        if reached.http2 {
            let pool = self.report.pool.clone();
            let (opened, driver) = open_http2(io, &history, self.streams, pool).await.map_err(protocol)?;
            Ok((Dialed::Http2(opened), driver, history))
        } else {
            let fields = self.dialer.max_header_fields;
            let (connection, driver) = open_http1(io, &history, fields).await.map_err(protocol)?;
            Ok((Dialed::Http1(connection), driver, history))
        }
    }
}
