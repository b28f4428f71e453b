//! Waiting until all items are done.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use outbound_waitlist::Waiter;
use pin_project_lite::pin_project;

use crate::{
    coop,
    queue::Queue,
    rank::SortKey,
    state::{JOINERS, QueueWaiter, update_bounds},
};

pin_project! {
    /// The future of [`Queue::join`]. Dropping it has no effect on the queue.
    #[must_use = "nothing is waited for unless this is awaited"]
    pub struct Join<'a, T, K = Infallible> where K: Ord {
        queue: &'a Queue<T, K>,
        // It is taken out of its line when no item is unfinished. Its own drop is enough to leave the line, because it
        // has nothing to hand on.
        #[pin]
        waiter: QueueWaiter<T, K>,
    }
}

impl<'a, T, K: Ord> Join<'a, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>) -> Self {
        Self { queue, waiter: Waiter::new() }
    }
}

impl<T, K: Ord> Future for Join<'_, T, K> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let coop = ready!(coop::poll_proceed(cx));
        let this = self.project();
        let mut list = this.queue.list.lock();
        if !this.waiter.is_idle() {
            ready!(list.poll_woken(this.waiter, cx));
        } else if list.unfinished() > 0 {
            list.line(JOINERS).enqueue(this.waiter, SortKey::ranked(0), cx);
            update_bounds(&mut list);
            return Poll::Pending;
        }
        drop(list);
        coop.made_progress();
        Poll::Ready(())
    }
}

impl<T, K: Ord> fmt::Debug for Join<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("waiting", &!self.waiter.is_idle()).finish_non_exhaustive()
    }
}
