//! What comes first: when work was pushed, and its priority.

use tokio::time::Instant;

/// What decides when an item is claimed.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// When it was pushed, in microseconds of the store's own time.
    pub(crate) pushed: u64,
    pub(crate) priority: i16,
}

/// After each such time a piece of work counts as one priority higher: 30 seconds, in microseconds.
const AGEING: i64 = 30_000_000;

impl Place {
    /// Lower ones go first. It never changes, and nothing has to be moved while the time passes.
    pub(crate) fn rank(self) -> i64 {
        let pushed = i64::try_from(self.pushed).unwrap_or(i64::MAX);
        pushed.saturating_sub(i64::from(self.priority) * AGEING)
    }
}

/// The store's own time. It stands still while the store is closed.
pub(crate) struct Clock {
    opened: Instant,
    /// What it showed then, in microseconds: no less than where anything was pushed that is not done.
    before: u64,
}

impl Clock {
    pub(crate) fn new(before: u64) -> Self {
        Self { opened: Instant::now(), before }
    }

    pub(crate) fn micros(&self) -> u64 {
        let elapsed = u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.before.saturating_add(elapsed)
    }
}
