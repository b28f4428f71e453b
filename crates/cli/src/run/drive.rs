//! The main part of a run: sends every line and writes every answer.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    pin::pin,
    time::Duration,
};

use futures::{
    FutureExt, Stream, StreamExt,
    future::{Either, FusedFuture, ready, select},
};
use outbound::{ErrorKind, Outcome, Request, RequestManager, Stopped};
use tokio::sync::Notify;

use super::survey::known;
use crate::{
    exit::Stop,
    identity::Digest,
    input::{Line, Reading},
    interrupt::Interrupt,
    output::{self, Earlier, Origin, Output},
    state::State,
};

/// At most this many outcomes are written with one write.
const AT_ONCE: usize = 256;

/// The time between two tries to write answers at the end, and the number of tries.
const TRY_AGAIN: Duration = Duration::from_millis(500);
const TRIES: usize = 20;

/// What sending and writing need.
pub(super) struct Drive<'a> {
    pub(super) reading: &'a Reading,
    pub(super) base_path: &'a str,
    pub(super) manager: &'a RequestManager,
    pub(super) interrupt: &'a Interrupt,
    /// What the output has from earlier runs.
    pub(super) earlier: &'a Earlier,
    pub(super) state: Option<&'a State>,
}

/// How the main part of a run ended.
#[derive(Debug, Default)]
pub(super) struct End {
    /// Lines that have an answer or a failure of an earlier run.
    pub(super) done_before: u64,
    /// Those of them that failed.
    pub(super) failed_before: u64,
    pub(super) stopped: Option<Stopped>,
    /// What went wrong with the input or the output.
    pub(super) wrong: Option<Stop>,
}

impl Drive<'_> {
    /// Sends until the input ends or is wrong, the output cannot be written, or the user interrupts. Attempts in flight are
    /// then finished, unless their answers cannot be written.
    pub(super) async fn run(
        &self,
        lines: impl Stream<Item = Result<Line, Stop>>,
        output: &mut Output,
        mut done: impl FnMut(&Outcome),
    ) -> End {
        let wrong = RefCell::new(None);
        let (done_before, failed_before) = (Cell::new(0), Cell::new(0));
        // The requests in flight, by the digest of their id.
        let in_flight = RefCell::new(HashMap::new());
        let full = Notify::new();
        let interrupted = Box::pin(self.interrupt.clone().times(1));
        let ending = select(interrupted, Box::pin(full.notified())).map(drop).shared();
        let requests = lines
            .map(|line| line.and_then(|line| self.request(line, &in_flight, &failed_before)))
            .map(|request| request.map_err(|stop| drop(wrong.replace(Some(stop)))).ok())
            .take_while(|request| ready(request.is_some()))
            .filter_map(|request| {
                let request = request.flatten();
                done_before.set(done_before.get() + u64::from(request.is_none()));
                ready(request)
            })
            .take_until(ending.clone());
        let mut batch = Box::pin(self.manager.batch_stream(requests));
        let mut at_once = pin!(self.interrupt.clone().times(2));
        let closing = async {
            ending.await;
            self.manager.shutdown(Duration::MAX).await
        };
        // Fused, because the loop polls it again after it has ended.
        let mut closing = pin!(closing.fuse());
        // Outcomes whose lines are not written, and why.
        let (mut unwritten, mut unwritable) = (Vec::new(), None);
        loop {
            let mut outcomes = (&mut batch).ready_chunks(AT_ONCE);
            let outcomes = tokio::select! {
                biased;
                () = at_once.as_mut() => break,
                _ = closing.as_mut(), if !closing.is_terminated() => continue,
                outcomes = outcomes.next() => outcomes,
            };
            let Some(outcomes) = outcomes else { break };
            for outcome in outcomes {
                let id = Digest::of_id(outcome.id.as_deref().unwrap_or_default());
                let origin = in_flight.borrow_mut().remove(&id);
                if let Some(origin) = origin
                    && !is_for_another_run(&outcome)
                {
                    output.add(&outcome, origin);
                }
                unwritten.push(outcome);
            }
            match output.write() {
                Ok(()) => unwritten.drain(..).for_each(|outcome| done(&outcome)),
                Err(stop) => {
                    unwritable.get_or_insert(stop);
                    if !output.is_file() {
                        break;
                    }
                    // Nothing more is sent. Answers in flight are paid for: they are kept until the disk has room.
                    full.notify_one();
                }
            }
        }
        let stopped = batch.stopped();
        drop(batch);
        if let Some(stop) = unwritable.take() {
            if self.write_at_last(output).await {
                unwritten.drain(..).for_each(|outcome| done(&outcome));
            }
            let has_a_line = |outcome: &&Outcome| !is_for_another_run(outcome);
            unwritable = Some(match unwritten.iter().filter(has_a_line).count() {
                0 => Stop::Output(format!("{stop}. All answers that came are written")),
                lost => Stop::Output(format!("{stop}. {lost} answers that came are not written")),
            });
        }
        // A request could not be recorded before it was sent. That is an error of the disk, too.
        let unlogged = stopped.as_ref().filter(|stopped| stopped.kind == ErrorKind::Stopped);
        let unlogged =
            unlogged.map(|stopped| Stop::Output(format!("nothing more is sent: {}", stopped.message)));
        let (done_before, failed_before) = (done_before.get(), failed_before.get());
        End { done_before, failed_before, stopped, wrong: unwritable.or(unlogged).or(wrong.take()) }
    }

    /// The request of a line. `None` if it has an answer or a failure of an earlier run.
    fn request(
        &self,
        line: Line,
        in_flight: &RefCell<HashMap<Digest, Origin>>,
        failed_before: &Cell<u64>,
    ) -> Result<Option<Request>, Stop> {
        let id = Digest::of_id(&line.custom_id);
        let origin = Origin { line: line.number, request: line.fingerprint() };
        if let Some(known) = known(&line, id, origin.request, self.earlier, self.reading)? {
            failed_before.set(failed_before.get() + u64::from(known == output::State::Failed));
            return Ok(None);
        }
        in_flight.borrow_mut().insert(id, origin);
        let request = line.into_request(self.base_path);
        let sent_before = self.state.is_some_and(|state| state.may_have_been_sent(id));
        Ok(Some(if sent_before { request.maybe_sent_before() } else { request }))
    }

    /// Tries again to write the answers that came after the output had failed, and returns whether all are written.
    async fn write_at_last(&self, output: &mut Output) -> bool {
        for _ in 0..TRIES {
            if output.write().is_ok() {
                return true;
            }
            if !output.waits_for_room() {
                return false;
            }
            let again = pin!(tokio::time::sleep(TRY_AGAIN));
            let interrupted = pin!(self.interrupt.clone().times(2));
            if let Either::Right(_) = select(again, interrupted).await {
                return false;
            }
        }
        output.write().is_ok()
    }
}

/// Whether an interrupt, a stop or the end of its lease ended the request before its answer. It gets no line: a later run or
/// another machine sends it.
pub(crate) fn is_for_another_run(outcome: &Outcome) -> bool {
    matches!(outcome.error_kind(), Some(ErrorKind::ShutDown | ErrorKind::Stopped | ErrorKind::Cancelled))
}
