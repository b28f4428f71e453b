//! What goes wrong in a history.

use rand::RngExt;

use super::{Row, Rule, SECOND, World};

impl World {
    pub(super) fn fault(&mut self, is_on: bool, part: u32) -> bool {
        is_on && self.random.random_ratio(1, part)
    }

    /// What goes wrong at this moment.
    pub(super) fn disturb(&mut self, index: usize) {
        let rules = self.scope.rules.len();
        if self.fault(self.faults.deaths, 60) {
            self.holders[index] = self.holder();
        }
        if self.fault(self.faults.stalls, 40) {
            let until = self.now + self.random.random_range(0..30 * SECOND);
            let holder = &mut self.holders[index];
            holder.poll_at = holder.poll_at.max(until);
            holder.spend_at = if holder.spend_at == u64::MAX { u64::MAX } else { holder.spend_at.max(until) };
            holder.lacks_since = None;
        }
        if self.fault(self.faults.steps, 100) {
            let step: i64 = self.random.random_range(-3_600..3_600);
            self.ahead += step * SECOND as i64;
            for rule in 0..rules {
                let ahead = self.rate(rule) * step.max(0) as f64;
                self.beyond[rule] += ahead.min(self.scope.rules[rule].burst as f64);
            }
            self.wait_anew();
        }
        if self.fault(self.faults.writes, 20) {
            self.copy = (self.row.clone(), vec![0; rules]);
        }
        if self.fault(self.faults.writes, 100) {
            self.row = self.copy.0.clone();
            for (beyond, lost) in self.beyond.iter_mut().zip(&self.copy.1) {
                *beyond += *lost as f64;
            }
            self.wait_anew();
        }
        if self.fault(self.faults.rows, 100) {
            let generation = self.row.generation + 1;
            self.row = Row::new(&self.scope, generation, self.clock());
            self.copy = (self.row.clone(), vec![0; rules]);
            self.wait_anew();
        }
        if self.fault(self.faults.rules, 100) {
            let rule = self.random.random_range(0..rules);
            let (rate, old) = (self.rate(rule), self.scope.rules[rule]);
            // Not below what a request may need.
            let burst = self.random.random_range(self.largest[rule]..=2 * old.burst);
            let amount = self.random.random_range(old.amount / 2 + 1..=2 * old.amount);
            self.scope.rules[rule] = Rule { amount, burst, ..old };
            let unseen = self.clock().saturating_sub(self.row.at) as f64 / 1e6;
            self.beyond[rule] +=
                (self.rate(rule) - rate).max(0.0) * unseen + old.burst.saturating_sub(burst) as f64;
            self.provider.rules.clone_from(&self.scope.rules);
            self.granted.rules.clone_from(&self.scope.rules);
            self.copy = (self.row.clone(), vec![0; rules]);
            self.wait_anew();
        }
    }
}
