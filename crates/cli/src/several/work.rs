//! The main part of a run on a batch in a database: sends what is taken, and writes the answers into the batch.

use std::{collections::HashSet, mem, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use outbound::{
    ErrorKind, Outcome, RequestManager, Stopped,
    work::{End, Held, Lease, WorkError, WorkStore},
};
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

use super::{
    claims::{Claim, Claims},
    feed::Feed,
    store::{Reach, failed},
};
use crate::{
    exit::Stop,
    interrupt::Interrupt,
    output::{is_its_own, put},
    run::is_for_another_run,
};

/// At most this many answers are written with one call.
const AT_ONCE: usize = 256;

/// How long the database has after the second interrupt.
const LAST: Duration = Duration::from_secs(1);

/// What sending and writing need.
pub(super) struct Drive<'a, S> {
    pub(super) store: &'a Arc<S>,
    pub(super) claims: &'a Claims,
    pub(super) reach: &'a Reach,
    pub(super) manager: &'a RequestManager,
    pub(super) interrupt: &'a Interrupt,
    /// They are replaced in every line.
    pub(super) keys: &'a [String],
    pub(super) refused: &'a Mutex<HashSet<Arc<str>>>,
}

/// How the main part of a run ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) stopped: Option<Stopped>,
    /// What went wrong with the batch.
    pub(super) wrong: Option<Stop>,
    /// Answers that were not accepted, since their leases had ended.
    pub(super) late: u64,
}

/// A line with its end.
struct Answered {
    outcome: Outcome,
    lease: Lease,
    end: End,
}

/// What is written and put back with one call each.
#[derive(Default)]
struct Pending {
    answered: Vec<Answered>,
    /// Lines that are for another run or another machine; and whether they may have been sent.
    back: Vec<(Lease, bool)>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.answered.is_empty() && self.back.is_empty()
    }
}

type Writing<'a> = BoxFuture<'a, (Pending, Result<Held, WorkError>)>;

impl<S: WorkStore + 'static> Drive<'_, S> {
    /// Sends until the batch is done, the manager stops, the batch cannot be used, or the user interrupts. Attempts in flight are
    /// then finished, and what was not sent is put back.
    pub(super) async fn run<W>(&self, feed: Feed<S, W>, mut done: impl FnMut(&Outcome)) -> Ended
    where
        W: Fn() -> usize + Send + Sync + 'static,
    {
        let mut ended = Ended::default();
        let (requests, mut taken) = mpsc::unbounded_channel();
        let (end_feed, ending) = watch::channel(false);
        let mut feeding = tokio::spawn(feed.run(requests, ending));
        let interrupted = self.interrupt.clone().times(1).boxed().shared();
        let requests = stream::poll_fn(move |cx| taken.poll_recv(cx)).take_until(interrupted.clone());
        let requests = requests.map(|(id, request)| {
            self.claims.set_given(&id);
            request
        });
        let mut batch = Box::pin(self.manager.batch_stream(requests));
        let mut at_once = pin!(self.interrupt.clone().times(2));
        let closing = async {
            interrupted.await;
            end_feed.send_replace(true);
            self.manager.shutdown(Duration::MAX).await
        };
        let mut closing = pin!(closing.fuse());
        let (mut pending, mut writing) = (Pending::default(), None::<Writing<'_>>);
        let (mut has_ended, mut is_fed, mut is_urgent) = (false, false, false);
        loop {
            if writing.is_none() && !pending.is_empty() {
                writing = Some(self.write(mem::take(&mut pending)).boxed());
            }
            if has_ended && writing.is_none() {
                break;
            }
            let mut outcomes = (&mut batch).ready_chunks(AT_ONCE);
            tokio::select! {
                biased;
                () = at_once.as_mut() => {
                    is_urgent = true;
                    break;
                }
                _ = &mut closing => {}
                (written, held) = next(&mut writing) => {
                    writing = None;
                    if !self.note(written, held, &mut ended, &mut done) {
                        break;
                    }
                }
                fed = &mut feeding, if !is_fed => {
                    is_fed = true;
                    ended.wrong = of_task(fed);
                    if self.interrupt.asked() {
                        pending.back.extend(self.not_given());
                    }
                }
                some = outcomes.next(), if !has_ended => match some {
                    Some(outcomes) => outcomes.into_iter().for_each(|outcome| self.sort(outcome, &mut pending, &mut done)),
                    None => has_ended = true,
                },
            }
        }
        ended.stopped = batch.stopped();
        // What is in flight after a second interrupt is cut off here.
        drop(batch);
        end_feed.send_replace(true);
        let last = async {
            if !is_fed {
                let wrong = of_task((&mut feeding).await);
                ended.wrong = ended.wrong.take().or(wrong);
            }
            if let Some(writing) = writing.take() {
                let (written, held) = writing.await;
                self.note(written, held, &mut ended, &mut done);
            }
            // What has no end, and answers that came in the last moment.
            let answered: HashSet<_> =
                pending.answered.iter().map(|answered| answered.lease.number).collect();
            let left = self.claims.all().into_iter().filter(|claim| !answered.contains(&claim.lease.number));
            pending.back = left.map(|Claim { lease, sent, .. }| (lease, sent)).collect();
            let (written, held) = self.write(mem::take(&mut pending)).await;
            self.note(written, held, &mut ended, &mut done);
        };
        if is_urgent {
            let _ = timeout(LAST, last).await;
        } else {
            let mut last = pin!(last);
            tokio::select! {
                biased;
                () = &mut last => {}
                () = at_once => drop(timeout(LAST, last).await),
            }
        }
        ended
    }

    /// Decides whether an outcome is written or put back.
    fn sort(&self, outcome: Outcome, pending: &mut Pending, done: &mut impl FnMut(&Outcome)) {
        let claim = outcome.id.as_deref().and_then(|id| self.claims.get(id));
        // Without one its lease had ended before it was sent: another machine has it.
        let Some(Claim { lease, origin, sent, .. }) = claim else { return done(&outcome) };
        let code = outcome.error_kind().map(ErrorKind::as_str);
        let is_refused = code.is_some_and(|code| !is_its_own(code));
        if is_for_another_run(&outcome) || is_refused {
            if is_refused {
                self.refused.lock().insert(Arc::clone(&lease.id));
            }
            pending.back.push((lease, sent));
            return done(&outcome);
        }
        let mut line = Vec::new();
        put(&mut line, &outcome, origin, self.keys);
        let line = Bytes::from(line);
        let end = if code.is_some() { End::Failed(line) } else { End::Answered(line) };
        pending.answered.push(Answered { outcome, lease, end });
    }

    /// Writes answers, and puts back what is for others.
    async fn write(&self, pending: Pending) -> (Pending, Result<Held, WorkError>) {
        let ends: Vec<_> =
            pending.answered.iter().map(|answered| (&answered.lease, answered.end.clone())).collect();
        let finished = async {
            if ends.is_empty() { Ok(Held::new()) } else { self.reach.during(self.store.finish(&ends)).await }
        };
        let held = finished.await;
        for sent in [false, true] {
            let of = pending.back.iter().filter(|(_, may_be)| *may_be == sent);
            let leases: Vec<_> = of.map(|(lease, _)| lease).collect();
            if !leases.is_empty() && held.is_ok() {
                // If it cannot be put back, its lease ends by itself.
                let _ = self.reach.during(self.store.release(&leases, sent)).await;
            }
        }
        drop(ends);
        (pending, held)
    }

    /// Notes what was written. Returns whether the batch can be used.
    fn note(
        &self,
        written: Pending,
        held: Result<Held, WorkError>,
        ended: &mut Ended,
        done: &mut impl FnMut(&Outcome),
    ) -> bool {
        let Pending { answered, back } = written;
        back.iter().for_each(|(lease, _)| self.claims.remove(lease));
        let held = match held {
            Ok(held) => held,
            Err(error) => {
                let lost = answered.len();
                let stop = failed(&error);
                ended.wrong =
                    Some(Stop::Output(format!("{stop}. {lost} answers that came are not in the batch")));
                return false;
            }
        };
        for (Answered { outcome, lease, .. }, held) in answered.into_iter().zip(held) {
            self.claims.remove(&lease);
            match held {
                Ok(()) => done(&outcome),
                Err(_) => ended.late += 1,
            }
        }
        true
    }

    /// Lines that were taken and that the manager does not have.
    fn not_given(&self) -> Vec<(Lease, bool)> {
        let waiting = self.claims.all().into_iter().filter(|claim| !claim.given);
        waiting.map(|claim| (claim.lease, false)).collect()
    }
}

/// The end of what is being written; it never comes while nothing is.
async fn next(writing: &mut Option<Writing<'_>>) -> (Pending, Result<Held, WorkError>) {
    match writing {
        Some(writing) => writing.await,
        None => std::future::pending().await,
    }
}

/// What went wrong in the task that takes lines.
fn of_task(fed: Result<Result<(), Stop>, tokio::task::JoinError>) -> Option<Stop> {
    match fed {
        Ok(Ok(())) => None,
        Ok(Err(stop)) => Some(stop),
        Err(error) => Some(Stop::Output(format!("the task that takes lines has ended: {error}"))),
    }
}

/// Ends a task when this is dropped.
pub(super) struct Task(pub(super) JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
