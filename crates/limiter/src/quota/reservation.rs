//! The guards of a request: first a reservation, then a charge, which is settled.

use std::{fmt, iter, mem::forget, sync::Arc};

use tokio::time::Instant;

use super::{Cost, policy::QuotaPolicy};
use crate::wait_queue::{Policy, WaitQueue};

/// The right to send one request. Dropping it gives its whole cost back.
#[must_use = "a reservation is given back when it is dropped"]
pub struct Reservation {
    // `None` once it has become a charge.
    queue: Option<Arc<WaitQueue<QuotaPolicy>>>,
    cost: Cost,
}

/// A request that was sent. Dropping it is [`keep_estimate`](Self::keep_estimate).
#[must_use = "a charge frees its slot when it is dropped"]
pub struct Charge {
    // `None` once it has been settled.
    queue: Option<Arc<WaitQueue<QuotaPolicy>>>,
    estimate: Cost,
}

impl Reservation {
    pub(super) fn new(queue: Arc<WaitQueue<QuotaPolicy>>, cost: Cost) -> Self {
        Self { queue: Some(queue), cost }
    }

    /// What was reserved.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Says that the request is being sent. Call it just before its first byte is written.
    pub fn sent(self) -> Charge {
        self.sent_at(Instant::now())
    }

    /// As [`sent`](Self::sent), at a given instant, so that the clock is not read.
    #[inline(always)]
    pub fn sent_at(mut self, now: Instant) -> Charge {
        let queue = self.queue.take();
        if let Some(queue) = &queue {
            sent(queue, &self.cost, now);
        }
        let charge = Charge { queue, estimate: self.cost };
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

    /// Says that the request has ended, and what it has cost. What was estimated too high goes back, what was estimated too
    /// low becomes debt, and the slot is free.
    ///
    /// The clock is read only where it is needed: if more was used than was estimated, or nothing at all, or if requests wait.
    #[inline(always)]
    pub fn settle(mut self, actual: Cost) {
        if let Some(queue) = self.queue.take() {
            if actual.exceeds(&self.estimate) {
                overdraw(&queue, &self.estimate, &actual);
            } else if actual.is_nothing() {
                refund(&queue, &self.estimate);
            } else {
                settle(&queue, &self.estimate, &actual);
            }
        }
        // It is settled.
        forget(self);
    }

    /// Says that the request has ended, and that its cost is not known. The slot is free. The estimate stays taken, because
    /// the server has most likely counted the request.
    pub fn keep_estimate(self) {}

    /// Says that the request provably never left. It has cost nothing, so its whole cost goes back.
    pub fn refund(self) {
        self.settle(Cost::default());
    }

    /// Says that the server has refused the request because a limit was reached. Its cost goes back as with
    /// [`refund`](Self::refund), but for dimensions that are [counted by grants](super::QuotaBuilder::granted): there was less than
    /// was granted, so what was granted for the request is used up.
    pub fn refused(mut self) {
        if let Some(queue) = self.queue.take() {
            let now = Instant::now();
            let refuse = |policy: &mut QuotaPolicy| policy.refuse(&self.estimate, now);
            self_and_ancestors(&queue).for_each(|queue| queue.release(refuse));
        }
    }
}

/// Updates the quota itself in an inlined call, and the quotas above it, which most do not have, in a call that is not
/// inlined.
#[inline(always)]
fn sent(queue: &Arc<WaitQueue<QuotaPolicy>>, cost: &Cost, now: Instant) {
    queue.with_policy(|policy| policy.sent(cost, now));
    if let Some(above) = queue.parent() {
        sent_above(above, cost, now);
    }
}

#[inline(never)]
fn sent_above(queue: &Arc<WaitQueue<QuotaPolicy>>, cost: &Cost, now: Instant) {
    self_and_ancestors(queue).for_each(|queue| queue.with_policy(|policy| policy.sent(cost, now)));
}

/// Inlined as [`sent`] is.
#[inline(always)]
fn settle(queue: &Arc<WaitQueue<QuotaPolicy>>, estimate: &Cost, actual: &Cost) {
    queue.release(|policy| policy.settle(estimate, actual));
    if let Some(above) = queue.parent() {
        settle_above(above, estimate, actual);
    }
}

#[inline(never)]
fn settle_above(queue: &Arc<WaitQueue<QuotaPolicy>>, estimate: &Cost, actual: &Cost) {
    self_and_ancestors(queue).for_each(|queue| queue.release(|policy| policy.settle(estimate, actual)));
}

#[cold]
fn overdraw(queue: &Arc<WaitQueue<QuotaPolicy>>, estimate: &Cost, actual: &Cost) {
    let now = Instant::now();
    self_and_ancestors(queue)
        .for_each(|queue| queue.release(|policy| policy.overdraw(estimate, actual, now)));
}

#[cold]
fn refund(queue: &Arc<WaitQueue<QuotaPolicy>>, estimate: &Cost) {
    let now = Instant::now();
    self_and_ancestors(queue).for_each(|queue| queue.release(|policy| policy.refund(estimate, now)));
}

/// The quota itself, and each quota above it.
#[inline]
fn self_and_ancestors(
    queue: &Arc<WaitQueue<QuotaPolicy>>,
) -> impl Iterator<Item = &Arc<WaitQueue<QuotaPolicy>>> {
    iter::successors(Some(queue), |queue| queue.parent())
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            self_and_ancestors(queue).for_each(|queue| queue.release(|policy| policy.give_back(&self.cost)));
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            self_and_ancestors(queue).for_each(|queue| queue.release(QuotaPolicy::end));
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
