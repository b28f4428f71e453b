//! The error of an attempt that took too long.

use std::{error, fmt, io};

/// An attempt was dropped, because it was not done by [`Attempt::deadline`](crate::Attempt::deadline).
///
/// A policy with an [`attempt_timeout`](crate::Retry::attempt_timeout) converts it into the operation's error. That error
/// is then judged, and returned at the end, like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("attempt not done within its time limit")
    }
}

impl error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    /// Of kind [`io::ErrorKind::TimedOut`], with the [`Elapsed`] inside.
    fn from(elapsed: Elapsed) -> Self {
        Self::new(io::ErrorKind::TimedOut, elapsed)
    }
}
