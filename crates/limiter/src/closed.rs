//! The one thing that can go wrong with waiting in line.

use std::{error::Error, fmt};

/// The limiter was closed: nothing is let through any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the limiter is closed")
    }
}

impl Error for Closed {}
