//! What is checked before any destination: a pause of the manager, and the budget.

use super::*;
use crate::manager::money::{BudgetReservation, Funds, PriceEstimate};

impl<'a> Admission<'a> {
    /// Whether there is anything to check. Mostly there is not.
    pub(super) fn has_preconditions(&self) -> bool {
        self.lifecycle.is_paused() || self.highest_estimate().is_some()
    }

    /// Waits for the end of a pause, or for room in the budget. Says whether it has waited: then the caller checks
    /// everything again. This wait uses no patience, because another route would wait for the same.
    ///
    /// Where it has not waited, `funds` has the most that the request may cost. The budget comes before the limits: a
    /// request that waited for the budget with a part of the rate in its hands would keep the rate from others.
    ///
    /// # Errors
    ///
    /// Where the budget is spent.
    pub(super) async fn wait_for_preconditions(
        &mut self,
        funds: &mut Option<BudgetReservation<'a>>,
        record: &mut Record,
    ) -> Result<bool, Error> {
        let (budget, began) = (self.budget, Instant::now());
        // Registered before the checks, so that a change between a check and the wait is not missed.
        let account = &self.destinations[0].scope.account;
        let changes = select(Box::pin(budget.changed()), Box::pin(account.changed()));
        let reason = if self.lifecycle.is_paused() {
            // What it has reserved stays: it gave nothing back, so nobody is woken, and all keep their order.
            Waiting::Paused
        } else {
            let Some(estimate) = self.highest_estimate().filter(|_| funds.is_none()) else {
                return Ok(false);
            };
            match budget.take_or_say(estimate) {
                Ok(reservation) => {
                    *funds = Some(reservation);
                    return Ok(false);
                }
                Err(Funds::Perhaps) => Waiting::Money,
                Err(Funds::Spent { limit, spent }) => {
                    let most = estimate.most;
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
