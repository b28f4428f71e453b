//! The error of all limits: which limit has passed, and how long it was.

use std::{fmt, io, time::Duration};

/// A limit passed before what it limits was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Elapsed {
    limit: Limit,
    after: Option<Duration>,
}

/// Which limit has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// A duration on a future.
    Duration,
    /// A [`Deadline`](crate::Deadline), of a future or of a stream.
    Deadline,
    /// A duration on the whole of a stream.
    Total,
    /// A duration on the wait for the first item of a stream.
    FirstItem,
    /// A duration on the silence of a stream.
    Idle,
}

impl Elapsed {
    pub(crate) const fn new(limit: Limit, after: Option<Duration>) -> Self {
        Self { limit, after }
    }

    /// Which limit passed.
    pub const fn limit(&self) -> Limit {
        self.limit
    }

    /// How long the limit was. `None` for a deadline, because an instant has no length.
    pub const fn after(&self) -> Option<Duration> {
        self.after
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, limit) = match self.limit {
            Limit::Duration => ("not done", "duration"),
            Limit::Deadline => ("not done", "deadline"),
            Limit::Total => ("stream not finished", "total"),
            Limit::FirstItem => ("no first item", "first-item"),
            Limit::Idle => ("no item", "idle"),
        };
        match self.after {
            Some(after) => write!(f, "{what} within {after:?} ({limit} limit)"),
            None => write!(f, "{what} by its deadline"),
        }
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    /// Of kind [`io::ErrorKind::TimedOut`], with the [`Elapsed`] inside.
    fn from(elapsed: Elapsed) -> Self {
        Self::new(io::ErrorKind::TimedOut, elapsed)
    }
}
