//! Taking items one after the other, or many at once.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use outbound_waitlist::Waiter;
use pin_project_lite::pin_project;

use crate::{
    pop::{Pop, give_up, poll_take},
    queue::Queue,
    state::Spot,
};

pin_project! {
    /// The stream of [`Queue::items`]. Dropping it takes nothing; what it has not given out stays in the queue.
    #[must_use = "nothing is taken unless this is polled"]
    pub struct Items<'a, T> {
        #[pin]
        pop: Pop<'a, T>,
    }
}

pin_project! {
    /// The future of [`Queue::pop_many`]. Dropping it takes nothing.
    #[must_use = "nothing is taken unless this is awaited"]
    pub struct PopMany<'a, 'b, T> {
        queue: &'a Queue<T>,
        items: &'b mut Vec<T>,
        limit: usize,
        #[pin]
        waiter: Spot<T>,
    }

    impl<T> PinnedDrop for PopMany<'_, '_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.waiter.is_idle() {
                give_up(this.queue, this.waiter);
            }
        }
    }
}

impl<'a, T> Items<'a, T> {
    pub(crate) fn new(queue: &'a Queue<T>) -> Self {
        Self { pop: Pop::new(queue) }
    }
}

impl<'a, 'b, T> PopMany<'a, 'b, T> {
    pub(crate) fn new(queue: &'a Queue<T>, items: &'b mut Vec<T>, limit: usize) -> Self {
        Self { queue, items, limit, waiter: Waiter::new() }
    }
}

impl<T> Stream for Items<'_, T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.project().pop.poll(cx)
    }
}

impl<T> Future for PopMany<'_, '_, T> {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let this = self.project();
        let (items, limit) = (this.items, *this.limit);
        poll_take(this.queue, this.waiter, cx, |state| Some(state.pop_many(items, limit)))
            .map(|taken| taken.unwrap_or(0))
    }
}

impl<T> fmt::Debug for Items<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("pop", &self.pop).finish()
    }
}

impl<T> fmt::Debug for PopMany<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PopMany")
            .field("limit", &self.limit)
            .field("waiting", &!self.waiter.is_idle())
            .finish_non_exhaustive()
    }
}
