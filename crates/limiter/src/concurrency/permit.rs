//! Permits, which are given back when they are dropped.

use super::{ConcurrencyLimiter, Shared};

/// The right to do one thing under the limit. Dropping it gives it back.
#[derive(Debug)]
#[must_use = "a permit is given back when it is dropped"]
pub struct Permit<'a> {
    shared: &'a Shared,
    count: usize,
}

/// A [`Permit`] that borrows nothing and can be moved into a task.
#[derive(Debug)]
#[must_use = "a permit is given back when it is dropped"]
pub struct OwnedPermit {
    limiter: ConcurrencyLimiter,
    count: usize,
}

impl<'a> Permit<'a> {
    #[inline]
    pub(super) fn new(shared: &'a Shared, count: usize) -> Self {
        Self { shared, count }
    }

    /// How many permits this one stands for.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl OwnedPermit {
    pub(super) fn new(limiter: ConcurrencyLimiter, count: usize) -> Self {
        Self { limiter, count }
    }

    /// How many permits this one stands for.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.shared.release(self.count);
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        self.limiter.shared.release(self.count);
    }
}
