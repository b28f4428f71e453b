use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};

/// hyper's sending half of a connection. It is closed by dropping all of these.
///
/// A request that is handed over while the other half is being dropped can come to stand in the queue between them,
/// where it stays, and whoever waits for its answer waits, until no sender is left. So they are one, and the driver
/// takes it away ([`End`]) when the other half is gone.
pub(crate) struct Sender<S>(Arc<Mutex<Option<S>>>);

impl<S> Sender<S> {
    pub(crate) fn new(sender: S) -> (Self, End<S>) {
        let shared = Arc::new(Mutex::new(Some(sender)));
        let end = End(Arc::downgrade(&shared));
        (Self(shared), end)
    }

    /// The sender, or none if the connection has ended.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<S>> {
        self.0.lock()
    }
}

impl<S> Clone for Sender<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Gives the requests back that stand in the queue of a connection, when it is dropped.
pub(crate) struct End<S>(Weak<Mutex<Option<S>>>);

impl<S> Drop for End<S> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            let sender = shared.lock().take();
            drop(sender);
        }
    }
}
