//! Writing down that a request is about to leave, before it does.

use std::{error, pin::Pin};

/// Writes down which requests are sent, before their bytes leave. Given to
/// [`RequestManagerBuilder::send_log`](super::RequestManagerBuilder::send_log).
///
/// After a crash it tells three kinds of requests apart: one with an answer is done, one that was written down here may
/// have been billed, any other was surely not sent. Whoever sends the second kind again says so with
/// [`Request::maybe_sent_before`](super::Request::maybe_sent_before).
pub trait SendLog: Send + Sync + 'static {
    /// A request is about to leave: all limits have let it through, and nothing of it is out. It waits for the future, and
    /// holds its turn meanwhile, so it is best to write many down with one sync. The future may be dropped.
    ///
    /// Called before the first attempt, and before a later one only after [`not_processed`](Self::not_processed). Not called
    /// for a request that [an earlier run may have sent](super::Request::maybe_sent_before): the log has that already, and it
    /// has to keep it until the answer is there.
    ///
    /// # Errors
    ///
    /// Then the request is not sent. It ends as [`Stopped`](super::ErrorKind::Stopped), its batch is
    /// [stopped](super::Batch::stopped), and what is under way ends normally.
    fn sending<'a>(&'a self, request: Sending<'a>) -> Written<'a>;

    /// Every attempt so far provably did nothing: there was no connection, or a status refused it. The request may be sent
    /// again later. Default: nothing is done.
    fn not_processed(&self, request: Sending<'_>) {
        let _ = request;
    }
}

/// What a [`SendLog`] does for one request.
pub type Written<'a> =
    Pin<Box<dyn Future<Output = Result<(), Box<dyn error::Error + Send + Sync>>> + Send + 'a>>;

/// A request that is about to leave.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Sending<'a> {
    /// The name that the caller gave it.
    pub id: Option<&'a str>,
    /// Which request of the manager it is, as [`Event::number`](super::Event::number).
    pub number: u64,
}
