//! A batch: many requests, of which as many run at a time as the limits can use.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::stream::Stream;
use pin_project_lite::pin_project;
use tokio::runtime;

use super::{
    batch_state::BatchState,
    driver::{self, Job, Recipient},
    inner::Handle,
    lifecycle::{ActiveRequest, Lifecycle},
    outcome::Outcome,
    request::Request,
    scope::Stopped,
};

pin_project! {
    /// The outcomes of a batch, as they complete. Made by [`RequestManager::batch`](super::RequestManager::batch).
    ///
    /// Each request runs in a task of its own, on the runtime of the first poll. So a batch goes on while it is polled
    /// slowly, or not at all: replies are read and settled, and their outcomes wait here.
    ///
    /// A batch takes requests from its source only while it is polled. It takes none while `max_concurrent` of them
    /// wait for their turn, four times as many are blocked (by a backoff, a refusal, an outage), or four times as many
    /// outcomes wait to be read. So memory does not grow with the number of requests. A slow reader slows down the
    /// intake and nothing else.
    ///
    /// # The end
    ///
    /// A batch ends when every request has its outcome, or when it was [stopped](Self::stopped). After a stop, requests
    /// in flight still get their outcomes, and [`into_rest`](Self::into_rest) returns the others. A stop of one model
    /// ends the batch only if no request has succeeded and the source has no further request ready.
    ///
    /// # Dropping
    ///
    /// Dropping a batch aborts its requests in flight. Outcomes that were returned stay with the caller.
    #[must_use = "a batch does nothing unless polled"]
    pub struct Batch<S> {
        manager: Handle,
        // `None` once the source has ended.
        #[pin]
        requests: Option<S>,
        state: Arc<BatchState>,
        tasks: Tasks,
        // The runtime of the first poll.
        runtime: Option<runtime::Handle>,
        in_order: bool,
        returned: Returned,
    }
}

/// The tasks of a batch. Dropping this aborts them.
#[derive(Debug, Default)]
struct Tasks(Arc<Lifecycle>);

/// Which outcomes were returned to the caller.
#[derive(Debug, Default)]
struct Returned {
    /// The index of the first request whose outcome was not returned.
    first: usize,
    /// For each request from `first` on, whether its outcome was returned.
    flags: VecDeque<bool>,
}

/// What a stopped batch did not send.
#[derive(Debug)]
#[non_exhaustive]
pub struct Rest<S> {
    /// Requests that were taken from the source and never sent, in their original order.
    pub requests: Vec<Request>,
    /// The source, with what was not taken from it. `None` if it had ended.
    pub source: Option<S>,
}

impl<S: Stream<Item = Request>> Batch<S> {
    pub(crate) fn new(manager: Handle, requests: S) -> Self {
        let inner = &manager;
        let state = BatchState::new(inner.max_concurrent(), inner.equal_refusals(), inner.has_one_endpoint());
        let state = Arc::new(state);
        Self {
            manager,
            requests: Some(requests),
            state,
            tasks: Tasks::default(),
            runtime: None,
            in_order: false,
            returned: Returned::default(),
        }
    }

    /// Returns the outcomes in the order of the requests. An outcome that comes before its turn counts as one that
    /// waits to be read. Default: as they complete.
    pub fn in_order(mut self) -> Self {
        self.in_order = true;
        self
    }

    /// The next outcome; `None` at the end. The source has to be `Unpin`, as that of
    /// [`RequestManager::batch`](super::RequestManager::batch) is.
    ///
    /// Cancel safe: dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Outcome>
    where
        S: Unpin,
    {
        futures::StreamExt::next(self).await
    }

    /// All outcomes, in a collection of the caller's choice. If the batch is [stopped](Self::stopped), these are the
    /// outcomes of the requests that were sent or have failed. To get the other requests too, read with
    /// [`next`](Self::next) and then call [`into_rest`](Self::into_rest).
    ///
    /// Dropping the future aborts the requests in flight, and drops the outcomes that came.
    ///
    /// ```no_run
    /// use outbound::{Outcome, Request, RequestManager};
    ///
    /// # async fn example(manager: RequestManager, requests: Vec<Request>) {
    /// let outcomes: Vec<Outcome> = manager.batch(requests).in_order().collect().await;
    /// # }
    /// ```
    pub async fn collect<C: Default + Extend<Outcome>>(self) -> C {
        futures::StreamExt::collect(self).await
    }
}

impl<S> Batch<S> {
    /// Why the batch takes and sends no more requests, if it is stopped: the key or the money was refused, the server
    /// asked for a pause longer than `max_pause`, the server was never reached, or the first outcomes were equal
    /// refusals.
    pub fn stopped(&self) -> Option<Stopped> {
        self.state.stopped()
    }

    /// What was not sent: the requests that a stop kept from being sent, in their order, and the source.
    ///
    /// Read the batch to its end first. This call aborts requests in flight, and does not return them.
    pub fn into_rest(self) -> Rest<S> {
        Rest { requests: self.state.take_rest(), source: self.requests }
    }
}

impl<S: Stream<Item = Request>> Stream for Batch<S> {
    type Item = Outcome;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        let mut this = self.project();
        while let Some(requests) = this.requests.as_mut().as_pin_mut()
            && !this.manager.lifecycle.is_intake_closed()
            && this.state.takes(cx.waker())
        {
            match requests.poll_next(cx) {
                Poll::Ready(Some(request)) => {
                    let runtime = this.runtime.get_or_insert_with(runtime::Handle::current);
                    let index = this.returned.take();
                    let job = Job { request, index, since: None, items: None };
                    this.state.taken();
                    let active_request = this.tasks.0.register(None);
                    let batch_key = active_request.as_ref().map(ActiveRequest::key);
                    let to = Recipient::Batch(Arc::clone(this.state), active_request);
                    let inner = &**this.manager;
                    let (active_key, task) = driver::task(inner, job, to);
                    let task = runtime.spawn(task).abort_handle();
                    inner.lifecycle.set_task(active_key, &task);
                    this.tasks.0.set_task(batch_key, &task);
                }
                Poll::Ready(None) => this.requests.set(None),
                Poll::Pending => break,
            }
        }
        let first = this.in_order.then(|| this.returned.first(this.state));
        let ended = this.requests.is_none() || this.manager.lifecycle.is_intake_closed();
        match this.state.poll_outcome(first, ended, cx.waker()) {
            Poll::Ready(Some(outcome)) => {
                this.returned.mark_returned(outcome.index);
                Poll::Ready(Some(outcome))
            }
            other => other,
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Returned {
    /// The index of the next request that is taken.
    fn take(&mut self) -> usize {
        self.flags.push_back(false);
        self.first + self.flags.len() - 1
    }

    fn mark_returned(&mut self, index: usize) {
        if let Some(flag) = index.checked_sub(self.first).and_then(|index| self.flags.get_mut(index)) {
            *flag = true;
        }
        self.skip_returned();
    }

    /// The index of the next outcome to return. Skips requests that a stop kept from being sent.
    fn first(&mut self, state: &BatchState) -> usize {
        while !self.flags.is_empty() && state.is_held_back(self.first) {
            self.flags[0] = true;
            self.skip_returned();
        }
        self.first
    }

    fn skip_returned(&mut self) {
        while self.flags.front() == Some(&true) {
            self.flags.pop_front();
            self.first += 1;
        }
    }
}

impl<S> fmt::Debug for Batch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("state", &self.state)
            .field("in_order", &self.in_order)
            .finish_non_exhaustive()
    }
}
