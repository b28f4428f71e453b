//! All limits of a quota: buckets that the server's readings correct, and strict limits.

use std::mem;

use tokio::time::Instant;

use super::{
    charging::Charging,
    cost::{Cost, Total},
    dimension::QuotaDimension,
    error::TooLarge,
    hierarchy::Demand,
    meter::Meter,
    snapshot::{DimensionSnapshot, GrantSnapshot},
    strict::Strict,
};
use crate::bucket::nanos;

/// The limits, each in its dimension. A request does not wait for a dimension of which it costs nothing, even while that
/// dimension is in debt.
#[derive(Debug)]
pub(super) struct Limits {
    meters: Vec<Meter>,
    /// Limits that hold whatever the server says: the user's long windows, and grants.
    strict: Vec<Strict>,
    /// When all were last refilled.
    filled_at: Instant,
    /// Whether there are only [plain](Meter::is_plain) meters, as in most quotas. It is also `false` after a possible change,
    /// until the meters are checked again.
    are_plain: bool,
}

impl Limits {
    pub(super) fn new(meters: Vec<Meter>, strict: Vec<Strict>, now: Instant) -> Self {
        let mut limits = Self { meters, strict, filled_at: now, are_plain: false };
        limits.mark_granted();
        limits.look_if_plain();
        limits
    }

    pub(super) fn meters(&self) -> &[Meter] {
        &self.meters
    }

    /// The meters, for any change but a new one.
    pub(super) fn meters_mut(&mut self) -> &mut Vec<Meter> {
        self.are_plain = false;
        &mut self.meters
    }

    /// Adds a meter.
    pub(super) fn push(&mut self, meter: Meter) {
        self.meters.push(meter);
        self.mark_granted();
    }

    fn look_if_plain(&mut self) {
        self.are_plain =
            self.strict.is_empty() && self.meters.iter().all(|meter| meter.is_plain(self.filled_at));
    }

    #[inline]
    pub(super) fn refill(&mut self, now: Instant) {
        // Mostly the two are equal, and this check is cheaper than an ordering.
        if now != self.filled_at {
            self.pour(now);
        }
    }

    #[inline(never)]
    fn pour(&mut self, now: Instant) {
        let since = mem::replace(&mut self.filled_at, now);
        // `None` if the clock has gone back.
        let elapsed = now.checked_duration_since(since).map(nanos);
        match elapsed.filter(|_| self.are_plain) {
            Some(elapsed) => self.meters.iter_mut().for_each(|meter| meter.level.bucket.fill(elapsed, now)),
            None => self.pour_each(since, elapsed, now),
        }
    }

    #[inline(never)]
    fn pour_each(&mut self, since: Instant, elapsed: Option<u64>, now: Instant) {
        for meter in &mut self.meters {
            match elapsed {
                Some(elapsed) => meter.level.bucket.refill_with_others(since, elapsed, now),
                None => meter.level.bucket.refill_alone(now),
            }
            meter.roll(now);
            meter.level.refill_log(now);
        }
        self.strict.iter_mut().for_each(|strict| strict.refill(now));
        self.look_if_plain();
    }

    /// Takes a cost from all limits if all have as much, as of the last refill. For most requests this is all.
    #[inline]
    pub(super) fn take_if_there(&mut self, cost: &Cost) -> bool {
        if !self.are_plain {
            return self.take_if_each_has(cost);
        }
        let mut meters = self.meters.iter_mut();
        // A cost that a bucket holds is never larger than its limit.
        let short = meters.any(|meter| !meter.level.bucket.take_if_there(cost.at(meter.place)));
        if short {
            let untouched = meters.len() + 1;
            self.put_back_first(self.meters.len() - untouched, cost);
        }
        !short
    }

    #[inline(never)]
    fn take_if_each_has(&mut self, cost: &Cost) -> bool {
        let mut meters = self.meters.iter_mut();
        let short = meters.any(|meter| !meter.level.take_if_there(cost.at(meter.place)));
        let untouched = meters.len() + usize::from(short);
        let there = !short && self.take_from_strict(cost);
        if !there {
            self.put_back_first(self.meters.len() - untouched, cost);
        }
        there
    }

    fn take_from_strict(&mut self, cost: &Cost) -> bool {
        let there = self.strict.iter().all(|strict| strict.covers(cost));
        if there {
            self.strict.iter_mut().for_each(|strict| strict.take(cost));
        }
        there
    }

    #[cold]
    fn put_back_first(&mut self, meters: usize, cost: &Cost) {
        self.meters[..meters].iter_mut().for_each(|meter| meter.level.put(cost.at(meter.place)));
    }

    /// Takes a cost from all limits, into debt if necessary.
    pub(super) fn take(&mut self, cost: &Cost) {
        for meter in &mut self.meters {
            meter.level.take(cost.at(meter.place));
        }
        self.strict.iter_mut().for_each(|strict| strict.take(cost));
    }

    /// Puts back the difference between the estimate, which was taken before, and the actual cost, which is not higher in any
    /// dimension.
    #[inline(always)]
    pub(super) fn settle(&mut self, estimate: &Cost, actual: &Cost) {
        if !self.are_plain {
            return self.settle_each(estimate, actual);
        }
        for meter in &mut self.meters {
            let unused = estimate.at(meter.place) - actual.at(meter.place);
            // The number of requests was mostly estimated right.
            if unused > 0 {
                meter.unused.ended(unused);
                meter.level.bucket.put(unused);
            }
        }
    }

    #[inline(never)]
    fn settle_each(&mut self, estimate: &Cost, actual: &Cost) {
        for meter in self.meters.iter_mut().filter(|meter| !meter.learned_limit) {
            meter.give_back(estimate.at(meter.place) - actual.at(meter.place));
        }
        self.put_back_in_strict(estimate, actual);
    }

    /// Puts back what was taken for a request that was not counted.
    #[cold]
    pub(super) fn put_back(&mut self, estimate: &Cost) {
        for meter in &mut self.meters {
            meter.level.put(estimate.at(meter.place));
        }
        self.put_back_in_strict(estimate, &Cost::default());
    }

    /// As [`put_back`](Self::put_back), for a request that the server has refused. What was granted for it is used up.
    #[cold]
    pub(super) fn put_back_refused(&mut self, estimate: &Cost) {
        self.put_back(estimate);
        self.strict.iter_mut().filter(|strict| strict.is_granted()).for_each(|strict| strict.take(estimate));
    }

    fn put_back_in_strict(&mut self, estimate: &Cost, actual: &Cost) {
        if self.strict.is_empty() {
            return;
        }
        let now = Instant::now();
        let Self { meters, strict, .. } = self;
        strict
            .iter_mut()
            .for_each(|strict| strict.put_back(estimate, actual, readings_say(meters, strict), now));
    }

    /// Replaces the estimate, which was taken before, by the actual cost. It may be higher in some dimensions and lower in
    /// others.
    pub(super) fn correct(&mut self, estimate: &Cost, actual: &Cost) {
        for meter in self.meters.iter_mut().filter(|meter| !meter.learned_limit) {
            let (estimate, actual) = (estimate.at(meter.place), actual.at(meter.place));
            meter.give_back(estimate.saturating_sub(actual));
            if !meter.unused.comes_back {
                continue;
            }
            meter.level.take(actual.saturating_sub(estimate));
            // A number that cannot be true must not block the quota for years.
            meter.level.bucket.bound_debt(meter.limit());
        }
        let Self { meters, strict, .. } = self;
        strict.iter_mut().for_each(|strict| strict.correct(estimate, actual, readings_say(meters, strict)));
    }

    /// Whether a cost may be taken, as of the last refill.
    pub(super) fn cover(&self, cost: &Cost) -> bool {
        self.meters.iter().all(|meter| {
            let units = cost.at(meter.place);
            units == 0 || meter.level.covers(units, 0)
        }) && self.strict.iter().all(|strict| strict.covers(cost))
    }

    /// A dimension of which too little is granted for a cost behind `ahead`, if there is one. When more will be granted is not
    /// known.
    pub(super) fn short_of_grant(&self, cost: &Cost, ahead: &Total) -> Option<QuotaDimension> {
        let mut dimensions = self.strict.iter().filter(|strict| strict.log().is_none());
        let short = dimensions.find(|strict| {
            let (units, ahead) = (cost.units(strict.dimension), ahead.units(strict.dimension));
            units > 0 && !strict.covers_by(self.filled_at, units, ahead)
        });
        short.map(|strict| strict.dimension)
    }

    /// When time alone covers a cost behind `ahead`, and the dimension that is ready last. `None` if the cost uses no limited
    /// dimension.
    pub(super) fn cover_at(&self, cost: &Cost, ahead: &Total) -> Option<(Option<Instant>, QuotaDimension)> {
        let meters = self.meters.iter().map(|meter| {
            let (units, ahead) = (cost.at(meter.place), ahead.units(meter.dimension));
            (units, meter.dimension, if units == 0 { None } else { meter.covers_at(units, ahead) })
        });
        let strict = self.strict.iter().filter_map(|strict| {
            let (units, ahead) = (cost.units(strict.dimension), ahead.units(strict.dimension));
            Some((units, strict.dimension, strict.log()?.covers_at(units, ahead)))
        });
        let used = meters.chain(strict).filter(|&(units, ..)| units > 0);
        // `None` is later than any instant.
        used.map(|(_, dimension, at)| (at, dimension)).max_by_key(|(at, _)| (at.is_none(), *at))
    }

    /// Whether there will be enough by an instant for a cost and all of `ahead`, in each dimension that the cost uses.
    pub(super) fn cover_by(&self, by: Instant, cost: &Cost, ahead: &Total) -> bool {
        self.meters.iter().all(|meter| {
            let units = cost.at(meter.place);
            units == 0 || meter.level.covers_by(by, units, ahead.units(meter.dimension))
        }) && self.strict.iter().all(|strict| {
            let units = cost.units(strict.dimension);
            units == 0 || strict.covers_by(by, units, ahead.units(strict.dimension))
        })
    }

    /// The first limit that is smaller than a cost.
    pub(super) fn too_small_for(&self, cost: &Cost) -> Option<TooLarge> {
        let windows = self.strict.iter().filter_map(|strict| Some((strict.dimension, strict.log()?.limit())));
        let meters = self.meters.iter().filter(|meter| !meter.learned_limit);
        let limits = meters.map(|meter| (meter.dimension, meter.limit())).chain(windows);
        let mut asked = limits.map(|(dimension, limit)| (dimension, cost.units(dimension), limit));
        let too_large = asked.find(|(_, asked, limit)| asked > limit);
        too_large.map(|(dimension, asked, limit)| TooLarge { dimension, asked, limit })
    }

    /// Whether no limit is known.
    pub(super) fn is_unlimited(&self) -> bool {
        self.meters.is_empty() && self.strict.is_empty()
    }

    /// Whether all limits are full, as of the last refill.
    pub(super) fn are_full(&self) -> bool {
        self.meters.iter().all(|meter| meter.level.is_full()) && self.strict.iter().all(Strict::is_new)
    }

    /// Two dimensions with the same place, if there are any.
    pub(super) fn clash(&self) -> Option<(QuotaDimension, QuotaDimension)> {
        let clash =
            |one: QuotaDimension| Some((one, self.dimensions().find(|other| one.clashes_with(*other))?));
        self.dimensions().find_map(clash)
    }

    pub(super) fn dimensions(&self) -> impl Iterator<Item = QuotaDimension> {
        let strict = self.strict.iter().map(|strict| strict.dimension);
        self.meters.iter().map(|meter| meter.dimension).chain(strict)
    }

    pub(super) fn snapshot(&self) -> Vec<DimensionSnapshot> {
        let meters = self.meters.iter().map(|meter| DimensionSnapshot {
            dimension: meter.dimension,
            window: meter.window,
            limit: meter.limit(),
            available: meter.level.available(),
            server_remaining: meter.server_remaining(),
            learned: meter.is_learned(),
        });
        meters.chain(self.strict.iter().filter_map(Strict::snapshot)).collect()
    }

    pub(super) fn grant_snapshots(&self, demand: &Demand) -> Vec<GrantSnapshot> {
        self.strict.iter().filter_map(|strict| strict.grant_snapshot(demand)).collect()
    }

    /// Begins to count a dimension by grants, with none. Does nothing if it is counted so already, or if its place is taken by
    /// another dimension.
    pub(super) fn require_grants(&mut self, dimension: QuotaDimension, charging: Option<Charging>) {
        let counted = self.strict.iter().any(|strict| strict.is_granted() && strict.dimension == dimension);
        if !counted && !self.dimensions().any(|other| other.clashes_with(dimension)) {
            self.strict.push(Strict::granted(dimension, charging));
            self.mark_granted();
        }
    }

    /// Ends to count a dimension by grants.
    pub(super) fn lift_grants(&mut self, dimension: QuotaDimension) {
        self.strict.retain(|strict| !(strict.is_granted() && strict.dimension == dimension));
        self.mark_granted();
        self.look_if_plain();
    }

    /// Tells the meters of which dimensions are counted by grants, too.
    fn mark_granted(&mut self) {
        self.are_plain = false;
        for meter in &mut self.meters {
            let granted = |strict: &Strict| strict.is_granted() && strict.dimension == meter.dimension;
            let granted = self.strict.iter().any(granted);
            meter.set_granted(granted);
        }
    }

    /// Adds granted units to a dimension.
    pub(super) fn grant(&mut self, dimension: QuotaDimension, units: u64) {
        let of_it = self.strict.iter_mut().filter(|strict| strict.dimension == dimension);
        of_it.for_each(|strict| strict.grant(units));
    }

    /// Takes back up to `units` of what was granted of a dimension and not used. Returns how much it took.
    pub(super) fn reclaim(&mut self, dimension: QuotaDimension, units: u64) -> u64 {
        let of_it = self.strict.iter_mut().filter(|strict| strict.dimension == dimension);
        of_it.map(|strict| strict.reclaim(units)).sum()
    }
}

/// Whether the readings of the server show that what was not used comes back. `None`: there are none of this dimension.
fn readings_say(meters: &[Meter], strict: &Strict) -> Option<bool> {
    let meters = meters.iter().filter(|meter| strict.is_granted() && meter.dimension == strict.dimension);
    meters.map(|meter| meter.unused.comes_back).reduce(|one, other| one && other)
}
