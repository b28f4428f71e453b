//! Many requests, a window of them at a time.

use std::{
    collections::BTreeMap,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    future::BoxFuture,
    stream::{FuturesUnordered, Stream},
};
use pin_project_lite::pin_project;

use super::{manager::RequestManager, outcome::Outcome, request::Request};

pin_project! {
    /// The outcomes of a batch, as they complete. Made by [`RequestManager::batch`].
    ///
    /// Requests are taken from their source as there is room in the window, so neither memory nor anything else
    /// grows with their number. The window is one for all endpoints: while one of them keeps everyone waiting, its
    /// requests fill it.
    ///
    /// The batch runs in the task that polls it: a task that awaits a shutdown instead stands still for its grace. Dropping it cancels what is under way;
    /// outcomes that were given out are the caller's.
    #[must_use = "a batch does nothing unless polled"]
    pub struct Batch<S> {
        manager: RequestManager,
        // `None` once the source has ended.
        #[pin]
        requests: Option<S>,
        running: FuturesUnordered<BoxFuture<'static, Outcome>>,
        // Outcomes that came before their turn. Empty unless `in_order`.
        early: BTreeMap<usize, Outcome>,
        in_order: bool,
        window: usize,
        taken: usize,
        given: usize,
    }
}

impl<S: Stream<Item = Request>> Batch<S> {
    pub(crate) fn new(manager: RequestManager, requests: S) -> Self {
        let window = manager.window();
        Self {
            manager,
            requests: Some(requests),
            running: FuturesUnordered::new(),
            early: BTreeMap::new(),
            in_order: false,
            window,
            taken: 0,
            given: 0,
        }
    }

    /// Gives the outcomes in the order of the requests. An outcome that has to wait for its turn keeps its place in
    /// the window. Default: as they complete.
    pub fn in_order(mut self) -> Self {
        self.in_order = true;
        self
    }
}

impl<S: Stream<Item = Request>> Stream for Batch<S> {
    type Item = Outcome;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        let mut this = self.project();
        loop {
            while this.running.len() + this.early.len() < *this.window {
                let Some(requests) = this.requests.as_mut().as_pin_mut() else { break };
                match requests.poll_next(cx) {
                    Poll::Ready(Some(request)) => {
                        this.running.push(this.manager.boxed(request, *this.taken));
                        *this.taken += 1;
                    }
                    Poll::Ready(None) => this.requests.set(None),
                    Poll::Pending => break,
                }
            }
            if let Some(outcome) = this.early.remove(this.given) {
                *this.given += 1;
                return Poll::Ready(Some(outcome));
            }
            match Pin::new(&mut *this.running).poll_next(cx) {
                Poll::Ready(Some(outcome)) if *this.in_order => {
                    this.early.insert(outcome.index, outcome);
                }
                Poll::Ready(Some(outcome)) => return Poll::Ready(Some(outcome)),
                Poll::Ready(None) if this.requests.is_none() => return Poll::Ready(None),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<S> fmt::Debug for Batch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("taken", &self.taken)
            .field("running", &self.running.len())
            .field("in_order", &self.in_order)
            .finish_non_exhaustive()
    }
}
