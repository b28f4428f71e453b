//! Trials: another limit for a while, and the decision whether it is better.

use tokio::time::Instant;

use super::{AutoConcurrency, Phase, window::Point};

/// One per cent more in flight must bring this many per cent more work. Otherwise it brings only latency.
pub(super) const GAIN: f64 = 0.05;
/// The largest number of rounds between two trials.
const PATIENCE: usize = 16;

impl AutoConcurrency {
    /// Begins a trial upward or downward. The step is larger where one rate is hard to tell from another.
    pub(super) fn try_another(&mut self, now: Instant, point: Point) {
        if let Some(ceiling) = &mut self.ceiling {
            ceiling.trials = ceiling.trials.saturating_sub(1);
        }
        let is_up = self.ups_left > 0;
        let factor = (5.0 * point.error).clamp(if is_up { 0.18 } else { 0.36 }, 0.69).exp();
        self.ups_left = if is_up { self.ups_left - 1 } else { self.ups };
        self.advance(now, point, if is_up { factor } else { 1.0 / factor }, is_up);
    }

    /// Rejects an upward trial before the calls of the old limit have ended, if that is clear. Returns whether it did.
    pub(super) fn decide_early(&mut self, now: Instant, from: Point, home: usize) -> bool {
        let Some(point) = self.stage.all.point() else { return false };
        // Calls that ran before the step were not delayed by it. So this rate is rather too high, and a low one is a proof.
        let (gain, error) = from.gain_to(&point);
        if point.in_flight > 1.1 * from.in_flight && gain + 1.5 * error < GAIN {
            self.reject(now, from, home, true);
            return true;
        }
        false
    }

    /// Compares the two limits, once only calls of the new one are left.
    pub(super) fn decide_late(&mut self, now: Instant, from: Point, home: usize, is_up: bool) {
        let Some(point) = self.stage.settled.point() else { return };
        let calls = self.stage.settled.calls;
        let (gain, error) = from.gain_to(&point);
        let is_clear = (gain - GAIN).abs() > 2.0 * error && calls >= 8 && 2 * calls >= self.limit;
        if !(is_clear || calls >= 2 * self.limit.max(4)) {
            return;
        }
        let is_better =
            self.is_used() && if is_up { gain > GAIN + 0.5 * error } else { gain < GAIN - 0.5 * error };
        if !is_better {
            self.reject(now, from, home, is_up);
            return;
        }
        let factor = match is_up {
            true if gain > 0.5 => 2.0,
            true if gain > 0.25 => 1.5,
            true => 1.25,
            false if gain < -0.1 => 0.7,
            false => 0.8,
        };
        self.accept(now, point, factor, is_up);
    }

    fn accept(&mut self, now: Instant, point: Point, factor: f64, is_up: bool) {
        self.patience = 1;
        if !is_up {
            self.ups = 1;
        }
        self.advance(now, point, factor, is_up);
    }

    fn reject(&mut self, now: Instant, from: Point, home: usize, is_up: bool) {
        if !is_up {
            self.ups_left = self.ups;
            self.ups = (2 * self.ups).clamp(1, 8);
        }
        self.patience = (2 * self.patience).min(PATIENCE);
        self.go(now, home, Phase::Hold { rounds: self.patience, base: Some(from) });
    }

    /// Begins a trial of this limit times `factor`. If that is the same limit, it stays.
    pub(super) fn advance(&mut self, now: Instant, from: Point, factor: f64, is_up: bool) {
        let (home, limit) = (self.limit, self.step(factor));
        let phase = if limit == home {
            Phase::Hold { rounds: 1, base: None }
        } else {
            Phase::Try { from, home, is_up }
        };
        self.go(now, limit, phase);
    }
}
