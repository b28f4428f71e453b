//! What a request may use: reserved, then sent, then settled.

use std::{fmt, sync::Arc};

use tokio::time::Instant;

use super::{Cost, desk::QuotaDesk};
use crate::line::Line;

/// The right to send one request. Dropping it gives everything back.
#[must_use = "a reservation is given back when it is dropped"]
pub struct Reservation {
    // `None` once it has become a charge.
    line: Option<Arc<Line<QuotaDesk>>>,
    cost: Cost,
}

/// A request that was sent. Dropping it frees its slot and keeps the estimate as its cost, since the server has most
/// likely counted it.
#[must_use = "a charge frees its slot when it is dropped"]
pub struct Charge {
    line: Arc<Line<QuotaDesk>>,
    estimate: Cost,
    /// What it is settled with when it is dropped.
    actual: Cost,
}

impl Reservation {
    pub(super) fn new(line: Arc<Line<QuotaDesk>>, cost: Cost) -> Self {
        Self { line: Some(line), cost }
    }

    /// What was reserved.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// The request is being sent: to be called just before its first byte goes out.
    pub fn sent(self) -> Charge {
        self.sent_at(Instant::now())
    }

    /// [`sent`](Self::sent) at an instant, which spares reading the clock.
    #[inline]
    pub fn sent_at(mut self, now: Instant) -> Charge {
        let cost = self.cost;
        let Some(line) = self.line.take() else { unreachable!("taken only here, which consumes it") };
        line.look(|desk| desk.sent(&cost, now));
        Charge { line, estimate: cost, actual: cost }
    }
}

impl Charge {
    /// What was estimated.
    pub fn estimate(&self) -> Cost {
        self.estimate
    }

    /// The request has ended and cost this: what was estimated too high goes back, what was estimated too low becomes
    /// debt, and the slot is free.
    ///
    /// The clock is read only if it matters: where more was used than was estimated, or somebody waits.
    #[inline]
    pub fn settle(mut self, actual: Cost) {
        self.actual = actual;
    }

    /// The request provably never left, so it cost nothing: everything goes back.
    pub fn refund(self) {
        self.settle(Cost::default());
    }
}

impl Drop for Reservation {
    #[inline]
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.give(|desk| crate::line::Desk::give_back(desk, &self.cost));
        }
    }
}

impl Drop for Charge {
    #[inline]
    fn drop(&mut self) {
        if self.actual.exceeds(&self.estimate) {
            let now = Instant::now();
            self.line.give(|desk| desk.overdraw(&self.estimate, &self.actual, now));
        } else {
            self.line.give(|desk| desk.settle(&self.estimate, &self.actual));
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("cost", &self.cost).finish_non_exhaustive()
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charge").field("estimate", &self.estimate).finish_non_exhaustive()
    }
}
