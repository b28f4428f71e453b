//! What is known of a call afterwards: its attempts, its waits, and why it gave up.

use std::{fmt, time::Duration};

/// The attempts and waits of one call or loop, so far or at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub(crate) attempts: u32,
    pub(crate) free: u32,
    pub(crate) slept: Duration,
    pub(crate) stopped: Option<StopReason>,
}

impl Report {
    /// How many attempts were begun, including the free ones.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How many of them were free: their verdict was [`Verdict::RetryFree`](crate::Verdict::RetryFree).
    pub const fn free(&self) -> u32 {
        self.free
    }

    /// The sum of all waits that were begun. A wait that was dropped before its end counts in full.
    pub const fn slept(&self) -> Duration {
        self.slept
    }

    /// Why it gave up. `None` while it runs, and after a success.
    pub const fn stopped(&self) -> Option<StopReason> {
        self.stopped
    }
}

/// Why a failure was not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// The verdict was [`Verdict::Stop`](crate::Verdict::Stop).
    // It starts at one, so that "not stopped" can be stored as zero.
    NotRetryable = 1,
    /// All attempts have been made.
    Attempts,
    /// The next attempt would have begun at the deadline or after it.
    Deadline,
    /// The server asked for a longer wait than [`Retry::give_up_beyond`](crate::Retry::give_up_beyond).
    HintTooLong,
    /// The shared [`Budget`](crate::Budget) is spent.
    Budget,
    /// A [`stop_when`](crate::Retry::stop_when) closure said so.
    Condition,
    /// Something had been delivered already; see [`Attempts::commit`](crate::Attempts::commit).
    Committed,
    /// The policy is switched off; see [`Retry::enabled`](crate::Retry::enabled).
    Disabled,
    /// Another layer retries around this one; see [`Retry::outermost`](crate::Retry::outermost).
    Nested,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRetryable => "not retryable",
            Self::Attempts => "all attempts made",
            Self::Deadline => "no time left for another attempt",
            Self::HintTooLong => "the server asked for too long a wait",
            Self::Budget => "retry budget spent",
            Self::Condition => "stop condition met",
            Self::Committed => "something was delivered already",
            Self::Disabled => "retries switched off",
            Self::Nested => "an outer layer retries",
        })
    }
}
