//! A deadline: an instant by which something must be done, or never.

use std::{cmp, time::Duration};

use tokio::time::Instant;

/// An instant on tokio's clock by which something must be done, or never.
///
/// It is fixed when it is made. It can be passed from step to step, and each step gets the time that is left. Deadlines
/// are ordered by time; [`NEVER`](Self::NEVER) comes after all others, and is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// No deadline: it never passes.
    pub const NEVER: Self = Self(None);

    /// The instant after this duration, counted from now. Reads the clock. A duration too long for the clock gives
    /// [`NEVER`](Self::NEVER).
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now().checked_add(duration))
    }

    /// At this instant, which may be in the past.
    pub const fn at(instant: Instant) -> Self {
        Self(Some(instant))
    }

    /// The instant, or `None` for [`NEVER`](Self::NEVER).
    pub const fn instant(self) -> Option<Instant> {
        self.0
    }

    /// The time that is left: zero once it has passed, [`Duration::MAX`] for [`NEVER`](Self::NEVER). Reads the clock.
    pub fn remaining(self) -> Duration {
        self.0.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether it has passed. At exactly its instant it has passed. Reads the clock.
    pub fn is_past(self) -> bool {
        self.0.is_some_and(|at| at <= Instant::now())
    }

    /// The earlier of the two.
    #[must_use = "this returns a new deadline and changes neither of the two"]
    pub fn min(self, other: impl Into<Self>) -> Self {
        cmp::min(self, other.into())
    }
}

impl Default for Deadline {
    fn default() -> Self {
        Self::NEVER
    }
}

impl Ord for Deadline {
    fn cmp(&self, other: &Self) -> cmp::Ordering {
        match (self.0, other.0) {
            (Some(this), Some(other)) => this.cmp(&other),
            (this, other) => other.is_some().cmp(&this.is_some()),
        }
    }
}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl From<Instant> for Deadline {
    fn from(instant: Instant) -> Self {
        Self::at(instant)
    }
}

impl From<Option<Instant>> for Deadline {
    /// `None` is [`Deadline::NEVER`].
    fn from(instant: Option<Instant>) -> Self {
        Self(instant)
    }
}
