//! The limiter of one rate.

use std::{fmt, sync::Arc};

use tokio::time::Instant;

use super::{AcquireRate, MustWait, Rate, policy::RatePolicy};
use crate::{keyed::sealed::Idle, wait_queue::WaitQueue};

/// Admits units at a [`Rate`], first come, first served: an exact token bucket with a queue.
///
/// Cloning gives another handle to the same limiter.
///
/// - **Exact.** It is neither faster nor slower than the rate: all arithmetic is in integers without rounding, for rates
///   and costs up to `u64::MAX`. A bucket is full when it is made.
/// - **Strictly first in, first out**, however many units a request is for. [`try_acquire`](Self::try_acquire) does not
///   overtake either.
/// - **A cost larger than the burst** waits until the bucket is full, and then takes it into debt. The requests behind it
///   wait until the debt is paid. So the rate holds in the long run, and no request waits for ever.
/// - **One timer** however many requests wait, and two polls for each of them. The timer runs on the tokio runtime of the
///   task that set it. No waiting request has to be polled for it.
/// - A request takes its units only when it is admitted. So one that is dropped leaves no gap in the schedule.
#[derive(Clone)]
pub struct RateLimiter {
    queue: Arc<WaitQueue<RatePolicy>>,
}

impl RateLimiter {
    /// A limiter with a full bucket.
    pub fn new(rate: Rate) -> Self {
        Self { queue: WaitQueue::new(RatePolicy::new(rate, Instant::now())) }
    }

    /// Waits for `units`. With 0 units it waits until it is first in the queue and there is no debt. It cannot fail.
    /// [`before`](AcquireRate::before) sets a deadline for the wait.
    ///
    /// ```
    /// use std::time::Duration;
    /// use outbound_limiter::{MustWait, Rate, RateLimiter};
    /// use tokio::time::Instant;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter = RateLimiter::new(Rate::per_minute(60).burst(1));
    /// limiter.acquire(1).await;
    /// let next = Instant::now() + Duration::from_secs(1);
    /// let soon = Instant::now() + Duration::from_millis(10);
    /// assert_eq!(limiter.acquire(1).before(soon).await, Err(MustWait { until: Some(next) }));
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes it out of the queue. Units that it was given and did not take go back.
    pub fn acquire(&self, units: u64) -> AcquireRate<'_> {
        AcquireRate::new(&self.queue, units)
    }

    /// Takes `units` now, if the bucket has them and no request waits.
    ///
    /// # Errors
    ///
    /// [`MustWait`] with the instant at which to try again.
    #[inline]
    pub fn try_acquire(&self, units: u64) -> Result<(), MustWait> {
        self.try_acquire_at(units, Instant::now())
    }

    /// As [`try_acquire`](Self::try_acquire), at a given instant, so that the clock is not read. An instant before the
    /// latest one that the limiter was given counts as that one.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[inline(always)]
    pub fn try_acquire_at(&self, units: u64, now: Instant) -> Result<(), MustWait> {
        self.queue.try_at(&units, now).map_err(MustWait::from_rejection)
    }

    /// Changes the rate from now on. The units in the bucket stay, as far as they fit. The wait of waiting requests is
    /// computed again.
    pub fn set_rate(&self, rate: Rate) {
        self.set_rate_at(rate, Instant::now());
    }

    /// As [`set_rate`](Self::set_rate), at a given instant.
    pub fn set_rate_at(&self, rate: Rate, now: Instant) {
        self.queue.change(now, |policy| policy.set_rate(rate, now));
    }

    /// How many whole units the bucket holds now. 0 while it is in debt.
    pub fn available(&self) -> u64 {
        let now = Instant::now();
        self.queue.with_policy(|policy| policy.available(now))
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }
}

impl Idle for RateLimiter {
    fn is_idle(&self) -> bool {
        let now = Instant::now();
        Arc::strong_count(&self.queue) == 1
            && self.waiting() == 0
            && self.queue.with_policy(|policy| policy.is_full(now))
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.queue.with_policy(|policy| {
            f.debug_struct("RateLimiter").field("policy", policy).finish_non_exhaustive()
        })
    }
}
