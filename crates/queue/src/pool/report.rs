//! What became of every item.

use std::fmt;

/// What a [`WorkerPool`](crate::WorkerPool) leaves behind when it is shut down.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report<T> {
    /// How many items were done since the pool was spawned: by its workers, and by others with a lease of the queue.
    pub done: u64,
    /// What no worker had begun.
    pub returned: Vec<T>,
    /// What a worker had begun and not finished: its handler was aborted, or failed and there was no time for another
    /// delivery. It may have had its effect.
    pub abandoned: Vec<T>,
    /// What was delivered as often as it may be and never done, with how the last delivery ended, unless it was
    /// [taken](crate::WorkerPool::take_exhausted) before.
    pub exhausted: Vec<(T, Failure)>,
    /// How many items are still on a lease that no worker holds. They go back into the queue, unless done.
    pub leased: usize,
    /// How many deliveries ended with an error.
    pub errors: u64,
    /// How many deliveries ended with a panic.
    pub panics: u64,
    /// The last 64 deliveries that failed, in the order in which they ended. Those of items that were done in
    /// the end are among them.
    pub failures: Vec<Failure>,
}

/// A delivery that did not end with the item done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// Which item: its [`Lease::number`](crate::Lease::number).
    pub number: u64,
    /// Which delivery of it, from 1.
    pub delivery: u32,
    /// Whether the handler panicked. Otherwise it returned an error, or was aborted.
    pub panicked: bool,
    /// What the panic said, or the error with its causes.
    pub message: String,
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
            .field("errors", &self.errors)
            .field("panics", &self.panics)
            .field("failures", &self.failures)
            .finish()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.panicked { "panicked" } else { "failed" };
        write!(f, "item {}, delivery {} {kind}: {}", self.number, self.delivery, self.message)
    }
}
