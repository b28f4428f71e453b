//! The body of a request: empty, bytes in memory, or a stream.

mod expectation;
mod long;
mod upload;

use std::{
    collections::VecDeque,
    fmt, io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

pub(crate) use self::upload::{Stage, Upload};
use self::{expectation::Expectation, long::Long};
#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
use crate::coding::{Coding, Encoded, Encoder};
use crate::{
    error::BoxError,
    file::FileContent,
    progress::{OnProgress, Progress},
};

pub(crate) type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>;

/// The body of a request: nothing (the default), bytes, or a stream.
///
/// It is an [`http_body::Body`] of [`Bytes`]. Layers see it in an `http::Request`; the
/// [`RequestBuilder`](crate::RequestBuilder) has a method for each kind of body.
#[derive(Default)]
pub struct Body(
    // A body is moved with its request about a dozen times, so its content is in a box. `None`: there is no body, or
    // nothing is left of it.
    Option<Box<Content>>,
);

enum Content {
    /// One piece that is written in one or two calls. Never empty.
    Short(Bytes),
    /// A body that may take some time to send.
    Long(Box<Long>),
}

pub(crate) enum Segment {
    Bytes(Bytes),
    Stream(ByteStream),
}

impl Segment {
    pub(crate) fn stream<S, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self::Stream(Box::pin(Boxed { stream }))
    }
}

pin_project! {
    /// A stream whose errors are boxed.
    struct Boxed<S> {
        #[pin]
        stream: S,
    }
}

impl<S, E> Stream for Boxed<S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<BoxError>,
{
    type Item = Result<Bytes, BoxError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project().stream.poll_next(cx).map(|piece| piece.map(|piece| piece.map_err(Into::into)))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::bytes(bytes)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::bytes(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::bytes(text)
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::bytes(text)
    }
}

pin_project! {
    /// The data frames of a body, without its trailers.
    struct Pieces<B> {
        #[pin]
        body: B,
    }
}

impl<B: http_body::Body<Data = Bytes>> Stream for Pieces<B> {
    type Item = Result<Bytes, B::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.project().body;
        loop {
            match ready!(body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Body {
    // A longer body is sent in pieces of this size, so that its progress can be seen.
    const PIECE: usize = 64 << 10;

    /// No body.
    pub const fn empty() -> Self {
        Self(None)
    }

    /// A body of bytes.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Self::empty();
        }
        if bytes.len() <= Self::PIECE {
            return Self(Some(Box::new(Content::Short(bytes))));
        }
        let length = bytes.len() as u64;
        Self::segments(VecDeque::from([Segment::Bytes(bytes)]), Some(length))
    }

    /// A body that is read while it is sent. With a `length`, that length is announced, and a stream of another
    /// length is an error. Without one, the body is sent in chunks. A stream of length 0 is not read.
    pub fn stream<S, E>(stream: S, length: Option<u64>) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self::segments(VecDeque::from([Segment::stream(stream)]), length)
    }

    /// Another body as this type, for layers that wrap a body. It is read while it is sent. Its trailers are dropped.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let length = body.size_hint().exact();
        Self::stream(Pieces { body }, length)
    }

    /// A second body with the same bytes. `None` for a stream, which cannot be read twice. If a part of the bytes is
    /// already sent, the second body has only the rest.
    pub fn try_clone(&self) -> Option<Self> {
        self.as_shared().map(|bytes| Self::bytes(bytes.clone()))
    }

    pub(crate) fn segments(segments: VecDeque<Segment>, len: Option<u64>) -> Self {
        if len == Some(0) {
            // A connection asks an empty body for nothing.
            return Self::empty();
        }
        let (upload, report, expectation) = (Upload::new(), None, None);
        Self::long(Box::new(Long { segments, remaining: len, upload, report, expectation }))
    }

    fn long(long: Box<Long>) -> Self {
        Self(Some(Box::new(Content::Long(long))))
    }

    /// The content of a file. The file is opened here and read while it is sent. The announced length is the length
    /// at this moment: bytes appended later are not sent, and a file that became shorter is an error of
    /// [`Kind::RequestBody`](crate::Kind::RequestBody). A file without a length (a pipe) is sent in chunks.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened, or is a folder.
    pub async fn file(path: impl AsRef<Path>) -> io::Result<Self> {
        let content = FileContent::open(path.as_ref()).await?;
        let length = content.length();
        Ok(Self::stream(content, length))
    }

    /// Reports each piece that a connection takes. Such a body can be sent only once.
    pub(crate) fn report_to(self, report: OnProgress) -> Self {
        self.sent_once(|long| long.report = Some((report, Progress { bytes: 0, total: long.remaining })))
    }

    /// Waits until the server asks for the body. Such a body can be sent only once.
    pub(crate) fn expect_continue(self) -> Self {
        self.sent_once(|long| {
            long.upload.hold();
            long.expectation = Some(Expectation::default());
        })
    }

    /// The same bytes in a content coding: encoded now if they are in memory, else while they are sent.
    #[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
    pub(crate) fn coded(self, coding: Coding) -> io::Result<Self> {
        if let Some(bytes) = self.as_shared() {
            return if bytes.is_empty() {
                Ok(self)
            } else {
                Ok(Self::bytes(Encoder::new(coding).whole(bytes.clone())?))
            };
        }
        let Some(Content::Long(mut long)) = self.0.map(|content| *content) else { return Ok(Self::empty()) };
        // The expectation and the progress report concern the bytes as they are sent, so they stay outside the
        // encoder.
        let plain = Self::segments(std::mem::take(&mut long.segments), long.remaining.take());
        long.segments = VecDeque::from([Segment::stream(Encoded::new(plain, coding))]);
        if let Some((_, progress)) = &mut long.report {
            progress.total = None;
        }
        Ok(Self::long(long))
    }

    fn sent_once(mut self, change: impl FnOnce(&mut Long)) -> Self {
        if let Some(Content::Short(bytes)) = self.0.as_deref_mut() {
            let length = bytes.len() as u64;
            self = Self::segments(VecDeque::from([Segment::Bytes(std::mem::take(bytes))]), Some(length));
        }
        if let Some(Content::Long(long)) = self.0.as_deref_mut() {
            change(long);
        }
        self
    }

    /// The bytes of a body that is in memory, if none of them was taken yet.
    pub(crate) fn as_bytes(&self) -> Option<&[u8]> {
        self.as_shared().map(|bytes| &bytes[..])
    }

    pub(crate) fn upload(&self) -> Option<Arc<Upload>> {
        match self.0.as_deref()? {
            Content::Short(_) => None,
            Content::Long(long) => Some(long.upload.clone()),
        }
    }

    pub(crate) fn as_shared(&self) -> Option<&Bytes> {
        static NOTHING: Bytes = Bytes::new();
        match self.0.as_deref() {
            None => Some(&NOTHING),
            Some(Content::Short(bytes)) => Some(bytes),
            Some(Content::Long(long)) if long.report.is_some() || long.expectation.is_some() => None,
            Some(Content::Long(long)) => match (long.segments.front(), long.segments.len()) {
                (Some(Segment::Bytes(bytes)), 1) => Some(bytes),
                _ => None,
            },
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(Content::Long(long)) = self.0.as_deref_mut() {
            return long.poll_frame(cx);
        }
        Poll::Ready(match self.0.take().map(|content| *content) {
            Some(Content::Short(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Content::Long(_)) | None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        match self.0.as_deref() {
            None => true,
            Some(Content::Short(_)) => false,
            Some(Content::Long(long)) => long.segments.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.as_deref() {
            None => SizeHint::with_exact(0),
            Some(Content::Short(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Some(Content::Long(long)) => long.remaining.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match http_body::Body::size_hint(self).exact() {
            Some(bytes) => write!(f, "Body({bytes} bytes)"),
            None => f.write_str("Body(stream)"),
        }
    }
}
