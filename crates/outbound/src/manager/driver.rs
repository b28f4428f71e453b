//! The task of a request. It runs on the runtime of the call that brought the request.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use tokio::{sync::oneshot, time::Instant};

use super::{
    batch_state::{BatchMember, BatchState},
    emitter::EventEmitter,
    error::{Error, ErrorKind},
    inner::{Inner, StartedRequest},
    item::ItemSender,
    lifecycle::{ActiveKey, ActiveRequest},
    outcome::Outcome,
    record::Record,
    reply::Reply,
    request::Request,
};

/// A request to run.
pub(crate) struct Job {
    pub(crate) request: Request,
    pub(crate) index: usize,
    /// When the deadline begins to run. `None`: with the first admission.
    pub(crate) since: Option<Instant>,
    /// Where the items of a stream are sent, for [`RequestManager::stream`](super::RequestManager::stream).
    pub(crate) items: Option<ItemSender>,
}

/// Where an outcome is sent.
#[derive(Debug)]
pub(crate) enum Recipient {
    /// To the caller that waits for it.
    Caller(oneshot::Sender<Outcome>),
    /// To a ticket. After a shutdown the manager gives back a request that was not sent.
    Ticket(oneshot::Sender<Outcome>),
    /// To the batch of the request.
    Batch(Arc<BatchState>, Option<ActiveRequest>),
}

/// Sends the outcome, whatever ends the task: its own end, an abort, or the end of the runtime.
struct OutcomeGuard {
    inner: Arc<Inner>,
    record: Option<Record>,
    request: Option<Request>,
    index: usize,
    recipient: Option<Recipient>,
    member: BatchMember,
    /// `None`: nobody listens to events.
    emitter: Option<Box<EventEmitter>>,
    /// Dropped after the outcome was sent: a shutdown that finds no active request finds every outcome sent.
    active_request: Option<ActiveRequest>,
}

impl OutcomeGuard {
    fn deliver(&mut self, result: Result<Reply, Error>) {
        let (Some(record), Some(recipient)) = (self.record.take(), self.recipient.take()) else { return };
        if let Some(emitter) = self.emitter.take() {
            emitter.ended(&record, result.as_ref().err().map(Error::kind));
        }
        let request = self.request.take();
        let id = request.as_ref().and_then(|request| request.id.clone());
        let held_back = result.as_ref().is_err_and(|error| {
            matches!(error.kind(), ErrorKind::Stopped | ErrorKind::ShutDown | ErrorKind::Cancelled)
        });
        let unsent = request.filter(|_| held_back && !record.was_tried());
        let mut outcome = record.into_outcome(result, id, self.index, unsent);
        match recipient {
            // The receiver may be gone.
            Recipient::Caller(to) => drop(to.send(outcome)),
            Recipient::Ticket(to) => {
                let shut_down = outcome.error_kind() == Some(ErrorKind::ShutDown);
                if let Some(request) = outcome.unsent.take_if(|_| shut_down) {
                    self.inner.give_back(request);
                }
                drop(to.send(outcome));
            }
            Recipient::Batch(batch, _active) => {
                if batch.ended(self.member.stage(), outcome) {
                    self.inner.notify();
                }
            }
        }
    }
}

impl Drop for OutcomeGuard {
    fn drop(&mut self) {
        let error = match &self.active_request {
            _ if self.record.is_none() => return,
            Some(active_request) if active_request.is_cancelled() => {
                Error::new(ErrorKind::Cancelled, "the request was cancelled")
            }
            _ => Error::new(ErrorKind::ShutDown, "aborted by a shutdown, or by the end of its runtime"),
        };
        self.deliver(Err(error));
    }
}

/// The message of a panic may hold a secret, so it is not repeated. It is on standard error already.
fn panicked() -> Error {
    Error::new(ErrorKind::Panicked, "the task of the request panicked: standard error says why")
}

/// The task of a request, and its key in the [`Lifecycle`](super::lifecycle::Lifecycle). The outcome is sent to
/// `recipient`, whatever ends the task.
pub(crate) fn task(
    inner: &Arc<Inner>,
    job: Job,
    recipient: Recipient,
) -> (Option<ActiveKey>, impl Future<Output = ()> + Send + use<>) {
    let active_request = inner.lifecycle.register(job.request.id.as_deref());
    let active_key = active_request.as_ref().map(ActiveRequest::key);
    let batch = if let Recipient::Batch(batch, _) = &recipient { Some(Arc::clone(batch)) } else { None };
    let number = active_request.as_ref().map(|_| inner.next_number());
    let emitter = number.and_then(|number| inner.emitter(number, job.index, &job.request));
    let mut record = Record::new(job.since.unwrap_or_else(Instant::now));
    if job.request.options().maybe_sent_before {
        record.was_maybe_sent_before();
    }
    let mut guard = OutcomeGuard {
        inner: Arc::clone(inner),
        record: Some(record),
        request: Some(job.request),
        index: job.index,
        recipient: Some(recipient),
        member: BatchMember::ready(batch),
        emitter,
        active_request,
    };
    let (since, items) = (job.since, job.items);
    let task = async move {
        let OutcomeGuard { inner, record: Some(record), request: Some(request), member, emitter, .. } =
            &mut guard
        else {
            return;
        };
        let result = match number {
            Some(number) => {
                let started = StartedRequest { request, number, since, items: items.as_ref() };
                let run = inner.run(started, record, member, emitter);
                AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|_| Err(panicked()))
            }
            None => Err(Error::new(ErrorKind::ShutDown, "the manager has been shut down")),
        };
        guard.deliver(result);
    };
    // Boxed because it is large: tokio moves the future of a task several times.
    (active_key, Box::pin(task))
}
