//! A token bucket in exact integers.

use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// A bucket that fills at `amount` units per `period` up to `capacity`, and may be in debt.
///
/// What it holds is counted in whole units and parts of the next one, `1 / period` each with the period in nanoseconds,
/// of which exactly `amount` come in per nanosecond. So nothing is ever rounded while it fills, whatever the rate: it is
/// neither fast nor slow. And since no cost has parts, taking and giving back are plain sums of units.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    amount: u64,
    /// In nanoseconds.
    period: NonZeroU64,
    /// The nanoseconds in which a unit comes in, rounded up; and how many come in in less than a second at that pace.
    per_unit: u64,
    in_a_second: u64,
    capacity: u64,
    /// At most `capacity`.
    units: u64,
    /// The parts beyond the whole units: fewer than `period`, and none while it is full.
    parts: u64,
    /// Units that were taken and have not come in yet. 0 while there are any `units`.
    debt: u128,
    /// When all that was true. Later than now while the bucket is drained, or if the clock goes back: it then waits.
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

    /// Whether it is full by an instant, as is plain to see: so it is for most most of the time. Instants are added and
    /// compared in line, and subtracted by a call, which costs more than all of this.
    #[inline]
    fn fills_by(&self, now: Instant) -> bool {
        let missing = self.capacity - self.units;
        // It is below the bound anyway, which spares what would have to be done if it were not.
        let longest =
            || Duration::new(0, ((missing * self.per_unit) as u32).min(NANOS_PER_SECOND as u32 - 1));
        missing <= self.in_a_second
            && self.debt == 0
            && self.at.checked_add(longest()).is_some_and(|full_at| full_at <= now)
    }

    /// [`refill`](Self::refill) for one of several that were all refilled at `since`: so many nanoseconds before `now`,
    /// which are worked out once for all.
    #[inline]
    pub(crate) fn refill_with_others(&mut self, since: Instant, elapsed: u64, now: Instant) {
        if self.at == since { self.fill(elapsed, now) } else { self.refill_alone(now) }
    }

    /// [`refill`](Self::refill) for one that is not full by then, that was held, or whose clock has gone back: then nothing
    /// comes in.
    #[inline(never)]
    pub(crate) fn refill_alone(&mut self, now: Instant) {
        if let Some(elapsed) = now.checked_duration_since(self.at) {
            self.fill(nanos(elapsed), now);
        }
    }

    /// [`refill`](Self::refill) for one that was refilled so many nanoseconds before `now`.
    #[inline]
    pub(crate) fn fill(&mut self, elapsed: u64, now: Instant) {
        let parts = u128::from(elapsed) * u128::from(self.amount) + u128::from(self.parts);
        let room = u128::from(self.capacity - self.units) * u128::from(self.period.get());
        self.at = now;
        if self.debt == 0 && parts >= room {
            // So it is for most most of the time, and it saves a division.
            (self.units, self.parts) = (self.capacity, 0);
        } else {
            self.pour(parts);
        }
    }

    /// Whether the last refill was at an instant: not if it was held, or if the clock has gone back.
    pub(crate) fn is_as_of(&self, at: Instant) -> bool {
        self.at == at
    }

    /// Adds whole units, and keeps the parts beyond them.
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

    /// Adds to what is not in debt. What does not fit is lost.
    #[inline]
    fn add(&mut self, units: u64) {
        if units >= self.capacity - self.units {
            (self.units, self.parts) = (self.capacity, 0);
        } else {
            self.units += units;
        }
    }

    /// Takes `cost` if it holds as much, as of the last refill. Then it is no larger than the bucket.
    #[inline]
    pub(crate) fn take_if_there(&mut self, cost: u64) -> bool {
        let there = cost <= self.units;
        if there {
            self.units -= cost;
        }
        there
    }

    /// Whether `cost` may be taken, as of the last refill, when `ahead` is taken first: it holds as much, or `cost` is
    /// larger than the bucket and the bucket is full.
    pub(crate) fn covers(&self, cost: u64, ahead: u128) -> bool {
        self.debt == 0 && u128::from(self.units) >= self.needed(cost, ahead)
    }

    /// Takes units, as of the last refill: at a full bucket that is not up to date, what should have been lost would pay
    /// for it.
    pub(crate) fn take(&mut self, cost: u64) {
        let owed = cost.saturating_sub(self.units);
        self.units = self.units.saturating_sub(cost);
        self.debt = self.debt.saturating_add(u128::from(owed));
    }

    /// Forgives what is owed beyond so much.
    pub(crate) fn bound_debt(&mut self, most: u64) {
        self.debt = self.debt.min(u128::from(most));
    }

    /// Puts units back. What does not fit is lost.
    ///
    /// It need not be up to date: what comes in and what is put back may be added in either order, and be cut off at the
    /// capacity after each, with the same result.
    #[inline]
    pub(crate) fn put(&mut self, units: u64) {
        let sum = self.units.checked_add(units);
        match sum.filter(|&sum| sum < self.capacity) {
            // While it holds anything there is no debt.
            Some(sum) if self.units > 0 => self.units = sum,
            _ => self.put_slowly(units),
        }
    }

    /// [`put`](Self::put) into one that is in debt, empty, or full after it.
    #[inline(never)]
    fn put_slowly(&mut self, units: u64) {
        let left = u128::from(units).saturating_sub(self.debt);
        self.debt = self.debt.saturating_sub(u128::from(units));
        if self.debt == 0 {
            self.add(left as u64);
        }
    }

    /// When [`covers`](Self::covers) will be true if nothing else happens. `None`: never, or beyond all clocks.
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

    /// The whole units it holds, as of the last refill; negative in debt.
    pub(crate) fn units(&self) -> i128 {
        i128::from(self.units).saturating_sub_unsigned(self.debt)
    }

    /// Whether it holds all it can, as of the last refill.
    pub(crate) fn is_full(&self) -> bool {
        self.debt == 0 && self.units >= self.capacity
    }

    /// Changes the rate and the size, keeping what is in it, as of the last refill.
    pub(crate) fn reshape(&mut self, amount: u64, period: Duration, capacity: u64) {
        let (old, period) = (u128::from(self.period.get()), period_of(period));
        // Rounded down: never faster.
        self.parts = (u128::from(self.parts) * u128::from(period.get()) / old) as u64;
        (self.amount, self.period, self.capacity) = (amount, period, capacity);
        (self.per_unit, self.in_a_second) = pace(amount, period);
        self.cut_off();
    }

    /// Empties it, and lets nothing come in before `until`. Debt stays.
    pub(crate) fn drain_until(&mut self, until: Instant) {
        if self.debt == 0 {
            (self.units, self.parts) = (0, 0);
        }
        self.at = self.at.max(until);
    }

    /// Lets nothing come in before `until`. What is in it stays.
    pub(crate) fn hold_until(&mut self, until: Instant) {
        self.at = self.at.max(until);
    }

    /// Holds nothing as of an instant, from which on it fills.
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

    /// Whether `cost` and all of `ahead` will have come in by `then`, as of the last refill and were it bottomless.
    pub(crate) fn covers_by(&self, then: Instant, cost: u64, ahead: u128) -> bool {
        let come_in = self.parts_in(then.saturating_duration_since(self.at));
        let wanted = ahead.saturating_add(u128::from(cost));
        self.level().saturating_add(come_in) >= self.in_parts(i128::try_from(wanted).unwrap_or(i128::MAX))
    }

    /// The parts that come in in a time.
    pub(crate) fn parts_in(&self, time: Duration) -> i128 {
        i128::try_from(u128::from(nanos(time)) * u128::from(self.amount)).unwrap_or(i128::MAX)
    }

    /// So many units in parts, to the nearest; 0 if there is no such number.
    pub(crate) fn parts_of(&self, units: f64) -> i128 {
        (units * self.period.get() as f64) as i128
    }

    /// So many parts in units.
    pub(crate) fn units_of(&self, parts: i128) -> f64 {
        parts as f64 / self.period.get() as f64
    }

    /// The parts by which it holds less than one which had `units`, lost `gone` and filled for `time`.
    pub(crate) fn missing_to(&self, units: u64, gone: u128, time: Duration) -> i128 {
        self.in_parts(i128::from(units).saturating_sub_unsigned(gone))
            .saturating_add(self.parts_in(time))
            .saturating_sub(self.level())
    }

    /// Adds so many parts, up to full, or takes them.
    pub(crate) fn shift(&mut self, by: i128) {
        let (level, period) = (self.level().saturating_add(by), i128::from(self.period.get()));
        let units = level.div_euclid(period);
        self.parts = level.rem_euclid(period) as u64;
        self.debt = units.min(0).unsigned_abs();
        self.units = u64::try_from(units.max(0)).unwrap_or(u64::MAX);
        self.cut_off();
    }

    /// What does not fit is lost.
    fn cut_off(&mut self) {
        if self.debt == 0 && self.units >= self.capacity {
            (self.units, self.parts) = (self.capacity, 0);
        }
    }

    /// All it holds, in parts: units of at most 2^64, of 2^55 parts at most (366 days). Debt saturates.
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

/// [`Bucket::per_unit`] and [`Bucket::in_a_second`]. Without an amount nothing comes in.
fn pace(amount: u64, period: NonZeroU64) -> (u64, u64) {
    let per_unit = NonZeroU64::new(amount).map_or(u64::MAX, |amount| period.get().div_ceil(amount.get()));
    (per_unit, (NANOS_PER_SECOND as u64 - 1) / per_unit)
}

fn period_of(time: Duration) -> NonZeroU64 {
    NonZeroU64::new(nanos(time)).unwrap_or(NonZeroU64::MIN)
}

/// In nanoseconds, at most 584 years.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

#[cfg(test)]
mod tests;
