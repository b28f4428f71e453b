//! The composition.

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
/// Cloning gives another handle to the same manager. See the [crate's page](crate) for what it does by default.
///
/// Each request runs in a task of its own, on the tokio runtime of the call that brought it.
///
/// # Dropping
///
/// Dropping the future of [`send`](Self::send) or a [`Batch`] cuts off its requests: what they hold is given back as far
/// as it was not sent. Dropping a [`Ticket`] does not. When the last handle is dropped, submitted requests are cut off,
/// and their tickets say so; to bring everything to its end, [`shutdown`](Self::shutdown) first, or use a
/// [`scope`](Self::scope). Batches and streams are handles.
#[derive(Clone)]
pub struct RequestManager(Handle);

/// What a shutdown left.
#[derive(Debug)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// How many requests were cut off under way.
    pub aborted: usize,
    /// Submitted requests that had not been sent.
    pub returned: Vec<Request>,
}

impl RequestManager {
    /// Starts with the defaults listed at [`RequestManagerBuilder`].
    pub fn builder() -> RequestManagerBuilder {
        RequestManagerBuilder::new()
    }

    /// Sends one request and waits for its outcome, for as long as its deadline allows.
    ///
    /// Dropping the future cuts the request off.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn send(&self, request: Request) -> Outcome {
        let (_task, outcome) = self.begin(request, None);
        outcome.await
    }

    /// Sends one request and hands its reply on item by item, as it comes.
    ///
    /// The request's body has to ask for a stream in the provider's own way (`"stream": true`); where the answer comes
    /// in one piece all the same, it is one item.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn stream(&self, request: Request) -> ReplyStream {
        let (items, receiver) = ItemSender::new();
        let (task, outcome) = self.begin(request, Some(items));
        ReplyStream::new(receiver, outcome, task, self.0.clone())
    }

    /// Begins with a request, in a task that is cut off when it is dropped.
    fn begin(&self, request: Request, items: Option<ItemSender>) -> (AbortOnDropHandle, Ticket) {
        let (sender, outcome) = oneshot::channel();
        let id = request.id.clone();
        let job = Job { request, index: 0, since: Some(Instant::now()), items };
        let (active_key, task) = driver::task(&self.0, job, Recipient::Caller(sender));
        let task = AbortOnDropHandle::spawn(task);
        self.0.lifecycle.set_task(active_key, &task.abort_handle());
        (task, Ticket::new(outcome, id, &self.0.lifecycle, active_key))
    }

    /// Sends many requests, as many at a time as the limits can use, and yields their outcomes as they complete. One
    /// failure never hides the others.
    ///
    /// The deadline of each runs from its first admission on: waiting for its turn is no fault of its own.
    pub fn batch<I>(&self, requests: I) -> Batch<Iter<I::IntoIter>>
    where
        I: IntoIterator<Item = Request>,
    {
        self.batch_stream(stream::iter(requests))
    }

    /// As [`batch`](Self::batch), with requests that come in time.
    pub fn batch_stream<S: Stream<Item = Request>>(&self, requests: S) -> Batch<S> {
        Batch::new(self.0.clone(), requests)
    }

    /// Takes a request over and returns a ticket for its outcome; waits where eight times `max_concurrent` of its
    /// [tenant](Request::tenant) have been submitted and have no outcome. The deadline runs from here on.
    ///
    /// Dropping this future before it is done submits nothing. Dropping the ticket does not cut the request off.
    ///
    /// # Errors
    ///
    /// Gives the request back if the manager has been shut down.
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

    /// Lets nobody in any more and sends nothing more: what waits for its admission, or between two attempts, ends at
    /// once with [`ErrorKind::ShutDown`](super::ErrorKind::ShutDown). Attempts under way are waited for, and cut off after the time given.
    /// Submitted requests that have not been sent are given back, and their tickets resolve with the same error.
    ///
    /// Dropping the future leaves the doors closed, and lets what is under way run on. What there was to give back is
    /// given back by the next call.
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport {
        let inner = &*self.0;
        inner.close();
        let aborted = inner.lifecycle.wait_until_empty(grace).await;
        inner.lifecycle.abort();
        // Those cut off tell their outcomes as they are dropped; a runtime that stands still is not waited for.
        inner.lifecycle.wait_until_empty(Duration::from_secs(1)).await;
        ShutdownReport { aborted, returned: std::mem::take(&mut inner.returned.lock()) }
    }

    /// What was spent so far, by the [prices](RequestManagerBuilder::prices): what answers cost, and the most that calls may have
    /// cost of whose end nobody knows. Calls under way are not in it.
    pub fn spent(&self) -> Money {
        self.0.budget.spent()
    }

    /// Another [budget](RequestManagerBuilder::budget), from here on: what was spent counts. `None`: no limit. Requests need prices
    /// from then on. A batch that has stopped stays so.
    pub fn set_budget(&self, most: impl Into<Option<Money>>) {
        self.0.budget.set_limit(most.into());
    }

    /// Sends nothing new until [`resume`](Self::resume). What is under way goes on; deadlines run.
    pub fn pause(&self) {
        self.0.lifecycle.set_paused(true);
        self.0.notify();
    }

    /// Changes the limits that are named, of all keys of an endpoint; `None` is the manager's own. They hold from here on as
    /// if they had been told from the start. Says whether there is such an endpoint.
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

    /// Calls off all requests of this [id](Request::id), and says how many: their outcomes are
    /// [`ErrorKind::Cancelled`](super::ErrorKind::Cancelled). What was not sent costs nothing.
    pub fn cancel(&self, id: &str) -> usize {
        self.0.lifecycle.cancel(|_, of| of == id && !id.is_empty())
    }

    /// Calls off all requests, and says how many. Others may come in afterwards.
    pub fn cancel_all(&self) -> usize {
        self.0.lifecycle.cancel(|_, _| true)
    }

    /// Lets nobody in any more, and returns when all who are inside have their outcomes: also those that still wait. A batch
    /// takes no further request from its source, and ends.
    ///
    /// Dropping the future leaves the doors closed.
    pub async fn drain(&self) {
        self.0.lifecycle.close_intake();
        self.0.notify();
        self.0.lifecycle.wait_until_empty(Duration::MAX).await;
    }

    /// Where it stands: for each endpoint and model what it believes, what it waits for and why.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.0, Instant::now())
    }

    /// Ends a [pause](Self::pause), and lifts every stop: the keys, the money and the servers are tried again from here on.
    pub fn resume(&self) {
        self.0.lifecycle.set_paused(false);
        let now = Instant::now();
        self.0.accounts().for_each(|account| account.resume(now));
        self.0.notify();
    }

    /// Builds a manager, lends it to a function, and shuts it down when the function returns, fails or panics;
    /// what is under way then is cut off, and the shutdown is awaited. Dropping the future of the scope cuts
    /// everything off as well, without awaiting it.
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
        // The body may keep handles; the end of the scope is the end all the same.
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
    /// If a limit is zero, an address is none, or an endpoint has no address.
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
