//! The futures that wait for a rate.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{MustWait, policy::RatePolicy};
use crate::wait_queue::{Request, WaitQueue};

pin_project! {
    /// The future of [`RateLimiter::acquire`](super::RateLimiter::acquire).
    ///
    /// It needs a tokio runtime with time enabled if it has to wait.
    ///
    /// # Panics
    ///
    /// If it is polled after it was ready.
    #[must_use = "futures do nothing unless awaited"]
    #[derive(Debug)]
    pub struct AcquireRate<'a> {
        #[pin]
        acquire: AcquireBefore<'a>,
    }
}

pin_project! {
    /// The future of [`AcquireRate::before`], which waits until a deadline at most.
    ///
    /// Otherwise as [`AcquireRate`].
    #[must_use = "futures do nothing unless awaited"]
    #[derive(Debug)]
    pub struct AcquireBefore<'a> {
        queue: &'a Arc<WaitQueue<RatePolicy>>,
        #[pin]
        request: Request<RatePolicy>,
    }

    impl PinnedDrop for AcquireBefore<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.request.leave(this.queue);
        }
    }
}

impl<'a> AcquireRate<'a> {
    pub(super) fn new(queue: &'a Arc<WaitQueue<RatePolicy>>, units: u64) -> Self {
        Self { acquire: AcquireBefore { queue, request: Request::new(units) } }
    }

    /// Sets a deadline for the wait. The wait can then fail with [`MustWait`]: at once if it would be admitted after
    /// `deadline`, and at `deadline` if the estimate changes while it waits.
    pub fn before(self, deadline: Instant) -> AcquireBefore<'a> {
        let mut acquire = self.acquire;
        acquire.request.set_deadline(deadline);
        acquire
    }
}

impl Future for AcquireRate<'_> {
    type Output = ();

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let outcome = ready!(self.project().acquire.poll(cx));
        debug_assert!(outcome.is_ok(), "without a deadline no request is rejected");
        Poll::Ready(())
    }
}

impl Future for AcquireBefore<'_> {
    type Output = Result<(), MustWait>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.request.poll(this.queue, cx).map_err(MustWait::from_rejection)
    }
}
