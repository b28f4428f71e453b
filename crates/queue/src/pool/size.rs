//! The number of workers of a pool: how many there are, and how many there should be.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{Notify, futures::Notified};

/// How many workers there are, and how many there should be.
#[derive(Default)]
pub(super) struct PoolSize {
    wanted: AtomicUsize,
    present: AtomicUsize,
    /// Wakes idle workers when `wanted` has changed.
    changed: Notify,
}

/// Counts one worker as present until it is dropped, however the worker ends.
pub(super) struct WorkerGuard {
    size: Arc<PoolSize>,
    /// This worker was one too many, and is not counted any more.
    dismissed: bool,
}

impl PoolSize {
    pub(super) fn present(&self) -> usize {
        self.present.load(Ordering::SeqCst)
    }

    pub(super) fn want(&self, workers: usize) {
        self.wanted.store(workers, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    pub(super) fn wants_more(&self) -> bool {
        self.present() < self.wanted.load(Ordering::SeqCst)
    }

    /// Ready once the size has changed after this call.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

impl WorkerGuard {
    pub(super) fn new(size: &Arc<PoolSize>) -> Self {
        size.present.fetch_add(1, Ordering::SeqCst);
        Self { size: Arc::clone(size), dismissed: false }
    }

    pub(super) fn size(&self) -> &Arc<PoolSize> {
        &self.size
    }

    /// Whether there are too many workers. If so, this worker is no longer counted and has to end.
    pub(super) fn is_dismissed(&mut self) -> bool {
        let wanted = self.size.wanted.load(Ordering::SeqCst);
        let one_less = |present: usize| (present > wanted).then(|| present - 1);
        self.dismissed = self.size.present.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
        self.dismissed
    }
}

impl Drop for WorkerGuard {
    fn drop(&mut self) {
        if !self.dismissed {
            self.size.present.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
