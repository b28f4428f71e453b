//! Submitted requests: a queue, its workers, and the tickets for the outcomes.

use std::{
    error, fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use outbound_queue::{Lease, PushError, Queue, WorkerPool};
use tokio::{sync::oneshot, time::Instant};

use super::{
    error::{Error, ErrorKind},
    manager::Inner,
    outcome::Outcome,
    record::Record,
    request::Request,
};

/// The claim to the outcome of a submitted request: a future of it.
///
/// Dropping it gives up the claim; the request takes its way all the same.
#[derive(Debug)]
#[must_use = "the outcome comes out of the ticket"]
pub struct Ticket {
    outcome: oneshot::Receiver<Outcome>,
    id: Option<String>,
}

/// The manager has been shut down; here is the request back.
#[derive(Debug)]
pub struct SubmitError(pub Request);

/// Where requests are submitted: the queue and the workers that serve it.
#[derive(Debug)]
pub(crate) struct Desk {
    queue: Queue<Job>,
    /// Taken by the one who ends it.
    workers: Mutex<Option<WorkerPool<Job>>>,
    /// Requests that a shutdown kept from being sent, though a worker had them in hand.
    unsent: Arc<Mutex<Vec<Request>>>,
}

#[derive(Debug)]
pub(crate) struct Job {
    request: Request,
    started: Instant,
    /// Taken when the outcome is told.
    ticket: Option<oneshot::Sender<Outcome>>,
}

impl Desk {
    pub(crate) fn open(manager: Weak<Inner>, workers: usize) -> Self {
        // What is being worked on keeps its place: as many again may wait.
        let queue = Queue::bounded(workers.saturating_mul(2));
        let unsent = Arc::new(Mutex::new(Vec::new()));
        let turned_away = Arc::clone(&unsent);
        // A request is never delivered twice: whether to send again is for the retries to say.
        let pool = WorkerPool::builder().max_deliveries(1).spawn(
            queue.clone(),
            workers,
            move |lease: Lease<Job>| {
                let (manager, turned_away) = (manager.clone(), Arc::clone(&turned_away));
                async move { serve(&manager, lease, &turned_away).await }
            },
        );
        Self { queue, workers: Mutex::new(Some(pool)), unsent }
    }

    pub(crate) async fn submit(&self, request: Request, started: Instant) -> Result<Ticket, SubmitError> {
        let (sender, outcome) = oneshot::channel();
        let id = request.id.clone();
        let job = Job { request, started, ticket: Some(sender) };
        match self.queue.push(job).await {
            Ok(()) => Ok(Ticket { outcome, id }),
            Err(PushError(job)) => Err(SubmitError(job.request)),
        }
    }

    /// Lets nothing in any more, and gives back what nobody has begun.
    pub(crate) fn close(&self) -> Vec<Request> {
        let jobs = self.queue.close_now();
        jobs.into_iter().map(|job| job.request).collect()
    }

    /// Ends the workers, which have nothing left to do, and gives back what they had not sent.
    pub(crate) async fn ended(&self) -> Vec<Request> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(workers) = workers {
            workers.shutdown(Duration::from_secs(1)).await;
        }
        std::mem::take(&mut *self.unsent.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn serve(manager: &Weak<Inner>, mut lease: Lease<Job>, unsent: &Mutex<Vec<Request>>) {
    // Taken out of the job, so that a panic on the way drops it, and the ticket learns of it.
    let ticket = lease.ticket.take();
    if let (Some(manager), Some(ticket)) = (manager.upgrade(), ticket) {
        let outcome = manager.run(lease.request.clone(), 0, lease.started, Some(lease.started)).await;
        if outcome.sends == 0 && outcome.error_kind() == Some(ErrorKind::ShutDown) {
            unsent.lock().unwrap_or_else(PoisonError::into_inner).push(lease.request.clone());
        }
        // Nobody may be waiting for it any more.
        let _ = ticket.send(outcome);
    }
    lease.done();
}

impl Future for Ticket {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        Poll::Ready(match ready!(Pin::new(&mut self.outcome).poll(cx)) {
            Ok(outcome) => outcome,
            Err(_) => {
                let error = Error::new(ErrorKind::ShutDown, "the manager ended before it was begun");
                Record::default().into_outcome(Err(error), self.id.take(), 0, Duration::ZERO)
            }
        })
    }
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the manager has been shut down")
    }
}

impl error::Error for SubmitError {}
