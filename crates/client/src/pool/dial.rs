//! One dial, and the decision which dials are missing.

use std::{
    io,
    sync::{Arc, Weak},
};

use tokio::{sync::watch, time::Instant};

use super::{Dialed, Permit, Pool, State, after_unlock::AfterUnlock, dial_progress::DialProgress};
use crate::{
    connect::{DialError, Dialer, Proxy},
    connection::{Drive, Driver, History, Io, open_http1, open_http2},
    limits::{DialLimits, Limit},
    origin::Origin,
};

/// A dial that is to be started: one task that connects, does the handshakes, and then drives the connection until it
/// is closed.
pub(super) struct Dial {
    // Declared before the permit, so that it is dropped first: the waiting request is answered before there is room
    // for another dial.
    pub(super) report: DialReport,
    // The transport takes it, once there is one.
    pub(super) permit: Option<Permit>,
    pub(super) dialer: Arc<Dialer>,
    pub(super) origin: Origin,
    pub(super) proxy: Option<Proxy>,
    pub(super) for_upgrade: bool,
    pub(super) alive: watch::Receiver<()>,
    pub(super) limits: DialLimits,
    /// How many streams the server is assumed to allow, until it says so.
    pub(super) streams: usize,
}

/// Reports the result of a dial. If the dial ends without one, because a connector panics or the runtime shuts down,
/// it reports that.
pub(super) struct DialReport {
    pub(super) pool: Weak<Pool>,
    pub(super) generation: u32,
    pub(super) progress: Arc<DialProgress>,
}

impl DialReport {
    fn send(&mut self, result: Result<Dialed, DialError>) {
        if let Some(pool) = std::mem::take(&mut self.pool).upgrade() {
            pool.dialed(result, self.generation, &self.progress);
        }
    }
}

impl Drop for DialReport {
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
            // A message means that the pool is closed; an error means that it was dropped.
            _ = alive.changed() => return,
            dialed = self.open() => dialed,
        };
        match dialed {
            Ok((dialed, driver, history)) => {
                self.report.send(Ok(dialed));
                drop(self);
                Drive::new(driver, &history, &pool).await;
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
        let io = Io::new(reached.stream, self.permit.take().map(|permit| Box::new(permit) as _));
        let protocol = |error: hyper::Error| DialError::new(Limit::Connect, error);
        if reached.http2 {
            let pool = self.report.pool.clone();
            let (opened, driver) = open_http2(io, &history, self.streams, pool).await.map_err(protocol)?;
            Ok((Dialed::Http2(opened), driver, history))
        } else {
            let fields = self.dialer.max_header_fields;
            let (connection, driver) =
                open_http1(io, &history, fields, self.for_upgrade).await.map_err(protocol)?;
            Ok((Dialed::Http1(connection), driver, history))
        }
    }
}

/// The decision which dials are missing.
impl Pool {
    /// Starts as many dials as the waiting requests need and the maxima allow, and tells those requests about them.
    /// For dials that only the maximum over all origins forbids, permits are requested.
    ///
    /// `granted` permits are already taken. Those that are not needed are returned.
    #[inline]
    pub(super) fn dial(
        &self,
        state: &mut State,
        now: Instant,
        granted: usize,
        after_unlock: &mut AfterUnlock,
    ) -> usize {
        if state.waiters.is_empty() && state.claims == 0 {
            granted
        } else {
            self.dial_missing(state, now, granted, after_unlock)
        }
    }

    #[inline(never)]
    fn dial_missing(
        &self,
        state: &mut State,
        now: Instant,
        mut granted: usize,
        after_unlock: &mut AfterUnlock,
    ) -> usize {
        let wanted = state.waiters.len().div_ceil(state.each());
        let mut next = state.assign_spare(0, now, after_unlock);
        while state.dials() < wanted && !self.is_full(state) {
            if granted > 0 {
                granted -= 1;
            } else if !self.permits.take() {
                break;
            }
            // There is such a request, except if a server now allows fewer streams than were assumed for the dials
            // under way.
            let first = state.without_dial(next).unwrap_or_default();
            let limits = state.waiters[first].limits;
            after_unlock.work().dials.push(self.start_dial(state, limits, now));
            next = state.assign_spare(next, now, after_unlock);
        }

        let max = self.settings.max_connections_per_origin.unwrap_or(usize::MAX);
        let missing = wanted.saturating_sub(state.dials()).min(max.saturating_sub(state.open));
        let more = self.permits.claim(&self.this, state.claims, missing, state.open == 0, now);
        if more {
            after_unlock.work().make_room += missing - state.claims;
        }
        state.claims = missing;
        granted
    }

    fn start_dial(&self, state: &mut State, limits: DialLimits, now: Instant) -> Dial {
        state.dialing += 1;
        state.open += 1;
        let generation = state.generation;
        let permit = Permit { pool: self.this.clone(), permits: self.permits.clone(), generation };
        let progress = DialProgress::new(self.dialer.first_stage(&self.origin, self.proxy.as_ref()), now);
        state.spare.push(progress.clone());
        let report = DialReport { pool: self.this.clone(), generation, progress };
        let limits = self.dialer.limits.longer(limits);
        let (dialer, alive) = (self.dialer.clone(), self.alive.subscribe());
        let (origin, proxy, for_upgrade) = (self.origin.clone(), self.proxy.clone(), self.for_upgrade);
        let streams = state.streams_each;
        Dial { report, permit: Some(permit), dialer, origin, proxy, for_upgrade, alive, limits, streams }
    }
}
