//! How much may be spent.

use outbound_provider::Usage;
use parking_lot::Mutex;
use tokio::sync::{Notify, futures::Notified};

use super::{Money, PriceEstimate};

/// How much may be spent, and what is. A request goes only while what was spent, the most that all under way may cost and
/// the most that it may cost itself stay within the limit. So it is never passed where requests say how much output they
/// allow. What is under way and costs less than it might gives the rest back, so that nearly all of it is used.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    limit: Option<Money>,
    spent: Money,
    /// The most that what is under way may cost.
    under_way: Money,
    calls: usize,
}

/// Whether there is money for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Funds {
    Enough,
    /// What is under way may leave enough.
    Perhaps,
    /// There is not, and nothing is under way that might leave some.
    Spent {
        limit: Money,
        spent: Money,
    },
}

/// A call, and the most that it may cost. Dropped before it was sent, it cost nothing; afterwards, all of that.
#[derive(Debug)]
pub(crate) struct BudgetReservation<'a> {
    budget: &'a Budget,
    estimate: PriceEstimate,
    /// What it costs, if nothing more is heard of it.
    cost: Money,
}

impl Budget {
    pub(crate) fn new(limit: Option<Money>) -> Self {
        Self { state: Mutex::new(State { limit, ..State::default() }), changed: Notify::new() }
    }

    pub(crate) fn spent(&self) -> Money {
        self.state.lock().spent
    }

    pub(crate) fn limit(&self) -> Option<Money> {
        self.state.lock().limit
    }

    pub(crate) fn set_limit(&self, limit: Option<Money>) {
        self.state.lock().limit = limit;
        self.changed.notify_waiters();
    }

    /// Told whenever there may be more room.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Whether there is room for a call.
    pub(crate) fn funds(&self, estimate: PriceEstimate) -> Funds {
        self.state.lock().funds(estimate)
    }

    /// Takes the most that a call may cost, if there is so much.
    pub(crate) fn take(&self, estimate: PriceEstimate) -> Option<BudgetReservation<'_>> {
        let mut state = self.state.lock();
        if state.funds(estimate) != Funds::Enough {
            return None;
        }
        state.under_way += estimate.most;
        state.calls += 1;
        Some(BudgetReservation { budget: self, estimate, cost: Money::ZERO })
    }
}

impl State {
    fn funds(&self, estimate: PriceEstimate) -> Funds {
        match self.limit {
            Some(limit) if self.spent + self.under_way + estimate.most > limit => {
                let spent = self.spent;
                if self.calls == 0 { Funds::Spent { limit, spent } } else { Funds::Perhaps }
            }
            _ => Funds::Enough,
        }
    }
}

impl BudgetReservation<'_> {
    pub(crate) fn sent(&mut self) {
        self.cost = self.estimate.most;
    }

    /// The answer has come: says what it cost.
    pub(crate) fn answered(mut self, usage: Option<Usage>) -> Money {
        self.cost = self.estimate.cost(usage);
        self.cost
    }

    /// It has failed. What was refused cost nothing; of all else nobody knows.
    pub(crate) fn failed(mut self, maybe_billed: bool) {
        if !maybe_billed {
            self.cost = Money::ZERO;
        }
    }
}

impl Drop for BudgetReservation<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.state.lock();
        state.spent += self.cost;
        state.under_way = state.under_way.saturating_sub(self.estimate.most);
        state.calls -= 1;
        drop(state);
        self.budget.changed.notify_waiters();
    }
}
