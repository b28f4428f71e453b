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
use outbound_waitlist::Waiter;
use pin_project_lite::pin_project;

use crate::{
    coop,
    error::PushError,
    pop::{Pop, give_up, poll_take},
    push::{self, Look},
    queue::Queue,
    state::{Spot, Taking, finish, set_bounds},
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
        queue: &'a Queue<T, K>,
        items: &'b mut Vec<T>,
        limit: usize,
        #[pin]
        waiter: Spot<T, K>,
    }

    impl<T, K: Ord> PinnedDrop for PopMany<'_, '_, T, K> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.waiter.is_idle() {
                give_up(this.queue, this.waiter, Taking::Pop);
            }
        }
    }
}

pin_project! {
    /// The future of [`Queue::push_many`]. Dropping it leaves what is not in the queue in the caller's items.
    #[must_use = "nothing is pushed unless this is awaited"]
    pub struct PushMany<'a, 'b, T, K = Infallible> where K: Ord {
        queue: &'a Queue<T, K>,
        items: &'b mut VecDeque<T>,
        #[pin]
        waiter: Spot<T, K>,
    }

    impl<T, K: Ord> PinnedDrop for PushMany<'_, '_, T, K> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.waiter.is_idle() {
                push::give_up(this.queue, this.waiter);
            }
        }
    }
}

impl<'a, T, K: Ord> Items<'a, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>) -> Self {
        Self { pop: Pop::new(queue) }
    }
}

impl<'a, 'b, T, K: Ord> PopMany<'a, 'b, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>, items: &'b mut Vec<T>, limit: usize) -> Self {
        Self { queue, items, limit, waiter: Waiter::new() }
    }
}

impl<'a, 'b, T, K: Ord> PushMany<'a, 'b, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>, items: &'b mut VecDeque<T>) -> Self {
        Self { queue, items, waiter: Waiter::new() }
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
        poll_take(this.queue, this.waiter, cx, Taking::Pop, |state| Some(state.pop_many(items, limit)))
            .map(|taken| taken.unwrap_or(0))
    }
}

impl<T, K: Ord> Future for PushMany<'_, '_, T, K> {
    type Output = Result<(), PushError<()>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        while let Some(first) = this.items.front() {
            let coop = ready!(coop::poll_proceed(cx));
            let place = this.queue.place_of(first);
            let mut list = this.queue.list.lock();
            match push::look(&mut list, this.waiter.as_mut(), place, true, cx) {
                // One by one, since places are worked out outside the lock.
                Look::Push(place) if list.is_ranked() => {
                    if let Some(item) = this.items.pop_front() {
                        list.push(place, item);
                    }
                }
                Look::Push(_) => list.push_many(this.items, &this.queue.order),
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
            .field("waiting", &!self.waiter.is_idle())
            .finish_non_exhaustive()
    }
}

impl<T, K: Ord> fmt::Debug for PopMany<'_, '_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PopMany")
            .field("limit", &self.limit)
            .field("waiting", &!self.waiter.is_idle())
            .finish_non_exhaustive()
    }
}
