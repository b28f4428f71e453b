//! What is called again.

use crate::Attempt;

/// What is called again. Usually it is a closure that makes a future.
///
/// Implement it on a type of your own where the type of the [`Call`](crate::Call) needs a name; see
/// [`Retry::operate`](crate::Retry::operate).
pub trait Operation {
    /// The future of one attempt.
    type Future;

    /// Makes the next attempt.
    fn attempt(&mut self, attempt: Attempt) -> Self::Future;
}

impl<F, Fut> Operation for F
where
    F: FnMut(Attempt) -> Fut,
{
    type Future = Fut;

    fn attempt(&mut self, attempt: Attempt) -> Fut {
        self(attempt)
    }
}
