//! Stops: why nothing more is sent, and until when.

use tokio::time::Instant;

use super::super::error::ErrorKind;

/// Why nothing more is sent, and until when. Returned by [`Batch::stopped`](super::super::Batch::stopped).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// The reason: `Auth`, `QuotaSpent`, `RateLimited` (a pause longer than `max_pause`), `Connection` (the server was
    /// never reached), or the kind of the equal refusals.
    pub kind: ErrorKind,
    /// The message of the server, in one line and without secrets.
    pub message: String,
    /// When the stop ends. A stopped batch does not go on then; the time is for later requests. `None`: the stop has no
    /// end of its own.
    pub until: Option<Instant>,
}

impl Stopped {
    /// Whether this stop ends no earlier than the other.
    pub(super) fn holds_as_long_as(&self, other: &Self) -> bool {
        later_end(self.until, other.until) == self.until
    }
}

/// The later of two ends. `None` is the latest of all.
pub(super) fn later_end(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    Some(one?.max(other?))
}
