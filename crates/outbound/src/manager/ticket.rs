//! The claim to the outcome of a submitted request.

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

/// The claim to the outcome of a submitted request: a future of it.
///
/// Dropping it gives up the claim; the request takes its way all the same.
#[derive(Debug)]
#[must_use = "the outcome comes out of the ticket"]
pub struct Ticket {
    outcome: oneshot::Receiver<Outcome>,
    id: Option<String>,
    /// Where it is inside the manager.
    active_key: Option<(Arc<Lifecycle>, ActiveKey)>,
}

/// The manager has been shut down; here is the request back.
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

    /// Calls the request off; says whether that was in time. Its outcome is
    /// [`ErrorKind::Cancelled`](ErrorKind::Cancelled): what was not sent costs nothing, and what was may be billed.
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
            // A task tells its outcome whatever ends it, so this is a process that comes to its end.
            Err(_) => {
                let error = Error::new(ErrorKind::ShutDown, "its task is gone");
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
