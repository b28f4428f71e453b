//! Who is let through by a quota: all dimensions or nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    builder::WINDOWS,
    cost::{Cost, Dimension, Total},
    error::{Bottleneck, TooLarge},
    gate::{Gate, after},
    meter::{Burst, Counted, Meter},
    sends::Sends,
    signals::{MAX_READINGS, Reading, Refusal, Signals},
    snapshot::{DimensionSnapshot, Snapshot},
};
use crate::{
    bucket::nanos,
    line::{Desk, Verdict},
    log::Log,
};

/// How far down the line a round looks for one that may pass those ahead of it.
const LOOK_AHEAD: usize = 32;

/// Replies can overtake each other by about this much.
const REORDERING: Duration = Duration::from_millis(100);

/// A server counts what is left within this time of a request's sending, or may as well not have said it.
const ARRIVAL: Duration = Duration::from_millis(250);

/// What was sent in this time before a ramp refusal is the rate that was too high: see [`Gate::ramp`].
const RAMP_MEMORY: Duration = Duration::from_secs(10);

/// The meters, the slots, the gate, and the sums of what is on its way.
#[derive(Debug)]
pub(super) struct QuotaDesk {
    meters: Vec<Meter>,
    /// Limits of long windows that the user told. They hold strictly, whatever the server says.
    windows: Vec<Window>,
    /// When all meters were filled last.
    filled_at: Instant,
    burst: Burst,
    max_concurrent: Option<usize>,
    in_flight: usize,
    gate: Gate,
    sends: Sends,
    /// Let through, and neither sent nor given back.
    reserved: Total,
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

/// So much in any stretch of time of this length.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) dimension: Dimension,
    pub(super) log: Log,
}

impl QuotaDesk {
    pub(super) fn new(
        meters: Vec<Meter>,
        windows: Vec<Window>,
        burst: Burst,
        max_concurrent: Option<usize>,
        now: Instant,
    ) -> Self {
        Self {
            meters,
            windows,
            filled_at: now,
            burst,
            max_concurrent,
            in_flight: 0,
            gate: Gate::new(),
            sends: Sends::default(),
            reserved: Total::default(),
            queued: Total::default(),
            waiting: 0,
            round: Round::new(now),
        }
    }

    /// A reservation's request goes out.
    pub(super) fn sent(&mut self, cost: &Cost, now: Instant) {
        self.reserved -= cost;
        self.sends.record(cost, now);
    }

    /// A charge ends: its estimate is replaced by what it did cost, which is not more in any dimension.
    #[inline]
    pub(super) fn settle(&mut self, estimate: &Cost, actual: &Cost) {
        self.in_flight -= 1;
        for meter in &mut self.meters {
            meter.bucket.put(estimate.units(meter.dimension) - actual.units(meter.dimension));
        }
        for window in &mut self.windows {
            window.log.put(estimate.units(window.dimension) - actual.units(window.dimension));
        }
    }

    /// A charge ends that did cost more than was estimated, in some dimension at least.
    #[cold]
    pub(super) fn overdraw(&mut self, estimate: &Cost, actual: &Cost, now: Instant) {
        self.in_flight -= 1;
        self.refill(now);
        for meter in &mut self.meters {
            let (estimate, actual) = (estimate.units(meter.dimension), actual.units(meter.dimension));
            meter.bucket.put(estimate.saturating_sub(actual));
            meter.bucket.take(actual.saturating_sub(estimate));
        }
        for Window { dimension, log } in &mut self.windows {
            let (estimate, actual) = (estimate.units(*dimension), actual.units(*dimension));
            log.put(estimate.saturating_sub(actual));
            log.take(actual.saturating_sub(estimate));
        }
    }

    pub(super) fn set_max_concurrent(&mut self, max: Option<usize>) {
        self.max_concurrent = max;
    }

    pub(super) fn close_gate_until(&mut self, now: Instant, until: Instant) {
        self.gate.close(now, until);
    }

    pub(super) fn observe(&mut self, signals: &Signals, now: Instant) {
        self.refill(now);
        self.adopt(signals, now);
        let counted = self.counted(signals.sent_at, now);
        for meter in &mut self.meters {
            if let Some(reading) = said_of(meter, signals) {
                meter.read(reading, counted.as_ref(), &self.reserved);
            }
        }
        let Some(refusal) = signals.refusal else {
            self.meters.iter_mut().for_each(Meter::let_through);
            return;
        };
        self.refused(signals, refusal, now);
    }

    /// What is known of the time in which the server counted what is left. `None`: it is too long ago.
    fn counted(&self, sent_at: Instant, now: Instant) -> Option<Counted> {
        let first = sent_at.checked_sub(REORDERING).unwrap_or(sent_at);
        let last = sent_at.checked_add(ARRIVAL).map_or(now, |last| last.min(now));
        Some(Counted {
            now,
            sent_at,
            sent_before: self.sends.before(sent_at)?,
            since_first: (now.saturating_duration_since(sent_at), self.sends.since(first)?),
            // What was sent just now has not arrived.
            since_last: (
                now.saturating_duration_since(last),
                if last == now { Total::default() } else { self.sends.since(last)? },
            ),
        })
    }

    fn refused(&mut self, signals: &Signals, refusal: Refusal, now: Instant) {
        let news = self.gate.is_news(signals.sent_at);
        // A hint of zero is none: the request was refused.
        let hint = refusal.wait.filter(|wait| !wait.is_zero()).or_else(|| reset_of_exhausted(signals));
        let until = match hint {
            Some(wait) => after(now, wait),
            None if news => self.gate.back_off(now),
            None => return,
        };
        self.gate.close(now, until);
        if !news {
            return;
        }
        if refusal.ramp {
            let lately = now.checked_sub(RAMP_MEMORY).and_then(|from| self.sends.since(from));
            self.gate.ramp(lately.map_or(0, |sent| sent.units(Dimension::Requests)));
        }
        let explained = signals.readings.iter().flatten().any(|(_, reading)| reading.remaining == Some(0));
        for meter in &mut self.meters {
            let remaining = said_of(meter, signals).and_then(|reading| reading.remaining);
            meter.refused(until, remaining, explained);
        }
    }

    pub(super) fn snapshot(&mut self, now: Instant) -> Snapshot {
        self.refill(now);
        let dimensions = self.meters.iter().map(|meter| DimensionSnapshot {
            dimension: meter.dimension,
            window: meter.window,
            limit: meter.limit(),
            available: u64::try_from(meter.bucket.units().max(0)).unwrap_or(u64::MAX),
        });
        let windows = self.windows.iter().map(|Window { dimension, log }| DimensionSnapshot {
            dimension: *dimension,
            window: log.window(),
            limit: log.limit(),
            available: log.available(),
        });
        Snapshot {
            dimensions: dimensions.chain(windows).collect(),
            in_flight: self.in_flight,
            max_concurrent: self.max_concurrent,
            waiting: self.waiting,
            gate_closed_until: self.gate.closed_until(now),
            bottleneck: (self.waiting > 0).then_some(self.round.reason),
            next_admission: self.round.head_at.filter(|&at| self.waiting > 0 && at > now),
        }
    }

    /// Whether one that is made anew would let through the same.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.in_flight == 0
            && self.waiting == 0
            && !self.gate.is_opening()
            && self.gate.blocks(now).is_none()
            && self.meters.iter().all(|meter| meter.bucket.is_full())
            && self.windows.iter().all(|window| window.log.available() == window.log.limit())
    }

    /// Limits that only the server has told.
    fn adopt(&mut self, signals: &Signals, now: Instant) {
        for (dimension, reading) in signals.readings.iter().flatten() {
            let Some(limit) = reading.limit.filter(|_| WINDOWS.contains(&reading.window)) else { continue };
            let key = (*dimension, reading.window);
            let known = self.meters.iter().any(|meter| (meter.dimension, meter.window) == key);
            if !known && self.meters.len() < MAX_READINGS {
                self.meters.push(Meter::heard(*dimension, reading.window, limit, self.burst, now));
            }
        }
    }

    #[inline]
    fn refill(&mut self, now: Instant) {
        if now > self.filled_at {
            self.pour(now);
        }
    }

    fn pour(&mut self, now: Instant) {
        // The time that has passed is the same for nearly all, and costs more to know than to use.
        let from = std::mem::replace(&mut self.filled_at, now);
        let elapsed = nanos(now.duration_since(from));
        for meter in &mut self.meters {
            meter.bucket.refill_since(now, from, elapsed);
        }
        self.windows.iter_mut().for_each(|window| window.log.refill(now));
    }

    fn take(&mut self, cost: &Cost, now: Instant) {
        for meter in &mut self.meters {
            meter.bucket.take(cost.units(meter.dimension));
        }
        self.took(cost, now);
    }

    #[inline]
    fn took(&mut self, cost: &Cost, now: Instant) {
        for window in &mut self.windows {
            window.log.take(cost.units(window.dimension));
        }
        self.reserved += cost;
        self.in_flight += 1;
        self.gate.pass(now);
    }

    fn covers(&self, cost: &Cost) -> bool {
        self.meters.iter().all(|meter| {
            let units = cost.units(meter.dimension);
            // Who uses nothing of a dimension need not wait until others have paid its debt.
            units == 0 || meter.bucket.covers(units, 0)
        }) && self.windows_cover(cost)
    }

    #[inline]
    fn windows_cover(&self, cost: &Cost) -> bool {
        self.windows.iter().all(|window| {
            let units = cost.units(window.dimension);
            units == 0 || window.log.has(units)
        })
    }

    /// When a cost can be covered behind others, and the dimension that is last to be ready.
    fn covers_at(&self, cost: &Cost, ahead: &Total) -> (Option<Instant>, Option<Dimension>) {
        let meters = self.meters.iter().map(|meter| {
            let (units, ahead) = (cost.units(meter.dimension), ahead.units(meter.dimension));
            (units, meter.dimension, if units == 0 { None } else { meter.bucket.covers_at(units, ahead) })
        });
        let windows = self.windows.iter().map(|Window { dimension, log }| {
            let (units, ahead) = (cost.units(*dimension), ahead.units(*dimension));
            (units, *dimension, if units == 0 { None } else { log.covers_at(units, ahead) })
        });
        let used = meters.chain(windows).filter(|&(units, ..)| units > 0);
        let times = used.map(|(_, dimension, at)| (at, Some(dimension)));
        // Never is later than any instant.
        times.max_by_key(|(at, _)| (at.is_none(), *at)).unwrap_or((Some(self.round.now), None))
    }

    fn free_slots(&self) -> usize {
        self.max_concurrent.map_or(usize::MAX, |max| max.saturating_sub(self.in_flight))
    }

    /// Whether one can go ahead of `kept` others who want `ahead`, of which the first can go at `head_at`: there is
    /// enough now, and in each dimension that it uses there will still be enough for all of them by then. A dimension
    /// that suffices for all at that time delays none of them later.
    fn delays_nobody(&self, cost: &Cost, ahead: &Total, kept: usize, head_at: Option<Instant>) -> bool {
        self.free_slots() > kept
            && self.covers(cost)
            && self.meters.iter().all(|meter| {
                let units = cost.units(meter.dimension);
                let by = head_at.unwrap_or(self.round.now);
                units == 0 || meter.bucket.covers_by(by, units, ahead.units(meter.dimension))
            })
            && self.windows.iter().all(|Window { dimension, log }| {
                let units = cost.units(*dimension);
                let by = head_at.unwrap_or(self.round.now);
                units == 0 || log.covers_by(by, units, ahead.units(*dimension))
            })
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
        if self.covers(cost) {
            self.take(cost, now);
            return Verdict::Admit;
        }
        let (at, dimension) = self.covers_at(cost, &Total::default());
        self.round.reason = dimension.map_or(Bottleneck::Gate, Bottleneck::Dimension);
        (self.round.next, self.round.head_at) = (at, at);
        self.keep(cost)
    }

    fn consider_behind(&mut self, cost: &Cost) -> Verdict {
        if self.round.kept > LOOK_AHEAD || self.free_slots() <= self.round.kept {
            return Verdict::Stop;
        }
        let Round { now, ahead, kept, head_at, .. } = self.round;
        if self.delays_nobody(cost, &ahead, kept, head_at) {
            self.take(cost, now);
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
        let windows = self.windows.iter().map(|window| (window.dimension, window.log.limit()));
        let limits = self.meters.iter().map(|meter| (meter.dimension, meter.limit())).chain(windows);
        let mut asked = limits.map(|(dimension, limit)| (dimension, cost.units(dimension), limit));
        let too_large = asked.find(|(_, asked, limit)| asked > limit);
        too_large.map(|(dimension, asked, limit)| TooLarge { dimension, asked, limit })
    }

    #[inline]
    fn admit_at_once(&mut self, cost: &Cost, now: Instant) -> bool {
        if self.gate.is_opening() || self.gate.blocks(now).is_some() || self.free_slots() == 0 {
            return false;
        }
        // No cost that a bucket has is larger than the limit.
        self.refill(now);
        let covered = self.meters.iter().all(|meter| meter.bucket.has(cost.units(meter.dimension)));
        if covered && self.windows_cover(cost) {
            for meter in &mut self.meters {
                meter.bucket.take_covered(cost.units(meter.dimension));
            }
            self.took(cost, now);
            return true;
        }
        false
    }

    fn begin(&mut self, now: Instant) {
        self.refill(now);
        self.round = Round::new(now);
    }

    fn consider(&mut self, cost: &Cost) -> Verdict {
        if self.round.kept == 0 { self.consider_head(cost) } else { self.consider_behind(cost) }
    }

    fn next_round(&self) -> Option<Instant> {
        self.round.next
    }

    fn pass(&mut self, head: &Cost, cost: &Cost, now: Instant) -> bool {
        self.refill(now);
        if self.gate.is_opening() || self.gate.blocks(now).is_some() {
            return false;
        }
        let (head_at, _) = self.covers_at(head, &Total::default());
        let passes = self.delays_nobody(cost, &self.queued, self.waiting, head_at);
        if passes {
            self.take(cost, now);
        }
        passes
    }

    fn estimate(&mut self, cost: &Cost, now: Instant) -> (Option<Instant>, Bottleneck) {
        self.refill(now);
        let (at, dimension) = self.covers_at(cost, &self.queued);
        if let Some(gate) = self.gate.blocks(now) {
            return (at.map(|at| at.max(gate)), Bottleneck::Gate);
        }
        let reason = match dimension {
            Some(dimension) if at.is_none_or(|at| at > now) => Bottleneck::Dimension(dimension),
            _ => Bottleneck::Concurrency,
        };
        (at, reason)
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
        self.reserved -= cost;
        self.settle(cost, &Cost::default());
    }
}

/// What a reply said about a meter.
fn said_of<'a>(meter: &Meter, signals: &'a Signals) -> Option<&'a Reading> {
    let mut said = signals.readings.iter().flatten();
    said.find(|(dimension, reading)| (*dimension, reading.window) == (meter.dimension, meter.window))
        .map(|(_, reading)| reading)
}

/// The longest reset of what a refusal says is used up.
fn reset_of_exhausted(signals: &Signals) -> Option<Duration> {
    let exhausted = signals.readings.iter().flatten().filter(|(_, reading)| reading.remaining == Some(0));
    exhausted.filter_map(|(_, reading)| reading.reset).filter(|reset| !reset.is_zero()).max()
}
