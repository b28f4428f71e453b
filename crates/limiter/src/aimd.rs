//! A bound on concurrency that is learned from overloads.

use tokio::time::Instant;

/// A bound on concurrency with additive increase and multiplicative decrease.
///
/// It halves after an overload, and grows by one with each full round of successes, as in the congestion avoidance of TCP
/// (RFC 5681, section 3.1). It is pure data: tell it what happened, and pass its [`limit`](Self::limit) to
/// [`ConcurrencyLimiter::resize`](crate::ConcurrencyLimiter::resize) or
/// [`QuotaLimiter::set_max_concurrent`](crate::QuotaLimiter::set_max_concurrent).
///
/// - **It does not use hints.** A hint such as `Retry-After` says when to send again, and has no effect here. So no hint
///   can freeze the limit: every round of successes raises it.
/// - **It does not use latency.** If every call takes as long as the timeout, latency looks steady. Here a timeout is an
///   overload or nothing, and never a reason to grow.
/// - **One overload halves it once.** A call that was sent before the last decrease says nothing new.
/// - **An unused limit does not grow.** A success counts only while at least half of the limit was in use.
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
    /// The successes of this round. Fewer than the limit.
    round: usize,
    cut_at: Option<Instant>,
}

impl Aimd {
    /// Starts at its maximum. A maximum of 0 counts as 1.
    pub const fn new(max: usize) -> Self {
        let max = if max == 0 { 1 } else { max };
        Self { max, limit: max, round: 0, cut_at: None }
    }

    /// How many calls may be in flight: between 1 and the maximum.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// A call has succeeded. `in_flight` is how many were in flight, including itself.
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

    /// A call that was sent at `sent_at` has met an overload, or has timed out.
    pub fn overloaded(&mut self, sent_at: Instant, now: Instant) {
        if self.cut_at.is_some_and(|cut_at| sent_at < cut_at) {
            return;
        }
        self.cut_at = Some(now);
        self.limit = (self.limit / 2).max(1);
        self.round = 0;
    }
}
