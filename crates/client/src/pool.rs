//! The pool of connections to one origin: which requests hold a connection, which connections are idle, who waits.
//!
//! Each pool has one lock. It is held for short operations and never across an await. Waking a task, spawning a task
//! and dropping a foreign error can run foreign code. So these actions are collected, and done after the lock is
//! released.

mod after_unlock;
mod dial;
mod dial_progress;
mod early;
mod idle;
mod multiplexed;
mod origins;
mod permits;
mod settings;
mod snapshot;
mod state;
mod waiter;
mod warm_up;

use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use http::HeaderMap;
use parking_lot::{Mutex, MutexGuard};
use tokio::{sync::watch, time::Instant};

use crate::{
    connect::{DialError, Dialer, Proxy},
    connection::{Address, Connection, ConnectionOwner, Forward, Opened},
    error::Error,
    limit_timer::earliest,
    limits::{DialLimits, Limits},
    origin::Origin,
};

use self::{
    after_unlock::AfterUnlock,
    dial_progress::DialProgress,
    permits::Permits,
    state::{Protocol, State},
    waiter::Waiter,
};
pub(crate) use self::{
    origins::{Destination, Origins},
    permits::Permit,
    settings::PoolSettings,
    waiter::PendingCheckout,
};
pub use self::{snapshot::PoolSnapshot, warm_up::WarmUp};

pub(crate) struct Pool {
    pub(crate) origin: Origin,
    /// The proxy that its connections go through.
    pub(crate) proxy: Option<Proxy>,
    /// Whether its connections are for requests that switch to another protocol.
    pub(crate) for_upgrade: bool,
    pub(crate) address: Address,
    /// The headers that the client adds to a request without headers of its own.
    pub(crate) headers: OnceLock<HeaderMap>,
    settings: PoolSettings,
    dialer: Arc<Dialer>,
    permits: Arc<Permits>,
    state: Mutex<State>,
    // It is dropped with the pool, or gets a message when the pool is closed. Dials that are still under way then
    // end.
    alive: watch::Sender<()>,
    this: Weak<Pool>,
}

/// A connection, or an entry in the queue for one.
pub(crate) enum Checkout {
    Ready(Connection),
    Wait(PendingCheckout),
}

/// The connection that a dial has opened.
pub(crate) enum Dialed {
    Http1(Connection),
    Http2(Opened),
}

impl Pool {
    fn new(
        Destination { origin, proxy, for_upgrade }: Destination,
        dialer: Arc<Dialer>,
        permits: Arc<Permits>,
        settings: PoolSettings,
        closed: bool,
    ) -> Result<Arc<Self>, Error> {
        let (scheme, authority, host) = origin.authority()?;
        let forwards = proxy.as_ref().filter(|proxy| !for_upgrade && dialer.forwards(&origin, proxy));
        let forward = forwards.map(|proxy| Forward { authorization: proxy.authorization() });
        let protocol = if for_upgrade { Some(Protocol::Http1) } else { Protocol::known(&dialer, &origin) };
        let state = State::new(protocol, closed);
        let pool = Arc::new_cyclic(|this| Self {
            origin,
            proxy,
            for_upgrade,
            address: Address { scheme, authority, host, forward },
            headers: OnceLock::new(),
            settings,
            dialer,
            permits,
            state: Mutex::new(state),
            alive: watch::Sender::new(()),
            this: this.clone(),
        });
        pool.permits.add(&pool);
        Ok(pool)
    }

    /// Returns a connection if there is one. If not, returns an entry in the queue, and starts a dial if another
    /// connection is allowed and useful.
    ///
    /// With `fresh`, HTTP/1.1 connections that were used before are not returned, because such connections have just
    /// turned out to be dead.
    pub(crate) fn checkout(&self, now: Instant, fresh: bool, limits: &Limits) -> Checkout {
        let mut after_unlock = AfterUnlock::default();
        let mut state = self.lock();
        let checkout = match state.find(&self.this, now, fresh, &self.settings, &mut after_unlock) {
            Some(connection) => Checkout::Ready(connection),
            None => {
                if self.is_full(&state) {
                    // Closes connections that cannot be used, to make room for a new one. The room is there when the
                    // transport is closed.
                    state.close_oldest(&mut after_unlock);
                }
                state.pass_over_overdue(limits.dial(), now);
                let pending = self.queue(&mut state, now, fresh, limits.dial());
                self.dial(&mut state, now, 0, &mut after_unlock);
                Checkout::Wait(pending)
            }
        };
        drop(state);
        after_unlock.run(&self.permits);
        checkout
    }

    /// Takes a connection back after a complete reply. It goes to the request that waits longest, or else becomes
    /// idle.
    pub(crate) fn check_in(&self, mut connection: Connection, now: Instant) {
        if connection.is_http2() {
            return connection.finish();
        }
        let is_last = connection.keep_alive.max == Some(0);
        if connection.is_closed() {
            if !is_last {
                self.lock().ended(&connection, Duration::ZERO, now);
            }
            return;
        }
        connection.reused = true;
        let idle = connection.idle.take();
        self.change(now, |state, after_unlock| {
            if let Some((since, taken)) = idle {
                state.ages.outlasted(|| taken.duration_since(since), now);
            }
            state.early_ends.served(connection.requests);
            self.offer(state, connection, now, after_unlock);
        });
    }

    /// A connection that had been used before turned out to have ended, before this request was sent on it.
    pub(crate) fn found_ended(&self, connection: &Connection) {
        let now = Instant::now();
        let (since, taken) = connection.idle.unwrap_or((now, now));
        let age = taken.duration_since(since);
        let mut state = self.lock();
        if !connection.is_http2() {
            state.ended(connection, age, now);
        } else if connection.idle.is_some() {
            state.ages.closed(age, now);
        }
    }

    /// Closes idle connections now, and the others when their request is done. With `close`, no request gets a
    /// connection any more.
    pub(crate) fn drain(&self, close: bool) {
        self.change(Instant::now(), |state, after_unlock| {
            state.generation = state.generation.wrapping_add(1);
            state.old = state.open;
            after_unlock.work().close.extend(state.idle.drain(..).map(|idle| idle.connection));
            after_unlock.work().multiplexed.append(&mut state.multiplexed);
            if close {
                state.closed = true;
                while let Some(waiter) = state.next_waiter() {
                    after_unlock.work().wake.extend(waiter.serve(Err(DialError::ClientClosed)));
                }
            }
        });
        if close {
            self.alive.send_replace(());
        }
    }

    /// Whether all connections that were open at the last [`drain`](Self::drain) are closed.
    pub(crate) fn is_drained(&self) -> bool {
        self.lock().old == 0
    }

    /// A dial has ended, with a connection or an error.
    fn dialed(&self, result: Result<Dialed, DialError>, generation: u32, progress: &Arc<DialProgress>) {
        let now = Instant::now();
        // An error may contain a foreign value, which must not be dropped under the lock.
        let mut failure = None;
        self.change(now, |state, after_unlock| {
            state.end(progress, now);
            let drained = generation != state.generation;
            match result {
                Ok(Dialed::Http1(mut connection)) => {
                    state.protocol = Some(Protocol::Http1);
                    connection.generation = generation;
                    connection.ends = self.settings.ends(now);
                    match state.next_waiter() {
                        Some(waiter) => after_unlock.work().wake.extend(waiter.serve(Ok(connection))),
                        None => self.offer(state, connection, now, after_unlock),
                    }
                }
                Ok(Dialed::Http2(opened)) => {
                    let id = opened.id;
                    state.protocol = Some(Protocol::Http2);
                    state.add_multiplexed(opened, now, &self.settings);
                    state.serve_streams(&self.this, now, &self.settings, after_unlock);
                    if drained {
                        after_unlock
                            .close_multiplexed(&mut state.multiplexed, |connection| connection.id == id);
                    }
                }
                Err(error) => state.fail(failure.insert(error), now, after_unlock),
            }
        });
    }

    /// A transport is closed.
    fn closed(&self, generation: u32) {
        let now = Instant::now();
        self.change(now, |state, after_unlock| {
            state.open -= 1;
            if generation != state.generation {
                state.old -= 1;
            }
            state.remove_closed(now, after_unlock);
        });
    }

    /// The pool is offered a connection permit. Returns whether it takes it.
    fn grant(&self) -> bool {
        let mut after_unlock = AfterUnlock::default();
        let mut state = self.lock();
        state.claims = state.claims.saturating_sub(1);
        let left = self.dial(&mut state, Instant::now(), 1, &mut after_unlock);
        drop(state);
        after_unlock.run(&self.permits);
        left == 0
    }

    /// Since when the connection that was idle for longest has been idle.
    fn idle_since(&self) -> Option<Instant> {
        self.lock().idle_since()
    }

    fn close_oldest(&self) {
        self.change(Instant::now(), State::close_oldest);
    }

    /// Gives a connection to the request that waits longest among those that it can serve. If there is none, the
    /// connection becomes idle. It is closed instead if it is too old or if another origin needs its permit more.
    #[inline]
    fn offer(&self, state: &mut State, connection: Connection, now: Instant, after_unlock: &mut AfterUnlock) {
        let spent = state.closed
            || connection.generation != state.generation
            || connection.keep_alive.max == Some(0)
            || (connection.requests > 0 && state.early_ends.are_expected(now))
            || self.settings.is_spent(connection.ends, connection.requests, now);
        let next = state.waiters.iter().position(|waiter| !waiter.fresh);
        let yields = match next {
            Some(next) => self.permits.are_wanted_since_before(state.waiters[next].since),
            // A request that needs a new connection needs room for it.
            None => self.permits.are_wanted() || (!state.waiters.is_empty() && self.is_full(state)),
        };
        if spent || yields {
            after_unlock.work().close.push(connection);
        } else if let Some(waiter) = next.and_then(|next| state.remove(next)) {
            after_unlock.work().wake.extend(waiter.serve(Ok(connection)));
        } else {
            state.add_idle(connection, now, &self.settings, after_unlock);
        }
    }

    /// Changes the state, and starts the dials that are missing afterwards.
    fn change(&self, now: Instant, change: impl FnOnce(&mut State, &mut AfterUnlock)) {
        let mut after_unlock = AfterUnlock::default();
        let mut state = self.lock();
        change(&mut state, &mut after_unlock);
        self.dial(&mut state, now, 0, &mut after_unlock);
        drop(state);
        after_unlock.run(&self.permits);
    }

    /// Adds an entry at the end of the queue.
    fn queue(&self, state: &mut State, now: Instant, fresh: bool, limits: DialLimits) -> PendingCheckout {
        let waiter = Waiter::new(limits, fresh, now);
        let pending = PendingCheckout::new(self.this.clone(), waiter.clone());
        if state.closed {
            drop(waiter.serve(Err(DialError::ClientClosed)));
        } else {
            state.waiters.push_back(waiter);
        }
        pending
    }

    fn is_full(&self, state: &State) -> bool {
        self.settings.max_connections_per_origin.is_some_and(|max| state.open >= max)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl ConnectionOwner for Pool {
    fn sweep(&self, now: Instant) -> Option<Instant> {
        let mut next = None;
        self.change(now, |state, after_unlock| next = state.sweep(now, &self.settings, after_unlock));
        let period = earliest(self.settings.idle_timeout, self.settings.max_lifetime);
        let latest = period.and_then(|period| now.checked_add(period));
        // At least this much later, also if connections are kept for no time at all.
        let soonest = now + Duration::from_millis(1);
        earliest(next, latest).map(|next| next.max(soonest))
    }

    fn stream_ended(&self, id: u64, spare: Option<Connection>) {
        self.end_stream(id, spare);
    }

    fn limit_streams(&self, id: u64, limit: usize) {
        self.set_stream_limit(id, limit);
    }

    fn answered(&self) {
        self.serve_again();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Pool")
            .field("origin", &self.origin)
            .field("proxy", &self.proxy)
            .field("open", &state.open)
            .field("dialing", &state.dialing)
            .field("idle", &state.idle.len())
            .field("waiting", &state.waiters.len())
            .finish_non_exhaustive()
    }
}
