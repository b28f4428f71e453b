//! Waiting for a reservation.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{Cost, QuotaError, Reservation, desk::QuotaDesk};
use crate::line::{Line, Turn};

pin_project! {
    /// Waits for a reservation: what [`QuotaLimiter::reserve`](super::QuotaLimiter::reserve) returns.
    ///
    /// It needs a tokio runtime with time enabled if it has to wait.
    ///
    /// # Panics
    ///
    /// If it is polled after it was ready.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Reserve<'a> {
        line: &'a Arc<Line<QuotaDesk>>,
        #[pin]
        turn: Turn<QuotaDesk>,
    }

    impl PinnedDrop for Reserve<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.turn.leave(this.line);
        }
    }
}

impl<'a> Reserve<'a> {
    pub(super) fn new(line: &'a Arc<Line<QuotaDesk>>, cost: Cost) -> Self {
        Self { line, turn: Turn::new(cost) }
    }

    /// Sets a limit to the wait: it fails with [`QuotaError::MustWait`]
    ///
    /// - at once if its turn would come after `deadline` by what is known now,
    /// - while it waits, as soon as the gate is closed until after `deadline`,
    /// - at `deadline`.
    pub fn before(mut self, deadline: Instant) -> Self {
        self.turn.set_deadline(deadline);
        self
    }
}

impl Future for Reserve<'_> {
    type Output = Result<Reservation, QuotaError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let cost = *this.turn.ask();
        let answer = this.turn.poll(this.line, cx);
        answer.map_ok(|()| Reservation::new(Arc::clone(this.line), cost)).map_err(QuotaError::from)
    }
}
