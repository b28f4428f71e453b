//! A sliding log: it limits what is taken in any stretch of time as long as its window.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// What is taken within this part of a window is one entry. So a log has about this many entries at most. The units of an
/// entry expire together, the early ones too late. So it never admits too much.
const GRAINS: u32 = 1_024;

/// Admits no more than `limit` units in any stretch of time as long as the window.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    limit: u64,
    window: Duration,
    entries: VecDeque<Entry>,
    /// The sum of the entries. It is above the limit only after the limit was lowered, or after a call has used more than
    /// its estimate.
    used: u128,
    /// The instant of this state.
    at: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    first: Instant,
    last: Instant,
    units: u128,
}

impl Log {
    /// An empty log.
    pub(crate) fn new(limit: u64, window: Duration, now: Instant) -> Self {
        Self { limit, window, entries: VecDeque::new(), used: 0, at: now }
    }

    /// Removes the entries that have left the window.
    #[inline(never)]
    pub(crate) fn refill(&mut self, now: Instant) {
        self.at = self.at.max(now);
        while let Some(front) = self.entries.front()
            && expires(front, self.window).is_some_and(|expires| expires <= self.at)
        {
            self.used -= front.units;
            self.entries.pop_front();
        }
    }

    /// Whether there is room for `cost`, as of the last refill.
    pub(crate) fn has(&self, cost: u64) -> bool {
        self.covers(cost, 0)
    }

    /// Whether there is room for `cost` behind `ahead`, as of the last refill.
    pub(crate) fn covers(&self, cost: u64, ahead: u128) -> bool {
        self.wanted(cost, ahead, self.used) <= u128::from(self.limit)
    }

    pub(crate) fn take(&mut self, cost: u64) {
        let units = u128::from(cost);
        if units == 0 {
            return;
        }
        self.used = self.used.saturating_add(units);
        let grain = self.window / GRAINS;
        match self.entries.back_mut() {
            Some(back) if self.at.saturating_duration_since(back.first) < grain => {
                back.last = self.at;
                back.units += units;
            }
            _ => self.entries.push_back(Entry { first: self.at, last: self.at, units }),
        }
    }

    /// Takes units if there is room for them.
    #[inline(never)]
    pub(crate) fn take_if_there(&mut self, units: u64) -> bool {
        let there = self.has(units);
        if there {
            self.take(units);
        }
        there
    }

    /// Gives units back. They are taken off the oldest entries, which expire first. So room that is given back is never
    /// counted twice.
    #[inline(never)]
    pub(crate) fn put(&mut self, units: u64) {
        let mut units = u128::from(units).min(self.used);
        self.used -= units;
        while units > 0
            && let Some(front) = self.entries.front_mut()
        {
            let taken = units.min(front.units);
            front.units -= taken;
            units -= taken;
            if front.units == 0 {
                self.entries.pop_front();
            }
        }
    }

    /// When [`covers`](Self::covers) will be true, if nothing else happens. If `ahead` is more than a window admits, it is
    /// the earliest possible instant. `None` if never, or beyond the range of the clock.
    pub(crate) fn covers_at(&self, cost: u64, ahead: u128) -> Option<Instant> {
        if cost > self.limit || (self.limit == 0 && ahead > 0) {
            return None;
        }
        let mut missing = self.wanted(cost, ahead, self.used).saturating_sub(u128::from(self.limit));
        if missing == 0 {
            return Some(self.at);
        }
        let mut at = self.at;
        for entry in &self.entries {
            at = expires(entry, self.window)?;
            missing = missing.saturating_sub(entry.units);
            if missing == 0 {
                return Some(at);
            }
        }
        let windows = u32::try_from(missing / u128::from(self.limit)).ok()?;
        at.checked_add(self.window.checked_mul(windows)?)
    }

    /// Whether there will be room by `then` for `cost` and all of `ahead`.
    pub(crate) fn covers_by(&self, then: Instant, cost: u64, ahead: u128) -> bool {
        let left = self.entries.iter().filter(|entry| expires(entry, self.window).is_none_or(|at| at > then));
        let used = left.map(|entry| entry.units).sum();
        self.wanted(cost, ahead, used) <= u128::from(self.limit)
    }

    /// How many units there is room for, as of the last refill.
    pub(crate) fn available(&self) -> u64 {
        u64::try_from(u128::from(self.limit).saturating_sub(self.used)).unwrap_or(u64::MAX)
    }

    /// Changes the limit and the window. What is in the log stays.
    pub(crate) fn reshape(&mut self, limit: u64, window: Duration) {
        (self.limit, self.window) = (limit, window);
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn window(&self) -> Duration {
        self.window
    }

    fn wanted(&self, cost: u64, ahead: u128, used: u128) -> u128 {
        ahead.saturating_add(u128::from(cost)).saturating_add(used)
    }
}

fn expires(entry: &Entry, window: Duration) -> Option<Instant> {
    entry.last.checked_add(window)
}

#[cfg(test)]
mod tests;
