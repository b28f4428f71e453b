//! The log of what is sent, written before it is sent.

use std::{error, fmt, pin::Pin};

/// A log of the requests that are sent, written before their first byte is sent. Given to
/// [`RequestManagerBuilder::send_log`](super::RequestManagerBuilder::send_log).
///
/// After a crash the log tells three sorts of requests apart. A request with an answer is done. A request in the log
/// without an answer may have been billed. Any other request was not sent. If a request of the second sort is sent
/// again, mark it with [`Request::maybe_sent_before`](super::Request::maybe_sent_before).
pub trait SendLog: Send + Sync + 'static {
    /// A request is about to be sent. The limits have let it through, and no byte of it was sent. It waits for the
    /// future, and holds its permits meanwhile. So it is best to write many requests with one sync. The future may be
    /// dropped.
    ///
    /// This is called before the first attempt. Before a later attempt it is called only after
    /// [`not_processed`](Self::not_processed). A request that [an earlier run may have
    /// sent](super::Request::maybe_sent_before) says [so](Sending::is_logged): the log has it already, and has to keep it
    /// until the answer is there. `not_processed` is not called for it.
    ///
    /// Where it takes longer than a second, the request asks the limits again before it is sent.
    ///
    /// # Errors
    ///
    /// Then the request is not sent. It ends as [`Stopped`](super::ErrorKind::Stopped), and its batch is
    /// [stopped](super::Batch::stopped). Requests in flight end normally.
    ///
    /// With [`Withdrawn`] as the error nothing is wrong with the log: this request alone ends, as
    /// [`Cancelled`](super::ErrorKind::Cancelled), and its batch goes on.
    fn sending<'a>(&'a self, request: Sending<'a>) -> Written<'a>;

    /// No attempt so far was processed: there was no connection, or a status refused it. The request may be sent again
    /// later. Default: nothing is done.
    fn not_processed(&self, request: Sending<'_>) {
        let _ = request;
    }
}

/// The future of [`SendLog::sending`].
pub type Written<'a> =
    Pin<Box<dyn Future<Output = Result<(), Box<dyn error::Error + Send + Sync>>> + Send + 'a>>;

/// A request that is about to be sent.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Sending<'a> {
    /// The id that the caller gave it.
    pub id: Option<&'a str>,
    /// The number of the request in the manager, as in [`Event::number`](super::Event::number).
    pub number: u64,
    /// [An earlier run may have sent it](super::Request::maybe_sent_before), and its log says so. Nothing has to be written. But a
    /// log that finds it [withdrawn](Withdrawn) says that.
    pub is_logged: bool,
}

/// The error of [`SendLog::sending`] for a request that is not this process's any more: its lease has ended, say, and
/// another process may have it. The request is not sent. It ends as [`Cancelled`](super::ErrorKind::Cancelled), and all
/// others go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withdrawn;

impl fmt::Display for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was withdrawn before it was sent: another process may have it")
    }
}

impl error::Error for Withdrawn {}
