//! Waiting for the answer to an equal request.

use super::*;
use crate::manager::in_flight::{PendingAnswer, SharedAnswer};

impl Admission<'_> {
    /// Waits for the answer to an equal request in flight. `None`: no answer came that can be shared, so this request
    /// makes its own call.
    ///
    /// # Errors
    ///
    /// If the deadline of this request passes first, or if nothing more is sent.
    pub(crate) async fn wait_for_answer(
        &mut self,
        mut answer: PendingAnswer,
        record: &mut Record,
    ) -> Result<Option<SharedAnswer>, Error> {
        let began = Instant::now();
        self.member.move_to(Stage::Blocked);
        self.emit(Step::Waiting { reason: Waiting::EqualRequest, at_least: None });
        let mut timer = pin!(sleep_until(self.deadline()));
        let answered = loop {
            // Registered before the checks, so that a change between a check and the wait is not missed.
            let mut changed = pin!(self.destinations[0].scope.account.changed());
            self.check(Instant::now(), record)?;
            let came = pin!(answer.wait_for(Option::is_some));
            if let Either::Left((answer, _)) = select(came, select(&mut changed, timer.as_mut())).await {
                break answer.ok().and_then(|answer| answer.clone());
            }
        };
        record.waited += began.elapsed();
        Ok(answered)
    }
}
