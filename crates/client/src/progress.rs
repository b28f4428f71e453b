//! The progress of a body, as a callback and as a stream.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;
use tokio_util::sync::ReusableBoxFuture;

use crate::{error::Error, reply_body::ReplyBody};

/// How much of a body was sent or received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes so far: of a request, those that a connection has taken; of a reply, those that were read, after
    /// decoding.
    pub bytes: u64,
    /// All bytes, if the length is known before the end.
    pub total: Option<u64>,
}

/// The callback for each piece.
pub(crate) type OnProgress = Box<dyn FnMut(Progress) + Send>;

/// A callback for [`Reply::on_progress`](crate::Reply::on_progress) or
/// [`RequestBuilder::on_progress`](crate::RequestBuilder::on_progress), and a stream of the progress that it
/// receives.
///
/// The stream always gives the newest progress, not each piece, so a slow reader delays nothing. It ends with the
/// body, after the last progress.
///
/// ```no_run
/// # async fn run(client: outbound_client::Client) -> Result<(), outbound_client::Error> {
/// use futures::StreamExt;
///
/// let (report, mut progress) = outbound_client::progress();
/// let reply = client.get("https://example.com/large").send().await?.on_progress(report);
/// tokio::spawn(async move {
///     while let Some(now) = progress.next().await {
///         println!("{} of {:?}", now.bytes, now.total);
///     }
/// });
/// reply.save("large").await?;
/// # Ok(())
/// # }
/// ```
pub fn progress() -> (impl FnMut(Progress) + Send + 'static, ProgressStream) {
    let (sender, receiver) = watch::channel(Progress::default());
    let report = move |progress| {
        sender.send_replace(progress);
    };
    (report, ProgressStream { changed: ReusableBoxFuture::new(changed(receiver)) })
}

/// The newest progress that a callback received, from [`progress`].
#[must_use = "streams do nothing unless polled"]
pub struct ProgressStream {
    changed: ReusableBoxFuture<'static, (bool, watch::Receiver<Progress>)>,
}

async fn changed(mut receiver: watch::Receiver<Progress>) -> (bool, watch::Receiver<Progress>) {
    (receiver.changed().await.is_ok(), receiver)
}

impl Stream for ProgressStream {
    type Item = Progress;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let (has_changed, mut receiver) = ready!(self.changed.poll(cx));
        let newest = *receiver.borrow_and_update();
        self.changed.set(changed(receiver));
        Poll::Ready(has_changed.then_some(newest))
    }
}

impl std::fmt::Debug for ProgressStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProgressStream")
    }
}

/// The body of a reply, with a callback that learns how much of it was read.
pub(crate) struct Reported {
    body: ReplyBody,
    progress: Progress,
    report: OnProgress,
}

impl Reported {
    pub(crate) fn new(body: ReplyBody, report: OnProgress) -> Self {
        let progress = Progress { bytes: 0, total: body.length() };
        Self { body, progress, report }
    }
}

impl Body for Reported {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Self { body, progress, report } = &mut *self;
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(piece) = frame.data_ref()
        {
            progress.bytes += piece.len() as u64;
            report(*progress);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
