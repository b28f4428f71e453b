//! Many items at once, and items as a stream.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::{
    coop,
    error::PushError,
    pop::{Pop, PopRequest},
    push::{self, Outcome, PushRequest},
    queue::Queue,
    state::{TakeKind, finish, update_bounds},
};

pin_project! {
    /// The stream of [`Queue::items`]. Dropping it takes nothing: what it has not given out stays in the queue.
    #[must_use = "nothing is taken unless this is polled"]
    pub struct Items<'a, T, K = Infallible> where K: Ord {
        #[pin]
        pop: Pop<'a, T, K>,
    }
}

pin_project! {
    /// The future of [`Queue::pop_many`]. Dropping it takes nothing.
    #[must_use = "nothing is taken unless this is awaited"]
    pub struct PopMany<'a, 'b, T, K = Infallible> where K: Ord {
        items: &'b mut Vec<T>,
        limit: usize,
        #[pin]
        request: PopRequest<'a, T, K>,
    }
}

pin_project! {
    /// The future of [`Queue::push_many`]. After a drop, what is not in the queue is still in the caller's items.
    #[must_use = "nothing is pushed unless this is awaited"]
    pub struct PushMany<'a, 'b, T, K = Infallible> where K: Ord {
        items: &'b mut VecDeque<T>,
        #[pin]
        request: PushRequest<'a, T, K>,
    }
}

impl<'a, T, K: Ord> Items<'a, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>) -> Self {
        Self { pop: Pop::new(queue) }
    }
}

impl<'a, 'b, T, K: Ord> PopMany<'a, 'b, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>, items: &'b mut Vec<T>, limit: usize) -> Self {
        Self { items, limit, request: PopRequest::new(queue) }
    }
}

impl<'a, 'b, T, K: Ord> PushMany<'a, 'b, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>, items: &'b mut VecDeque<T>) -> Self {
        Self { items, request: PushRequest::new(queue) }
    }
}

impl<T, K: Ord> Stream for Items<'_, T, K> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.project().pop.poll(cx)
    }
}

impl<T, K: Ord> Future for PopMany<'_, '_, T, K> {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let this = self.project();
        let (items, limit) = (this.items, *this.limit);
        this.request
            .poll_take(cx, TakeKind::Pop, |state| Some(state.pop_many(items, limit)))
            .map(|taken| taken.unwrap_or(0))
    }
}

impl<T, K: Ord> Future for PushMany<'_, '_, T, K> {
    type Output = Result<(), PushError<()>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut request = this.request.project();
        while let Some(first) = this.items.front() {
            let coop = ready!(coop::poll_proceed(cx));
            let sort_key = request.queue.sort_key_of(first);
            let mut list = request.queue.list.lock();
            match push::try_push(&mut list, request.waiter.as_mut(), sort_key, true, cx) {
                // One by one, because sort keys are computed outside the lock.
                Outcome::Push(sort_key) if list.is_ranked() => {
                    if let Some(item) = this.items.pop_front() {
                        list.push(sort_key, item);
                    }
                }
                Outcome::Push(_) => list.push_many(this.items, &request.queue.order),
                Outcome::Closed => return Poll::Ready(Err(PushError(()))),
                Outcome::Wait => {
                    update_bounds(&mut list);
                    return Poll::Pending;
                }
            }
            finish(list);
            coop.made_progress();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T, K: Ord> fmt::Debug for Items<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("pop", &self.pop).finish()
    }
}

impl<T, K: Ord> fmt::Debug for PushMany<'_, '_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushMany")
            .field("left", &self.items.len())
            .field("waiting", &self.request.is_waiting())
            .finish_non_exhaustive()
    }
}

impl<T, K: Ord> fmt::Debug for PopMany<'_, '_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PopMany")
            .field("limit", &self.limit)
            .field("waiting", &self.request.is_waiting())
            .finish_non_exhaustive()
    }
}
