//! Many requests, as many of them at a time as the limits can use.

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
    /// Each request runs in a task of its own, on the runtime of the first poll. So a batch that is polled slowly, or not
    /// at all for a while, goes on: what was sent is read and settled, and its outcome waits here.
    ///
    /// Requests are taken from their source while the batch is polled, and only while fewer than `max_concurrent` of them
    /// wait for their turn, fewer than four times as many back off, and fewer than four times as many outcomes wait to be
    /// read. So memory does not grow with their number, and a slow reader slows the intake and nothing else.
    ///
    /// # The end
    ///
    /// It ends when every request has its outcome, or when it was [stopped](Self::stopped): then what was in flight has
    /// its outcome, and [`into_rest`](Self::into_rest) gives the others back. A stop of one model ends it only where none of
    /// its requests has succeeded and the source has no further one ready.
    ///
    /// # Dropping
    ///
    /// Dropping it cuts off what is under way. Outcomes that were given out are the caller's.
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
        delivered: Delivered,
    }
}

/// The tasks of a batch. Dropping it cuts them off.
#[derive(Debug, Default)]
struct Tasks(Arc<Lifecycle>);

/// Which outcomes have been given out.
#[derive(Debug, Default)]
struct Delivered {
    /// The first that has not.
    first: usize,
    /// From `first` on, whether each that was taken has.
    given: VecDeque<bool>,
}

/// What a stopped batch did not send.
#[derive(Debug)]
#[non_exhaustive]
pub struct Rest<S> {
    /// Requests that were taken from the source and never sent, in their order.
    pub requests: Vec<Request>,
    /// The source, from where it was read to. `None` if it had ended.
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
            delivered: Delivered::default(),
        }
    }

    /// From now on gives the outcomes in the order of the requests. One that came before its turn counts as an outcome
    /// that waits to be read. Default: as they complete.
    pub fn in_order(mut self) -> Self {
        self.in_order = true;
        self
    }

    /// The next outcome; `None` at the end. For an `Unpin` source, as [`RequestManager::batch`](super::RequestManager::batch) makes one.
    ///
    /// Cancel safe: dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Outcome>
    where
        S: Unpin,
    {
        futures::StreamExt::next(self).await
    }

    /// All outcomes, in a collection of the caller's choice. Of a batch that was [stopped](Self::stopped), those of the
    /// requests that were sent or failed; to have the rest, read on with [`next`](Self::next) and see
    /// [`into_rest`](Self::into_rest).
    ///
    /// Dropping the future cuts off what is under way, and drops the outcomes that came.
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
    /// Why the batch takes and sends nothing more, if so: the key or the money is refused, the server wants a longer pause
    /// than `max_pause`, nobody was ever reached, or the first outcomes were equal refusals.
    pub fn stopped(&self) -> Option<Stopped> {
        self.state.stopped()
    }

    /// What was not sent: the requests that a stop kept back, in their order, and the source.
    ///
    /// Read to the end first: what is still under way is cut off by this, and what was not sent of it is not in here.
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
                    let index = this.delivered.take();
                    let job = Job { request, index, since: None, items: None };
                    this.state.taken();
                    let active_request = this.tasks.0.register(None);
                    let place = active_request.as_ref().map(ActiveRequest::key);
                    let to = Recipient::Batch(Arc::clone(this.state), active_request);
                    let inner = &**this.manager;
                    let (active_key, task) = driver::task(inner, job, to);
                    let task = runtime.spawn(task).abort_handle();
                    inner.lifecycle.set_task(active_key, &task);
                    this.tasks.0.set_task(place, &task);
                }
                Poll::Ready(None) => this.requests.set(None),
                Poll::Pending => break,
            }
        }
        let first = this.in_order.then(|| this.delivered.first(this.state));
        let ended = this.requests.is_none() || this.manager.lifecycle.is_intake_closed();
        match this.state.poll_outcome(first, ended, cx.waker()) {
            Poll::Ready(Some(outcome)) => {
                this.delivered.give(outcome.index);
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

impl Delivered {
    /// The index of the next that is taken.
    fn take(&mut self) -> usize {
        self.given.push_back(false);
        self.first + self.given.len() - 1
    }

    fn give(&mut self, index: usize) {
        if let Some(given) = index.checked_sub(self.first).and_then(|place| self.given.get_mut(place)) {
            *given = true;
        }
        self.skip_given();
    }

    /// The first that is to be given out and not kept back.
    fn first(&mut self, state: &BatchState) -> usize {
        while !self.given.is_empty() && state.is_kept_back(self.first) {
            self.given[0] = true;
            self.skip_given();
        }
        self.first
    }

    fn skip_given(&mut self) {
        while self.given.front() == Some(&true) {
            self.given.pop_front();
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
