//! Leave to be sent, before any destination is asked: the end of a pause, and money.

use super::*;
use crate::manager::money::{Funds, PriceEstimate};

impl Admission<'_> {
    /// Whether there is anything to ask for. Mostly there is not.
    pub(super) fn has_preconditions(&self) -> bool {
        self.lifecycle.is_paused() || self.highest_estimate().is_some()
    }

    /// Says whether it has waited, and all has to be asked again. No patience is lost here: another route waits for the same.
    ///
    /// # Errors
    ///
    /// Where the budget is spent.
    pub(super) async fn wait_for_preconditions(&mut self, record: &mut Record) -> Result<bool, Error> {
        let (budget, began) = (self.budget, Instant::now());
        // Made before anything is asked, so that no change is missed.
        let account = &self.destinations[0].scope.account;
        let changes = select(Box::pin(budget.changed()), Box::pin(account.changed()));
        let reason = if self.lifecycle.is_paused() {
            Waiting::Paused
        } else {
            match self.highest_estimate().map(|estimate| (estimate.most, budget.funds(estimate))) {
                None | Some((_, Funds::Enough)) => return Ok(false),
                Some((_, Funds::Perhaps)) => Waiting::Money,
                Some((most, Funds::Spent { limit, spent })) => {
                    let message = format!(
                        "of the budget of {limit}, {spent} is spent, and the next request may cost {most}"
                    );
                    let kind = ErrorKind::BudgetSpent;
                    self.member.stop(Stopped { kind, message: message.clone(), until: None });
                    return Err(stopped(&message, record));
                }
            }
        };
        self.emit(Step::Waiting { reason, at_least: None });
        self.wait_blocked(self.deadline(), async { drop(changes.await) }).await;
        record.waited += began.elapsed();
        Ok(true)
    }

    /// The most that it may cost, wherever it goes.
    fn highest_estimate(&self) -> Option<PriceEstimate> {
        let estimates =
            self.destinations.iter().filter_map(|destination| destination.prepared.price_estimate);
        estimates.max_by_key(|estimate| estimate.most)
    }
}
