//! A token bucket in exact integers.

use std::time::Duration;

use tokio::time::Instant;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// A bucket that fills at `amount` units per `period` up to `capacity`, and may be in debt.
///
/// The level is counted in parts of a unit, `1 / period` each with the period in nanoseconds, of which exactly `amount`
/// come in per nanosecond. So nothing is ever rounded while it fills, whatever the rate: it is neither fast nor slow.
/// The largest level is 2^64 units of 2^55 parts, the rest of an `i128` is room for debt; beyond that it saturates.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    amount: u64,
    period: u64,
    capacity: u64,
    level: i128,
    /// When `level` was true. Later than now while the bucket is drained, or if the clock goes back: it then waits.
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn full(amount: u64, period: Duration, capacity: u64, now: Instant) -> Self {
        let period = nanos(period).max(1);
        Self { amount, period, capacity, level: parts(capacity, period), at: now }
    }

    /// Brings the level up to date.
    #[inline]
    pub(crate) fn refill(&mut self, now: Instant) {
        // Subtracting instants costs more than all the rest: not if no time has passed.
        if now > self.at {
            self.pour(now, nanos(now.duration_since(self.at)));
        }
    }

    /// [`refill`](Self::refill), where it is known that `elapsed` nanoseconds have passed since `from`, if that is when
    /// it was last up to date.
    #[inline]
    pub(crate) fn refill_since(&mut self, now: Instant, from: Instant, elapsed: u64) {
        if self.at == from { self.pour(now, elapsed) } else { self.refill(now) }
    }

    #[inline]
    fn pour(&mut self, now: Instant, elapsed: u64) {
        let come_in = (u128::from(elapsed) * u128::from(self.amount)).min(i128::MAX.cast_unsigned());
        self.level = self.level.saturating_add(come_in.cast_signed()).min(self.brim());
        self.at = now;
    }

    /// Takes `cost` if it is not larger than the bucket and the level covers it, as of the last refill: what is left
    /// to do for most, once it is up to date.
    #[inline]
    pub(crate) fn take_if_covered(&mut self, cost: u64) -> bool {
        let covered = self.has(cost);
        if covered {
            self.take_covered(cost);
        }
        covered
    }

    /// Takes what it [`has`](Self::has).
    #[inline]
    pub(crate) fn take_covered(&mut self, cost: u64) {
        self.level -= parts(cost, self.period);
    }

    /// Whether `cost` is not larger than the bucket and the level covers it, as of the last refill.
    #[inline]
    pub(crate) fn has(&self, cost: u64) -> bool {
        cost <= self.capacity && self.level >= parts(cost, self.period)
    }

    /// Whether `cost` may be taken, as of the last refill, when `ahead` is taken first: the level covers it, or it is
    /// larger than the bucket and the bucket is full.
    #[inline]
    pub(crate) fn covers(&self, cost: u64, ahead: u128) -> bool {
        self.level >= self.needed(cost, ahead)
    }

    /// Takes units, as of the last refill: at a full bucket that is not up to date, what should have been lost would pay
    /// for it.
    #[inline]
    pub(crate) fn take(&mut self, cost: u64) {
        self.level = self.level.saturating_sub(parts(cost, self.period));
    }

    /// Puts units back. What does not fit is lost.
    ///
    /// It need not be up to date: what comes in and what is put back may be added in either order, and be cut off at the
    /// capacity after each, with the same result.
    #[inline]
    pub(crate) fn put(&mut self, units: u64) {
        // The level is never above the brim, so this sum is far from overflowing.
        self.level = (self.level + parts(units, self.period)).min(self.brim());
    }

    /// When [`covers`](Self::covers) will be true if nothing else happens. `None`: never, or beyond all clocks.
    pub(crate) fn covers_at(&self, cost: u64, ahead: u128) -> Option<Instant> {
        let missing = self.needed(cost, ahead).saturating_sub(self.level);
        let Ok(missing) = u128::try_from(missing) else { return Some(self.at) };
        if missing == 0 {
            return Some(self.at);
        }
        if self.amount == 0 {
            return None;
        }
        let wait = missing.div_ceil(u128::from(self.amount));
        let seconds = u64::try_from(wait / NANOS_PER_SECOND).ok()?;
        let nanos = u32::try_from(wait % NANOS_PER_SECOND).ok()?;
        self.at.checked_add(Duration::new(seconds, nanos))
    }

    /// The whole units it holds, as of the last refill; negative in debt.
    pub(crate) fn units(&self) -> i128 {
        self.level.div_euclid(i128::from(self.period))
    }

    /// Whether it holds all it can, as of the last refill.
    pub(crate) fn is_full(&self) -> bool {
        self.level >= self.brim()
    }

    /// Changes the rate and the size, keeping what is in it, as of the last refill.
    pub(crate) fn reshape(&mut self, amount: u64, period: Duration, capacity: u64) {
        let (old, new) = (i128::from(self.period), i128::from(nanos(period).max(1)));
        // Whole units and the rest apart, so that the product stays small. The rest is rounded down: never faster.
        let units = self.level.div_euclid(old).saturating_mul(new);
        let rest = self.level.rem_euclid(old) * new / old;
        self.amount = amount;
        self.period = nanos(period).max(1);
        self.capacity = capacity;
        self.level = units.saturating_add(rest).min(parts(capacity, self.period));
    }

    /// Empties it, and lets nothing come in before `until`. Debt stays.
    pub(crate) fn drain_until(&mut self, until: Instant) {
        self.level = self.level.min(0);
        self.at = self.at.max(until);
    }

    /// Lets nothing come in before `until`. What is in it stays.
    pub(crate) fn hold_until(&mut self, until: Instant) {
        self.at = self.at.max(until);
    }

    /// Ends a hold.
    pub(crate) fn release(&mut self, now: Instant) {
        self.at = self.at.min(now);
    }

    /// Whether `cost` and all of `ahead` will have come in by `then`, as of the last refill and were it bottomless.
    pub(crate) fn covers_by(&self, then: Instant, cost: u64, ahead: u128) -> bool {
        let come_in = self.parts_in(then.saturating_duration_since(self.at));
        let ahead = i128::try_from(ahead).unwrap_or(i128::MAX).saturating_mul(i128::from(self.period));
        self.level.saturating_add(come_in) >= parts(cost, self.period).saturating_add(ahead)
    }

    /// The parts that come in in a time.
    pub(crate) fn parts_in(&self, time: Duration) -> i128 {
        i128::try_from(u128::from(nanos(time)) * u128::from(self.amount)).unwrap_or(i128::MAX)
    }

    /// So many units in parts, to the nearest; 0 if there is no such number.
    pub(crate) fn parts_of(&self, units: f64) -> i128 {
        (units * self.period as f64) as i128
    }

    /// The parts by which the level is below that of a bucket which had `units`, lost `gone` and filled for `time`.
    pub(crate) fn missing_to(&self, units: u64, gone: u128, time: Duration) -> i128 {
        let gone = i128::try_from(gone).unwrap_or(i128::MAX).saturating_mul(i128::from(self.period));
        parts(units, self.period)
            .saturating_add(self.parts_in(time))
            .saturating_sub(gone)
            .saturating_sub(self.level)
    }

    /// Moves the level by so many parts, up to full.
    pub(crate) fn shift(&mut self, by: i128) {
        self.level = self.level.saturating_add(by).min(self.brim());
    }

    #[inline]
    fn brim(&self) -> i128 {
        parts(self.capacity, self.period)
    }

    #[inline]
    fn needed(&self, cost: u64, ahead: u128) -> i128 {
        let ahead = i128::try_from(ahead).unwrap_or(i128::MAX).saturating_mul(i128::from(self.period));
        parts(cost.min(self.capacity), self.period).saturating_add(ahead)
    }
}

/// Less than 2^64 * 2^55: periods are at most 366 days.
#[inline]
fn parts(units: u64, period: u64) -> i128 {
    (u128::from(units) * u128::from(period)).cast_signed()
}

/// In nanoseconds, at most 584 years.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

#[cfg(test)]
mod tests;
