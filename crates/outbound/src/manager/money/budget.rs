//! The budget: how much may be spent.

use outbound_provider::Usage;
use parking_lot::Mutex;
use tokio::sync::{Notify, futures::Notified};

use super::{amount::Money, prices::PriceEstimate};

/// How much may be spent, and how much was. A request is sent only if three amounts together stay within the limit:
/// what was spent, the most that all calls in flight may cost, and the most that the request may cost. So the limit is
/// never passed where requests say how much output they allow. A call that costs less than its estimate gives the rest
/// back, so nearly all of the budget can be used.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    limit: Option<Money>,
    spent: Money,
    /// The most that all calls in flight may cost.
    in_flight: Money,
    calls: usize,
}

/// Why the budget has no room for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Funds {
    /// Not now. Calls in flight may leave enough.
    Perhaps,
    /// No, and no call is in flight that may leave some.
    Spent { limit: Money, spent: Money },
}

/// The most that one call may cost, taken from the budget. Dropped before the call was sent, it costs nothing. Dropped
/// later, it costs all of it.
#[derive(Debug)]
pub(crate) struct BudgetReservation<'a> {
    budget: &'a Budget,
    estimate: PriceEstimate,
    /// What the call costs if no further news of it comes.
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

    /// Notified whenever there may be more room.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Reserves the most that a call may cost. `None` if there is not enough room.
    pub(crate) fn take(&self, estimate: PriceEstimate) -> Option<BudgetReservation<'_>> {
        self.take_or_say(estimate).ok()
    }

    /// The same, and says whether there may be room later.
    pub(crate) fn take_or_say(&self, estimate: PriceEstimate) -> Result<BudgetReservation<'_>, Funds> {
        let mut state = self.state.lock();
        state.has_room(estimate)?;
        state.in_flight += estimate.most;
        state.calls += 1;
        Ok(BudgetReservation { budget: self, estimate, cost: Money::ZERO })
    }
}

impl State {
    fn has_room(&self, estimate: PriceEstimate) -> Result<(), Funds> {
        match self.limit {
            Some(limit) if self.spent + self.in_flight + estimate.most > limit => {
                let spent = self.spent;
                Err(if self.calls == 0 { Funds::Spent { limit, spent } } else { Funds::Perhaps })
            }
            _ => Ok(()),
        }
    }
}

impl BudgetReservation<'_> {
    /// Keeps only what this call may cost. `None`: it may cost more, and the budget has no room for that.
    pub(crate) fn narrow(mut self, estimate: PriceEstimate) -> Option<Self> {
        let mut state = self.budget.state.lock();
        state.in_flight = state.in_flight.saturating_sub(self.estimate.most);
        let room = state.has_room(estimate);
        let now = if room.is_ok() { estimate } else { self.estimate };
        state.in_flight += now.most;
        drop(state);
        self.estimate = now;
        room.is_ok().then_some(self)
    }

    pub(crate) fn sent(&mut self) {
        self.cost = self.estimate.most;
    }

    /// The answer has come. Returns what it cost.
    pub(crate) fn answered(mut self, usage: Option<Usage>) -> Money {
        self.cost = self.estimate.cost(usage);
        self.cost
    }

    /// The call has failed. A refused call costs nothing. Any other may have cost the whole estimate.
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
        state.in_flight = state.in_flight.saturating_sub(self.estimate.most);
        state.calls -= 1;
        drop(state);
        self.budget.changed.notify_waiters();
    }
}
