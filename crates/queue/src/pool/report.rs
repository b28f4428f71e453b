//! The report of a pool: what happened to every item.

use std::fmt;

/// The result of the shutdown of a [`WorkerPool`](crate::WorkerPool).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report<T> {
    /// How many items were done since the pool was spawned, by its workers and by other leases of the queue.
    pub done: u64,
    /// The items that no worker had begun.
    pub returned: Vec<T>,
    /// The items that a worker had begun and not finished. The handler was aborted, or it failed and there was no time for
    /// another delivery. The work may have had an effect.
    pub abandoned: Vec<T>,
    /// The items that have used up their deliveries without being done, with how the last delivery ended. Those that were
    /// [taken](crate::WorkerPool::take_exhausted) before are not in it.
    pub exhausted: Vec<(T, Failure)>,
    /// How many items are still on a lease that no worker holds. They go back into the queue, unless they are done.
    pub leased: usize,
    /// How many deliveries ended with an error.
    pub errors: u64,
    /// How many deliveries ended with a panic.
    pub panics: u64,
    /// The last 64 deliveries that failed, in the order in which they ended. The items of some of them may have been done
    /// later.
    pub failures: Vec<Failure>,
}

/// A delivery that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The number of the item: [`Lease::number`](crate::Lease::number).
    pub number: u64,
    /// The number of the delivery, from 1.
    pub delivery: u32,
    /// Whether the handler panicked. Otherwise it returned an error, or was aborted.
    pub panicked: bool,
    /// The message of the panic, or the error with its causes.
    pub message: String,
}

// An item may hold a secret, so only the number of items is shown.
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
