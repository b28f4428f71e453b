//! A record of what was sent when. It says how much a server had seen when it counted what remains.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{
    cost::{Cost, Count, growth},
    dimension::QuotaDimension,
};

/// Sends closer together than this are one entry.
const GRAIN: Duration = Duration::from_millis(10);
/// Enough for at least 10 s of dense sending, and for minutes of usual sending.
const MAX_ENTRIES: usize = 1_024;

/// A log of sums. An entry holds what had been sent before it, so the sum of any time up to now is one subtraction.
#[derive(Debug, Default)]
pub(super) struct Sends {
    entries: VecDeque<(Instant, Count)>,
    total: Count,
    /// When the next entry begins: one [`GRAIN`] after the last.
    next_entry: Option<Instant>,
    /// Old entries have been dropped, so what was sent before the first one is not known.
    trimmed: bool,
}

impl Sends {
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

    /// The sum of everything that was sent.
    pub(super) fn total(&self) -> Count {
        self.total
    }

    /// What was sent before `until`, or a little less. `None` if it is too long ago.
    pub(super) fn before(&self, until: Instant) -> Option<Count> {
        self.since(until).map(|since| self.total - since)
    }

    /// Calls `each` for every entry after `from`: its instant, and what had been sent from `from` until just before it.
    pub(super) fn each_since(
        &self,
        from: Instant,
        dimension: QuotaDimension,
        mut each: impl FnMut(Instant, u64),
    ) {
        let later = self.entries.partition_point(|&(at, _)| at <= from);
        let Some(first) = self.entries.get(later.saturating_sub(1)) else { return };
        for (at, before) in self.entries.range(later..) {
            each(*at, growth(first.1.units(dimension), before.units(dimension)));
        }
    }

    /// Calls `each` for every entry after `from`: its instant, and what was sent in it.
    pub(super) fn each_entry_since(
        &self,
        from: Instant,
        dimension: QuotaDimension,
        mut each: impl FnMut(Instant, u64),
    ) {
        let first = self.entries.partition_point(|&(at, _)| at <= from);
        for (entry, (at, before)) in self.entries.iter().enumerate().skip(first) {
            each(*at, growth(before.units(dimension), self.before_entry(entry + 1).units(dimension)));
        }
    }

    /// The most that was sent in any stretch of time as long as `span` between two instants.
    pub(super) fn most_within(
        &self,
        from: Instant,
        until: Instant,
        span: Duration,
        dimension: QuotaDimension,
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

    /// What was sent at `from` or after, or a little before. `None` if it is too long ago.
    pub(super) fn since(&self, from: Instant) -> Option<Count> {
        // The costs of an entry were sent within one `GRAIN` after it.
        let entry = self.entries.partition_point(|&(at, _)| at + GRAIN <= from);
        if entry == 0 && self.trimmed { None } else { Some(self.total - self.before_entry(entry)) }
    }

    /// What had been sent before an entry. For the entry that comes next, this is everything.
    fn before_entry(&self, entry: usize) -> Count {
        self.entries.get(entry).map_or(self.total, |&(_, before)| before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUESTS: QuotaDimension = QuotaDimension::Requests;

    fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    fn sends(start: Instant, times: &[u64]) -> Sends {
        let mut sends = Sends::default();
        times.iter().for_each(|at| sends.record(&Cost::request(), start + ms(*at)));
        sends
    }

    #[test]
    fn what_was_sent_since_is_known_to_the_grain() {
        let start = Instant::now();
        let sends = sends(start, &[0, 3, 1_000, 1_015]);
        let since = |at| sends.since(start + ms(at)).map(|count| count.units(REQUESTS));
        assert_eq!(
            [0, 9, 10, 500, 1_000, 1_009, 1_010, 1_030].map(since),
            [4, 4, 2, 2, 2, 2, 1, 0].map(Some)
        );
        assert_eq!(sends.before(start + ms(500)).map(|count| count.units(REQUESTS)), Some(2));
        let mut each = Vec::new();
        sends.each_entry_since(start, REQUESTS, |at, units| each.push(((at - start).as_millis(), units)));
        assert_eq!(each, [(1_000, 1), (1_015, 1)]);
    }

    #[test]
    fn the_most_in_a_span_is_found_wherever_it_is() {
        let start = Instant::now();
        let sends = sends(start, &[0, 400, 900, 950, 1_350, 3_000]);
        let most = |from, until| sends.most_within(start + ms(from), start + ms(until), ms(1_000), REQUESTS);
        assert_eq!((most(0, 9_000), most(0, 1_399), most(950, 9_000), most(0, 999)), (4, 4, 2, 0));
    }

    #[test]
    fn what_is_too_long_ago_is_not_known() {
        let start = Instant::now();
        let times: Vec<_> = (0..=MAX_ENTRIES as u64).map(|at| at * 10).collect();
        let sends = sends(start, &times);
        assert!(sends.since(start).is_none());
        assert!(sends.since(start + ms(20)).is_some());
    }
}
