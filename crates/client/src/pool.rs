//! The connections to one origin: who holds one, which are idle, who waits.
//!
//! One lock an origin, held for a push or a pop and never across an await. What must not happen under it (waking a
//! task, spawning one, either of which can run foreign code) is put on a list and done after it is released.

mod dial;
mod origins;
mod waiter;

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Waker,
    time::Duration,
};

use hyper::client::conn::http2;
use tokio::{runtime::Handle, sync::watch, time::Instant};

use crate::{
    body::Body,
    connection::{Address, Boxes, Connection},
    error::Error,
    origin::Origin,
};

use self::{
    dial::{Dial, DialError, Report},
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
}

struct Idle {
    connection: Connection,
    expires: Option<Instant>,
}

struct Shared {
    sender: http2::SendRequest<Body>,
    token: Arc<()>,
    // Of requests that are done, for those to come; never more than `Rules::max_idle`.
    boxes: Vec<Boxes>,
    // The one that drives the connection.
    runtime: Handle,
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
    Http2(http2::SendRequest<Body>),
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
    fn run(mut self) {
        self.dials.drain(..).for_each(Dial::spawn);
        self.wake.drain(..).for_each(Waker::wake);
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
    pub(crate) fn checkout(&self, now: Instant, fresh: bool, connect: Option<Duration>) -> Checkout {
        let mut later = Later::default();
        let mut state = self.lock();
        let checkout = match state.find(now, fresh, &mut later) {
            Some(connection) => Checkout::Ready(connection),
            None => {
                if fresh && self.rules.max_connections.is_some_and(|max| state.open >= max) {
                    // Room for the new one; it comes when the old one's transport is closed.
                    later.close.extend(state.idle.pop_front().map(|idle| idle.connection));
                }
                let waiter = Waiter::new(connect);
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
        if connection.is_closed() {
            return;
        }
        if connection.is_http2() {
            if let Some(shared) = &mut self.lock().shared
                && shared.boxes.len() < self.rules.max_idle
            {
                shared.boxes.extend(connection.into_boxes(&shared.token));
            }
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
        match result {
            Ok(Dialed::Http1(connection)) => {
                state.protocol = Some(Protocol::Http1);
                self.offer(&mut state, connection, now, &mut later);
            }
            Ok(Dialed::Http2(sender)) => {
                state.protocol = Some(Protocol::Http2);
                // Called by the driver, which is where a connection comes from.
                let runtime = Handle::current();
                let token = Arc::new(());
                let mut shared = Shared { sender, token, boxes: Vec::new(), runtime, unused_since: None };
                let mut reused = false;
                while let Some(waiter) = state.next_waiter() {
                    later.wake.extend(waiter.serve(Ok(shared.connection(reused, now))));
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
        let waiting = state.waiters.len();
        let alone = state.protocol != Some(Protocol::Http1);
        let wanted = if alone { waiting.min(1) } else { waiting };
        let max = self.rules.max_connections.unwrap_or(usize::MAX);
        while state.dialing < wanted && state.open < max {
            let first = state.waiters.get(state.told).or(state.waiters.front());
            let limit = first.and_then(|waiter| waiter.connect);
            state.dialing += 1;
            state.open += 1;
            let place = Place(self.this.clone());
            let report = Report(self.this.clone());
            let (dialer, origin, alive) = (self.dialer.clone(), self.origin.clone(), self.alive.subscribe());
            later.dials.push(Dial { report, place, dialer, origin, alive, limit });
            state.tell(state.told + 1, now, later);
        }
        state.tell(if alone && state.dialing > 0 { waiting } else { state.dialing }, now, later);
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
                return Some(shared.connection(true, now));
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

    fn next_waiter(&mut self) -> Option<Arc<Waiter>> {
        self.told = self.told.saturating_sub(1);
        self.waiters.pop_front()
    }

    /// Takes one who leaves out of the queue. Those who leave are near the front mostly: their limit passed first.
    fn remove(&mut self, waiter: &Arc<Waiter>) {
        if let Some(position) = self.waiters.iter().position(|other| Arc::ptr_eq(other, waiter)) {
            self.waiters.remove(position);
            if position < self.told {
                self.told -= 1;
            }
        }
    }

    /// Tells the first `count` waiters, those who do not know yet, that a dial runs for them.
    fn tell(&mut self, count: usize, now: Instant, later: &mut Later) {
        while self.told < count.min(self.waiters.len()) {
            later.wake.extend(self.waiters[self.told].start_connecting(now));
            self.told += 1;
        }
    }

    fn fail(&mut self, error: &DialError, now: Instant, later: &mut Later) {
        if let DialError::Timeout(_) = error {
            // It took too long for those who have waited that long; the others came later, and the next dial is theirs.
            while let Some(limit) = self.waiters.front().and_then(|waiter| waiter.overdue(now)) {
                let waiter = self.next_waiter();
                later.wake.extend(waiter.and_then(|waiter| waiter.serve(Err(DialError::Timeout(limit)))));
            }
            return;
        }
        // A refusal is an answer to one, or to all where all wait for this one dial.
        let alone = self.protocol != Some(Protocol::Http1);
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
    fn connection(&mut self, reused: bool, now: Instant) -> Connection {
        let boxes = self.boxes.pop().unwrap_or_else(|| {
            let _context = self.runtime.enter();
            Boxes::new(now)
        });
        Connection::http2(self.sender.clone(), self.token.clone(), boxes, reused)
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
