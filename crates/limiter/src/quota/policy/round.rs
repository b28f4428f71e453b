//! One round over the queue of a quota, from the first waiter on.

use tokio::time::Instant;

use super::{
    super::{
        cost::{Cost, Total},
        error::Bottleneck,
        hierarchy::{Blocked, Overtaken, Parent},
    },
    QuotaPolicy,
};
use crate::wait_queue::Decision;

/// How many waiters a round looks at to find one that may overtake.
const LOOK_AHEAD: usize = 32;

/// What a round has seen so far.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) now: Instant,
    /// The sum of the costs of the waiters that were seen and stay, and their number.
    pub(super) ahead: Total,
    pub(super) kept: usize,
    /// When the first waiter can be admitted, and what it waits for.
    pub(super) head_at: Option<Instant>,
    pub(super) reason: Bottleneck,
    pub(super) next: Option<Instant>,
}

impl Round {
    pub(super) fn new(now: Instant) -> Self {
        let (ahead, reason) = (Total::default(), Bottleneck::Gate);
        Self { now, ahead, kept: 0, head_at: None, reason, next: None }
    }
}

impl QuotaPolicy {
    pub(super) fn consider_head(&mut self, cost: &Cost) -> Decision {
        if !self.round_robin.is_own() {
            self.round.reason = self.round_robin.reason();
            return Decision::Stop;
        }
        let Err(Blocked { at, reason }) = self.take_from_all(cost, None, self.round.now) else {
            self.round_robin.own_passed();
            return Decision::Admit;
        };
        self.probe(&Blocked { at, reason }, self.round.now);
        self.round.reason = reason;
        (self.round.next, self.round.head_at) = (at, at);
        let is_own = matches!(reason, Bottleneck::Dimension(_)) && !self.waits_above();
        if is_own { self.keep(cost) } else { Decision::Stop }
    }

    pub(super) fn consider_behind(&mut self, cost: &Cost) -> Decision {
        if self.round.kept > LOOK_AHEAD || self.free_slots() <= self.round.kept {
            return Decision::Stop;
        }
        let Round { now, ahead, kept, head_at, .. } = self.round;
        let overtaken = Overtaken { ahead: &ahead, kept, head_at };
        let Err(Blocked { at, .. }) = self.take_from_all(cost, Some(overtaken), now) else {
            return Decision::Admit;
        };
        let before_the_rest = at.filter(|&at| at > now);
        self.round.next = self.round.next.into_iter().chain(before_the_rest).min();
        self.keep(cost)
    }

    /// Whether the first waiter waits for something of the quotas above.
    pub(super) fn waits_above(&self) -> bool {
        self.parent.as_ref().is_some_and(Parent::has_turn)
    }

    fn keep(&mut self, cost: &Cost) -> Decision {
        self.round.ahead += cost;
        self.round.kept += 1;
        // While the gate is opening, each admitted request delays the next.
        if self.gate.is_opening() || !self.round_robin.is_empty() { Decision::Stop } else { Decision::Wait }
    }
}
