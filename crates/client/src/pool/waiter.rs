//! A request that waits for a connection: its entry in the queue, and the future's half of it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Pool,
    dial_progress::{DialProgress, WaitTimes},
};
use crate::{
    connect::DialError,
    connection::Connection,
    limits::{DialLimits, Limit},
    timings::Waited,
};

/// A request that waits for a connection, as the pool sees it.
///
/// Its lock is taken while the pool's lock is held, never the other way round.
pub(super) struct Waiter {
    /// The request's limits for a dial.
    pub(super) limits: DialLimits,
    pub(super) since: Instant,
    /// Whether the request needs a new connection, because connections that were used before turned out to be dead.
    pub(super) fresh: bool,
    state: Mutex<State>,
}

struct State {
    wait: WaitState,
    times: WaitTimes,
    waker: Option<Waker>,
}

/// How far the wait has come.
enum WaitState {
    /// In the queue. A dial may be under way that can serve it.
    Queued,
    /// Served, with a connection or an error.
    Served(Result<Connection, DialError>),
    /// The request has given up, or has taken what it was given.
    Left,
}

impl Waiter {
    pub(super) fn new(limits: DialLimits, fresh: bool, now: Instant) -> Arc<Self> {
        let state = State { wait: WaitState::Queued, times: WaitTimes::new(now), waker: None };
        Arc::new(Self { limits, since: now, fresh, state: Mutex::new(state) })
    }

    pub(super) fn serve(&self, result: Result<Connection, DialError>) -> Option<Waker> {
        let mut state = self.lock();
        state.wait = WaitState::Served(result);
        state.waker.take()
    }

    /// Sets the dial that may serve it. Returns the waker, because other limits apply from now on.
    pub(super) fn follow(&self, dial: Arc<DialProgress>, now: Instant) -> Option<Waker> {
        let mut state = self.lock();
        state.times.follow(dial, now);
        state.waker.take()
    }

    /// The dial that it was last told of.
    pub(super) fn dial(&self) -> Option<Arc<DialProgress>> {
        self.lock().times.dial()
    }

    /// Whether the dial that it was told of has ended.
    pub(super) fn has_lost_dial(&self) -> bool {
        self.lock().times.stage() == Limit::PoolWait
    }

    /// The request's own limit for a stage of the dial, if that limit has passed.
    pub(super) fn overdue(&self, stage: Limit, now: Instant) -> Option<Duration> {
        let limit = self.limits.get(stage)?;
        (self.lock().times.spent(now)[stage] >= limit).then_some(limit)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry in the queue for a connection. Dropping it leaves the queue. A connection that it was already given goes
/// to the next waiter.
pub(crate) struct PendingCheckout {
    pool: Weak<Pool>,
    waiter: Arc<Waiter>,
}

impl PendingCheckout {
    pub(super) fn new(pool: Weak<Pool>, waiter: Arc<Waiter>) -> Self {
        Self { pool, waiter }
    }

    /// Ready when the wait is over. The task is woken when a dial begins, but not when the dial enters another stage.
    /// So the caller polls again after [`DialLimits::shortest`].
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Connection, DialError>> {
        let mut state = self.waiter.lock();
        match std::mem::replace(&mut state.wait, WaitState::Left) {
            WaitState::Served(result) => return Poll::Ready(result),
            wait => state.wait = wait,
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// What is waited for now: a connection permit, or a stage of a dial.
    pub(crate) fn stage(&self) -> Limit {
        self.waiter.lock().times.stage()
    }

    /// Whether a dial was ever assigned to it.
    pub(crate) fn has_dialed(&self) -> bool {
        self.waiter.dial().is_some()
    }

    pub(crate) fn spent(&self, now: Instant) -> Waited {
        self.waiter.lock().times.spent(now)
    }
}

impl Drop for PendingCheckout {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else { return };
        let mut served = None;
        let now = Instant::now();
        pool.change(now, |state, _| {
            let wait = std::mem::replace(&mut self.waiter.lock().wait, WaitState::Left);
            match wait {
                WaitState::Left => {}
                WaitState::Queued => state.leave(&self.waiter),
                WaitState::Served(result) => served = Some(result),
            }
        });
        // An error is dropped here and not under the lock, because it may contain a foreign value.
        if let Some(Ok(connection)) = served {
            pool.check_in(connection, now);
        }
    }
}

impl fmt::Debug for PendingCheckout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingCheckout").field("stage", &self.stage()).finish_non_exhaustive()
    }
}
