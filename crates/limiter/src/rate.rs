//! So many per second, exactly, first come first served.

use std::{convert::Infallible, error::Error, fmt, time::Duration};

use tokio::time::Instant;

use crate::line::Refusal;

mod acquire;
mod desk;
mod limiter;

pub use self::{acquire::AcquireRate, limiter::RateLimiter};

/// So many units per period, and how many of them may come at once.
///
/// Plain data. The burst, unless set, is what one second brings, rounded down, and at least 1.
///
/// A rate of 0 lets the burst through and then nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    amount: u64,
    /// In seconds.
    period: u32,
    burst: u64,
}

impl Rate {
    /// `amount` units per second.
    pub const fn per_second(amount: u64) -> Self {
        Self::new(amount, 1)
    }

    /// `amount` units per 60 seconds.
    pub const fn per_minute(amount: u64) -> Self {
        Self::new(amount, 60)
    }

    /// `amount` units per 3,600 seconds.
    pub const fn per_hour(amount: u64) -> Self {
        Self::new(amount, 60 * 60)
    }

    /// `amount` units per 86,400 seconds.
    pub const fn per_day(amount: u64) -> Self {
        Self::new(amount, 24 * 60 * 60)
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

    const fn new(amount: u64, period: u32) -> Self {
        let second = amount / period as u64;
        Self { amount, period, burst: if second == 0 { 1 } else { second } }
    }

    pub(crate) const fn amount(self) -> u64 {
        self.amount
    }

    pub(crate) const fn period(self) -> Duration {
        Duration::from_secs(self.period as u64)
    }

    pub(crate) const fn capacity(self) -> u64 {
        self.burst
    }
}

/// Why a [`RateLimiter`] let something not through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateError {
    /// The limiter was closed.
    Closed,
    /// It would have to wait: until this instant by what is known now, or for ever (`None`) at a rate of 0.
    MustWait {
        /// When it could be let through.
        until: Option<Instant>,
    },
}

impl From<Refusal<Infallible, ()>> for RateError {
    fn from(refusal: Refusal<Infallible, ()>) -> Self {
        match refusal {
            Refusal::Closed => Self::Closed,
            Refusal::Never(never) => match never {},
            Refusal::Late { until, .. } => Self::MustWait { until },
        }
    }
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the limiter is closed",
            Self::MustWait { until: Some(_) } => "the rate does not allow it yet",
            Self::MustWait { until: None } => "the rate never allows it",
        })
    }
}

impl Error for RateError {}
