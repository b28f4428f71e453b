//! Waiting for all to be done.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use outbound_waitlist::Waiter;
use pin_project_lite::pin_project;

use crate::{
    coop,
    queue::Queue,
    state::{JOINERS, Place, Spot, set_bounds},
};

pin_project! {
    /// The future of [`Queue::join`]. Dropping it has no effect on the queue.
    #[must_use = "nothing is waited for unless this is awaited"]
    pub struct Join<'a, T> {
        queue: &'a Queue<T>,
        // Taken out of its line at the moment when nothing is unfinished. It leaves by its own drop, since there is
        // nothing to hand on.
        #[pin]
        waiter: Spot<T>,
    }
}

impl<'a, T> Join<'a, T> {
    pub(crate) fn new(queue: &'a Queue<T>) -> Self {
        Self { queue, waiter: Waiter::new() }
    }
}

impl<T> Future for Join<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let coop = ready!(coop::poll_proceed(cx));
        let this = self.project();
        let mut list = this.queue.list.lock();
        if !this.waiter.is_idle() {
            ready!(list.poll_woken(this.waiter, cx));
        } else if list.unfinished() > 0 {
            list.line(JOINERS).enqueue(this.waiter, Place::of(0), cx);
            set_bounds(&mut list);
            return Poll::Pending;
        }
        drop(list);
        coop.made_progress();
        Poll::Ready(())
    }
}

impl<T> fmt::Debug for Join<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("waiting", &!self.waiter.is_idle()).finish_non_exhaustive()
    }
}
