//! Why a request was not admitted, and what a request waits for.

use std::{error::Error, fmt, time::Duration};

use tokio::time::Instant;

use super::dimension::QuotaDimension;
use crate::wait_queue::Rejection;

/// Why a [`QuotaLimiter`](super::QuotaLimiter) did not admit a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaError {
    /// The limiter was closed.
    Closed,
    /// The request is larger than the whole limit, so no wait could help.
    Impossible {
        /// The dimension whose limit it is.
        dimension: QuotaDimension,
        /// What was asked for.
        asked: u64,
        /// The limit per window, of a minute unless the server said otherwise.
        limit: u64,
    },
    /// It would have to wait longer than it may.
    MustWait {
        /// The earliest instant at which it could be admitted, as far as is known now. `None` if that is not known, for
        /// instance because it waits for a slot.
        until: Option<Instant>,
        /// The same as a duration, counted from the moment of this error.
        wait: Option<Duration>,
        /// What it would wait for.
        bottleneck: Bottleneck,
    },
}

/// What the next request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bottleneck {
    /// The server has refused a request. Nothing is sent for a while, or requests are sent again slowly.
    Gate,
    /// As many requests are in flight as may be.
    Concurrency,
    /// Too few units remain in a dimension.
    Dimension(QuotaDimension),
}

/// A request larger than a limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct TooLarge {
    pub(super) dimension: QuotaDimension,
    pub(super) asked: u64,
    pub(super) limit: u64,
}

impl From<Rejection<TooLarge, Bottleneck>> for QuotaError {
    fn from(rejection: Rejection<TooLarge, Bottleneck>) -> Self {
        match rejection {
            Rejection::Closed => Self::Closed,
            Rejection::Impossible(TooLarge { dimension, asked, limit }) => {
                Self::Impossible { dimension, asked, limit }
            }
            Rejection::MustWait { now, until, reason } => Self::MustWait {
                until,
                wait: until.map(|until| until.saturating_duration_since(now)),
                bottleneck: reason,
            },
        }
    }
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the limiter is closed"),
            Self::Impossible { dimension, asked, limit } => {
                write!(f, "the request is for {asked} {dimension}, and the limit is {limit}")
            }
            Self::MustWait { wait: Some(wait), bottleneck, .. } => {
                write!(f, "the request would have to wait {:.1} s for {bottleneck}", wait.as_secs_f64())
            }
            Self::MustWait { wait: None, bottleneck, .. } => {
                write!(f, "the request would have to wait for {bottleneck}")
            }
        }
    }
}

impl fmt::Display for Bottleneck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gate => f.write_str("the server, which has refused requests"),
            Self::Concurrency => f.write_str("a request in flight to end"),
            Self::Dimension(dimension) => dimension.fmt(f),
        }
    }
}

impl Error for QuotaError {}
