//! The average number of calls in flight during a call.

use tokio::time::Instant;

/// How many moments are remembered: those at which a stage began.
const MARKS: usize = 16;

/// The number of calls in flight, and its sum over time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) now: usize,
    at: Option<Instant>,
    /// The number in flight times the seconds, summed up until `at`.
    area: f64,
    /// Moments and the area at each, the oldest first. Between two of them the number in flight was about the same.
    marks: [Option<(Instant, f64)>; MARKS],
}

impl Flight {
    pub(super) const fn new() -> Self {
        Self { now: 0, at: None, area: 0.0, marks: [None; MARKS] }
    }

    /// Time has passed until `now`, with the same number in flight.
    pub(super) fn pass(&mut self, now: Instant) {
        let at = self.at.unwrap_or(now);
        self.area += self.now as f64 * seconds(at, now);
        self.at = Some(at.max(now));
    }

    /// Remembers this moment.
    pub(super) fn mark(&mut self, now: Instant) {
        self.pass(now);
        self.marks.rotate_left(1);
        self.marks[MARKS - 1] = Some((now, self.area));
    }

    /// The average number in flight from `then` until now. `None` if `then` is too long ago, or no time has passed.
    pub(super) fn mean_since(&self, then: Instant) -> Option<f64> {
        let now = self.at?;
        let mut later = (now, self.area);
        for mark in self.marks.iter().rev().flatten() {
            if mark.0 <= then {
                let part = seconds(mark.0, then) / seconds(mark.0, later.0).max(f64::MIN_POSITIVE);
                let area = mark.1 + (later.1 - mark.1) * part.min(1.0);
                let mean = (self.area - area) / seconds(then, now);
                return mean.is_finite().then_some(mean);
            }
            later = *mark;
        }
        None
    }
}

pub(super) fn seconds(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64()
}
