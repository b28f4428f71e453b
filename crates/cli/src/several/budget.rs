//! The budget of a batch. Each process takes parts of it, and spends only what it has taken.
//!
//! So all together stay within it without asking for each request. A part is small: what a process that died had taken and not
//! spent is lost for the batch. A request is given to the manager only when its part is there: where the manager itself runs out
//! of money it stops for good.

use std::sync::atomic::{AtomicU64, Ordering};

use outbound::{
    Money, Prices, RequestManager,
    provider::{RequestFacts, Usage},
};
use outbound_postgres::{Error, Orders, PostgresBatch};
use tokio::sync::watch;

use super::{claims::Claims, team::limits};
use crate::say;

/// The largest part, as a share of the budget.
const LARGEST: u64 = 20;

/// The budget of this process.
pub(super) struct Budget {
    manager: RequestManager,
    /// They have what each request that the manager has may cost.
    claims: Claims,
    /// `None`: no price is known, and there can be no budget.
    prices: Option<Prices>,
    /// What was taken, in millionths of a dollar. [`NO_LIMIT`]: there is no budget.
    taken: AtomicU64,
    funds: watch::Sender<Funds>,
}

const NO_LIMIT: u64 = u64::MAX;

/// Whether this process has what the next request may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Funds {
    Enough,
    /// It needs this much more.
    Asked(u64),
    /// The same, and nobody has any to give.
    Spent(u64),
}

impl Budget {
    pub(super) fn new(manager: &RequestManager, claims: &Claims, prices: Option<Prices>) -> Self {
        let (manager, claims) = (manager.clone(), claims.clone());
        Self {
            manager,
            claims,
            prices,
            taken: AtomicU64::new(NO_LIMIT),
            funds: watch::Sender::new(Funds::Enough),
        }
    }

    pub(super) const fn has_prices(&self) -> bool {
        self.prices.is_some()
    }

    /// The most that a request may cost, in millionths of a dollar. 0: its model has no price, and the manager refuses it.
    pub(super) fn most(&self, facts: &RequestFacts, body: &str) -> u64 {
        let price = self.prices.as_ref().and_then(|prices| prices.get(facts.model.as_deref()?));
        let Some(price) = price else { return 0 };
        // A token is a byte at the least. Tokens of each kind can be the dearest.
        let usages = (0..6).map(|kind| {
            let mut usage = Usage::default();
            usage.input = body.len() as u64;
            usage.output = facts.estimate.output;
            usage.cached = if kind % 3 == 1 { usage.input } else { 0 };
            usage.cache_written = if kind % 3 == 2 { usage.input } else { 0 };
            usage.reasoning = if kind >= 3 { usage.output } else { 0 };
            millionths(price.of(usage).as_dollars())
        });
        usages.max().unwrap_or(0)
    }

    /// Waits until this process has what the request of a line may cost. `false`: nobody has that any more.
    pub(super) async fn admit(&self, id: &str, most: u64) -> bool {
        let mut funds = self.funds.subscribe();
        loop {
            let changed = self.claims.changed();
            let now = *funds.borrow_and_update();
            let taken = self.taken.load(Ordering::Relaxed);
            // Room for one that is sent again, as long as there is more to take.
            let most_again = if matches!(now, Funds::Spent(_)) { 0 } else { most };
            let reserved = self.claims.reserved();
            let needed = self.spent().saturating_add(reserved).saturating_add(most + most_again);
            if needed <= taken {
                self.claims.set_most(id, most);
                return true;
            }
            match now {
                Funds::Spent(_) if reserved == 0 => {
                    say::line("nothing more is sent: the budget of the batch is spent");
                    return false;
                }
                Funds::Enough => drop(self.funds.send_replace(Funds::Asked(needed - taken))),
                _ => {}
            }
            tokio::select! {
                // It cannot fail: the sender is `self`.
                _ = funds.changed() => {}
                () = changed => {}
            }
        }
    }

    /// Returns when more is asked for.
    pub(super) async fn asked(&self) {
        let _ = self.funds.subscribe().wait_for(|funds| matches!(funds, Funds::Asked(_))).await;
    }

    /// Takes a part of the budget if this process needs one. `orders` are the last that were heard.
    pub(super) async fn fill(&self, batch: &PostgresBatch, orders: &Orders) -> Result<(), Error> {
        // Where the limits cannot be read, the run ends.
        let Some(budget) = limits(orders).ok().and_then(|limits| limits.budget) else { return Ok(()) };
        let budget = millionths(budget);
        let before = match self.taken.load(Ordering::Relaxed) {
            NO_LIMIT => 0,
            taken => taken,
        };
        let left = budget.saturating_sub(orders.taken);
        // Half of what is left is shared, so that those who come later get some.
        let part = (left / (2 * (orders.others + 1))).min(budget / LARGEST).max(1);
        let unspent = before.saturating_sub(self.spent()).saturating_sub(self.claims.reserved());
        let asked = *self.funds.borrow();
        let most = match asked {
            Funds::Asked(needed) | Funds::Spent(needed) => part.max(needed),
            Funds::Enough if unspent < part / 2 => part,
            Funds::Enough => 0,
        };
        let taken = if most > 0 { batch.take(most).await? } else { 0 };
        self.taken.store(before + taken, Ordering::Relaxed);
        self.manager.set_budget(Money::dollars(in_dollars(before + taken)));
        match asked {
            Funds::Asked(_) | Funds::Spent(_) if taken > 0 => drop(self.funds.send_replace(Funds::Enough)),
            Funds::Asked(needed) => drop(self.funds.send_replace(Funds::Spent(needed))),
            Funds::Spent(_) | Funds::Enough => {}
        }
        Ok(())
    }

    /// What was taken and not spent. Nothing may be in flight.
    pub(super) fn unspent(&self) -> u64 {
        match self.taken.load(Ordering::Relaxed) {
            NO_LIMIT => 0,
            taken => taken.saturating_sub(self.spent()),
        }
    }

    fn spent(&self) -> u64 {
        millionths(self.manager.spent().as_dollars())
    }
}

/// Rounded up.
fn millionths(dollars: f64) -> u64 {
    // A float becomes the nearest number that there is.
    (dollars * 1e6).ceil() as u64
}

fn in_dollars(millionths: u64) -> f64 {
    millionths as f64 / 1e6
}
