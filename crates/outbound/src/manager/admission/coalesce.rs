//! Waiting for the answer to an equal request.

use super::*;
use crate::manager::in_flight::{PendingAnswer, SharedAnswer};

impl Admission<'_> {
    /// Waits for the answer to an equal request in flight. `None`: there is none to share, and this one has to ask for itself.
    ///
    /// # Errors
    ///
    /// If its own deadline passes first, or nothing more is sent.
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
            // Made before anything is asked, so that no change is missed.
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
