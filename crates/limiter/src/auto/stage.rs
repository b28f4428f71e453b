//! What is measured since the limit was changed.

use tokio::time::Instant;

use super::{flight::seconds, window::Window};

/// The calls that have ended since the limit was changed: all, and those that only this limit has met.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stage {
    pub(super) began: Option<Instant>,
    /// So many calls have to end until only calls of this limit are left.
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

    /// Since when only calls of this limit are in flight, or else since the limit was changed.
    pub(super) fn measures_since(&self) -> Option<Instant> {
        self.settled_at.or(self.began)
    }

    /// Work per second since the limit was changed, by the calls that have ended.
    pub(super) fn counted(&self, now: Instant) -> f64 {
        self.began.map_or(0.0, |began| self.all.work / seconds(began, now).max(1e-6))
    }
}
