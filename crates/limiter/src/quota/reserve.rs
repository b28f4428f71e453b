//! The future that waits for a reservation.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{Cost, QuotaError, Reservation, policy::QuotaPolicy};
use crate::wait_queue::{Request, WaitQueue};

pin_project! {
    /// The future of [`QuotaLimiter::reserve`](super::QuotaLimiter::reserve).
    ///
    /// It needs a tokio runtime with time enabled if it has to wait.
    ///
    /// # Panics
    ///
    /// If it is polled after it was ready.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Reserve<'a> {
        queue: &'a Arc<WaitQueue<QuotaPolicy>>,
        #[pin]
        request: Request<QuotaPolicy>,
    }

    impl PinnedDrop for Reserve<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.request.leave(this.queue);
        }
    }
}

impl<'a> Reserve<'a> {
    pub(super) fn new(queue: &'a Arc<WaitQueue<QuotaPolicy>>, cost: Cost) -> Self {
        Self { queue, request: Request::new(cost) }
    }

    /// Sets a deadline for the wait. It fails with [`QuotaError::MustWait`]
    ///
    /// - at once if it would be admitted after `deadline`, as far as is known now,
    /// - while it waits, as soon as the gate is closed until after `deadline`,
    /// - at `deadline`.
    pub fn before(mut self, deadline: Instant) -> Self {
        self.request.set_deadline(deadline);
        self
    }
}

impl Future for Reserve<'_> {
    type Output = Result<Reservation, QuotaError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let cost = *this.request.cost();
        let answer = this.request.poll(this.queue, cx);
        answer.map_ok(|()| Reservation::new(Arc::clone(this.queue), cost)).map_err(QuotaError::from)
    }
}
