//! The measurement since the limit was last changed.

use tokio::time::Instant;

use super::{flight::seconds, window::Window};

/// The calls that have ended since the limit was changed: all of them, and those that ran under this limit only.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stage {
    pub(super) began: Option<Instant>,
    /// How many calls have to end until only calls of this limit are left.
    to_settle: usize,
    pub(super) all: Window,
    pub(super) settled: Window,
    settled_at: Option<Instant>,
}

impl Stage {
    pub(super) fn new(now: Instant, to_settle: usize) -> Self {
        let settled_at = (to_settle == 0).then_some(now);
        Self { began: Some(now), to_settle, settled_at, ..Self::default() }
    }

    pub(super) fn add(&mut self, now: Instant, work: f64, time: f64, in_flight: f64) {
        self.all.add(work, time, in_flight);
        if self.to_settle == 0 {
            self.settled.add(work, time, in_flight);
        } else {
            self.to_settle -= 1;
            if self.to_settle == 0 {
                self.settled_at = Some(now);
            }
        }
    }

    /// When only calls of this limit were in flight for the first time. Before that, when the limit was changed.
    pub(super) fn measures_since(&self) -> Option<Instant> {
        self.settled_at.or(self.began)
    }

    /// The work per second of the calls that have ended since the limit was changed.
    pub(super) fn counted(&self, now: Instant) -> f64 {
        self.began.map_or(0.0, |began| self.all.work / seconds(began, now).max(1e-6))
    }
}
