//! What runs a request: a task of its own, on the runtime of the call that brought it.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use tokio::{sync::oneshot, time::Instant};

use super::{
    error::{Error, ErrorKind},
    inner::{Inner, Started},
    item::ItemSender,
    lifecycle::{Entry, Guest},
    outcome::Outcome,
    record::Record,
    reply::Reply,
    request::Request,
    shared::{Seat, Shared},
    telling::Telling,
};

/// A request to be run.
pub(crate) struct Job {
    pub(crate) request: Request,
    pub(crate) index: usize,
    /// When its deadline begins to run. `None`: with its first admission.
    pub(crate) since: Option<Instant>,
    /// Where its items go, if they are handed on as they come.
    pub(crate) items: Option<ItemSender>,
}

/// Where an outcome goes.
#[derive(Debug)]
pub(crate) enum To {
    /// To whoever awaits it.
    One(oneshot::Sender<Outcome>),
    /// To a ticket. What was not sent is the manager's to give back.
    Submitter(oneshot::Sender<Outcome>),
    /// To a batch, one of whose tasks it is.
    Batch(Arc<Shared>, Option<Guest>),
}

/// Tells the outcome, whatever ends the task: its own end, an abort, or the end of the runtime.
struct Teller {
    inner: Arc<Inner>,
    record: Option<Record>,
    request: Option<Request>,
    index: usize,
    to: Option<To>,
    seat: Seat,
    /// Where somebody looks on.
    telling: Option<Box<Telling>>,
    /// The last to go: a shutdown that finds nobody inside finds every outcome told.
    guest: Option<Guest>,
}

impl Teller {
    fn tell(&mut self, result: Result<Reply, Error>) {
        let (Some(record), Some(to)) = (self.record.take(), self.to.take()) else { return };
        if let Some(telling) = self.telling.take() {
            telling.ended(&record, result.as_ref().err().map(Error::kind));
        }
        let request = self.request.take();
        let id = request.as_ref().and_then(|request| request.id.clone());
        let kept_back = result.as_ref().is_err_and(|error| {
            matches!(error.kind(), ErrorKind::Stopped | ErrorKind::ShutDown | ErrorKind::Cancelled)
        });
        let unsent = request.filter(|_| kept_back && !record.was_tried());
        let mut outcome = record.into_outcome(result, id, self.index, unsent);
        match to {
            // Nobody may be waiting for it any more.
            To::One(to) => drop(to.send(outcome)),
            To::Submitter(to) => {
                let shut_down = outcome.error_kind() == Some(ErrorKind::ShutDown);
                if let Some(request) = outcome.unsent.take_if(|_| shut_down) {
                    self.inner.give_back(request);
                }
                drop(to.send(outcome));
            }
            To::Batch(batch, _guest) => {
                if batch.ended(self.seat.place(), outcome) {
                    self.inner.notify();
                }
            }
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        let error = match &self.guest {
            _ if self.record.is_none() => return,
            Some(guest) if guest.is_cancelled() => Error::new(ErrorKind::Cancelled, "it was called off"),
            _ => Error::new(ErrorKind::ShutDown, "cut off by a shutdown, or by the end of its runtime"),
        };
        self.tell(Err(error));
    }
}

/// What a panic says may hold a secret. It is on standard error already.
fn panicked() -> Error {
    Error::new(ErrorKind::Panicked, "the task of the request panicked: standard error says why")
}

/// The task of a request, and what a [`Lifecycle`](super::lifecycle::Lifecycle) knows it by. The outcome goes to `to`,
/// whatever ends the task.
pub(crate) fn task(
    inner: &Arc<Inner>,
    job: Job,
    to: To,
) -> (Option<Entry>, impl Future<Output = ()> + Send + use<>) {
    let guest = inner.lifecycle.enter(job.request.id.as_deref());
    let entry = guest.as_ref().map(Guest::entry);
    let batch = if let To::Batch(batch, _) = &to { Some(Arc::clone(batch)) } else { None };
    let number = guest.as_ref().map(|_| inner.next_number());
    let telling = number.and_then(|number| inner.telling(number, job.index, &job.request));
    let mut record = Record::new(job.since.unwrap_or_else(Instant::now));
    if job.request.options().maybe_sent_before {
        record.was_maybe_sent_before();
    }
    let mut teller = Teller {
        inner: Arc::clone(inner),
        record: Some(record),
        request: Some(job.request),
        index: job.index,
        to: Some(to),
        seat: Seat::ready(batch),
        telling,
        guest,
    };
    let (since, items) = (job.since, job.items);
    let task = async move {
        let Teller { inner, record: Some(record), request: Some(request), seat, telling, .. } = &mut teller
        else {
            return;
        };
        let result = match number {
            Some(number) => {
                let started = Started { request, number, since, items: items.as_ref() };
                let run = inner.run(started, record, seat, telling);
                AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|_| Err(panicked()))
            }
            None => Err(Error::new(ErrorKind::ShutDown, "the manager has been shut down")),
        };
        teller.tell(result);
    };
    // Large, and tokio moves the future of a task several times.
    (entry, Box::pin(task))
}
