//! The ways in which a provider counts recent use.

use std::time::Duration;

use serde::Deserialize;

use crate::{bucket::Bucket, window::Windowed};

/// How a limit per minute is kept.
///
/// The length of a window and of a log, and what a bucket holds, is [`Builder::burst`](crate::Builder::burst).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// A bucket that refills all the time.
    #[default]
    Bucket,
    /// Windows one after the other: each begins with nothing used.
    Fixed,
    /// A log: what was taken counts for exactly the length of the window.
    Log,
}

/// The counter of one dimension. Amounts are in units, and times are since the start of the simulator.
#[derive(Clone, Debug)]
pub(crate) enum Meter {
    Bucket(Bucket),
    Windowed(Windowed),
}

impl Meter {
    pub(crate) fn new(window: Window, limit: u64, length: Duration) -> Self {
        match window {
            Window::Bucket => Self::Bucket(Bucket::new(limit, length)),
            Window::Fixed => Self::Windowed(Windowed::new(limit, length, false)),
            Window::Log => Self::Windowed(Windowed::new(limit, length, true)),
        }
    }

    pub(crate) fn set_limit(&mut self, now: Duration, limit: u64) {
        match self {
            Self::Bucket(bucket) => bucket.set_limit(now, limit),
            Self::Windowed(windowed) => windowed.set_limit(limit),
        }
    }

    pub(crate) fn limit(&self) -> u64 {
        match self {
            Self::Bucket(bucket) => bucket.limit(),
            Self::Windowed(windowed) => windowed.limit(),
        }
    }

    /// What can be used at once at the start.
    pub(crate) fn capacity(&self) -> f64 {
        match self {
            Self::Bucket(bucket) => bucket.capacity(),
            Self::Windowed(windowed) => windowed.capacity() as f64,
        }
    }

    /// Whether `amount` can be taken now. If not, how long it is until it can; `None` if it never can.
    pub(crate) fn wait(&mut self, now: Duration, amount: u64) -> Result<(), Option<Duration>> {
        match self {
            Self::Bucket(bucket) => bucket.wait(now, amount),
            Self::Windowed(windowed) => windowed.wait(now, amount),
        }
    }

    pub(crate) fn take(&mut self, now: Duration, amount: u64) {
        match self {
            Self::Bucket(bucket) => bucket.take(amount),
            Self::Windowed(windowed) => windowed.take(now, amount),
        }
    }

    /// Takes what is there, at most `amount`, never into debt.
    pub(crate) fn take_up_to(&mut self, now: Duration, amount: u64) {
        match self {
            Self::Bucket(bucket) => bucket.take_up_to(amount),
            Self::Windowed(windowed) => {
                let amount = amount.min(windowed.remaining(now));
                windowed.take(now, amount);
            }
        }
    }

    /// Corrects what was taken at `taken` to what was really used.
    pub(crate) fn settle(&mut self, now: Duration, taken: Duration, estimate: u64, actual: u64) {
        match self {
            Self::Bucket(bucket) => bucket.settle(now, estimate, actual),
            Self::Windowed(windowed) => windowed.settle(now, taken, estimate, actual),
        }
    }

    pub(crate) fn remaining(&mut self, now: Duration) -> u64 {
        match self {
            Self::Bucket(bucket) => bucket.remaining(now),
            Self::Windowed(windowed) => windowed.remaining(now),
        }
    }

    /// How long it is until nothing is used any more.
    pub(crate) fn full_in(&mut self, now: Duration) -> Duration {
        match self {
            Self::Bucket(bucket) => bucket.full_in(now),
            Self::Windowed(windowed) => windowed.full_in(now),
        }
    }
}
