//! Waiting for a rate.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{RateError, desk::RateDesk};
use crate::line::{Line, Turn};

pin_project! {
    /// Waits for units: what [`RateLimiter::acquire`](super::RateLimiter::acquire) returns.
    ///
    /// It needs a tokio runtime with time enabled if it has to wait.
    ///
    /// # Panics
    ///
    /// If it is polled after it was ready.
    #[must_use = "futures do nothing unless awaited"]
    #[derive(Debug)]
    pub struct AcquireRate<'a> {
        line: &'a Arc<Line<RateDesk>>,
        #[pin]
        turn: Turn<RateDesk>,
    }

    impl PinnedDrop for AcquireRate<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.turn.leave(this.line);
        }
    }
}

impl<'a> AcquireRate<'a> {
    pub(super) fn new(line: &'a Arc<Line<RateDesk>>, units: u64) -> Self {
        Self { line, turn: Turn::new(units) }
    }

    /// Sets a limit to the wait: it fails with [`RateError::MustWait`] at once if its turn would come after `deadline`,
    /// and at `deadline` if what was foreseen changes while it waits.
    pub fn before(mut self, deadline: Instant) -> Self {
        self.turn.set_deadline(deadline);
        self
    }
}

impl Future for AcquireRate<'_> {
    type Output = Result<(), RateError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.turn.poll(this.line, cx).map_err(RateError::from)
    }
}
