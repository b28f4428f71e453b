//! The future that waits for a commit without blocking a thread.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{Error, writer::Shared};

/// Waits until all records that were appended before it was made are durable. Made by [`Journal::committed`].
///
/// It needs no runtime: the writer's thread wakes the task that polled it. It asks for the sync at its first poll.
/// Dropping it removes its waker; a sync that is under way continues.
///
/// [`Journal::committed`]: crate::Journal::committed
#[must_use = "futures do nothing unless polled"]
pub struct Committed<'a> {
    shared: &'a Shared,
    /// How many records must be durable.
    upto: u64,
    /// The number under which its waker is stored, once it has waited.
    waiter: Option<u64>,
}

impl<'a> Committed<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self { shared, upto: shared.state().appended, waiter: None }
    }
}

impl Future for Committed<'_> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // A waker is cloned and dropped without the lock, because it is foreign code that may call this journal.
        let waker = context.waker().clone();
        let mut state = self.shared.state();
        if let Some(result) = state.committed(self.upto) {
            return Poll::Ready(result);
        }
        let waiter = *self.waiter.get_or_insert_with(|| {
            state.last_waiter += 1;
            state.last_waiter
        });
        let before = state.wakers.insert((self.upto, waiter), waker);
        state.wanted = state.wanted.max(self.upto);
        self.shared.wake_writer(state);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Committed<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            let waker = self.shared.state().wakers.remove(&(self.upto, waiter));
            // The lock is released here.
            drop(waker);
        }
    }
}

impl fmt::Debug for Committed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committed").finish_non_exhaustive()
    }
}
