//! What is checked before any destination: a pause of the manager, and the budget.

use super::*;
use crate::manager::money::{Funds, PriceEstimate};

impl Admission<'_> {
    /// Whether there is anything to check. Mostly there is not.
    pub(super) fn has_preconditions(&self) -> bool {
        self.lifecycle.is_paused() || self.highest_estimate().is_some()
    }

    /// Waits for the end of a pause, or for room in the budget. Says whether it has waited: then the caller checks
    /// everything again. This wait uses no patience, because another route would wait for the same.
    ///
    /// # Errors
    ///
    /// Where the budget is spent.
    pub(super) async fn wait_for_preconditions(&mut self, record: &mut Record) -> Result<bool, Error> {
        let (budget, began) = (self.budget, Instant::now());
        // Registered before the checks, so that a change between a check and the wait is not missed.
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

    /// The highest estimate over all destinations.
    fn highest_estimate(&self) -> Option<PriceEstimate> {
        let estimates =
            self.destinations.iter().filter_map(|destination| destination.prepared.price_estimate);
        estimates.max_by_key(|estimate| estimate.most)
    }
}
