//! The permits for connections to all origins together.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{sync::Notify, time::Instant};

use super::Pool;

/// The permits for connections to all origins together, and the pools that wait for one.
///
/// Its lock is taken while a pool's lock is held, never the other way round. Without a maximum it is never taken.
pub(super) struct Permits {
    max: Option<usize>,
    state: Mutex<State>,
    // The number of claims. It can be read without the lock.
    wanted: AtomicUsize,
    /// Notified whenever a connection has been closed.
    pub(super) freed: Notify,
}

#[derive(Default)]
struct State {
    /// Permits in use; never more than the maximum.
    open: usize,
    /// In order of arrival.
    claims: VecDeque<Claim>,
    pools: Vec<Weak<Pool>>,
}

/// The request of a pool for one more permit.
struct Claim {
    pool: Weak<Pool>,
    since: Instant,
    /// Whether the pool has no connection at all. A pool has one such claim at most.
    first: bool,
}

impl Permits {
    pub(super) fn new(max: Option<usize>) -> Arc<Self> {
        Arc::new(Self { max, state: Mutex::default(), wanted: AtomicUsize::new(0), freed: Notify::new() })
    }

    pub(super) fn add(&self, pool: &Arc<Pool>) {
        if self.max.is_some() {
            let mut state = self.lock();
            if state.pools.len().is_power_of_two() {
                state.pools.retain(|pool| pool.strong_count() > 0);
            }
            state.pools.push(Arc::downgrade(pool));
        }
    }

    /// Whether any pool waits for a permit.
    pub(super) fn are_wanted(&self) -> bool {
        self.max.is_some() && self.wanted.load(Ordering::Relaxed) > 0
    }

    /// Whether a pool without any connection has been waiting since before `since`.
    pub(super) fn are_wanted_since_before(&self, since: Instant) -> bool {
        self.are_wanted() && self.lock().claims.iter().any(|claim| claim.first && claim.since < since)
    }

    /// Takes a free permit. Returns whether there was one.
    pub(super) fn take(&self) -> bool {
        let Some(max) = self.max else { return true };
        let mut state = self.lock();
        let free = state.open < max;
        state.open += usize::from(free);
        free
    }

    /// Changes the number of a pool's claims from `before` to `count`. Returns whether there are more of them now.
    pub(super) fn claim(
        &self,
        pool: &Weak<Pool>,
        before: usize,
        count: usize,
        has_none: bool,
        now: Instant,
    ) -> bool {
        if self.max.is_none() || (before == count && !has_none) {
            return false;
        }
        let mut state = self.lock();
        // The claims that were served in the meantime are those that had waited longest.
        for _ in count..before {
            if let Some(oldest) = state.claims.iter().position(|claim| claim.is_of(pool)) {
                state.claims.remove(oldest);
            }
        }
        for _ in before..count {
            state.claims.push_back(Claim { pool: pool.clone(), since: now, first: false });
        }
        if has_none && let Some(oldest) = state.claims.iter_mut().find(|claim| claim.is_of(pool)) {
            oldest.first = true;
        }
        self.wanted.store(state.claims.len(), Ordering::Relaxed);
        count > before
    }

    /// Gives the permit to the pool without a connection that has waited longest. If there is none, to the pool that
    /// has waited longest.
    pub(super) fn release(&self) {
        self.freed.notify_waiters();
        if self.max.is_none() {
            return;
        }
        loop {
            let mut state = self.lock();
            let first = state.claims.iter().position(|claim| claim.first).unwrap_or(0);
            let Some(claim) = state.claims.remove(first) else {
                state.open -= 1;
                return;
            };
            self.wanted.store(state.claims.len(), Ordering::Relaxed);
            drop(state);
            if claim.pool.upgrade().is_some_and(|pool| pool.grant()) {
                return;
            }
        }
    }

    /// Closes the connection that was idle for longest, of any pool.
    pub(super) fn make_room(&self) {
        // A permit may have become free after it was looked for and before the claim was added. Nobody would pass
        // that one on.
        if self.take() {
            return self.release();
        }
        let pools: Vec<_> = self.lock().pools.iter().filter_map(Weak::upgrade).collect();
        let idle = pools.iter().filter_map(|pool| Some((pool.idle_since()?, pool)));
        if let Some((_, pool)) = idle.min_by_key(|(since, _)| *since) {
            pool.close_oldest();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    fn is_of(&self, pool: &Weak<Pool>) -> bool {
        Weak::ptr_eq(&self.pool, pool)
    }
}

/// The permit of one open transport, from the start of its dial until the transport is closed.
pub(crate) struct Permit {
    pub(super) pool: Weak<Pool>,
    pub(super) permits: Arc<Permits>,
    pub(super) generation: u32,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.closed(self.generation);
        }
        self.permits.release();
    }
}
