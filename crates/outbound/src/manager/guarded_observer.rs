//! An observer whose panics are caught.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering},
};

use super::observe::Observer;

/// Calls an observer until it panics, and never again after that.
pub(crate) struct GuardedObserver {
    observer: Box<dyn Observer>,
    panicked: AtomicBool,
}

impl GuardedObserver {
    pub(crate) fn new(observer: impl Observer) -> Self {
        Self { observer: Box::new(observer), panicked: AtomicBool::new(false) }
    }

    pub(crate) fn call(&self, call: impl FnOnce(&dyn Observer)) {
        if self.panicked.load(Ordering::Relaxed) {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| call(&*self.observer))).is_err() {
            self.panicked.store(true, Ordering::Relaxed);
            tracing::error!("the observer has panicked, and is not called again");
        }
    }
}
