//! How much at once, learned from overload.

use tokio::time::Instant;

/// A bound on concurrency that gives way to overload and comes back: additive increase, multiplicative decrease.
///
/// It halves when something was overloaded, and grows by one with each full round of successes, as TCP avoids congestion
/// (RFC 5681, section 3.1). Pure: it is told what happened, and its [`limit`](Self::limit) goes to
/// [`ConcurrencyLimiter::resize`](crate::ConcurrencyLimiter::resize) or
/// [`QuotaLimiter::set_max_concurrent`](crate::QuotaLimiter::set_max_concurrent).
///
/// - **It knows nothing of time to wait.** A hint such as Retry-After gates sending and does not reach it, so no hint can
///   freeze it: every round of successes raises it.
/// - **It knows nothing of latency.** A server on which every call takes as long as the timeout looks steady to those who
///   measure latency; here a timeout is an overload, or nothing, and never a reason to grow.
/// - **One overload is one cut.** A call that was sent before the last cut says nothing new.
/// - **What is not used does not grow**: a success counts only while at least half of the limit was in use.
///
/// ```
/// use outbound_limiter::{Aimd, ConcurrencyLimiter};
/// use tokio::time::Instant;
///
/// let limiter = ConcurrencyLimiter::new(64);
/// let mut aimd = Aimd::new(64);
/// let sent_at = Instant::now();
/// // ... the reply is a 503:
/// aimd.overloaded(sent_at, Instant::now());
/// limiter.resize(aimd.limit());
/// assert_eq!(limiter.limit(), 32);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aimd {
    max: usize,
    limit: usize,
    /// Successes of this round, fewer than the limit.
    round: usize,
    cut_at: Option<Instant>,
}

impl Aimd {
    /// Starts at its maximum. A maximum of 0 counts as 1.
    pub const fn new(max: usize) -> Self {
        let max = if max == 0 { 1 } else { max };
        Self { max, limit: max, round: 0, cut_at: None }
    }

    /// How many may be in flight: between 1 and the maximum.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// One has succeeded, while so many were in flight, itself included.
    pub fn succeeded(&mut self, in_flight: usize) {
        if in_flight.saturating_mul(2) < self.limit || self.limit == self.max {
            return;
        }
        self.round += 1;
        if self.round >= self.limit {
            self.round = 0;
            self.limit += 1;
        }
    }

    /// One that was sent at `sent_at` has met an overload, or has timed out.
    pub fn overloaded(&mut self, sent_at: Instant, now: Instant) {
        if self.cut_at.is_some_and(|cut_at| sent_at < cut_at) {
            return;
        }
        self.cut_at = Some(now);
        self.limit = (self.limit / 2).max(1);
        self.round = 0;
    }
}
