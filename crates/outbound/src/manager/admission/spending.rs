//! Waiting for money: what is under way may cost less than it might.

use super::*;
use crate::manager::money::Room;

impl Admission<'_> {
    /// Says whether it has waited for money, and all has to be asked again.
    ///
    /// # Errors
    ///
    /// Where the budget is spent.
    pub(super) async fn waits_for_money(
        &mut self,
        destination: &Destination<'_>,
        record: &mut Record,
    ) -> Result<bool, Error> {
        let Some(quote) = destination.prepared.quote else { return Ok(false) };
        let budget = self.budget;
        // Made before the budget is asked, so that no change is missed.
        let changes = select(Box::pin(budget.changed()), Box::pin(destination.scope.account.changed()));
        match budget.room(quote) {
            Room::Enough => Ok(false),
            Room::Perhaps => {
                let changed = async { drop(changes.await) };
                self.hold(Waiting::Money, self.deadline(), Duration::ZERO, changed, record).await?;
                Ok(true)
            }
            Room::Spent { limit, spent } => {
                let (kind, worst) = (ErrorKind::BudgetSpent, quote.worst);
                let message = format!(
                    "of the budget of {limit}, {spent} is spent, and the next request may cost {worst}"
                );
                self.seat.stop(Stopped { kind, message: message.clone(), until: None });
                Err(stopped(&message, record))
            }
        }
    }
}
