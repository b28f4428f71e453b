//! Who is let through by a quota: all dimensions or nothing.

use tokio::time::Instant;

use super::{
    cost::{Cost, Count, Total},
    error::{Bottleneck, TooLarge},
    gate::Gate,
    limits::Limits,
    meter::Burst,
    sends::Sends,
    snapshot::Snapshot,
};
use crate::line::{Desk, Verdict};

/// How far down the line a round looks for one that may pass those ahead of it.
const LOOK_AHEAD: usize = 32;

/// The limits, the slots, the gate, and the sums of what is on its way.
#[derive(Debug)]
pub(super) struct QuotaDesk {
    pub(super) limits: Limits,
    pub(super) burst: Burst,
    /// `usize::MAX` for any number.
    max_concurrent: usize,
    in_flight: usize,
    pub(super) gate: Gate,
    pub(super) sends: Sends,
    /// All that was ever let through and not given back unsent.
    admitted: Count,
    queued: Total,
    waiting: usize,
    round: Round,
}

/// What a round over the line has seen so far.
#[derive(Debug)]
struct Round {
    now: Instant,
    /// What those who were looked at and stay want, and how many they are.
    ahead: Total,
    kept: usize,
    /// When the head of the line can go, and what it waits for.
    head_at: Option<Instant>,
    reason: Bottleneck,
    next: Option<Instant>,
}

impl QuotaDesk {
    pub(super) fn new(limits: Limits, burst: Burst, max_concurrent: Option<usize>, now: Instant) -> Self {
        Self {
            limits,
            burst,
            max_concurrent: max_concurrent.unwrap_or(usize::MAX),
            in_flight: 0,
            gate: Gate::new(),
            sends: Sends::default(),
            admitted: Count::default(),
            queued: Total::default(),
            waiting: 0,
            round: Round::new(now),
        }
    }

    /// A reservation's request goes out.
    #[inline]
    pub(super) fn sent(&mut self, cost: &Cost, now: Instant) {
        self.sends.record(cost, now);
    }

    /// Let through, and neither sent nor given back.
    pub(super) fn reserved(&self) -> Count {
        self.admitted - self.sends.total()
    }

    /// A charge ends, having cost what was estimated.
    #[inline]
    pub(super) fn end(&mut self) {
        self.in_flight -= 1;
    }

    /// A charge ends: its estimate is replaced by what it did cost, which is not more in any dimension.
    #[inline]
    pub(super) fn settle(&mut self, estimate: &Cost, actual: &Cost) {
        self.end();
        self.limits.put_back(estimate, actual);
    }

    /// A charge ends that did cost more than was estimated, in some dimension at least.
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
        self.gate.close(now, until);
    }

    pub(super) fn snapshot(&mut self, now: Instant) -> Snapshot {
        self.limits.refill(now);
        Snapshot {
            dimensions: self.limits.snapshot(),
            in_flight: self.in_flight,
            max_concurrent: Some(self.max_concurrent).filter(|&max| max != usize::MAX),
            waiting: self.waiting,
            gate_closed_until: self.gate.closed_until(now),
            bottleneck: (self.waiting > 0).then_some(self.round.reason),
            next_admission: self.round.head_at.filter(|&at| self.waiting > 0 && at > now),
        }
    }

    /// Whether one that is made anew would let through the same.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        self.limits.refill(now);
        self.in_flight == 0 && self.waiting == 0 && !self.gate.is_opening() && self.limits.are_full()
    }

    /// Lets one through, who may have debts.
    fn admit(&mut self, cost: &Cost, now: Instant) {
        self.limits.take(cost);
        self.took(cost);
        self.gate.pass(now);
    }

    #[inline]
    fn took(&mut self, cost: &Cost) {
        self.admitted += cost;
        self.in_flight += 1;
    }

    fn free_slots(&self) -> usize {
        self.max_concurrent.saturating_sub(self.in_flight)
    }

    /// When a cost can be covered behind others, and what it waits for until then.
    fn covers_at(&self, cost: &Cost, ahead: &Total) -> (Option<Instant>, Option<Bottleneck>) {
        match self.limits.cover_at(cost, ahead) {
            Some((at, dimension)) => (at, Some(Bottleneck::Dimension(dimension))),
            None => (Some(self.round.now), None),
        }
    }

    /// Whether one can go ahead of `kept` others who want `ahead`, of which the first can go at `head_at`: there is
    /// enough now, and in each dimension that it uses there will still be enough for all of them by then. A dimension
    /// that suffices for all at that time delays none of them later.
    fn delays_nobody(&self, cost: &Cost, ahead: &Total, kept: usize, head_at: Option<Instant>) -> bool {
        self.free_slots() > kept
            && self.limits.cover(cost)
            && self.limits.cover_by(head_at.unwrap_or(self.round.now), cost, ahead)
    }

    fn consider_head(&mut self, cost: &Cost) -> Verdict {
        let now = self.round.now;
        if let Some(next) = self.gate.blocks(now) {
            (self.round.next, self.round.head_at) = (Some(next), Some(next));
            self.round.reason = Bottleneck::Gate;
            return Verdict::Stop;
        }
        if self.free_slots() == 0 {
            self.round.reason = Bottleneck::Concurrency;
            return Verdict::Stop;
        }
        if self.limits.cover(cost) {
            self.admit(cost, now);
            return Verdict::Admit;
        }
        let (at, reason) = self.covers_at(cost, &Total::default());
        self.round.reason = reason.unwrap_or(Bottleneck::Gate);
        (self.round.next, self.round.head_at) = (at, at);
        self.keep(cost)
    }

    fn consider_behind(&mut self, cost: &Cost) -> Verdict {
        if self.round.kept > LOOK_AHEAD || self.free_slots() <= self.round.kept {
            return Verdict::Stop;
        }
        let Round { now, ahead, kept, head_at, .. } = self.round;
        if self.delays_nobody(cost, &ahead, kept, head_at) {
            self.admit(cost, now);
            return Verdict::Admit;
        }
        let (at, _) = self.covers_at(cost, &Total::default());
        let before_the_rest = at.filter(|&at| at > now);
        self.round.next = self.round.next.into_iter().chain(before_the_rest).min();
        self.keep(cost)
    }

    fn keep(&mut self, cost: &Cost) -> Verdict {
        self.round.ahead += cost;
        self.round.kept += 1;
        // While the gate is opening, every one let through delays the next.
        if self.gate.is_opening() { Verdict::Stop } else { Verdict::Wait }
    }
}

impl Round {
    fn new(now: Instant) -> Self {
        let (ahead, reason) = (Total::default(), Bottleneck::Gate);
        Self { now, ahead, kept: 0, head_at: None, reason, next: None }
    }
}

impl Desk for QuotaDesk {
    type Ask = Cost;
    type Never = TooLarge;
    type Reason = Bottleneck;

    fn never(&self, cost: &Cost) -> Option<TooLarge> {
        self.limits.too_small_for(cost)
    }

    #[inline]
    fn admit_at_once(&mut self, cost: &Cost, now: Instant) -> bool {
        if self.gate.is_opening() || self.in_flight >= self.max_concurrent {
            return false;
        }
        self.limits.refill(now);
        let admitted = self.limits.take_if_there(cost);
        if admitted {
            self.took(cost);
        }
        admitted
    }

    fn begin(&mut self, now: Instant) {
        self.limits.refill(now);
        self.round = Round::new(now);
    }

    fn consider(&mut self, cost: &Cost) -> Verdict {
        if self.round.kept == 0 { self.consider_head(cost) } else { self.consider_behind(cost) }
    }

    fn next_round(&self) -> Option<Instant> {
        self.round.next
    }

    fn pass(&mut self, head: &Cost, cost: &Cost, now: Instant) -> bool {
        self.limits.refill(now);
        if self.gate.is_opening() {
            return false;
        }
        let (head_at, _) = self.covers_at(head, &Total::default());
        let passes = self.delays_nobody(cost, &self.queued, self.waiting, head_at);
        if passes {
            self.admit(cost, now);
        }
        passes
    }

    fn estimate(&mut self, cost: &Cost, now: Instant) -> (Option<Instant>, Bottleneck) {
        self.limits.refill(now);
        let (at, reason) = self.covers_at(cost, &self.queued);
        if let Some(gate) = self.gate.blocks(now) {
            return (at.map(|at| at.max(gate)), Bottleneck::Gate);
        }
        let waits = reason.filter(|_| at.is_none_or(|at| at > now));
        (at, waits.unwrap_or(Bottleneck::Concurrency))
    }

    fn reason(&self) -> Bottleneck {
        self.round.reason
    }

    fn closed_until(&self) -> Option<Instant> {
        self.gate.closed_until(self.round.now)
    }

    fn joined(&mut self, cost: &Cost) {
        self.queued += cost;
        self.waiting += 1;
    }

    fn left(&mut self, cost: &Cost) {
        self.queued -= cost;
        self.waiting -= 1;
    }

    fn give_back(&mut self, cost: &Cost) {
        self.admitted -= cost;
        self.settle(cost, &Cost::default());
    }
}
