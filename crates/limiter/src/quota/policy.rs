//! The policy of a quota: a request takes its cost from all dimensions or from none.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    charging::Charging,
    cost::{Cost, Count, Total},
    error::{Bottleneck, TooLarge},
    gate::Gate,
    hierarchy::{self, Blocked, Demand, Overtaken, Parent, RoundRobin},
    learner::Learner,
    limits::Limits,
    log_detector::LogDetector,
    meter::Burst,
    parallel::ParallelBound,
    sends::Sends,
    snapshot::Snapshot,
};
use crate::wait_queue::{Decision, Policy, RuntimeContext, WaitQueue};

mod round;

use self::round::Round;

/// The limits, the slots, the gate, and the sums of what was admitted and sent.
#[derive(Debug)]
pub(super) struct QuotaPolicy {
    pub(super) limits: Limits,
    pub(super) burst: Burst,
    pub(super) charging: Option<Charging>,
    /// `usize::MAX` if there is no limit.
    max_concurrent: usize,
    pub(super) in_flight: usize,
    pub(super) parallel: ParallelBound,
    pub(super) gate: Gate,
    pub(super) sends: Sends,
    /// The sum of all costs that were admitted, without those that were given back unsent.
    admitted: Count,
    /// What was sent and then refunded (refused, or never arrived), by when that was known.
    pub(super) refunds: Sends,
    pub(super) learner: Learner,
    pub(super) log_detector: LogDetector,
    queued: Total,
    waiting: usize,
    round: Round,
    /// The quota above this one.
    pub(super) parent: Option<Parent>,
    /// The quotas that wait for something of this quota, in turn.
    pub(super) round_robin: RoundRobin,
}

impl QuotaPolicy {
    pub(super) fn new(
        limits: Limits,
        burst: Burst,
        charging: Option<Charging>,
        max_concurrent: Option<usize>,
        now: Instant,
    ) -> Self {
        Self {
            limits,
            burst,
            charging,
            max_concurrent: max_concurrent.unwrap_or(usize::MAX),
            in_flight: 0,
            parallel: ParallelBound::new(),
            gate: Gate::new(),
            sends: Sends::default(),
            admitted: Count::default(),
            refunds: Sends::default(),
            learner: Learner::default(),
            log_detector: LogDetector::default(),
            queued: Total::default(),
            waiting: 0,
            round: Round::new(now),
            parent: None,
            round_robin: RoundRobin::default(),
        }
    }

    pub(super) fn under(mut self, parent: Parent) -> Self {
        self.parent = Some(parent);
        self
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// What the requests want that wait here. `head` is the cost of the first of them.
    pub(super) fn own_demand(&self, head: Option<&Cost>, now: Instant) -> Demand {
        match head {
            Some(first) if self.gate.closed_until(now).is_none() => {
                Demand { queued: self.queued, first: *first }
            }
            _ => Demand::default(),
        }
    }

    /// The request of a reservation is sent.
    #[inline]
    pub(super) fn sent(&mut self, cost: &Cost, now: Instant) {
        self.sends.record(cost, now);
    }

    /// What was admitted and neither sent nor given back.
    pub(super) fn reserved(&self) -> Count {
        self.admitted - self.sends.total()
    }

    /// A charge ends, and has cost what was estimated.
    pub(super) fn end(&mut self) {
        self.in_flight -= 1;
    }

    /// A charge ends. Its estimate is replaced by its actual cost, which is not higher in any dimension.
    #[inline(always)]
    pub(super) fn settle(&mut self, estimate: &Cost, actual: &Cost) {
        self.end();
        self.limits.settle(estimate, actual);
    }

    /// A charge ends whose request was refused or never left.
    pub(super) fn refund(&mut self, estimate: &Cost, now: Instant) {
        self.end();
        self.limits.put_back(estimate);
        self.refunds.record(estimate, now);
    }

    /// A charge ends whose request was refused because a limit was reached.
    pub(super) fn refuse(&mut self, estimate: &Cost, now: Instant) {
        self.end();
        self.limits.put_back_refused(estimate);
        self.refunds.record(estimate, now);
    }

    /// All that was sent and not refunded.
    pub(super) fn served(&self) -> Count {
        self.sends.total() - self.refunds.total()
    }

    /// A charge ends. Its actual cost is higher than the estimate in at least one dimension.
    #[cold]
    pub(super) fn overdraw(&mut self, estimate: &Cost, actual: &Cost, now: Instant) {
        self.end();
        self.limits.refill(now);
        self.limits.correct(estimate, actual);
    }

    pub(super) fn set_max_concurrent(&mut self, max: Option<usize>) {
        self.max_concurrent = max.unwrap_or(usize::MAX);
    }

    pub(super) fn close_gate_until(&mut self, now: Instant, until: Instant) {
        self.close_gate(now, until, false);
    }

    /// Closes the gate. `serves_nothing` means that everything that was sent since the gate last opened was refused.
    pub(super) fn close_gate(&mut self, now: Instant, until: Instant, serves_nothing: bool) {
        // Without limits and without a served request, nothing says how fast the server may be asked.
        let knows_nothing = self.limits.meters().is_empty() && !self.has_served();
        self.gate.close(now, until, serves_nothing || knows_nothing);
        self.round_robin.gate_closed();
    }

    pub(super) fn open_gate(&mut self) {
        self.gate.open();
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn snapshot(&mut self, now: Instant) -> Snapshot {
        self.limits.refill(now);
        Snapshot {
            dimensions: self.limits.snapshot(),
            granted: self.limits.grant_snapshots(&Demand::default()),
            in_flight: self.in_flight,
            max_concurrent: Some(self.max_concurrent).filter(|&max| max != usize::MAX),
            waiting: self.waiting,
            gate_closed_until: self.closed_until(now),
            bottleneck: (self.waiting > 0).then_some(self.round.reason),
            next_admission: self.round.head_at.filter(|&at| self.waiting > 0 && at > now),
        }
    }

    /// Whether a new quota would admit the same requests.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        self.limits.refill(now);
        self.in_flight == 0 && self.waiting == 0 && !self.gate.is_opening() && self.limits.are_full()
    }

    /// Admits a cost, into debt if necessary.
    pub(super) fn admit(&mut self, cost: &Cost, now: Instant) {
        self.gate.pass(now, self.in_flight);
        self.limits.take(cost);
        self.took(cost);
    }

    fn took(&mut self, cost: &Cost) {
        self.admitted += cost;
        self.in_flight += 1;
    }

    /// When a cost could be admitted behind `ahead`, here and above, and what it would wait for.
    fn estimate_behind(&mut self, cost: &Cost, ahead: &Total, now: Instant) -> (Option<Instant>, Bottleneck) {
        self.limits.refill(now);
        let (at, dimension) = self.limits.cover_at(cost, ahead).unzip();
        let at = at.unwrap_or(Some(now));
        let slow = dimension.filter(|_| at.is_none_or(|at| at > now));
        let short = self.limits.short_of_grant(cost, ahead);
        let waits = slow.or(short).map_or(Bottleneck::Concurrency, Bottleneck::Dimension);
        let own = match self.gate.blocks(now) {
            Some(gate) => (at.map(|at| at.max(gate)), Bottleneck::Gate),
            None => (at, waits),
        };
        let Some(parent) = &self.parent else { return own };
        let above = parent.queue.with_policy(|policy| policy.estimate_behind(cost, ahead, now));
        // `None` is later than any instant. If both are possible at the same time, the one that lacks a slot or a grant is
        // what the request waits for.
        let later = |at: Option<Instant>| (at.is_none(), at);
        let own_is_later = later(own.0) > later(above.0);
        let lacks = !self.has_free_slot() || short.is_some();
        if own_is_later || (later(own.0) == later(above.0) && lacks) { own } else { above }
    }

    fn has_free_slot(&self) -> bool {
        self.in_flight < self.max_concurrent && self.in_flight < self.parallel.get()
    }

    fn free_slots(&self) -> usize {
        self.max_concurrent.min(self.parallel.get()).saturating_sub(self.in_flight)
    }

    /// When a cost can be covered behind `ahead`, and what it waits for until then. `None` if time alone does not help.
    fn covers_at(&self, cost: &Cost, ahead: &Total, now: Instant) -> (Option<Instant>, Option<Bottleneck>) {
        if let Some(dimension) = self.limits.short_of_grant(cost, ahead) {
            return (None, Some(Bottleneck::Dimension(dimension)));
        }
        match self.limits.cover_at(cost, ahead) {
            Some((at, dimension)) => (at, Some(Bottleneck::Dimension(dimension))),
            None => (Some(now), None),
        }
    }

    /// Whether a request delays none of the `kept` requests that it would overtake. Those want `ahead` together, and the
    /// first of them can be admitted at `head_at`.
    ///
    /// It delays none if there is enough for it now, and if by `head_at` each dimension that it uses still has enough for all
    /// of them. A dimension that has enough for all at that instant delays none of them later.
    fn delays_nobody(
        &self,
        cost: &Cost,
        ahead: &Total,
        kept: usize,
        head_at: Option<Instant>,
        now: Instant,
    ) -> bool {
        self.free_slots() > kept
            && self.limits.cover(cost)
            && self.limits.cover_by(head_at.unwrap_or(now), cost, ahead)
    }

    /// Whether this quota can admit a cost, as of the last refill. The quotas above are not asked.
    pub(super) fn check(
        &self,
        cost: &Cost,
        overtaken: Option<Overtaken<'_>>,
        now: Instant,
    ) -> Result<(), Blocked> {
        if let Some(Overtaken { ahead, kept, head_at }) = overtaken {
            let passes = !self.gate.is_opening() && self.delays_nobody(cost, ahead, kept, head_at, now);
            let blocked = || {
                let (at, reason) = self.covers_at(cost, &Total::default(), now);
                Blocked { at, reason: reason.unwrap_or(Bottleneck::Concurrency) }
            };
            return if passes { Ok(()) } else { Err(blocked()) };
        }
        if let Some(next) = self.gate.blocks(now) {
            return Err(Blocked { at: Some(next), reason: Bottleneck::Gate });
        }
        if !self.has_free_slot() {
            return Err(Blocked { at: None, reason: Bottleneck::Concurrency });
        }
        if self.limits.cover(cost) {
            return Ok(());
        }
        let (at, reason) = self.covers_at(cost, &Total::default(), now);
        Err(Blocked { at, reason: reason.unwrap_or(Bottleneck::Gate) })
    }
}

impl Policy for QuotaPolicy {
    type Cost = Cost;
    type Impossible = TooLarge;
    type Reason = Bottleneck;

    fn impossible(&self, cost: &Cost) -> Option<TooLarge> {
        let above = || self.parent.as_ref().and_then(|parent| parent.too_small_for(cost));
        self.limits.too_small_for(cost).or_else(above)
    }

    #[inline(always)]
    fn admit_at_once(&mut self, cost: &Cost, now: Instant) -> bool {
        if self.gate.is_opening() || !self.has_free_slot() || !self.round_robin.is_empty() {
            return false;
        }
        self.limits.refill(now);
        if !self.limits.take_if_there(cost) {
            return false;
        }
        if let Some(parent) = &self.parent
            && !parent.admit_at_once(cost, now)
        {
            self.limits.put_back(cost);
            return false;
        }
        self.took(cost);
        true
    }

    fn begin_round(&mut self, now: Instant) {
        self.limits.refill(now);
        self.round = Round::new(now);
    }

    fn consider(&mut self, cost: &Cost) -> Decision {
        if self.round.kept == 0 { self.consider_head(cost) } else { self.consider_behind(cost) }
    }

    fn next_round(&self) -> Option<Instant> {
        self.round.next
    }

    fn try_overtake(&mut self, head: &Cost, cost: &Cost, now: Instant) -> bool {
        self.limits.refill(now);
        if !self.round_robin.is_empty() || self.waits_above() {
            return false;
        }
        let (head_at, _) = self.covers_at(head, &Total::default(), now);
        let ahead = self.queued;
        self.take_from_all(cost, Some(Overtaken { ahead: &ahead, kept: self.waiting, head_at }), now).is_ok()
    }

    fn estimate(&mut self, cost: &Cost, now: Instant) -> (Option<Instant>, Bottleneck) {
        let ahead = self.queued;
        self.estimate_behind(cost, &ahead, now)
    }

    fn reason(&self) -> Bottleneck {
        self.round.reason
    }

    fn closed_until(&self, now: Instant) -> Option<Instant> {
        let above = self
            .parent
            .as_ref()
            .and_then(|parent| parent.queue.with_policy(|policy| policy.closed_until(now)));
        self.gate.closed_until(now).max(above)
    }

    fn joined(&mut self, cost: &Cost) {
        self.queued += cost;
        self.waiting += 1;
        self.round_robin.own_joined();
    }

    fn left(&mut self, cost: &Cost) {
        self.queued -= cost;
        self.waiting -= 1;
        if self.waiting == 0 {
            self.round_robin.own_left();
            self.withdraw_if_idle();
        }
    }

    fn give_back(&mut self, cost: &Cost) {
        self.admitted -= cost;
        self.end();
        self.limits.put_back(cost);
    }

    fn did_not_join(&mut self) {
        self.withdraw_if_idle();
    }

    fn note_change(&mut self) -> bool {
        self.round_robin.note_change()
    }

    fn follow_up(queue: &Arc<WaitQueue<Self>>, now: Instant, context: RuntimeContext) {
        hierarchy::follow_up(queue, now, context);
    }
}
