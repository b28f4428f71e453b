//! Why nothing more is sent, and until when.

use tokio::time::Instant;

use super::super::error::ErrorKind;

/// Why nothing is sent any more, and until when. Told by [`Batch::stopped`](super::super::Batch::stopped).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// What was refused: `Auth`, `QuotaSpent`, `RateLimited` (a pause longer than `max_pause`), `Connection` (nobody was
    /// ever there), or the kind of the equal refusals.
    pub kind: ErrorKind,
    /// What the server said, in one line, without secrets.
    pub message: String,
    /// How long it holds. A batch that was stopped does not go on afterwards; it is for requests that come later. `None` for
    /// equal refusals, which are the batch's own.
    pub until: Option<Instant>,
}

impl Stopped {
    /// Whether this one ends no earlier than the other.
    pub(super) fn holds_as_long_as(&self, other: &Self) -> bool {
        longer(self.until, other.until) == self.until
    }
}

/// The later of two ends, of which `None` is none at all.
pub(super) fn longer(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    Some(one?.max(other?))
}
