//! The ticket of a submitted request.

use std::{
    error, fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{sync::oneshot, time::Instant};

use super::{
    error::{Error, ErrorKind},
    lifecycle::{ActiveKey, Lifecycle},
    outcome::Outcome,
    record::Record,
    request::Request,
};

/// The ticket of a submitted request: a future of its outcome.
///
/// Dropping it does not abort the request.
#[derive(Debug)]
#[must_use = "the outcome comes out of the ticket"]
pub struct Ticket {
    outcome: oneshot::Receiver<Outcome>,
    id: Option<String>,
    /// Identifies the request inside the manager.
    active_key: Option<(Arc<Lifecycle>, ActiveKey)>,
}

/// The manager was shut down. The request is returned in this error.
#[derive(Debug)]
pub struct SubmitError(pub Request);

impl Ticket {
    pub(crate) fn new(
        outcome: oneshot::Receiver<Outcome>,
        id: Option<String>,
        lifecycle: &Arc<Lifecycle>,
        active_key: Option<ActiveKey>,
    ) -> Self {
        Self { outcome, id, active_key: active_key.map(|active_key| (Arc::clone(lifecycle), active_key)) }
    }

    /// Cancels the request. Returns whether it was still active. Its outcome is
    /// [`ErrorKind::Cancelled`]. If it was not sent, it costs nothing. If it was, it may be
    /// billed.
    pub fn cancel(&self) -> bool {
        let Some((lifecycle, active_key)) = &self.active_key else { return false };
        lifecycle.cancel(|of, _| of == *active_key) > 0
    }
}

impl Future for Ticket {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        Poll::Ready(match ready!(Pin::new(&mut self.outcome).poll(cx)) {
            Ok(outcome) => outcome,
            // A task sends its outcome whatever ends it. So this happens only when the process ends.
            Err(_) => {
                let error =
                    Error::new(ErrorKind::ShutDown, "the task of the request has ended without an outcome");
                Record::new(Instant::now()).into_outcome(Err(error), self.id.take(), 0, None)
            }
        })
    }
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the manager has been shut down")
    }
}

impl error::Error for SubmitError {}
