use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;

use super::{Pool, dial::DialError};
use crate::connection::Connection;

/// One who waits for a connection, as the pool sees it.
///
/// Its lock is taken under the pool's, never the other way round.
pub(super) struct Waiter {
    /// The limit for a dial made for it.
    pub(super) connect: Option<Duration>,
    pub(super) since: Instant,
    state: Mutex<State>,
}

struct State {
    turn: Turn,
    waker: Option<Waker>,
}

/// How far the wait has got.
enum Turn {
    /// In the queue, all places being taken.
    Queued,
    /// A dial that may serve it began at this time.
    Connecting(Instant),
    /// Over.
    Served(Result<Connection, DialError>),
    /// The one who waited has left, or has taken what it was served.
    Left,
}

impl Waiter {
    pub(super) fn new(connect: Option<Duration>, now: Instant) -> Arc<Self> {
        let state = Mutex::new(State { turn: Turn::Queued, waker: None });
        Arc::new(Self { connect, since: now, state })
    }

    pub(super) fn serve(&self, result: Result<Connection, DialError>) -> Option<Waker> {
        let mut state = self.lock();
        state.turn = Turn::Served(result);
        state.waker.take()
    }

    /// Its waker, if it was not connecting yet: another limit applies from now on.
    pub(super) fn start_connecting(&self, now: Instant) -> Option<Waker> {
        let mut state = self.lock();
        if !matches!(state.turn, Turn::Queued) {
            return None;
        }
        state.turn = Turn::Connecting(now);
        state.waker.take()
    }

    /// Its connect limit, if that has passed.
    pub(super) fn overdue(&self, now: Instant) -> Option<Duration> {
        match self.lock().turn {
            Turn::Connecting(since) => self.connect.filter(|limit| now.duration_since(since) >= *limit),
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue for a connection. Dropping it leaves the queue; what was served meanwhile goes to the next.
pub(crate) struct Ticket {
    pool: Weak<Pool>,
    waiter: Arc<Waiter>,
}

impl Ticket {
    pub(super) fn new(pool: Weak<Pool>, waiter: Arc<Waiter>) -> Self {
        Self { pool, waiter }
    }

    /// Ready when the wait is over. The waker is also called when a dial begins.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Connection, DialError>> {
        let mut state = self.waiter.lock();
        match std::mem::replace(&mut state.turn, Turn::Left) {
            Turn::Served(result) => return Poll::Ready(result),
            turn => state.turn = turn,
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Since when a dial runs that may serve it.
    pub(crate) fn connecting_since(&self) -> Option<Instant> {
        match self.waiter.lock().turn {
            Turn::Connecting(since) => Some(since),
            _ => None,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else { return };
        let mut served = None;
        pool.change(Instant::now(), |state, _| {
            match std::mem::replace(&mut self.waiter.lock().turn, Turn::Left) {
                Turn::Left => {}
                Turn::Queued | Turn::Connecting(_) => state.remove(&self.waiter),
                Turn::Served(result) => served = result.ok(),
            }
        });
        if let Some(connection) = served {
            pool.check_in(connection);
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("connecting_since", &self.connecting_since()).finish_non_exhaustive()
    }
}
