//! The sending half of hyper's connections, shared so that it can be closed safely.

use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};

/// hyper's sending half of a connection. The connection closes when all of these are dropped.
///
/// If a request is handed over while hyper's other half is being dropped, it may stay in the queue between both
/// halves. Then the task that waits for the reply waits until no sender is left. So all handles share one sender, and
/// the driver removes it ([`End`]) when the other half is gone.
pub(crate) struct Sender<S>(Arc<Mutex<Option<S>>>);

impl<S> Sender<S> {
    pub(crate) fn new(sender: S) -> (Self, End<S>) {
        let shared = Arc::new(Mutex::new(Some(sender)));
        let end = End(Arc::downgrade(&shared));
        (Self(shared), end)
    }

    /// The sender. `None` if the connection has ended.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<S>> {
        self.0.lock()
    }
}

impl<S> Clone for Sender<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// When it is dropped, requests that are still in the connection's queue are given back.
pub(crate) struct End<S>(Weak<Mutex<Option<S>>>);

impl<S> Drop for End<S> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            let sender = shared.lock().take();
            drop(sender);
        }
    }
}
