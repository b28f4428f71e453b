//! Waiting for the limits in the order of the fair queue.

use super::{
    limits::{gates_closed, woken},
    *,
};

impl Admission<'_> {
    /// Waits for the turn in the fair queue, and then for the limits. `None`: something has changed, so the caller
    /// checks everything again. The request keeps its position in the queue.
    pub(super) async fn reserve_in_queue(
        &mut self,
        destination: &Destination<'_>,
        changed: impl Future<Output = ()>,
        record: &mut Record,
    ) -> Result<Option<Charge>, Error> {
        let (model, cost, began) = (&destination.scope.model, destination.prepared.cost, Instant::now());
        let Some(position) = self.position else { return Ok(None) };
        let gate = model.quota.gate_closed_until(began).map(|until| until - began);
        if gate.is_some_and(|wait| !self.has_patience_for(wait)) {
            return Err(would_wait(Waiting::Refused, record));
        }
        self.member.move_to(Stage::Ready);
        self.emit(Step::Waiting { reason: Waiting::Limits, at_least: None });
        let deadline = self.deadline();
        let reserve = async {
            let waiter = model.queue.join(position, began);
            loop {
                waiter.turn().await;
                let reserve = model.quota.reserve(cost);
                let reserve = if self.since.is_some() { reserve.before(deadline) } else { reserve };
                let reserve = woken(model.shared.as_ref(), reserve);
                let (reserve, lost) = (pin!(reserve), pin!(waiter.turn_lost()));
                if let Either::Left((reserved, _)) = select(reserve, lost).await {
                    return reserved;
                }
            }
        };
        let patience = self.patience;
        let news = async {
            let gate = [&model.quota];
            let gate = pin!(gates_closed(&gate, patience));
            select(pin!(changed), select(pin!(sleep_until(deadline)), gate)).await;
        };
        let (news, reserve) = (pin!(news), pin!(reserve));
        let reserved = match select(news, reserve).await {
            Either::Left(_) => None,
            Either::Right((reserved, _)) => Some(reserved),
        };
        record.waited += began.elapsed();
        match reserved {
            None => Ok(None),
            // The limits had room in time, but this task ran only after the deadline.
            Some(Ok(_)) if Instant::now() >= deadline => Err(self.past_deadline(record)),
            Some(Ok(reservation)) => Ok(Some(reservation.sent())),
            Some(Err(error)) => Err(self.not_reserved(&error, record)),
        }
    }
}
