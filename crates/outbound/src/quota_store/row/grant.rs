//! Who is granted what.

use super::{Holder, Row, Stage, UNIT};
use crate::quota_store::Rule;

impl Row {
    /// What one holder gets: for each rule at least what its first request needs, or nothing of any.
    pub(super) fn grant(&self, id: u64, holder: &Holder, now: u64) -> Vec<u64> {
        let nothing = vec![0; self.rules.len()];
        if holder.wanted.iter().all(|wanted| *wanted == 0) {
            return nothing;
        }
        let probe = match self.stage {
            Stage::Paused { .. } | Stage::Probing { holder: Some(_) } => return nothing,
            Stage::Probing { holder: None } => true,
            Stage::Open | Stage::Half { .. } => false,
        };
        let first = self.first_in_line(id, now);
        // The most of each rule, and the smallest part of what is wanted that these allow, as a fraction.
        let (mut part, mut whole) = (1, 1);
        for rule in 0..self.rules.len() {
            let (wanted, least) = (holder.wanted[rule], holder.least[rule]);
            if wanted == 0 {
                continue;
            }
            // Who has waited longest is not overtaken: its chunk is kept for it.
            let kept =
                first.filter(|(first, _)| *first != id).map_or(0, |(_, first)| self.needed(first, rule));
            let free = self.free(rule).saturating_sub(kept);
            let needed = if probe { least } else { self.needed(holder, rule) };
            if free < self.there(rule, least) {
                return nothing;
            }
            // A request that is larger than what can be saved up leaves a debt.
            let most = needed.min(free.max(least));
            if u128::from(most) * whole < part * u128::from(wanted) {
                (part, whole) = (u128::from(most), u128::from(wanted));
            }
        }
        (0..self.rules.len())
            .map(|rule| {
                let (wanted, least) = (holder.wanted[rule], holder.least[rule]);
                let scaled = u128::from(wanted) * part / whole;
                u64::try_from(scaled).unwrap_or(wanted).clamp(least, wanted)
            })
            .collect()
    }

    /// How much has to be there for so much: all of it, or all that can be saved up. What comes in within a whole period is
    /// never enough for more than that.
    pub(super) fn there(&self, rule: usize, units: u64) -> u64 {
        let Rule { amount, burst, .. } = self.rules[rule];
        if units > burst.max(amount) { u64::MAX } else { units.min(burst) }
    }

    /// Whole units that can be granted.
    fn free(&self, rule: usize) -> u64 {
        u64::try_from(self.levels[rule].max(0) / UNIT).unwrap_or(u64::MAX)
    }

    /// What is granted at once of a rule: half as much after a pause.
    pub(super) fn chunk(&self, rule: usize) -> u64 {
        let whole = self.rules[rule].chunk();
        if matches!(self.stage, Stage::Half { .. }) { (whole / 2).max(1) } else { whole }
    }

    /// What a holder is granted at once: a chunk, or its first request where that is more.
    pub(super) fn needed(&self, holder: &Holder, rule: usize) -> u64 {
        holder.wanted[rule].min(self.chunk(rule)).max(holder.least[rule])
    }

    /// Who has waited longest, of those who came in vain and of the one who asks.
    fn first_in_line(&self, asks: u64, now: u64) -> Option<(u64, &Holder)> {
        let waiting =
            self.holders.iter().filter(|(id, holder)| **id == asks || holder.waits() && !holder.is_late(now));
        waiting
            .map(|(id, holder)| (*id, holder))
            .max_by_key(|(id, holder)| (now - holder.waits_since, u64::MAX - id))
    }
}
