//! One continuous token bucket, in whole numbers.

use std::time::Duration;

/// One unit of the quota, in grains.
///
/// A minute has 60 billion nanoseconds, and a unit has as many grains. So a limit of `L` a minute refills `L` grains in
/// each nanosecond. This is exact for every limit and every time: nothing is rounded, and nothing drifts in a simulated
/// year.
const UNIT: i128 = 60_000_000_000;

/// A bucket that refills steadily at `limit` a minute. It holds at most what `burst` refills, but at least one unit.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    limit: u64,
    burst: Duration,
    // All three are in grains. `level` is below zero after an oversized request, and never above `capacity`.
    capacity: i128,
    level: i128,
    // The nanosecond up to which `level` has been refilled.
    refilled: i128,
}

impl Bucket {
    /// Full at the start.
    pub(crate) fn new(limit: u64, burst: Duration) -> Self {
        let capacity = capacity(limit, burst);
        Self { limit, burst, capacity, level: if limit == 0 { 0 } else { capacity }, refilled: 0 }
    }

    /// Changes the limit, and with it the capacity. The level stays, as far as it still fits.
    pub(crate) fn set_limit(&mut self, now: Duration, limit: u64) {
        self.refill(now);
        self.limit = limit;
        self.capacity = capacity(limit, self.burst);
        self.level = self.level.min(self.capacity);
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// What it holds when full, in units.
    pub(crate) fn capacity(&self) -> f64 {
        self.capacity as f64 / UNIT as f64
    }

    /// Whether `amount` can be taken now. If not, how long it is until it can; `None` if it never can, because it is more
    /// than the limit of a minute.
    ///
    /// An amount that is within the limit, but more than the bucket holds, can be taken when the bucket is full. It leaves
    /// the bucket in debt, and so delays the requests after it.
    pub(crate) fn wait(&mut self, now: Duration, amount: u64) -> Result<(), Option<Duration>> {
        self.refill(now);
        let needed = (i128::from(amount) * UNIT).min(self.capacity);
        if amount > self.limit.max(1) {
            return Err(None);
        }
        if self.level >= needed {
            return Ok(());
        }
        Err(self.time_for(needed - self.level))
    }

    pub(crate) fn take(&mut self, amount: u64) {
        self.level = self.level.saturating_sub(i128::from(amount) * UNIT);
    }

    /// Takes what is there, at most `amount`, never into debt.
    pub(crate) fn take_up_to(&mut self, amount: u64) {
        self.level -= (i128::from(amount) * UNIT).min(self.level.max(0));
    }

    pub(crate) fn settle(&mut self, now: Duration, estimate: u64, actual: u64) {
        self.refill(now);
        let back = (i128::from(estimate) - i128::from(actual)) * UNIT;
        self.level = self.level.saturating_add(back).min(self.capacity);
    }

    /// Whole units left; zero while in debt.
    pub(crate) fn remaining(&mut self, now: Duration) -> u64 {
        self.refill(now);
        u64::try_from(self.level / UNIT).unwrap_or(0)
    }

    pub(crate) fn full_in(&mut self, now: Duration) -> Duration {
        self.refill(now);
        self.time_for(self.capacity.saturating_sub(self.level)).unwrap_or(Duration::MAX)
    }

    fn time_for(&self, grains: i128) -> Option<Duration> {
        let limit = i128::from(self.limit);
        let nanos = (limit > 0).then(|| grains.saturating_add(limit - 1) / limit)?;
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    fn refill(&mut self, now: Duration) {
        let now = nanos(now);
        let refill = i128::from(self.limit).saturating_mul((now - self.refilled).max(0));
        self.refilled = self.refilled.max(now);
        self.level = self.level.saturating_add(refill).min(self.capacity);
    }
}

fn capacity(limit: u64, burst: Duration) -> i128 {
    i128::from(limit).saturating_mul(nanos(burst)).max(UNIT)
}

fn nanos(duration: Duration) -> i128 {
    i128::from(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
