//! Waiting for a commit without a thread.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{Error, writer::Shared};

/// Waits until all that was appended before it was made is durable; made by [`Journal::committed`].
///
/// It needs no runtime: the writer's thread wakes whoever polled it. It asks for the sync when it is polled first.
/// Dropping it takes its waker away; a sync that is under way goes on.
///
/// [`Journal::committed`]: crate::Journal::committed
#[must_use = "futures do nothing unless polled"]
pub struct Committed<'a> {
    shared: &'a Shared,
    /// So many records have to be durable.
    upto: u64,
    /// Under which number its waker is kept, once it has waited.
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
        // A waker is cloned and dropped without the lock: it is somebody else's code, which may come back here.
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
            // The lock is free again.
            drop(waker);
        }
    }
}

impl fmt::Debug for Committed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committed").finish_non_exhaustive()
    }
}
