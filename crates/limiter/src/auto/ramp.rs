//! The ramp at the start: the limit doubles step by step. What a step has brought is learned while the next steps are
//! taken.

use tokio::time::Instant;

use super::{
    AutoConcurrency, Phase,
    flight::seconds,
    trial::GAIN,
    window::{Point, Window},
};

/// A step takes this many seconds, or one round of calls.
const PACE: f64 = 2.0;
/// A step that ends before its round is over must bring this much more work per second.
const QUICK: f64 = 1.15;

/// The steps taken so far, the oldest first.
#[derive(Debug, Clone)]
pub(super) struct Ramp {
    steps: Vec<Step>,
    /// The point and the work per second of the calls that ended during the step before the current one.
    last: Option<(Point, f64)>,
}

/// The calls that were sent between one doubling and the next.
#[derive(Debug, Clone, Copy)]
struct Step {
    began: Instant,
    sent: usize,
    calls: Window,
}

impl Ramp {
    pub(super) const fn new() -> Self {
        Self { steps: Vec::new(), last: None }
    }

    /// The limit doubles.
    fn step(&mut self, now: Instant) {
        self.steps.push(Step { began: now, sent: 0, calls: Window::default() });
    }

    pub(super) fn sent(&mut self, now: Instant) {
        if self.steps.is_empty() {
            self.step(now);
        }
        if let Some(step) = self.steps.last_mut() {
            step.sent += 1;
        }
    }

    /// A call belongs to the step in which it was sent.
    pub(super) fn add(&mut self, sent_at: Instant, work: f64, time: f64, in_flight: f64) {
        if let Some(step) = self.steps.iter_mut().rev().find(|step| step.began <= sent_at) {
            step.calls.add(work, time, in_flight);
        }
    }

    /// The best known point, once a step has brought nothing.
    fn knee(&self) -> Option<Point> {
        let mut known = self.steps.iter().filter_map(Step::point);
        let mut best = known.next()?;
        let mut is_over = false;
        for point in known {
            let (gain, error) = best.gain_to(&point);
            is_over = point.in_flight > 1.2 * best.in_flight && gain + error < GAIN;
            if gain > GAIN {
                best = point;
            }
        }
        is_over.then_some(best)
    }
}

impl Step {
    /// The point of this step. Where the work of a call says how long the call takes, eight calls are enough. Otherwise most
    /// calls of the step must have ended, because the short ones end first and would mislead.
    fn point(&self) -> Option<Point> {
        let calls = self.calls.calls;
        let is_known = calls >= 8 && (self.calls.is_even() || 4 * calls >= 3 * self.sent);
        if is_known { self.calls.point() } else { None }
    }
}

impl AutoConcurrency {
    pub(super) fn decide_start(&mut self, now: Instant) {
        if let Some(knee) = self.ramp.knee() {
            // The calls of a step were also delayed by the calls of later steps. So a lower limit may be as good, and is
            // tried first.
            self.ups = 0;
            let home = self.bounded(knee.in_flight as usize).min(self.limit);
            self.end_ramp(now, home * 7 / 10, Phase::Try { from: knee, home, is_up: false });
            return;
        }
        let all = self.stage.all;
        let is_round = all.calls >= self.limit;
        if !(is_round || self.grows(now)) {
            return;
        }
        if !self.is_used() {
            self.begin(now, 0);
            return;
        }
        let limit = self.step(2.0);
        if limit > self.limit {
            self.ramp.last = all.point().map(|point| (point, self.stage.counted(now)));
            self.ramp.step(now);
            self.go(now, limit, Phase::Start);
        } else if is_round {
            self.end_ramp(now, limit, Phase::Hold { rounds: 1, base: None });
        }
    }

    /// Whether the last step has brought something, judged before its round is over. Two signs are needed, because each
    /// alone may mislead. The calls that ended may have been sent before the step had an effect, and their number per second
    /// follows with a delay.
    fn grows(&self, now: Instant) -> bool {
        let all = self.stage.all;
        let (Some(point), Some(began)) = (all.point(), self.stage.began) else { return false };
        if !all.is_even() || 8 * all.calls < self.limit || seconds(began, now) < PACE {
            return false;
        }
        self.ramp.last.is_none_or(|(last, rate)| {
            let (gain, error) = last.gain_to(&point);
            gain - error > GAIN && self.stage.counted(now) > QUICK * rate
        })
    }

    fn end_ramp(&mut self, now: Instant, limit: usize, phase: Phase) {
        self.ramp = Ramp::new();
        self.go(now, self.bounded(limit), phase);
    }
}
