use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::error::BoxError;

pub(crate) type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>;

/// The body of a request on its way to a connection.
pub(crate) struct Body {
    source: Source,
    // Bytes still to come; None while a stream did not say how long it is.
    remaining: Option<u64>,
    upload: Option<Arc<Upload>>,
}

enum Source {
    /// Nothing left.
    Empty,
    /// One piece, or what is left of it.
    Bytes(Bytes),
    /// Pieces and streams in order.
    Segments(VecDeque<Segment>),
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
    /// A stream with its errors in boxes.
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

/// How far a body has got, for the one who waits for the reply.
///
/// Only a body that may take a while has one: it is what keeps a long upload from counting as a slow server.
pub(crate) struct Upload(Mutex<Progress>);

#[derive(Clone, Copy)]
pub(crate) enum Stage {
    /// The connection last took a piece at this time, and there are more.
    Sending(Instant),
    /// The caller's stream has nothing yet; nobody else is to blame.
    Producing,
    /// Handed over whole at this time.
    Done(Instant),
}

struct Progress {
    stage: Stage,
    error: Option<BoxError>,
}

impl Body {
    // A body of this size is gone in a write or two; a longer one is handed over in pieces of this size, and watched.
    const PIECE: usize = 64 << 10;

    pub(crate) const EMPTY: Self = Self { source: Source::Empty, remaining: Some(0), upload: None };

    pub(crate) fn bytes(bytes: Bytes) -> Self {
        let remaining = Some(bytes.len() as u64);
        if bytes.is_empty() {
            return Self::EMPTY;
        }
        let upload = (bytes.len() > Self::PIECE).then(Upload::new);
        Self { source: Source::Bytes(bytes), remaining, upload }
    }

    pub(crate) fn segments(segments: VecDeque<Segment>, len: Option<u64>) -> Self {
        Self { source: Source::Segments(segments), remaining: len, upload: Some(Upload::new()) }
    }

    /// A second body with the same bytes, before anything was taken; None where a stream cannot be read twice.
    pub(crate) fn replica(&self) -> Option<Self> {
        match &self.source {
            Source::Empty => Some(Self::EMPTY),
            Source::Bytes(bytes) => Some(Self::bytes(bytes.clone())),
            Source::Segments(segments) => {
                let copy = |segment: &Segment| match segment {
                    Segment::Bytes(bytes) => Some(Segment::Bytes(bytes.clone())),
                    Segment::Stream(_) => None,
                };
                let segments = segments.iter().map(copy).collect::<Option<_>>()?;
                Some(Self::segments(segments, self.remaining))
            }
        }
    }

    pub(crate) fn upload(&self) -> Option<Arc<Upload>> {
        self.upload.clone()
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        match &mut self.source {
            Source::Empty => Poll::Ready(None),
            Source::Bytes(bytes) => {
                let piece = if self.upload.is_some() {
                    bytes.split_to(bytes.len().min(Self::PIECE))
                } else {
                    std::mem::take(bytes)
                };
                if bytes.is_empty() {
                    self.source = Source::Empty;
                }
                Poll::Ready(Some(Ok(piece)))
            }
            Source::Segments(segments) => loop {
                match segments.front_mut() {
                    None => return Poll::Ready(None),
                    Some(Segment::Bytes(bytes)) => {
                        let piece = bytes.split_to(bytes.len().min(Self::PIECE));
                        if bytes.is_empty() {
                            segments.pop_front();
                        }
                        return Poll::Ready(Some(Ok(piece)));
                    }
                    Some(Segment::Stream(stream)) => match ready!(stream.as_mut().poll_next(cx)) {
                        Some(piece) => return Poll::Ready(Some(piece)),
                        None => segments.pop_front(),
                    },
                };
            },
        }
    }

    /// Holds the source to the length it gave: neither a short nor a long body may pass for the announced one.
    fn count(
        &mut self,
        piece: Option<Result<Bytes, BoxError>>,
        cx: &mut Context<'_>,
    ) -> Option<Result<Bytes, BoxError>> {
        match (piece, self.remaining) {
            (Some(Ok(piece)), Some(remaining)) => {
                let left = remaining.checked_sub(piece.len() as u64);
                self.remaining = left;
                // A connection that has its bytes does not ask for more, so the look behind the last one is now.
                let more = left == Some(0)
                    && matches!(self.poll_piece(cx), Poll::Ready(Some(Ok(piece))) if !piece.is_empty());
                if left.is_none() || more {
                    return Some(Err("the body is longer than the length given for it".into()));
                }
                Some(Ok(piece))
            }
            (None, Some(left @ 1..)) => {
                Some(Err(format!("the body ended {left} bytes before the length given for it").into()))
            }
            (piece, _) => piece,
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
        let piece = match self.poll_piece(cx) {
            Poll::Ready(piece) => self.count(piece, cx),
            Poll::Pending => {
                if let Some(upload) = &self.upload {
                    upload.reach(Stage::Producing);
                }
                return Poll::Pending;
            }
        };
        let ended = match &piece {
            Some(Ok(_)) => self.remaining == Some(0) || self.is_end_stream(),
            None | Some(Err(_)) => true,
        };
        let piece = match (&self.upload, piece) {
            // The cause goes to the one who waits, the connection only has to know that there is no more.
            (Some(upload), Some(Err(error))) => {
                upload.fail(error);
                Some(Err("the request's body failed".into()))
            }
            (upload, piece) => {
                if let Some(upload) = upload {
                    let now = Instant::now();
                    upload.reach(if ended { Stage::Done(now) } else { Stage::Sending(now) });
                }
                piece
            }
        };
        if ended {
            self.source = Source::Empty;
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Bytes(_) => false,
            Source::Segments(segments) => segments.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.remaining {
            Some(bytes) => write!(f, "Body({bytes} bytes)"),
            None => f.write_str("Body(stream)"),
        }
    }
}

impl Upload {
    fn new() -> Arc<Self> {
        let progress = Progress { stage: Stage::Sending(Instant::now()), error: None };
        Arc::new(Self(Mutex::new(progress)))
    }

    /// The clock of a body starts when a connection takes the request, not when the request was made.
    pub(crate) fn start(&self, now: Instant) {
        self.reach(Stage::Sending(now));
    }

    pub(crate) fn stage(&self) -> Stage {
        self.lock().stage
    }

    /// What the caller's own stream failed with, if it did.
    pub(crate) fn take_error(&self) -> Option<BoxError> {
        self.lock().error.take()
    }

    fn reach(&self, stage: Stage) {
        self.lock().stage = stage;
    }

    fn fail(&self, error: BoxError) {
        self.lock().error = Some(error);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
