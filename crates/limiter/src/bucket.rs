//! A token bucket in exact integers.

use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// A bucket that fills at `amount` units per `period` up to `capacity`, and may be in debt.
///
/// It counts whole units, and parts of the next unit. A unit has as many parts as the period has nanoseconds, so exactly
/// `amount` parts come in per nanosecond. So nothing is rounded while it fills, whatever the rate. Costs are whole units,
/// so taking and giving back are plain sums of units.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    amount: u64,
    /// In nanoseconds.
    period: NonZeroU64,
    /// The nanoseconds for one unit, rounded up, and how many units come in within less than a second at this pace.
    per_unit: u64,
    in_a_second: u64,
    capacity: u64,
    /// At most `capacity`.
    units: u64,
    /// The parts beyond the whole units: fewer than `period`, and 0 while it is full.
    parts: u64,
    /// Units that were taken and have not come in yet. 0 while `units` is not 0.
    debt: u128,
    /// The instant of this state. It is later than now while the bucket is held, and if the clock goes back. Until then
    /// nothing comes in.
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn full(amount: u64, period: Duration, capacity: u64, now: Instant) -> Self {
        let period = period_of(period);
        let (per_unit, in_a_second) = pace(amount, period);
        Self { amount, period, per_unit, in_a_second, capacity, units: capacity, parts: 0, debt: 0, at: now }
    }

    /// Brings it up to date.
    #[inline]
    pub(crate) fn refill(&mut self, now: Instant) {
        if now == self.at {
            return;
        }
        if self.fills_by(now) {
            (self.units, self.parts, self.at) = (self.capacity, 0, now);
        } else {
            self.refill_alone(now);
        }
    }

    /// A fast check whether it is full at an instant. Most buckets are full most of the time. The check adds and compares
    /// instants, which is inlined. Subtracting them is a call, and costs more than the whole check.
    #[inline]
    fn fills_by(&self, now: Instant) -> bool {
        let missing = self.capacity - self.units;
        // The value is below the bound anyway. The `min` spares the code for the case that it is not.
        let longest =
            || Duration::new(0, ((missing * self.per_unit) as u32).min(NANOS_PER_SECOND as u32 - 1));
        missing <= self.in_a_second
            && self.debt == 0
            && self.at.checked_add(longest()).is_some_and(|full_at| full_at <= now)
    }

    /// [`refill`](Self::refill) for one of several buckets that were all refilled at `since`. `elapsed` is the time since
    /// then in nanoseconds, computed once for all.
    #[inline]
    pub(crate) fn refill_with_others(&mut self, since: Instant, elapsed: u64, now: Instant) {
        if self.at == since { self.fill(elapsed, now) } else { self.refill_alone(now) }
    }

    /// [`refill`](Self::refill) for a bucket that is not full, that was held, or whose clock has gone back. In the last two
    /// cases nothing comes in.
    #[inline(never)]
    pub(crate) fn refill_alone(&mut self, now: Instant) {
        if let Some(elapsed) = now.checked_duration_since(self.at) {
            self.fill(nanos(elapsed), now);
        }
    }

    /// [`refill`](Self::refill) for a bucket that was refilled `elapsed` nanoseconds before `now`.
    #[inline]
    pub(crate) fn fill(&mut self, elapsed: u64, now: Instant) {
        let parts = u128::from(elapsed) * u128::from(self.amount) + u128::from(self.parts);
        let room = u128::from(self.capacity - self.units) * u128::from(self.period.get());
        self.at = now;
        if self.debt == 0 && parts >= room {
            // Most buckets are full most of the time, and this saves a division.
            (self.units, self.parts) = (self.capacity, 0);
        } else {
            self.pour(parts);
        }
    }

    /// Whether its state is that of this instant. It is not if the bucket was held, or if the clock has gone back.
    pub(crate) fn is_as_of(&self, at: Instant) -> bool {
        self.at == at
    }

    /// Adds parts: whole units, and the parts beyond them.
    #[inline(never)]
    fn pour(&mut self, parts: u128) {
        let come_in = match u64::try_from(parts) {
            Ok(parts) => {
                self.parts = parts % self.period;
                u128::from(parts / self.period)
            }
            Err(_) => {
                let period = u128::from(self.period.get());
                self.parts = (parts % period) as u64;
                parts / period
            }
        };
        let left = come_in.saturating_sub(self.debt);
        if self.debt > 0 {
            self.debt = self.debt.saturating_sub(come_in);
        }
        if self.debt == 0 {
            self.add(u64::try_from(left).unwrap_or(u64::MAX));
        }
    }

    /// Adds units to a bucket without debt. What does not fit is lost.
    #[inline]
    fn add(&mut self, units: u64) {
        if units >= self.capacity - self.units {
            (self.units, self.parts) = (self.capacity, 0);
        } else {
            self.units += units;
        }
    }

    /// Takes `cost` if the bucket holds as much, as of the last refill. So the cost is never larger than the bucket.
    #[inline]
    pub(crate) fn take_if_there(&mut self, cost: u64) -> bool {
        let there = cost <= self.units;
        if there {
            self.units -= cost;
        }
        there
    }

    /// Whether `cost` may be taken after `ahead`, as of the last refill. It may if the bucket holds as much, or if `cost` is
    /// larger than the bucket and the bucket is full.
    pub(crate) fn covers(&self, cost: u64, ahead: u128) -> bool {
        self.debt == 0 && u128::from(self.units) >= self.needed(cost, ahead)
    }

    /// Takes units, as of the last refill. The bucket has to be up to date: otherwise units that would have been lost at a
    /// full bucket would pay for them.
    pub(crate) fn take(&mut self, cost: u64) {
        let owed = cost.saturating_sub(self.units);
        self.units = self.units.saturating_sub(cost);
        self.debt = self.debt.saturating_add(u128::from(owed));
    }

    /// Limits the debt to `most`.
    pub(crate) fn bound_debt(&mut self, most: u64) {
        self.debt = self.debt.min(u128::from(most));
    }

    /// Puts units back. What does not fit is lost.
    ///
    /// The bucket does not have to be up to date. What comes in and what is put back can be added in either order, and
    /// limited to the capacity after each, with the same result.
    #[inline]
    pub(crate) fn put(&mut self, units: u64) {
        let sum = self.units.checked_add(units);
        match sum.filter(|&sum| sum < self.capacity) {
            // A bucket that holds units has no debt.
            Some(sum) if self.units > 0 => self.units = sum,
            _ => self.put_slowly(units),
        }
    }

    /// [`put`](Self::put) for a bucket that is in debt, empty, or full afterwards.
    #[inline(never)]
    fn put_slowly(&mut self, units: u64) {
        let left = u128::from(units).saturating_sub(self.debt);
        self.debt = self.debt.saturating_sub(u128::from(units));
        if self.debt == 0 {
            self.add(left as u64);
        }
    }

    /// When [`covers`](Self::covers) will be true, if nothing else happens. `None` if never, or beyond the range of the clock.
    pub(crate) fn covers_at(&self, cost: u64, ahead: u128) -> Option<Instant> {
        let needed = self.needed(cost, ahead).saturating_add(self.debt);
        let missing = needed.saturating_sub(u128::from(self.units));
        if missing == 0 {
            return Some(self.at);
        }
        if self.amount == 0 {
            return None;
        }
        let parts = missing.checked_mul(u128::from(self.period.get()))? - u128::from(self.parts);
        let wait = parts.div_ceil(u128::from(self.amount));
        let seconds = u64::try_from(wait / NANOS_PER_SECOND).ok()?;
        let nanos = u32::try_from(wait % NANOS_PER_SECOND).ok()?;
        self.at.checked_add(Duration::new(seconds, nanos))
    }

    /// The whole units it holds, as of the last refill. Negative in debt.
    pub(crate) fn units(&self) -> i128 {
        i128::from(self.units).saturating_sub_unsigned(self.debt)
    }

    /// Whether it is full, as of the last refill.
    pub(crate) fn is_full(&self) -> bool {
        self.debt == 0 && self.units >= self.capacity
    }

    /// Changes the rate and the capacity, as of the last refill. What is in it stays.
    pub(crate) fn reshape(&mut self, amount: u64, period: Duration, capacity: u64) {
        let (old, period) = (u128::from(self.period.get()), period_of(period));
        // Rounded down, so that it is never too fast.
        self.parts = (u128::from(self.parts) * u128::from(period.get()) / old) as u64;
        (self.amount, self.period, self.capacity) = (amount, period, capacity);
        (self.per_unit, self.in_a_second) = pace(amount, period);
        self.cut_off();
    }

    /// Empties it and holds it: nothing comes in before `until`. Debt stays.
    pub(crate) fn drain_until(&mut self, until: Instant) {
        if self.debt == 0 {
            (self.units, self.parts) = (0, 0);
        }
        self.at = self.at.max(until);
    }

    /// Holds it: nothing comes in before `until`. What is in it stays.
    pub(crate) fn hold_until(&mut self, until: Instant) {
        self.at = self.at.max(until);
    }

    /// Empties it as of an instant. From then on it fills.
    pub(crate) fn empty_at(&mut self, at: Instant) {
        (self.units, self.parts, self.debt, self.at) = (0, 0, 0, at);
    }

    /// Makes it full.
    pub(crate) fn fill_up(&mut self) {
        (self.units, self.parts, self.debt) = (self.capacity, 0, 0);
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Ends a hold.
    pub(crate) fn release(&mut self, now: Instant) {
        self.at = self.at.min(now);
    }

    /// Whether `cost` and all of `ahead` will have come in by `then`, as of the last refill and without regard to the
    /// capacity.
    pub(crate) fn covers_by(&self, then: Instant, cost: u64, ahead: u128) -> bool {
        let come_in = self.parts_in(then.saturating_duration_since(self.at));
        let wanted = ahead.saturating_add(u128::from(cost));
        self.level().saturating_add(come_in) >= self.in_parts(i128::try_from(wanted).unwrap_or(i128::MAX))
    }

    /// The parts that come in during a time.
    pub(crate) fn parts_in(&self, time: Duration) -> i128 {
        i128::try_from(u128::from(nanos(time)) * u128::from(self.amount)).unwrap_or(i128::MAX)
    }

    /// Units converted to parts, rounded towards zero. 0 if `units` is not a number.
    pub(crate) fn parts_of(&self, units: f64) -> i128 {
        (units * self.period.get() as f64) as i128
    }

    /// Parts converted to units.
    pub(crate) fn units_of(&self, parts: i128) -> f64 {
        parts as f64 / self.period.get() as f64
    }

    /// The parts that it lacks, compared with a bucket that had `units`, lost `gone` and filled for `time`.
    pub(crate) fn missing_to(&self, units: u64, gone: u128, time: Duration) -> i128 {
        self.in_parts(i128::from(units).saturating_sub_unsigned(gone))
            .saturating_add(self.parts_in(time))
            .saturating_sub(self.level())
    }

    /// Adds parts, up to the capacity, or takes them if `by` is negative.
    pub(crate) fn shift(&mut self, by: i128) {
        let (level, period) = (self.level().saturating_add(by), i128::from(self.period.get()));
        let units = level.div_euclid(period);
        self.parts = level.rem_euclid(period) as u64;
        self.debt = units.min(0).unsigned_abs();
        self.units = u64::try_from(units.max(0)).unwrap_or(u64::MAX);
        self.cut_off();
    }

    /// Limits it to the capacity.
    fn cut_off(&mut self) {
        if self.debt == 0 && self.units >= self.capacity {
            (self.units, self.parts) = (self.capacity, 0);
        }
    }

    /// All that it holds, in parts: at most 2^64 units of at most 2^55 parts (366 days). Debt saturates.
    fn level(&self) -> i128 {
        self.in_parts(self.units()).saturating_add(i128::from(self.parts))
    }

    fn in_parts(&self, units: i128) -> i128 {
        units.saturating_mul(i128::from(self.period.get()))
    }

    fn needed(&self, cost: u64, ahead: u128) -> u128 {
        ahead.saturating_add(u128::from(cost.min(self.capacity)))
    }
}

/// Computes [`Bucket::per_unit`] and [`Bucket::in_a_second`]. With an amount of 0 nothing comes in.
fn pace(amount: u64, period: NonZeroU64) -> (u64, u64) {
    let per_unit = NonZeroU64::new(amount).map_or(u64::MAX, |amount| period.get().div_ceil(amount.get()));
    (per_unit, (NANOS_PER_SECOND as u64 - 1) / per_unit)
}

fn period_of(time: Duration) -> NonZeroU64 {
    NonZeroU64::new(nanos(time)).unwrap_or(NonZeroU64::MIN)
}

/// A duration in nanoseconds, at most 584 years.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

#[cfg(test)]
mod tests;
