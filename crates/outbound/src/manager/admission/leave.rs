//! Leave to be sent, before any destination is asked: the end of a pause, and money.

use super::*;
use crate::manager::money::{Quote, Room};

impl Admission<'_> {
    /// Whether there is anything to ask for. Mostly there is not.
    pub(super) fn needs_leave(&self) -> bool {
        self.lifecycle.is_paused() || self.dearest().is_some()
    }

    /// Says whether it has waited, and all has to be asked again. No patience is lost here: another route waits for the same.
    ///
    /// # Errors
    ///
    /// Where the budget is spent.
    pub(super) async fn waits_for_leave(&mut self, record: &mut Record) -> Result<bool, Error> {
        let (budget, began) = (self.budget, Instant::now());
        // Made before anything is asked, so that no change is missed.
        let account = &self.destinations[0].scope.account;
        let changes = select(Box::pin(budget.changed()), Box::pin(account.changed()));
        let reason = if self.lifecycle.is_paused() {
            Waiting::Paused
        } else {
            match self.dearest().map(|quote| (quote.worst, budget.room(quote))) {
                None | Some((_, Room::Enough)) => return Ok(false),
                Some((_, Room::Perhaps)) => Waiting::Money,
                Some((worst, Room::Spent { limit, spent })) => {
                    let message = format!(
                        "of the budget of {limit}, {spent} is spent, and the next request may cost {worst}"
                    );
                    let kind = ErrorKind::BudgetSpent;
                    self.seat.stop(Stopped { kind, message: message.clone(), until: None });
                    return Err(stopped(&message, record));
                }
            }
        };
        self.tell(Step::Waiting { reason, at_least: None });
        self.wait_aside(self.deadline(), async { drop(changes.await) }).await;
        record.waited += began.elapsed();
        Ok(true)
    }

    /// The most that it may cost, wherever it goes.
    fn dearest(&self) -> Option<Quote> {
        let quotes = self.destinations.iter().filter_map(|destination| destination.prepared.quote);
        quotes.max_by_key(|quote| quote.worst)
    }
}
