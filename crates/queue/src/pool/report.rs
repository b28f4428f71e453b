//! What became of every item.

use std::fmt;

/// What a [`WorkerPool`](crate::WorkerPool) leaves behind when it is shut down.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report<T> {
    /// How many leases of the queue were acknowledged since the pool was spawned.
    pub done: u64,
    /// What no worker had begun.
    pub returned: Vec<T>,
    /// What a worker had begun and not finished: its handler was aborted, or failed and there was no time for another
    /// delivery. It may have had its effect.
    pub abandoned: Vec<T>,
    /// What was delivered as often as it may be and never acknowledged, unless it was taken before.
    pub exhausted: Vec<T>,
    /// How many items are still on a lease that no worker holds. They go back into the queue, unless acknowledged.
    pub leased: usize,
    /// How many deliveries ended in a panic.
    pub panics: u64,
}

// The items are the caller's and may hold anything, so only their number is shown.
impl<T> fmt::Debug for Report<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("done", &self.done)
            .field("returned", &self.returned.len())
            .field("abandoned", &self.abandoned.len())
            .field("exhausted", &self.exhausted.len())
            .field("leased", &self.leased)
            .field("panics", &self.panics)
            .finish()
    }
}
