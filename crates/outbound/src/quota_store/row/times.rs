//! When a holder comes again, and for how long it may spend what it was granted.

use std::time::Duration;

use super::{Holder, Row, Stage, UNIT, micros};
use crate::quota_store::Grant;

/// The shortest time between two exchanges of one holder.
const SHORTEST_POLL: u64 = 100_000;

/// The longest.
pub(super) const LONGEST_POLL: u64 = 90_000_000;

/// The longest and the shortest time to live of a grant.
pub(super) const LONGEST_TTL: u64 = 60_000_000;
const SHORTEST_TTL: u64 = 1_000_000;

/// The time between two exchanges of a holder that lacks nothing, or that waits for the probe of another.
const IDLE_POLL: u64 = 1_000_000;

impl Row {
    /// When a holder's next chunk will be there, if all who are expected before it get theirs.
    ///
    /// One that got nothing is told the moment at which there is enough for it. One that was served will ask for what nobody
    /// knows yet, and so will others before it. So that it does not come in vain, a reserve is built up that grows with the
    /// root of their number, as the error of a sum does. Half of what is there above the reserve is shared out at once: if
    /// it were all, everybody would come early together, and late together after that.
    pub(super) fn next_poll(&self, id: u64, holder: &Holder, served: bool, now: u64) -> u64 {
        match self.stage {
            Stage::Paused { until } => return (until - now).clamp(SHORTEST_POLL, LONGEST_POLL),
            // It is not a matter of the level.
            Stage::Probing { holder: Some(_) } => return IDLE_POLL,
            _ => {}
        }
        let mut longest = 0;
        for (rule, limit) in self.rules.iter().enumerate().filter(|(rule, _)| holder.wanted[*rule] > 0) {
            let others = || self.holders.iter().filter(|(other, it)| **other != id && !it.is_late(now));
            let before = others().filter(|(other, it)| (it.waits_since, **other) < (holder.waits_since, id));
            let expected =
                before.map(|(_, it)| if it.waits() { self.needed(it, rule) } else { it.average[rule] });
            let own = if served { holder.average[rule] } else { self.there(rule, self.needed(holder, rule)) };
            let sum: i128 = expected.chain([own]).map(i128::from).sum();
            let mut there = self.levels[rule];
            if served {
                let wanting = 1 + others().filter(|(_, it)| it.wanted[rule] > 0).count() as u64;
                there -= i128::from(self.chunk(rule) * (9 * wanting).isqrt() / 4) * UNIT;
                there = if there > 0 { there / 2 } else { there };
            }
            let short = (sum * UNIT - there).max(0);
            let time = short * i128::from(micros(limit.per)) / (i128::from(limit.amount) * UNIT) + 1;
            longest = longest.max(u64::try_from(time).unwrap_or(u64::MAX));
        }
        match longest {
            0 => IDLE_POLL,
            _ if served => longest.clamp(SHORTEST_POLL, LONGEST_POLL),
            // A little later: who comes too early comes again.
            _ => longest.saturating_add(longest / 10).clamp(SHORTEST_POLL, LONGEST_POLL),
        }
    }

    /// Time enough to spend a grant: twice as long as the rate needs to bring as much again. What is more than a chunk is one
    /// request, and sent at once.
    pub(super) fn ttl(&self, granted: &[u64]) -> u64 {
        let times = self.rules.iter().zip(granted).map(|(limit, granted)| {
            let worth = 2 * limit.chunk().min(*granted);
            u128::from(worth) * u128::from(micros(limit.per)) / u128::from(limit.amount)
        });
        u64::try_from(times.max().unwrap_or(0)).unwrap_or(u64::MAX).clamp(SHORTEST_TTL, LONGEST_TTL)
    }
}

/// The answer to an exchange that was done before: what is left of its times.
pub(super) fn again(holder: &Holder, now: u64) -> Grant {
    let since = Duration::from_micros(now.saturating_sub(holder.answered));
    Grant {
        ttl: holder.answer.ttl.saturating_sub(since),
        next_poll: holder.answer.next_poll.saturating_sub(since).max(Duration::from_micros(SHORTEST_POLL)),
        pause: holder.answer.pause.map(|pause| pause.saturating_sub(since)),
        ..holder.answer.clone()
    }
}
