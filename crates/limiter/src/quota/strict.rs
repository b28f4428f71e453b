//! Strict limits, which hold whatever the server says: so much in any stretch of time, or as much as is granted.

use tokio::time::Instant;

use super::{
    charging::Charging,
    cost::Cost,
    dimension::{Place, QuotaDimension},
    hierarchy::Demand,
    snapshot::{DimensionSnapshot, GrantSnapshot},
};
use crate::log::Log;

/// A strict limit in one dimension.
#[derive(Debug)]
pub(super) struct Strict {
    pub(super) dimension: QuotaDimension,
    /// The place of the dimension in a cost.
    place: Place,
    store: Store,
    /// Whether what was not used comes back when a call ends.
    comes_back: bool,
}

/// Where the units come from.
#[derive(Debug)]
enum Store {
    /// Units come back when they have left a window.
    Log(Log),
    /// Units come from grants only. This is what was granted and not used. It is negative where more was used.
    Granted(i128),
}

impl Strict {
    pub(super) fn window(dimension: QuotaDimension, log: Log, charging: Option<Charging>) -> Self {
        Self::new(dimension, Store::Log(log), charging)
    }

    pub(super) fn granted(dimension: QuotaDimension, charging: Option<Charging>) -> Self {
        Self::new(dimension, Store::Granted(0), charging)
    }

    fn new(dimension: QuotaDimension, store: Store, charging: Option<Charging>) -> Self {
        let comes_back = charging != Some(Charging::Estimate) || !dimension.is_tokens();
        Self { dimension, place: dimension.place(), store, comes_back }
    }

    pub(super) fn refill(&mut self, now: Instant) {
        if let Store::Log(log) = &mut self.store {
            log.refill(now);
        }
    }

    pub(super) fn covers(&self, cost: &Cost) -> bool {
        let units = cost.at(self.place);
        units == 0
            || match &self.store {
                Store::Log(log) => log.has(units),
                Store::Granted(level) => *level >= i128::from(units),
            }
    }

    pub(super) fn take(&mut self, cost: &Cost) {
        self.take_units(cost.at(self.place));
    }

    fn take_units(&mut self, units: u64) {
        match &mut self.store {
            Store::Log(log) => log.take(units),
            Store::Granted(level) => *level = level.saturating_sub(units.into()),
        }
    }

    fn put(&mut self, units: u64) {
        match &mut self.store {
            Store::Log(log) => log.put(units),
            Store::Granted(level) => *level = level.saturating_add(units.into()),
        }
    }

    /// Puts back the difference between the estimate, which was taken before, and the actual cost, which is not higher in any
    /// dimension.
    pub(super) fn put_back(
        &mut self,
        estimate: &Cost,
        actual: &Cost,
        comes_back: Option<bool>,
        now: Instant,
    ) {
        // Units that have left the window in the meantime must not count as put back.
        self.refill(now);
        if comes_back.unwrap_or(self.comes_back) || actual.units(QuotaDimension::Requests) == 0 {
            self.put(estimate.at(self.place) - actual.at(self.place));
        }
    }

    /// Replaces the estimate, which was taken before, by the actual cost.
    pub(super) fn correct(&mut self, estimate: &Cost, actual: &Cost, comes_back: Option<bool>) {
        if !comes_back.unwrap_or(self.comes_back) {
            return;
        }
        let (estimate, actual) = (estimate.at(self.place), actual.at(self.place));
        self.put(estimate.saturating_sub(actual));
        // More than the limit of the window cannot be true, so it is limited to that.
        let most = self.log().map_or(u64::MAX, Log::limit);
        self.take_units(actual.saturating_sub(estimate).min(most));
    }

    /// The log, if it counts by a window.
    pub(super) fn log(&self) -> Option<&Log> {
        match &self.store {
            Store::Log(log) => Some(log),
            Store::Granted(_) => None,
        }
    }

    /// Whether there will be enough by an instant for the units and all of `ahead`.
    pub(super) fn covers_by(&self, by: Instant, units: u64, ahead: u128) -> bool {
        match &self.store {
            Store::Log(log) => log.covers_by(by, units, ahead),
            Store::Granted(level) => is_enough(*level, units, ahead),
        }
    }

    /// Whether a new limit would admit the same, as of the last refill.
    pub(super) fn is_new(&self) -> bool {
        match &self.store {
            Store::Log(log) => log.available() == log.limit(),
            Store::Granted(level) => *level == 0,
        }
    }

    /// Adds granted units.
    pub(super) fn grant(&mut self, units: u64) {
        if let Store::Granted(_) = self.store {
            self.put(units);
        }
    }

    /// Takes back up to `units` of what was granted and not used. Returns how much it took.
    pub(super) fn reclaim(&mut self, units: u64) -> u64 {
        let Store::Granted(level) = &mut self.store else { return 0 };
        let there = unused(*level).min(units);
        *level -= i128::from(there);
        there
    }

    pub(super) fn snapshot(&self) -> Option<DimensionSnapshot> {
        let log = self.log()?;
        let (dimension, window) = (self.dimension, log.window());
        Some(DimensionSnapshot {
            dimension,
            window,
            limit: log.limit(),
            available: log.available(),
            server_remaining: None,
            learned: false,
        })
    }

    /// Whether it counts by grants.
    pub(super) fn is_granted(&self) -> bool {
        self.log().is_none()
    }

    /// The grants, if it counts by grants.
    pub(super) fn grant_snapshot(&self, demand: &Demand) -> Option<GrantSnapshot> {
        let Store::Granted(level) = self.store else { return None };
        let queued = demand.queued.units(self.dimension);
        let wanted = i128::try_from(queued).unwrap_or(i128::MAX).saturating_sub(level);
        Some(GrantSnapshot {
            dimension: self.dimension,
            available: unused(level),
            owed: unused(level.saturating_neg()),
            queued: u64::try_from(queued).unwrap_or(u64::MAX),
            first: demand.first.units(self.dimension),
            wanted: unused(wanted),
        })
    }
}

fn is_enough(level: i128, units: u64, ahead: u128) -> bool {
    let wanted = ahead.saturating_add(units.into());
    i128::try_from(wanted).is_ok_and(|wanted| level >= wanted)
}

fn unused(level: i128) -> u64 {
    u64::try_from(level.max(0)).unwrap_or(u64::MAX)
}
