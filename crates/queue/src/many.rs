//! Many items at once, or one after the other.

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
    pop::{Pop, PopTurn},
    push::{self, Look, PushTurn},
    queue::Queue,
    state::{Taking, finish, set_bounds},
};

pin_project! {
    /// The stream of [`Queue::items`]. Dropping it takes nothing; what it has not given out stays in the queue.
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
        turn: PopTurn<'a, T, K>,
    }
}

pin_project! {
    /// The future of [`Queue::push_many`]. Dropping it leaves what is not in the queue in the caller's items.
    #[must_use = "nothing is pushed unless this is awaited"]
    pub struct PushMany<'a, 'b, T, K = Infallible> where K: Ord {
        items: &'b mut VecDeque<T>,
        #[pin]
        turn: PushTurn<'a, T, K>,
    }
}

impl<'a, T, K: Ord> Items<'a, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>) -> Self {
        Self { pop: Pop::new(queue) }
    }
}

impl<'a, 'b, T, K: Ord> PopMany<'a, 'b, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>, items: &'b mut Vec<T>, limit: usize) -> Self {
        Self { items, limit, turn: PopTurn::new(queue) }
    }
}

impl<'a, 'b, T, K: Ord> PushMany<'a, 'b, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>, items: &'b mut VecDeque<T>) -> Self {
        Self { items, turn: PushTurn::new(queue) }
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
        this.turn
            .poll_take(cx, Taking::Pop, |state| Some(state.pop_many(items, limit)))
            .map(|taken| taken.unwrap_or(0))
    }
}

impl<T, K: Ord> Future for PushMany<'_, '_, T, K> {
    type Output = Result<(), PushError<()>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut turn = this.turn.project();
        while let Some(first) = this.items.front() {
            let coop = ready!(coop::poll_proceed(cx));
            let place = turn.queue.place_of(first);
            let mut list = turn.queue.list.lock();
            match push::look(&mut list, turn.waiter.as_mut(), place, true, cx) {
                // One by one, since places are worked out outside the lock.
                Look::Push(place) if list.is_ranked() => {
                    if let Some(item) = this.items.pop_front() {
                        list.push(place, item);
                    }
                }
                Look::Push(_) => list.push_many(this.items, &turn.queue.order),
                Look::Closed => return Poll::Ready(Err(PushError(()))),
                Look::Wait => {
                    set_bounds(&mut list);
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
            .field("waiting", &self.turn.is_waiting())
            .finish_non_exhaustive()
    }
}

impl<T, K: Ord> fmt::Debug for PopMany<'_, '_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PopMany")
            .field("limit", &self.limit)
            .field("waiting", &self.turn.is_waiting())
            .finish_non_exhaustive()
    }
}
