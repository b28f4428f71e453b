//! How much may be spent.

use outbound_provider::Usage;
use parking_lot::Mutex;
use tokio::sync::{Notify, futures::Notified};

use super::{Money, Quote};

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
pub(crate) enum Room {
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
pub(crate) struct Expense<'a> {
    budget: &'a Budget,
    quote: Quote,
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
    pub(crate) fn room(&self, quote: Quote) -> Room {
        self.state.lock().room(quote)
    }

    /// Takes the most that a call may cost, if there is so much.
    pub(crate) fn take(&self, quote: Quote) -> Option<Expense<'_>> {
        let mut state = self.state.lock();
        if state.room(quote) != Room::Enough {
            return None;
        }
        state.under_way += quote.worst;
        state.calls += 1;
        Some(Expense { budget: self, quote, cost: Money::ZERO })
    }
}

impl State {
    fn room(&self, quote: Quote) -> Room {
        match self.limit {
            Some(limit) if self.spent + self.under_way + quote.worst > limit => {
                let spent = self.spent;
                if self.calls == 0 { Room::Spent { limit, spent } } else { Room::Perhaps }
            }
            _ => Room::Enough,
        }
    }
}

impl Expense<'_> {
    pub(crate) fn sent(&mut self) {
        self.cost = self.quote.worst;
    }

    /// The answer has come: says what it cost.
    pub(crate) fn answered(mut self, usage: Option<Usage>) -> Money {
        self.cost = self.quote.cost(usage);
        self.cost
    }

    /// It has failed. What was refused cost nothing; of all else nobody knows.
    pub(crate) fn failed(mut self, maybe_billed: bool) {
        if !maybe_billed {
            self.cost = Money::ZERO;
        }
    }
}

impl Drop for Expense<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.state.lock();
        state.spent += self.cost;
        state.under_way = state.under_way.saturating_sub(self.quote.worst);
        state.calls -= 1;
        drop(state);
        self.budget.changed.notify_waiters();
    }
}
