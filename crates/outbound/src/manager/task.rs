//! A task that ends with its owner.

use tokio::task::{AbortHandle, JoinHandle};

/// Aborts a task when it is dropped.
#[derive(Debug)]
pub(super) struct AbortOnDropHandle(JoinHandle<()>);

impl AbortOnDropHandle {
    /// Spawns the task on the current runtime.
    pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task))
    }

    pub(super) fn abort_handle(&self) -> AbortHandle {
        self.0.abort_handle()
    }
}

impl Drop for AbortOnDropHandle {
    fn drop(&mut self) {
        self.0.abort();
    }
}
