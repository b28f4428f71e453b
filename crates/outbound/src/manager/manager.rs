//! The manager itself.

use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::Arc,
    time::Duration,
};

use futures::{
    FutureExt,
    stream::{self, Iter, Stream},
};
use tokio::{sync::oneshot, time::Instant};

use super::{
    batch::Batch,
    builder::RequestManagerBuilder,
    driver::{self, Job, Recipient},
    error::BuildError,
    inner::{AbortOnDrop, Handle, Inner},
    item::ItemSender,
    money::Money,
    outcome::Outcome,
    reply_stream::ReplyStream,
    request::Request,
    scope::ModelLimits,
    snapshot::Snapshot,
    task::AbortOnDropHandle,
    ticket::{SubmitError, Ticket},
};

/// Sends requests under limits, retries what is worth it, and brings every answer back.
///
/// Cloning returns another handle to the same manager. The [crate's page](crate) says what it does by default.
///
/// Each request runs in a task of its own, on the tokio runtime of the call that brought it.
///
/// # Dropping
///
/// Dropping the future of [`send`](Self::send) or a [`Batch`] aborts its requests. Quota that was reserved and not used
/// is given back. Dropping a [`Ticket`] aborts nothing. When the last handle is dropped, submitted requests are
/// aborted, and their tickets resolve with an error. To let everything end properly, call [`shutdown`](Self::shutdown)
/// first, or use a [`scope`](Self::scope). Batches and streams are handles too.
#[derive(Clone)]
pub struct RequestManager(Handle);

/// What a shutdown left.
#[derive(Debug)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// How many requests were aborted.
    pub aborted: usize,
    /// Submitted requests that were never sent.
    pub returned: Vec<Request>,
}

impl RequestManager {
    /// Starts with the defaults listed at [`RequestManagerBuilder`].
    pub fn builder() -> RequestManagerBuilder {
        RequestManagerBuilder::new()
    }

    /// Sends one request and waits for its outcome, for as long as its deadline allows.
    ///
    /// Dropping the future aborts the request.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn send(&self, request: Request) -> Outcome {
        let (_task, outcome) = self.begin(request, None);
        outcome.await
    }

    /// Sends one request, and returns its reply item by item as it comes.
    ///
    /// The body has to ask for a stream in the provider's own way (`"stream": true`). If the answer comes in one piece
    /// all the same, it is one item.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn stream(&self, request: Request) -> ReplyStream {
        let (items, receiver) = ItemSender::new();
        let (task, outcome) = self.begin(request, Some(items));
        ReplyStream::new(receiver, outcome, task, self.0.clone())
    }

    /// Starts a request in a task. Dropping the handle aborts the task.
    fn begin(&self, request: Request, items: Option<ItemSender>) -> (AbortOnDropHandle, Ticket) {
        let (sender, outcome) = oneshot::channel();
        let id = request.id.clone();
        let job = Job { request, index: 0, since: Some(Instant::now()), items };
        let (active_key, task) = driver::task(&self.0, job, Recipient::Caller(sender));
        let task = AbortOnDropHandle::spawn(task);
        self.0.lifecycle.set_task(active_key, &task.abort_handle());
        (task, Ticket::new(outcome, id, &self.0.lifecycle, active_key))
    }

    /// Sends many requests, as many at a time as the limits can use, and returns their outcomes as they complete. A
    /// failure of one request does not end the others.
    ///
    /// The deadline of each request runs from its first admission on, so waiting for its turn does not count.
    pub fn batch<I>(&self, requests: I) -> Batch<Iter<I::IntoIter>>
    where
        I: IntoIterator<Item = Request>,
    {
        self.batch_stream(stream::iter(requests))
    }

    /// As [`batch`](Self::batch), with requests from a stream.
    pub fn batch_stream<S: Stream<Item = Request>>(&self, requests: S) -> Batch<S> {
        Batch::new(self.0.clone(), requests)
    }

    /// Accepts a request and returns a ticket for its outcome. The deadline runs from this call on. It waits while
    /// eight times `max_concurrent` submitted requests of the [tenant](Request::tenant) have no outcome yet.
    ///
    /// Dropping this future before it is done submits nothing. Dropping the ticket does not abort the request.
    ///
    /// # Errors
    ///
    /// Returns the request if the manager was shut down.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn submit(&self, request: Request) -> Result<Ticket, SubmitError> {
        let since = Some(Instant::now());
        let inner = &*self.0;
        let Some(permit) = inner.submit_permit(request.options().tenant.as_deref()).await else {
            return Err(SubmitError(request));
        };
        let (sender, outcome) = oneshot::channel();
        let id = request.id.clone();
        let job = Job { request, index: 0, since, items: None };
        let (active_key, task) = driver::task(inner, job, Recipient::Ticket(sender));
        let task = tokio::spawn(async move {
            let _permit = permit;
            task.await;
        });
        inner.lifecycle.set_task(active_key, &task.abort_handle());
        Ok(Ticket::new(outcome, id, &self.0.lifecycle, active_key))
    }

    /// Accepts no more requests, and sends no more. Requests that wait for admission or between two attempts end at
    /// once with [`ErrorKind::ShutDown`](super::ErrorKind::ShutDown). Attempts in flight may go on for `grace`, and are
    /// aborted then. Submitted requests that were never sent are returned, and their tickets resolve with the same
    /// error.
    ///
    /// Dropping the future keeps the manager closed, and lets attempts in flight go on. The next call returns the
    /// requests that this one would have returned.
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport {
        let inner = &*self.0;
        inner.close();
        let aborted = inner.lifecycle.wait_until_empty(grace).await;
        inner.lifecycle.abort();
        // Aborted tasks send their outcomes when they are dropped. The limit is for a runtime that does not run.
        inner.lifecycle.wait_until_empty(Duration::from_secs(1)).await;
        futures::future::join_all(inner.accounts().map(|account| account.sharing_ended())).await;
        ShutdownReport { aborted, returned: std::mem::take(&mut inner.returned.lock()) }
    }

    /// What was spent so far, by the [prices](RequestManagerBuilder::prices): the cost of all answers. A call whose end
    /// is not known counts with the most that it may have cost. Calls in flight are not included.
    pub fn spent(&self) -> Money {
        self.0.budget.spent()
    }

    /// Changes the [budget](RequestManagerBuilder::budget). What was spent before counts. `None`: no limit. With a
    /// budget every request needs a price. A batch that has stopped does not go on.
    pub fn set_budget(&self, most: impl Into<Option<Money>>) {
        self.0.budget.set_limit(most.into());
    }

    /// Sends no new attempts until [`resume`](Self::resume). Attempts in flight go on, and deadlines run.
    pub fn pause(&self) {
        self.0.lifecycle.set_paused(true);
        self.0.notify();
    }

    /// Changes the limits that `limits` names, for all keys of an endpoint. `None` is the manager's own endpoint. The
    /// limits replace those of the builder. Returns false if there is no such endpoint.
    ///
    /// ```
    /// # async fn example(manager: outbound::RequestManager) {
    /// use outbound::ModelLimits;
    ///
    /// manager.set_limits(None, &ModelLimits::new().max_concurrent(4).requests_per_minute(100));
    /// # }
    /// ```
    pub fn set_limits(&self, endpoint: Option<&str>, limits: &ModelLimits) -> bool {
        let accounts = self.0.accounts_of(endpoint);
        accounts.into_iter().flatten().for_each(|account| account.set_limits(limits));
        accounts.is_some()
    }

    /// Cancels all requests with this [id](Request::id), and returns how many. Their outcomes are
    /// [`ErrorKind::Cancelled`](super::ErrorKind::Cancelled). A request that was not sent costs nothing.
    pub fn cancel(&self, id: &str) -> usize {
        self.0.lifecycle.cancel(|_, of| of == id && !id.is_empty())
    }

    /// Cancels all requests, and returns how many. New requests are accepted afterwards.
    pub fn cancel_all(&self) -> usize {
        self.0.lifecycle.cancel(|_, _| true)
    }

    /// Accepts no more requests, and returns when all accepted ones have their outcomes, also those that still wait. A
    /// batch takes no further request from its source, and ends.
    ///
    /// Dropping the future keeps the manager closed to new requests.
    pub async fn drain(&self) {
        self.0.lifecycle.close_intake();
        self.0.notify();
        self.0.lifecycle.wait_until_empty(Duration::MAX).await;
    }

    /// The state of the manager: for each endpoint and model what is known of it, what requests wait for, and why.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.0, Instant::now())
    }

    /// Ends a [pause](Self::pause), and lifts every stop: keys, money and servers are tried again.
    pub fn resume(&self) {
        self.0.lifecycle.set_paused(false);
        let now = Instant::now();
        self.0.accounts().for_each(|account| account.resume(now));
        self.0.notify();
    }

    /// Builds a manager, passes it to a function, and shuts it down when the function returns, fails or panics.
    /// Attempts in flight are aborted then, and the shutdown is awaited. Dropping the future of the scope aborts
    /// everything too, without waiting.
    ///
    /// # Errors
    ///
    /// If the manager cannot be built.
    pub async fn scope<F, T>(
        builder: RequestManagerBuilder,
        body: impl FnOnce(Self) -> F,
    ) -> Result<T, BuildError>
    where
        F: Future<Output = T>,
    {
        let manager = builder.build()?;
        // The function may keep handles. The end of the scope aborts their requests all the same.
        let _abort = AbortOnDrop(Arc::clone(&manager.0));
        let ended = AssertUnwindSafe(async { body(manager.clone()).await }).catch_unwind().await;
        manager.shutdown(Duration::ZERO).await;
        match ended {
            Ok(value) => Ok(value),
            Err(panic) => resume_unwind(panic),
        }
    }

    fn of(inner: Inner) -> Self {
        Self(Handle::new(inner))
    }
}

impl RequestManagerBuilder {
    /// Builds the manager.
    ///
    /// # Errors
    ///
    /// If a limit is zero, an address is not valid, or an endpoint has no address.
    pub fn build(self) -> Result<RequestManager, BuildError> {
        self.into_inner().map(RequestManager::of)
    }
}

impl fmt::Debug for RequestManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestManager")
            .field("inner", &**self.0)
            .field("active", &self.0.lifecycle.active())
            .finish_non_exhaustive()
    }
}
