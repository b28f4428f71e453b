//! All limits of a quota at once: buckets that the server's word corrects, and windows that hold strictly.

use std::mem;

use tokio::time::Instant;

use super::{
    charging::Charging,
    cost::{Cost, Total},
    dimension::{Dimension, REQUESTS},
    error::TooLarge,
    meter::Meter,
    snapshot::DimensionSnapshot,
};
use crate::{bucket::nanos, log::Log};

/// The limits, each in its dimension. What a cost has none of, it need not wait for: not even until others have paid
/// their debt.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) meters: Vec<Meter>,
    /// Limits of long windows that the user told. They hold strictly, whatever the server says.
    windows: Vec<Window>,
    /// As of when all were refilled last.
    filled_at: Instant,
}

/// So much in any stretch of time of this length.
#[derive(Debug)]
pub(super) struct Window {
    dimension: Dimension,
    /// Where in a cost it is.
    place: usize,
    log: Log,
    /// Whether what was not used comes back when a call ends.
    comes_back: bool,
}

impl Limits {
    pub(super) fn new(meters: Vec<Meter>, windows: Vec<Window>, now: Instant) -> Self {
        Self { meters, windows, filled_at: now }
    }

    #[inline]
    pub(super) fn refill(&mut self, now: Instant) {
        // Cheaper to see than which is the later, and mostly there is no difference.
        if now != self.filled_at {
            self.pour(now);
        }
    }

    #[inline(never)]
    fn pour(&mut self, now: Instant) {
        let since = mem::replace(&mut self.filled_at, now);
        match now.checked_duration_since(since).map(nanos) {
            Some(elapsed) => {
                let buckets = self.meters.iter_mut().map(|meter| &mut meter.level.bucket);
                buckets.for_each(|bucket| bucket.refill_with_others(since, elapsed, now));
            }
            // The clock has gone back.
            None => self.meters.iter_mut().for_each(|meter| meter.level.bucket.refill(now)),
        }
        for meter in &mut self.meters {
            meter.roll(now);
            meter.level.refill_log(now);
        }
        self.windows.iter_mut().for_each(|window| window.log.refill(now));
    }

    /// Takes a cost from all if all hold as much, as of the last refill: what is left to do for most.
    #[inline]
    pub(super) fn take_if_there(&mut self, cost: &Cost) -> bool {
        // No cost that a bucket has is larger than the limit.
        let short = self.meters.iter_mut().position(|meter| !meter.level.take_if_there(cost.at(meter.place)));
        let there = short.is_none() && (self.windows.is_empty() || self.take_from_windows(cost));
        if !there {
            self.put_back_first(short.unwrap_or(self.meters.len()), cost);
        }
        there
    }

    #[inline(never)]
    fn take_from_windows(&mut self, cost: &Cost) -> bool {
        let there = self.windows.iter().all(|window| window.covers(cost));
        if there {
            self.windows.iter_mut().for_each(|window| window.log.take(cost.at(window.place)));
        }
        there
    }

    #[cold]
    fn put_back_first(&mut self, meters: usize, cost: &Cost) {
        self.meters[..meters].iter_mut().for_each(|meter| meter.level.put(cost.at(meter.place)));
    }

    /// Takes a cost from all, into debt if need be.
    pub(super) fn take(&mut self, cost: &Cost) {
        for meter in &mut self.meters {
            meter.level.take(cost.at(meter.place));
        }
        self.windows.iter_mut().for_each(|window| window.log.take(cost.at(window.place)));
    }

    /// Puts back what an estimate, taken before, was above what it did cost: that is not more in any dimension.
    #[inline]
    pub(super) fn put_back(&mut self, estimate: &Cost, actual: &Cost) {
        for meter in &mut self.meters {
            let unused = estimate.at(meter.place) - actual.at(meter.place);
            if actual.at(REQUESTS) == 0 {
                meter.level.put(unused);
            } else if !meter.learned_limit {
                meter.give_back(unused);
            }
        }
        if !self.windows.is_empty() {
            self.put_back_in_windows(estimate, actual);
        }
    }

    #[inline(never)]
    fn put_back_in_windows(&mut self, estimate: &Cost, actual: &Cost) {
        // What left a window in the meantime must not be taken for what comes back.
        let now = Instant::now();
        for Window { place, log, comes_back, .. } in &mut self.windows {
            log.refill(now);
            if *comes_back || actual.at(REQUESTS) == 0 {
                log.put(estimate.at(*place) - actual.at(*place));
            }
        }
    }

    /// Replaces an estimate, taken before, by what it did cost: more in some dimension, perhaps less in another.
    pub(super) fn correct(&mut self, estimate: &Cost, actual: &Cost) {
        for meter in self.meters.iter_mut().filter(|meter| !meter.learned_limit) {
            let (estimate, actual) = (estimate.at(meter.place), actual.at(meter.place));
            meter.give_back(estimate.saturating_sub(actual));
            if !meter.unused.comes_back {
                continue;
            }
            meter.level.take(actual.saturating_sub(estimate));
            // A number that cannot be true must not hold up everything for years.
            meter.level.bucket.bound_debt(meter.limit());
        }
        for Window { place, log, .. } in self.windows.iter_mut().filter(|window| window.comes_back) {
            let (estimate, actual) = (estimate.at(*place), actual.at(*place));
            log.put(estimate.saturating_sub(actual));
            // What a window cannot hold says nothing about it.
            log.take(actual.saturating_sub(estimate).min(log.limit()));
        }
    }

    /// Whether a cost may be taken, as of the last refill.
    pub(super) fn cover(&self, cost: &Cost) -> bool {
        self.meters.iter().all(|meter| {
            let units = cost.at(meter.place);
            units == 0 || meter.level.covers(units, 0)
        }) && self.windows.iter().all(|window| window.covers(cost))
    }

    /// When a cost can be covered behind others, and the dimension that is last to be ready: none if it uses none.
    pub(super) fn cover_at(&self, cost: &Cost, ahead: &Total) -> Option<(Option<Instant>, Dimension)> {
        let meters = self.meters.iter().map(|meter| {
            let (units, ahead) = (cost.at(meter.place), ahead.units(meter.dimension));
            (units, meter.dimension, if units == 0 { None } else { meter.covers_at(units, ahead) })
        });
        let windows = self.windows.iter().map(|Window { dimension, log, .. }| {
            let (units, ahead) = (cost.units(*dimension), ahead.units(*dimension));
            (units, *dimension, if units == 0 { None } else { log.covers_at(units, ahead) })
        });
        let used = meters.chain(windows).filter(|&(units, ..)| units > 0);
        // Never is later than any instant.
        used.map(|(_, dimension, at)| (at, dimension)).max_by_key(|(at, _)| (at.is_none(), *at))
    }

    /// Whether there will be enough for a cost and all of `ahead` by an instant, in each dimension that it uses.
    pub(super) fn cover_by(&self, by: Instant, cost: &Cost, ahead: &Total) -> bool {
        self.meters.iter().all(|meter| {
            let units = cost.at(meter.place);
            units == 0 || meter.level.covers_by(by, units, ahead.units(meter.dimension))
        }) && self.windows.iter().all(|Window { dimension, log, .. }| {
            let units = cost.units(*dimension);
            units == 0 || log.covers_by(by, units, ahead.units(*dimension))
        })
    }

    /// The first limit that a cost is larger than.
    pub(super) fn too_small_for(&self, cost: &Cost) -> Option<TooLarge> {
        let windows = self.windows.iter().map(|window| (window.dimension, window.log.limit()));
        let meters = self.meters.iter().filter(|meter| !meter.learned_limit);
        let limits = meters.map(|meter| (meter.dimension, meter.limit())).chain(windows);
        let mut asked = limits.map(|(dimension, limit)| (dimension, cost.units(dimension), limit));
        let too_large = asked.find(|(_, asked, limit)| asked > limit);
        too_large.map(|(dimension, asked, limit)| TooLarge { dimension, asked, limit })
    }

    /// Whether nothing is known of any limit.
    pub(super) fn is_unlimited(&self) -> bool {
        self.meters.is_empty() && self.windows.is_empty()
    }

    /// Whether nothing is owed and nothing could be saved up, as of the last refill.
    pub(super) fn are_full(&self) -> bool {
        self.meters.iter().all(|meter| meter.level.is_full())
            && self.windows.iter().all(|window| window.log.available() == window.log.limit())
    }

    /// Two dimensions that are counted at the same place, if there are any.
    pub(super) fn clash(&self) -> Option<(Dimension, Dimension)> {
        let clash = |one: Dimension| Some((one, self.dimensions().find(|other| one.clashes_with(*other))?));
        self.dimensions().find_map(clash)
    }

    pub(super) fn dimensions(&self) -> impl Iterator<Item = Dimension> {
        let windows = self.windows.iter().map(|window| window.dimension);
        self.meters.iter().map(|meter| meter.dimension).chain(windows)
    }

    pub(super) fn snapshot(&self) -> Vec<DimensionSnapshot> {
        let meters = self.meters.iter().map(|meter| DimensionSnapshot {
            dimension: meter.dimension,
            window: meter.window,
            limit: meter.limit(),
            available: meter.level.available(),
        });
        let windows = self.windows.iter().map(|Window { dimension, log, .. }| DimensionSnapshot {
            dimension: *dimension,
            window: log.window(),
            limit: log.limit(),
            available: log.available(),
        });
        meters.chain(windows).collect()
    }
}

impl Window {
    pub(super) fn new(dimension: Dimension, log: Log, charging: Option<Charging>) -> Self {
        let comes_back = charging != Some(Charging::Estimate) || !dimension.is_tokens();
        Self { dimension, place: dimension.place(), log, comes_back }
    }

    fn covers(&self, cost: &Cost) -> bool {
        let units = cost.at(self.place);
        units == 0 || self.log.has(units)
    }
}
