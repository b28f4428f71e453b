//! How many a server lets be in flight at once, learned from refusals that say so.

/// A bound on what is in flight: below what it was when a request was refused for it, then up again by one at a time.
#[derive(Debug)]
pub(super) struct ParallelBound {
    /// `usize::MAX` while nothing is known.
    bound: usize,
    /// Successes at the bound since it last changed.
    successes: usize,
    /// Attempts to raise it that failed: each makes the next come half as soon.
    failures: u32,
    is_raised: bool,
}

impl ParallelBound {
    pub(super) const fn new() -> Self {
        Self { bound: usize::MAX, successes: 0, failures: 0, is_raised: false }
    }

    #[inline]
    pub(super) fn get(&self) -> usize {
        self.bound
    }

    /// One of so many in flight was refused.
    pub(super) fn refused(&mut self, in_flight: usize) {
        let below = in_flight.saturating_sub(1).max(1);
        if below >= self.bound {
            return;
        }
        if std::mem::take(&mut self.is_raised) {
            self.failures = (self.failures + 1).min(16);
        }
        (self.bound, self.successes) = (below, 0);
    }

    /// One of so many in flight has succeeded.
    pub(super) fn succeeded(&mut self, in_flight: usize) {
        if self.bound == usize::MAX || in_flight < self.bound {
            return;
        }
        self.successes += 1;
        // A round of successes, as in Aimd.
        if self.successes >= self.bound.saturating_mul(1 << self.failures) {
            (self.bound, self.successes, self.is_raised) = (self.bound + 1, 0, true);
        }
    }
}
