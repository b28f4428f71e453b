//! The connections to one origin: who holds one, which are idle, who waits.
//!
//! One lock an origin, held for a push or a pop and never across an await. What must not happen under it (waking a
//! task, spawning one, either of which can run foreign code) is put on a list and done after it is released.

mod dial;
mod origins;
mod progress;
mod waiter;

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Waker,
    time::Duration,
};

use hyper::client::conn::http2;
use tokio::{sync::watch, time::Instant};

use crate::{
    body::Body,
    connection::{Address, Connection, History},
    error::Error,
    limits::DialLimits,
    origin::Origin,
};

use self::{
    dial::{Dial, DialError, Report},
    progress::Progress,
    waiter::Waiter,
};
pub(crate) use self::{
    dial::{Dialer, Place},
    origins::Origins,
    waiter::Ticket,
};

/// How many connections to hold, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_idle: usize,
    pub(crate) idle_timeout: Option<Duration>,
}

pub(crate) struct Pool {
    pub(crate) origin: Origin,
    pub(crate) address: Address,
    rules: Rules,
    dialer: Arc<Dialer>,
    state: Mutex<State>,
    // Gone with the pool: what still dials then has nobody to dial for.
    alive: watch::Sender<()>,
    this: Weak<Pool>,
}

struct State {
    /// HTTP/1.1 connections without a request, the one used last at the back.
    idle: VecDeque<Idle>,
    /// The HTTP/2 connection that all requests share.
    shared: Option<Shared>,
    /// What a connection to this origin speaks, once that is known.
    protocol: Option<Protocol>,
    /// Transports that are open or being opened; never more than `Rules::max_connections`.
    open: usize,
    /// Those of them that are being opened.
    dialing: usize,
    /// In order of arrival.
    waiters: VecDeque<Arc<Waiter>>,
    /// How many of them, from the front, have been told that a dial runs for them.
    told: usize,
    /// Dials that run for none of them, or for all while one dial is enough.
    spare: Vec<Arc<Progress>>,
}

struct Idle {
    connection: Connection,
    expires: Option<Instant>,
}

struct Shared {
    sender: http2::SendRequest<Body>,
    history: Arc<History>,
    token: Arc<()>,
    // When a sweep first saw it without a request.
    unused_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// A connection, or a place in the queue for one.
pub(crate) enum Checkout {
    Ready(Connection),
    Wait(Ticket),
}

/// What a dial brought.
pub(crate) enum Dialed {
    Http1(Connection),
    Http2(http2::SendRequest<Body>, Arc<History>),
}

/// What to do once the lock is released.
#[derive(Default)]
struct Later {
    wake: Vec<Waker>,
    dials: Vec<Dial>,
    // Closing one wakes its driver.
    close: Vec<Connection>,
    shared: Option<Shared>,
}

impl Later {
    fn run(self) {
        self.dials.into_iter().for_each(Dial::spawn);
        self.wake.into_iter().for_each(Waker::wake);
    }
}

impl Pool {
    fn new(origin: Origin, dialer: Arc<Dialer>, rules: Rules) -> Result<Arc<Self>, Error> {
        let (scheme, authority, host) = origin.authority()?;
        let state = State {
            idle: VecDeque::new(),
            shared: None,
            protocol: dialer.known_protocol(&origin),
            open: 0,
            dialing: 0,
            waiters: VecDeque::new(),
            told: 0,
            spare: Vec::new(),
        };
        Ok(Arc::new_cyclic(|this| Self {
            origin,
            address: Address { scheme, authority, host },
            rules,
            dialer,
            state: Mutex::new(state),
            alive: watch::Sender::new(()),
            this: this.clone(),
        }))
    }

    /// A connection at once if there is one, else a place in the queue, and a dial if one more is allowed and useful.
    ///
    /// With `fresh` the idle connections are passed over: they have just proved to be dead.
    pub(crate) fn checkout(&self, now: Instant, fresh: bool, limits: DialLimits) -> Checkout {
        let mut later = Later::default();
        let mut state = self.lock();
        let checkout = match state.find(now, fresh, &mut later) {
            Some(connection) => Checkout::Ready(connection),
            None => {
                if fresh && self.rules.max_connections.is_some_and(|max| state.open >= max) {
                    // Room for the new one; it comes when the old one's transport is closed.
                    later.close.extend(state.idle.pop_front().map(|idle| idle.connection));
                }
                let waiter = Waiter::new(limits, now);
                state.waiters.push_back(waiter.clone());
                self.dial(&mut state, now, &mut later);
                Checkout::Wait(Ticket::new(self.this.clone(), waiter))
            }
        };
        drop(state);
        later.run();
        checkout
    }

    /// Takes a connection back after a whole reply: to the one who waits longest, else to the idle ones.
    pub(crate) fn check_in(&self, mut connection: Connection) {
        if connection.is_http2() || connection.is_closed() {
            return;
        }
        connection.reused = true;
        let now = Instant::now();
        let mut later = Later::default();
        let mut state = self.lock();
        self.offer(&mut state, connection, now, &mut later);
        drop(state);
        later.run();
    }

    /// A dial has ended, well or badly.
    fn dialed(&self, result: Result<Dialed, DialError>) {
        let now = Instant::now();
        let mut later = Later::default();
        let mut state = self.lock();
        state.dialing -= 1;
        if state.is_alone() {
            // All of them waited for this one dial.
            state.told = 0;
        }
        match result {
            Ok(Dialed::Http1(connection)) => {
                state.protocol = Some(Protocol::Http1);
                self.offer(&mut state, connection, now, &mut later);
            }
            Ok(Dialed::Http2(sender, history)) => {
                state.protocol = Some(Protocol::Http2);
                let shared = Shared { sender, history, token: Arc::new(()), unused_since: None };
                let mut reused = false;
                while let Some(waiter) = state.next_waiter() {
                    later.wake.extend(waiter.serve(Ok(shared.connection(reused))));
                    reused = true;
                }
                state.shared = Some(shared);
            }
            Err(error) => state.fail(&error, now, &mut later),
        }
        self.dial(&mut state, now, &mut later);
        drop(state);
        later.run();
    }

    /// A transport is closed.
    fn closed(&self) {
        let now = Instant::now();
        let mut later = Later::default();
        let mut state = self.lock();
        state.open -= 1;
        if state.idle.iter().any(|idle| idle.connection.is_closed()) {
            let (closed, idle) = state.idle.drain(..).partition(|idle| idle.connection.is_closed());
            state.idle = idle;
            later.close.extend(VecDeque::into_iter(closed).map(|idle| idle.connection));
        }
        self.dial(&mut state, now, &mut later);
        drop(state);
        later.run();
    }

    /// Closes what has been idle for too long. When to look again.
    fn sweep(&self, now: Instant) -> Option<Instant> {
        let limit = self.rules.idle_timeout?;
        let mut later = Later::default();
        let mut state = self.lock();
        while state.idle.front().is_some_and(|idle| idle.is_expired(now)) {
            later.close.extend(state.idle.pop_front().map(|idle| idle.connection));
        }
        if let Some(shared) = &mut state.shared {
            if Arc::strong_count(&shared.token) > 1 {
                shared.unused_since = None;
            } else if now.duration_since(*shared.unused_since.get_or_insert(now)) >= limit {
                later.shared = state.shared.take();
            }
        }
        let next = state.idle.front().and_then(|idle| idle.expires);
        drop(state);
        later.run();
        next.or_else(|| now.checked_add(limit))
    }

    /// Gives a connection to the one who waits longest, else puts it with the idle ones.
    fn offer(&self, state: &mut State, mut connection: Connection, now: Instant, later: &mut Later) {
        if let Some(waiter) = state.next_waiter() {
            later.wake.extend(waiter.serve(Ok(connection)));
            // The dial that ran for that waiter now runs for another.
            return self.dial(state, now, later);
        }
        let stay = match (self.rules.idle_timeout, connection.keep_alive) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
        // From now on it may be closed before anyone uses it, as any connection that was used before.
        connection.reused = true;
        let expires = stay.and_then(|stay| now.checked_add(stay));
        state.idle.push_back(Idle { connection, expires });
        if state.idle.len() > self.rules.max_idle {
            later.close.extend(state.idle.pop_front().map(|idle| idle.connection));
        }
    }

    /// Starts as many dials as the waiters need and the rules allow, and tells those they run for.
    ///
    /// Until it is known that an origin does not speak HTTP/2, one dial at a time: its connection may serve all.
    fn dial(&self, state: &mut State, now: Instant, later: &mut Later) {
        state.settle(now, later);
        let waiting = state.waiters.len();
        let wanted = if state.is_alone() { waiting.min(1) } else { waiting };
        let max = self.rules.max_connections.unwrap_or(usize::MAX);
        while state.dialing < wanted && state.open < max {
            let Some(position) = state.without_dial() else { break };
            let progress = Progress::new(self.dialer.first_stage(&self.origin), now);
            later.dials.push(Dial {
                report: Report { pool: self.this.clone(), progress: progress.clone() },
                place: Place(self.this.clone()),
                dialer: self.dialer.clone(),
                origin: self.origin.clone(),
                alive: self.alive.subscribe(),
                limits: self.dialer.limits.longer(state.waiters[position].limits),
            });
            state.spare.push(progress);
            state.dialing += 1;
            state.open += 1;
            state.settle(now, later);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn find(&mut self, now: Instant, fresh: bool, later: &mut Later) -> Option<Connection> {
        if let Some(shared) = &mut self.shared {
            if !shared.sender.is_closed() {
                shared.unused_since = None;
                return Some(shared.connection(true));
            }
            self.shared = None;
        }
        if fresh {
            return None;
        }
        while let Some(idle) = self.idle.pop_back() {
            if idle.connection.is_closed() || idle.is_expired(now) {
                later.close.push(idle.connection);
            } else {
                return Some(idle.connection);
            }
        }
        None
    }

    /// Whether one dial at a time is enough: its connection may serve all.
    fn is_alone(&self) -> bool {
        self.protocol != Some(Protocol::Http1)
    }

    fn next_waiter(&mut self) -> Option<Arc<Waiter>> {
        self.remove(0)
    }

    /// Takes one who leaves out of the queue. Those who leave are near the front mostly: their limit passed first.
    fn leave(&mut self, waiter: &Arc<Waiter>) {
        if let Some(position) = self.waiters.iter().position(|other| Arc::ptr_eq(other, waiter)) {
            self.remove(position);
        }
    }

    fn remove(&mut self, position: usize) -> Option<Arc<Waiter>> {
        let waiter = self.waiters.remove(position)?;
        if position < self.told {
            self.told -= 1;
        }
        let dial = waiter.dial().filter(|dial| !self.spare.iter().any(|other| Arc::ptr_eq(dial, other)));
        self.spare.extend(dial);
        Some(waiter)
    }

    /// Where the first is for whom no dial runs: one whose own has served another, else one who has not been told of any.
    fn without_dial(&self) -> Option<usize> {
        let adrift = !self.is_alone() && self.told + self.spare.len() > self.dialing;
        let position =
            adrift.then(|| self.waiters.iter().take(self.told).position(|waiter| waiter.is_adrift()));
        position.flatten().or_else(|| (self.told < self.waiters.len()).then_some(self.told))
    }

    /// Tells those for whom no dial runs of the spare ones.
    fn settle(&mut self, now: Instant, later: &mut Later) {
        self.spare.retain(|dial| !dial.is_over());
        while let (Some(dial), Some(position)) = (self.spare.last(), self.without_dial()) {
            later.wake.extend(self.waiters[position].follow(dial.clone(), now));
            if position == self.told {
                self.told += 1;
            }
            if !self.is_alone() {
                self.spare.pop();
            }
        }
    }

    fn fail(&mut self, error: &DialError, now: Instant, later: &mut Later) {
        if let DialError::Timeout(stage, _) = *error {
            // It took too long for those who have waited that long; the others came later, and the next dial is theirs.
            let mut position = 0;
            while let Some(waiter) = self.waiters.get(position) {
                let Some(limit) = waiter.overdue(stage, now) else {
                    position += 1;
                    continue;
                };
                later.wake.extend(waiter.serve(Err(DialError::Timeout(stage, limit))));
                self.remove(position);
            }
            return;
        }
        // A refusal is an answer to one, or to all where all wait for this one dial.
        let alone = self.is_alone();
        while self.waiters.len() > self.dialing {
            let Some(waiter) = self.next_waiter() else { return };
            later.wake.extend(waiter.serve(Err(error.clone())));
            if !alone {
                return;
            }
        }
    }
}

impl Idle {
    fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

impl Shared {
    fn connection(&self, reused: bool) -> Connection {
        Connection::http2(self.sender.clone(), self.history.clone(), self.token.clone(), reused)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Pool")
            .field("origin", &self.origin)
            .field("open", &state.open)
            .field("dialing", &state.dialing)
            .field("idle", &state.idle.len())
            .field("waiting", &state.waiters.len())
            .finish_non_exhaustive()
    }
}
