//! Trials: another limit for a while, and whether it is better.

use tokio::time::Instant;

use super::{AutoConcurrency, Phase, window::Point};

/// One per cent more in flight has to bring so many per cent more work, or it buys nothing but latency.
pub(super) const GAIN: f64 = 0.05;
/// Rounds of calls between two trials, at the most.
const PATIENCE: usize = 16;

impl AutoConcurrency {
    /// Goes a step up or down, further where one rate is hard to tell from another.
    pub(super) fn try_another(&mut self, now: Instant, point: Point) {
        if let Some(ceiling) = &mut self.ceiling {
            ceiling.trials = ceiling.trials.saturating_sub(1);
        }
        let is_up = self.ups_left > 0;
        let factor = (5.0 * point.error).clamp(if is_up { 0.18 } else { 0.36 }, 0.69).exp();
        self.ups_left = if is_up { self.ups_left - 1 } else { self.ups };
        self.advance(now, point, if is_up { factor } else { 1.0 / factor }, is_up);
    }

    /// What can be known before the calls of the old limit have ended. Whether it was enough for a decision.
    pub(super) fn decide_early(&mut self, now: Instant, from: Point, home: usize) -> bool {
        let Some(point) = self.stage.all.point() else { return false };
        // Those that ran before the step have not met the queue that it may have made. So this rate is too high, if anything.
        let (gain, error) = from.gain_to(&point);
        if point.in_flight > 1.1 * from.in_flight && gain + 1.5 * error < GAIN {
            self.reject(now, from, home, true);
            return true;
        }
        false
    }

    /// Compares the two limits, when only calls of the new one are left.
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

    /// Tries a limit so many times this one; stays, if there is none.
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
