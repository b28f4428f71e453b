//! How many workers a pool has, and is to have.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{Notify, futures::Notified};

/// How many workers there are to be, and are.
#[derive(Default)]
pub(super) struct PoolSize {
    wanted: AtomicUsize,
    present: AtomicUsize,
    /// Tells the idle that there may be too many of them.
    changed: Notify,
}

/// One worker of those present, however it ends.
pub(super) struct Member {
    size: Arc<PoolSize>,
    /// Counted out already, as one too many.
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

    /// Ready once it has changed after this call.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

impl Member {
    pub(super) fn new(size: &Arc<PoolSize>) -> Self {
        size.present.fetch_add(1, Ordering::SeqCst);
        Self { size: Arc::clone(size), dismissed: false }
    }

    pub(super) fn size(&self) -> &Arc<PoolSize> {
        &self.size
    }

    /// Whether there are too many. The one that is told so is counted out.
    pub(super) fn is_dismissed(&mut self) -> bool {
        let wanted = self.size.wanted.load(Ordering::SeqCst);
        let one_less = |present: usize| (present > wanted).then(|| present - 1);
        self.dismissed = self.size.present.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
        self.dismissed
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if !self.dismissed {
            self.size.present.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
