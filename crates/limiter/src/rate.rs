//! So many per second, exactly, first come first served.

use std::{convert::Infallible, error::Error, fmt, time::Duration};

use tokio::time::Instant;

use crate::wait_queue::Rejection;

mod acquire;
mod limiter;
mod policy;

pub use self::{
    acquire::{AcquireBefore, AcquireRate},
    limiter::RateLimiter,
};

/// 366 days, in nanoseconds.
const LONGEST: u128 = 366 * 24 * 60 * 60 * 1_000_000_000;

/// So many units per period; of them, one second's worth may come at once, and at least 1, unless
/// [`burst`](Self::burst) says otherwise.
///
/// So `Rate::per_minute(500)` lets 8 through at once, and then one each 120 ms. Plain data. By default:
///
/// | option | default |
/// |---|---|
/// | `burst` | what one second brings, rounded down, and at least 1 |
/// | `strict` | no: a bucket, which lets its burst through at once and then the rate |
///
/// A rate of 0 lets the burst through and then nothing; nothing at all if it is strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    amount: u64,
    /// Not 0.
    period: Duration,
    burst: u64,
    strict: bool,
}

impl Rate {
    /// `amount` units per second.
    pub const fn per_second(amount: u64) -> Self {
        Self::per(amount, Duration::from_secs(1))
    }

    /// `amount` units per 60 seconds.
    pub const fn per_minute(amount: u64) -> Self {
        Self::per(amount, Duration::from_secs(60))
    }

    /// `amount` units per 3,600 seconds.
    pub const fn per_hour(amount: u64) -> Self {
        Self::per(amount, Duration::from_secs(60 * 60))
    }

    /// `amount` units per 86,400 seconds.
    pub const fn per_day(amount: u64) -> Self {
        Self::per(amount, Duration::from_secs(24 * 60 * 60))
    }

    /// `amount` units per period of any other length; no time at all counts as a nanosecond, more than 366 days as those.
    pub const fn per(amount: u64, period: Duration) -> Self {
        let nanos = period.as_nanos();
        let nanos = if nanos == 0 { 1 } else { nanos };
        let nanos = if nanos > LONGEST { LONGEST } else { nanos };
        let second = amount as u128 * 1_000_000_000 / nanos;
        let burst = if second > u64::MAX as u128 { u64::MAX } else { second as u64 };
        let burst = if burst == 0 { 1 } else { burst };
        Self { amount, period: Duration::from_nanos(nanos as u64), burst, strict: false }
    }

    /// How many units may be saved up, and then come at once, while nothing is asked for.
    ///
    /// In any stretch of time no more than the burst and what the rate brings in that time is let through, unless a
    /// single request is for more than the burst. With a burst of 0 each request waits until the one before it is
    /// paid for, which is what a burst of 1 does if all requests are for one unit.
    pub const fn burst(mut self, units: u64) -> Self {
        self.burst = units;
        self
    }

    /// Lets no more than the amount through in *any* stretch of time as long as the period, as a server does that counts
    /// in a sliding window. The burst then has no effect: all of the amount may come at once, and nothing more until it is
    /// a period old. A request for more than the amount is never let through, and nobody behind it: it waits until it is
    /// dropped, or refused by [`before`](AcquireRate::before).
    ///
    /// It remembers what it let through in up to some 1,000 sums, and counts each as young as the youngest in it: a
    /// thousandth of the period late, never early. Room that is given back (an answer that nobody took) is taken from
    /// the oldest.
    pub const fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    pub(crate) const fn is_strict(self) -> bool {
        self.strict
    }

    pub(crate) const fn amount(self) -> u64 {
        self.amount
    }

    pub(crate) const fn period(self) -> Duration {
        self.period
    }

    pub(crate) const fn capacity(self) -> u64 {
        self.burst
    }
}

/// Why a [`RateLimiter`] did not let something through: it would have to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MustWait {
    /// When it could be let through, by what is known now. `None`: never, as at a rate of 0.
    pub until: Option<Instant>,
}

impl MustWait {
    fn from_rejection(rejection: Rejection<Infallible, ()>) -> Self {
        match rejection {
            Rejection::MustWait { until, .. } => Self { until },
            Rejection::Impossible(impossible) => match impossible {},
            // Nobody closes the line of a rate.
            Rejection::Closed => Self { until: None },
        }
    }
}

impl fmt::Display for MustWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.until {
            Some(_) => "the rate does not allow it yet",
            None => "the rate never allows it",
        })
    }
}

impl Error for MustWait {}
