//! Whether the models of an account share its limits, judged by the remaining amounts that their replies report.

use std::time::Duration;

use outbound_provider::{Dimension, Signal, Signals};
use tokio::time::Instant;

/// Readings with a longer time between them are not compared: too much was sent in between.
const MAX_DISTANCE: Duration = Duration::from_millis(250);

/// Replies overtake each other. So a remaining amount may be off by what refills in this time.
const REORDER_TIME: Duration = Duration::from_millis(300);

/// How many agreements a contradiction outweighs, and at which sum the limits count as separate. A limit that changes
/// causes a few contradictions, because replies overtake each other. That must not reach the sum.
const CONTRADICTION: u32 = 4;
const SEPARATE_AT: u32 = 40;

/// After so many replies, two models with different limits have limits of their own. A changed limit would have been
/// reported by both before.
const SEPARATE_AFTER: u32 = 12;

/// Whose limits a reply reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Account,
    Model,
}

/// The last reading in each dimension, and how much the readings of different models contradict each other.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    last: Vec<(Dimension, Last)>,
    contradictions: u32,
    /// Two models have reported different limits, and none has agreed since. Either the limit has changed, or each has
    /// its own.
    differ: bool,
    /// Replies since `differ` was set.
    differing: u32,
    separate: bool,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    model: usize,
    sent_at: Instant,
    signal: Signal,
}

impl Sharing {
    /// Records the limits that a reply for a model reports. Returns whose limits they are, and whether that has
    /// changed: then earlier readings went to the wrong quota, and have to be forgotten.
    pub(super) fn note(&mut self, model: usize, sent_at: Instant, signals: &Signals) -> (Owner, bool) {
        if self.separate {
            return (Owner::Model, false);
        }
        let were_own = self.differing >= SEPARATE_AFTER;
        for signal in signals.iter().filter(|signal| signal.limit.is_some()) {
            self.compare(Last { model, sent_at, signal: *signal });
        }
        self.separate = self.contradictions >= SEPARATE_AT;
        self.differing = if self.differ { self.differing.saturating_add(1) } else { 0 };
        let own = self.separate || self.differing >= SEPARATE_AFTER;
        let owner = if own || self.last.is_empty() { Owner::Model } else { Owner::Account };
        (owner, own != were_own)
    }

    fn compare(&mut self, next: Last) {
        let dimension = next.signal.dimension;
        let is_same = |signal: &Signal| {
            signal.dimension == dimension && named_window(signal) == named_window(&next.signal)
        };
        let Some((_, last)) = self.last.iter_mut().find(|(_, last)| is_same(&last.signal)) else {
            self.last.push((dimension, next));
            return;
        };
        let Some(between) = next.sent_at.checked_duration_since(last.sent_at) else { return };
        let last = std::mem::replace(last, next);
        if last.model == next.model {
            return;
        }
        let differs = last.signal.limit != next.signal.limit;
        // A remaining amount changes quickly, a limit does not.
        self.differ |= differs;
        if between > MAX_DISTANCE {
            return;
        }
        match agree(&last.signal, &next.signal, between) {
            Some(true) => {
                self.differ = false;
                self.contradictions = self.contradictions.saturating_sub(1);
            }
            Some(false) => self.contradictions += CONTRADICTION,
            None => {}
        }
    }
}

fn named_window(signal: &Signal) -> Option<Duration> {
    signal.window.filter(|_| signal.window_is_named)
}

/// Whether two readings can be of one limit. `None`: they do not show it.
fn agree(last: &Signal, next: &Signal, between: Duration) -> Option<bool> {
    let (limit, other) = (next.limit?, last.limit?);
    if limit != other {
        return Some(false);
    }
    let (before, after) = (last.remaining? as f64, next.remaining? as f64);
    let per_second = limit as f64 / named_window(next).map_or(60.0, |window| window.as_secs_f64());
    let blur = per_second * REORDER_TIME.as_secs_f64() + 2.0;
    if after > before + per_second * between.as_secs_f64() + blur {
        return Some(false);
    }
    (after + blur >= before).then_some(true)
}

#[cfg(test)]
#[path = "sharing_tests.rs"]
mod tests;
