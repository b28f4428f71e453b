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

/// A line with its end. Its output line is made when it is written: until then the lease may become another one.
struct Answered {
    id: Arc<str>,
    outcome: Outcome,
}

/// What is written and put back with one call each.
#[derive(Default)]
struct Pending {
    answered: Vec<Answered>,
    /// Lines that are for another run or another machine.
    back: Vec<Arc<str>>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.answered.is_empty() && self.back.is_empty()
    }
}

/// What was written and put back.
struct Written {
    /// With the leases that they had.
    answered: Vec<(Answered, Lease)>,
    /// With the leases that they had.
    back: Vec<Lease>,
    held: Result<Held, WorkError>,
    /// Answers whose lines have no lease any more.
    late: u64,
}

type Writing<'a> = BoxFuture<'a, Written>;

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
            if has_ended && writing.is_none() && pending.is_empty() {
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
                written = next(&mut writing) => {
                    writing = None;
                    if !self.note(written, &mut pending, &mut ended, &mut done) {
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
                let written = writing.await;
                self.note(written, &mut pending, &mut ended, &mut done);
            }
            // What has no end, and answers that came in the last moment.
            let answered: HashSet<_> =
                pending.answered.iter().map(|answered| Arc::clone(&answered.id)).collect();
            let left = self.claims.all().into_iter().filter(|claim| !answered.contains(&claim.lease.id));
            pending.back = left.map(|claim| claim.lease.id).collect();
            let written = self.write(mem::take(&mut pending)).await;
            self.note(written, &mut pending, &mut ended, &mut done);
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
        let Some(Claim { lease, .. }) = claim else { return done(&outcome) };
        let code = outcome.error_kind().map(ErrorKind::as_str);
        if is_for_another_run(&outcome) {
            pending.back.push(lease.id);
            return done(&outcome);
        }
        if code.is_some_and(|code| !is_its_own(code)) {
            self.refused.lock().insert(Arc::clone(&lease.id));
            pending.back.push(lease.id);
            return done(&outcome);
        }
        pending.answered.push(Answered { id: Arc::clone(&lease.id), outcome });
    }

    /// The output line of an outcome, and the lease that it has now. `None`: it has none any more.
    fn end(&self, answered: &mut Answered) -> Option<(Lease, End)> {
        let Claim { lease, origin, is_shared, .. } = self.claims.get(&answered.id)?;
        let outcome = &mut answered.outcome;
        outcome.possible_duplicate |= is_shared;
        let mut line = Vec::new();
        put(&mut line, outcome, origin, self.keys);
        let line = Bytes::from(line);
        Some((lease, if outcome.result.is_ok() { End::Answered(line) } else { End::Failed(line) }))
    }

    /// Writes answers, and puts back what is for others.
    async fn write(&self, pending: Pending) -> Written {
        let Pending { answered, back } = pending;
        let mut written = Written {
            answered: Vec::with_capacity(answered.len()),
            back: Vec::new(),
            held: Ok(Held::new()),
            late: 0,
        };
        let mut ends = Vec::with_capacity(answered.len());
        for mut answered in answered {
            match self.end(&mut answered) {
                Some((lease, end)) => {
                    ends.push((lease.clone(), end));
                    written.answered.push((answered, lease));
                }
                None => written.late += 1,
            }
        }
        if !ends.is_empty() {
            let ends: Vec<_> = ends.iter().map(|(lease, end)| (lease, end.clone())).collect();
            written.held = self.reach.during(self.store.finish(&ends)).await;
        }
        let back: Vec<_> = back.iter().filter_map(|id| self.claims.get(id)).collect();
        for sent in [false, true] {
            let of = back.iter().filter(|claim| claim.sent == sent);
            let leases: Vec<_> = of.map(|claim| &claim.lease).collect();
            if !leases.is_empty() && written.held.is_ok() {
                // If it cannot be put back, its lease ends by itself.
                let _ = self.reach.during(self.store.release(&leases, sent)).await;
            }
        }
        written.back = back.into_iter().map(|claim| claim.lease).collect();
        written
    }

    /// Notes what was written. What was not accepted, since its line has another lease by now, goes back into `pending`.
    /// Returns whether the batch can be used.
    fn note(
        &self,
        written: Written,
        pending: &mut Pending,
        ended: &mut Ended,
        done: &mut impl FnMut(&Outcome),
    ) -> bool {
        let Written { answered, back, held, late } = written;
        ended.late += late;
        for lease in back {
            self.claims.remove(&lease);
            if self.claims.get(&lease.id).is_some() {
                pending.back.push(lease.id);
            }
        }
        let held = match held {
            Ok(held) => held,
            Err(error) => {
                let (stop, lost) = (failed(&error), answered.len());
                ended.wrong =
                    Some(Stop::Output(format!("{stop}. {lost} answers that came are not in the batch")));
                return false;
            }
        };
        for ((answered, lease), held) in answered.into_iter().zip(held) {
            self.claims.remove(&lease);
            match held {
                Ok(()) => done(&answered.outcome),
                // This process took the line again while the answer was on its way.
                Err(_) if self.claims.get(&answered.id).is_some() => pending.answered.push(answered),
                Err(_) => ended.late += 1,
            }
        }
        true
    }

    /// Lines that were taken and that the manager does not have.
    fn not_given(&self) -> Vec<Arc<str>> {
        let waiting = self.claims.all().into_iter().filter(|claim| !claim.given);
        waiting.map(|claim| claim.lease.id).collect()
    }
}

/// The end of what is being written; it never comes while nothing is.
async fn next(writing: &mut Option<Writing<'_>>) -> Written {
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
