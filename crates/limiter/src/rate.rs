//! Rates: so many units per second, exactly, first come, first served.

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

/// A rate: so many units per period, and how many of them may come at once.
///
/// It is plain data.
///
/// | setter | default |
/// |---|---|
/// | [`burst`](Self::burst) | the units of one second, rounded down, and at least 1 |
/// | [`strict`](Self::strict) | no: a bucket, which admits its burst at once and then the rate |
///
/// So `Rate::per_minute(500)` admits 8 at once, and then one each 120 ms. A rate of 0 admits the burst and then nothing.
/// A strict rate of 0 admits nothing.
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

    /// `amount` units per period of any other length. A period of zero counts as a nanosecond, and one of more than 366
    /// days counts as 366 days.
    pub const fn per(amount: u64, period: Duration) -> Self {
        let nanos = period.as_nanos();
        let nanos = if nanos == 0 { 1 } else { nanos };
        let nanos = if nanos > LONGEST { LONGEST } else { nanos };
        let second = amount as u128 * 1_000_000_000 / nanos;
        let burst = if second > u64::MAX as u128 { u64::MAX } else { second as u64 };
        let burst = if burst == 0 { 1 } else { burst };
        Self { amount, period: Duration::from_nanos(nanos as u64), burst, strict: false }
    }

    /// How many units are saved up while no request comes, and may then come at once.
    ///
    /// In any stretch of time, no more is admitted than the burst plus what the rate brings in that time. The exception is
    /// a single request for more than the burst. With a burst of 0 each request waits until the one before it is paid for.
    /// If all requests are for one unit, a burst of 1 does the same.
    pub const fn burst(mut self, units: u64) -> Self {
        self.burst = units;
        self
    }

    /// Admits no more than the amount in *any* stretch of time as long as the period, as a server does that counts in a
    /// sliding window. The burst then has no effect: all of the amount may come at once, and nothing more until it is a
    /// period old. A request for more than the amount is never admitted, and neither is any request behind it. It waits
    /// until it is dropped, or rejected by [`before`](AcquireRate::before).
    ///
    /// It keeps what it has admitted as up to about 1,000 sums. Each sum counts as young as its youngest part. So room
    /// comes back up to a thousandth of the period late, and never early. Units that are given back (a grant that was
    /// dropped) are taken off the oldest sum.
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

/// Why a [`RateLimiter`] did not admit a request: it would have to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MustWait {
    /// When it could be admitted, as far as is known now. `None` means never, as at a rate of 0.
    pub until: Option<Instant>,
}

impl MustWait {
    fn from_rejection(rejection: Rejection<Infallible, ()>) -> Self {
        match rejection {
            Rejection::MustWait { until, .. } => Self { until },
            Rejection::Impossible(impossible) => match impossible {},
            // The queue of a rate is never closed.
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
