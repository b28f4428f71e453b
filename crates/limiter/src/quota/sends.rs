//! What was sent when: to know how much of it a server had seen when it counted what is left.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{
    cost::{Cost, Count, growth},
    dimension::Dimension,
};

/// Sends closer together than this are one entry.
const GRAIN: Duration = Duration::from_millis(10);
/// 10 s of dense sending at least, and minutes of the usual.
const MAX_ENTRIES: usize = 1_024;

/// A log of sums: an entry holds what had been sent before it, so that any stretch up to now is one subtraction.
#[derive(Debug, Default)]
pub(super) struct Sends {
    entries: VecDeque<(Instant, Count)>,
    total: Count,
    /// When the next entry begins: a grain after the last.
    next_entry: Option<Instant>,
    /// Entries have been dropped, so what lies before the first is not known.
    trimmed: bool,
}

impl Sends {
    #[inline]
    pub(super) fn record(&mut self, cost: &Cost, now: Instant) {
        self.total += cost;
        if self.next_entry.is_none_or(|next| now >= next) {
            self.open_entry(cost, now);
        }
    }

    #[cold]
    #[inline(never)]
    fn open_entry(&mut self, first: &Cost, now: Instant) {
        if self.entries.len() == MAX_ENTRIES {
            self.entries.pop_front();
            self.trimmed = true;
        }
        let mut before = self.total;
        before -= first;
        self.entries.push_back((now, before));
        self.next_entry = Some(now + GRAIN);
    }

    /// All that was ever sent.
    pub(super) fn total(&self) -> Count {
        self.total
    }

    /// What was sent before `until`, or a little less. `None`: too long ago to know.
    pub(super) fn before(&self, until: Instant) -> Option<Count> {
        self.since(until).map(|since| self.total - since)
    }

    /// When something was sent after `from`, and what had been sent from then until just before.
    pub(super) fn each_since(&self, from: Instant, dimension: Dimension, mut each: impl FnMut(Instant, u64)) {
        let later = self.entries.partition_point(|&(at, _)| at <= from);
        let Some(first) = self.entries.get(later.saturating_sub(1)) else { return };
        for (at, before) in self.entries.range(later..) {
            each(*at, growth(first.1.units(dimension), before.units(dimension)));
        }
    }

    /// What was sent after `from`, entry by entry.
    pub(super) fn each_entry_since(
        &self,
        from: Instant,
        dimension: Dimension,
        mut each: impl FnMut(Instant, u64),
    ) {
        let first = self.entries.partition_point(|&(at, _)| at <= from);
        for (entry, (at, before)) in self.entries.iter().enumerate().skip(first) {
            each(*at, growth(before.units(dimension), self.before_entry(entry + 1).units(dimension)));
        }
    }

    /// The most that was sent in any stretch of time of this length between two instants.
    pub(super) fn most_within(
        &self,
        from: Instant,
        until: Instant,
        span: Duration,
        dimension: Dimension,
    ) -> u64 {
        let first = self.entries.partition_point(|&(at, _)| at < from);
        let (mut most, mut end) = (0, first);
        for &(at, before) in self.entries.range(first..).take_while(|&&(at, _)| at + span <= until) {
            while self.entries.get(end).is_some_and(|&(later, _)| later < at + span) {
                end += 1;
            }
            most = most.max(growth(before.units(dimension), self.before_entry(end).units(dimension)));
        }
        most
    }

    /// What was sent at `from` or after, or a little before. `None`: too long ago to know.
    pub(super) fn since(&self, from: Instant) -> Option<Count> {
        // What is in an entry was sent within a grain of it.
        let entry = self.entries.partition_point(|&(at, _)| at + GRAIN <= from);
        if entry == 0 && self.trimmed { None } else { Some(self.total - self.before_entry(entry)) }
    }

    /// What had been sent before an entry; all, before the next one to come.
    fn before_entry(&self, entry: usize) -> Count {
        self.entries.get(entry).map_or(self.total, |&(_, before)| before)
    }
}
