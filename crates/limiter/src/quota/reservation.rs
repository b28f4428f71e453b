//! What a request may use: reserved, then sent, then settled.

use std::{fmt, iter, mem::forget, sync::Arc};

use tokio::time::Instant;

use super::{Cost, desk::QuotaDesk};
use crate::line::{Desk, Line};

/// The right to send one request. Dropping it gives everything back.
#[must_use = "a reservation is given back when it is dropped"]
pub struct Reservation {
    // `None` once it has become a charge.
    line: Option<Arc<Line<QuotaDesk>>>,
    cost: Cost,
}

/// A request that was sent. Dropping it is [`keep_estimate`](Self::keep_estimate).
#[must_use = "a charge frees its slot when it is dropped"]
pub struct Charge {
    // `None` once it was settled.
    line: Option<Arc<Line<QuotaDesk>>>,
    estimate: Cost,
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
    #[inline(always)]
    pub fn sent_at(mut self, now: Instant) -> Charge {
        let line = self.line.take();
        if let Some(line) = &line {
            sent(line, &self.cost, now);
        }
        let charge = Charge { line, estimate: self.cost };
        // It has nothing left to give back.
        forget(self);
        charge
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
    /// The clock is read only if it matters: where more was used than was estimated, or nothing at all, or somebody waits.
    #[inline(always)]
    pub fn settle(mut self, actual: Cost) {
        if let Some(line) = self.line.take() {
            if actual.exceeds(&self.estimate) {
                overdraw(&line, &self.estimate, &actual);
            } else if actual.is_nothing() {
                refund(&line, &self.estimate);
            } else {
                settle(&line, &self.estimate, &actual);
            }
        }
        // It is settled.
        forget(self);
    }

    /// The request has ended and what it cost is not known: the slot is free, and the estimate stays taken, since the
    /// server has most likely counted the request.
    pub fn keep_estimate(self) {}

    /// The request provably never left, so it cost nothing: everything goes back.
    pub fn refund(self) {
        self.settle(Cost::default());
    }
}

/// Tells the quota itself in line, and those above it, which most do not have, out of line.
#[inline(always)]
fn sent(line: &Arc<Line<QuotaDesk>>, cost: &Cost, now: Instant) {
    line.look(|desk| desk.sent(cost, now));
    if let Some(above) = line.parent() {
        sent_above(above, cost, now);
    }
}

#[inline(never)]
fn sent_above(line: &Arc<Line<QuotaDesk>>, cost: &Cost, now: Instant) {
    levels(line).for_each(|line| line.look(|desk| desk.sent(cost, now)));
}

/// As [`sent`].
#[inline(always)]
fn settle(line: &Arc<Line<QuotaDesk>>, estimate: &Cost, actual: &Cost) {
    line.give(|desk| desk.settle(estimate, actual));
    if let Some(above) = line.parent() {
        settle_above(above, estimate, actual);
    }
}

#[inline(never)]
fn settle_above(line: &Arc<Line<QuotaDesk>>, estimate: &Cost, actual: &Cost) {
    levels(line).for_each(|line| line.give(|desk| desk.settle(estimate, actual)));
}

#[cold]
fn overdraw(line: &Arc<Line<QuotaDesk>>, estimate: &Cost, actual: &Cost) {
    let now = Instant::now();
    levels(line).for_each(|line| line.give(|desk| desk.overdraw(estimate, actual, now)));
}

#[cold]
fn refund(line: &Arc<Line<QuotaDesk>>, estimate: &Cost) {
    let now = Instant::now();
    levels(line).for_each(|line| line.give(|desk| desk.refund(estimate, now)));
}

/// The quota itself, and each above it.
#[inline]
fn levels(line: &Arc<Line<QuotaDesk>>) -> impl Iterator<Item = &Arc<Line<QuotaDesk>>> {
    iter::successors(Some(line), |line| line.parent())
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            levels(line).for_each(|line| line.give(|desk| desk.give_back(&self.cost)));
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            levels(line).for_each(|line| line.give(QuotaDesk::end));
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
