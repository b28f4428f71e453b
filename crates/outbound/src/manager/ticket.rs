//! The claim to the outcome of a submitted request.

use std::{
    error, fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{sync::oneshot, time::Instant};

use super::{
    error::{Error, ErrorKind},
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
}

/// The manager has been shut down; here is the request back.
#[derive(Debug)]
pub struct SubmitError(pub Request);

impl Ticket {
    pub(crate) fn new(outcome: oneshot::Receiver<Outcome>, id: Option<String>) -> Self {
        Self { outcome, id }
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
