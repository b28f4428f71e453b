//! What a request waits for while it has no connection: the queue, or a stage of a dial.
//!
//! A dial records when it enters each stage. A waiting request records since when it follows which dial. The time
//! that it spent in each stage can be computed from both. So nobody is woken when a dial enters a stage, and no clock
//! is read.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::time::Instant;

use crate::{
    limits::{DialLimits, Limit},
    timings::Waited,
};

/// The progress of a dial, for the requests that wait for it.
pub(crate) struct DialProgress {
    /// The stages in order, each with the time when the dial entered it.
    stages: Mutex<Vec<(Limit, Instant)>>,
    // How many requests in the queue follow this dial. Changed only under the pool's lock.
    followers: AtomicUsize,
}

impl DialProgress {
    pub(super) fn new(first: Limit, now: Instant) -> Arc<Self> {
        let mut stages = Vec::with_capacity(4);
        stages.push((first, now));
        Arc::new(Self { stages: Mutex::new(stages), followers: AtomicUsize::new(0) })
    }

    pub(super) fn enter(&self, stage: Limit) {
        let mut stages = self.stages();
        if stages.last().is_some_and(|(last, _)| *last != stage) {
            stages.push((stage, Instant::now()));
        }
    }

    /// The dial has ended. Requests that still wait then wait for a permit again.
    pub(super) fn end(&self, now: Instant) {
        self.stages().push((Limit::PoolWait, now));
    }

    /// Whether the dial has been in its current stage for longer than a request with these limits would wait.
    pub(super) fn is_overdue(&self, limits: DialLimits, now: Instant) -> bool {
        let Some((stage, since)) = self.stages().last().copied() else { return false };
        limits.get(stage).is_some_and(|limit| now.saturating_duration_since(since) >= limit)
    }

    pub(super) fn followers(&self) -> usize {
        self.followers.load(Ordering::Relaxed)
    }

    pub(super) fn add_follower(&self) {
        self.followers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove_follower(&self) {
        self.followers.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage() == Limit::PoolWait
    }

    fn stage(&self) -> Limit {
        self.stages().last().map_or(Limit::PoolWait, |(stage, _)| *stage)
    }

    fn stages(&self) -> MutexGuard<'_, Vec<(Limit, Instant)>> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The times of one wait.
#[derive(Debug)]
pub(super) struct WaitTimes {
    /// What was spent before `since`.
    before: Waited,
    since: Instant,
    /// The dial that is followed since then.
    dial: Option<Arc<DialProgress>>,
}

impl WaitTimes {
    pub(super) fn new(now: Instant) -> Self {
        Self { before: Waited::default(), since: now, dial: None }
    }

    pub(super) fn follow(&mut self, dial: Arc<DialProgress>, now: Instant) {
        self.before = self.spent(now);
        self.since = now;
        self.dial = Some(dial);
    }

    /// What is waited for now.
    pub(super) fn stage(&self) -> Limit {
        self.dial.as_ref().map_or(Limit::PoolWait, |dial| dial.stage())
    }

    pub(super) fn dial(&self) -> Option<Arc<DialProgress>> {
        self.dial.clone()
    }

    pub(super) fn spent(&self, now: Instant) -> Waited {
        let mut spent = self.before;
        let Some(dial) = &self.dial else {
            spent[Limit::PoolWait] += now.saturating_duration_since(self.since);
            return spent;
        };
        let stages = dial.stages();
        for (index, (stage, begins)) in stages.iter().enumerate() {
            let ends = stages.get(index + 1).map_or(now, |(_, begins)| *begins);
            spent[*stage] += ends.saturating_duration_since(self.since.max(*begins));
        }
        spent
    }
}

impl fmt::Debug for DialProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.stages().iter().map(|(stage, _)| stage)).finish()
    }
}
