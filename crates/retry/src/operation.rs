use crate::Attempt;

/// What is called again: a closure that makes a future, as a rule.
///
/// A type of one's own is for code that has to name the type of its [`Call`](crate::Call); see
/// [`Retry::operate`](crate::Retry::operate).
pub trait Operation {
    /// One attempt.
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
