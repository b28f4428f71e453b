//! What to do about one failure.

use std::time::Duration;

/// What to do about a failure. A `bool` is a verdict too: `true` is [`Retry`](Self::Retry), `false` is
/// [`Stop`](Self::Stop).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Give up: trying again would not help. For a success, seen by
    /// [`when_result`](crate::Retry::when_result): accept it.
    Stop,
    /// Try again after the policy's wait.
    Retry,
    /// Try again. The server asked for this wait. [`Retry::hint`](crate::Retry::hint) says how it changes the policy's
    /// own wait.
    RetryAfter(Duration),
    /// Try again after exactly this wait, and charge neither the attempts nor the budget. It is for a failed attempt that
    /// provably never reached the server, or where the server asked for the wait.
    ///
    /// Only time limits free attempts; see [`Retry::within`](crate::Retry::within).
    RetryFree(Duration),
}

impl From<bool> for Verdict {
    #[inline]
    fn from(retry: bool) -> Self {
        if retry { Self::Retry } else { Self::Stop }
    }
}

/// What a server's hint ([`Verdict::RetryAfter`]) does to the policy's own wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hint {
    /// The longer of the two counts, so that no retry comes earlier than the server asked.
    #[default]
    Floor,
    /// The hint counts, whatever the policy says.
    Exact,
    /// The hint counts, but not less than the policy's wait, and not more than the policy's wait plus this duration.
    Clamp(Duration),
}

impl Hint {
    pub(crate) fn apply(self, hint: Duration, wait: Duration) -> Duration {
        match self {
            Self::Floor => hint.max(wait),
            Self::Exact => hint,
            Self::Clamp(above) => hint.clamp(wait, wait.saturating_add(above)),
        }
    }
}
