//! The futures that read a reply's body: a piece, a prefix, or the whole body as bytes, text or JSON.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::{
    charset::Charset,
    error::{Error, ErrorReply},
    reply::Reply,
    reply_body::ReplyBody,
};

/// The next piece of a body, from [`Reply::chunk`]. Dropping it loses nothing.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct NextChunk<'a>(pub(crate) &'a mut ReplyBody);

impl Future for NextChunk<'_> {
    type Output = Option<Result<Bytes, Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_chunk(cx)
    }
}

/// A whole body, from [`Reply::bytes`]. Dropping it drops the reply, and what was read of it.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ReadBytes {
    body: ReplyBody,
    read: Read,
}

/// The bytes so far. A body that comes in one piece is not copied.
enum Read {
    One(Bytes),
    Many(BytesMut),
}

impl ReadBytes {
    // The most memory that is reserved because of an announced length, before the bytes have come.
    const MAX_RESERVE: usize = 1 << 20;

    pub(crate) fn new(body: ReplyBody) -> Self {
        Self { body, read: Read::One(Bytes::new()) }
    }

    fn fail(&mut self, error: Error) -> Error {
        self.body.fail(error)
    }
}

impl Future for ReadBytes {
    type Output = Result<Bytes, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let max = this.body.limits().max_body;
        let length = this.body.length();
        if length.is_some_and(|left| left > (max.saturating_sub(this.read.len())) as u64) {
            return Poll::Ready(Err(this.body.fail(Error::too_large("max_body", max))));
        }
        while let Some(piece) = ready!(this.body.poll_chunk(cx)) {
            let piece = piece?;
            if piece.len() > max.saturating_sub(this.read.len()) {
                return Poll::Ready(Err(this.body.fail(Error::too_large("max_body", max))));
            }
            let more = this.body.length().and_then(|left| usize::try_from(left).ok()).unwrap_or(0);
            this.read.push(piece, more.min(Self::MAX_RESERVE));
        }
        Poll::Ready(Ok(this.read.take()))
    }
}

impl Read {
    fn len(&self) -> usize {
        match self {
            Self::One(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, piece: Bytes, more: usize) {
        match self {
            Self::One(first) if first.is_empty() => *first = piece,
            Self::One(first) => {
                let mut all = BytesMut::with_capacity(first.len() + piece.len() + more);
                all.extend_from_slice(first);
                all.extend_from_slice(&piece);
                *self = Self::Many(all);
            }
            Self::Many(all) => all.extend_from_slice(&piece),
        }
    }

    fn take(&mut self) -> Bytes {
        match std::mem::replace(self, Self::One(Bytes::new())) {
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// The beginning of a body, from [`Reply::bytes_up_to`]. Dropping it drops the reply, and what was read of it.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ReadPrefix {
    body: ReplyBody,
    read: Read,
    max: usize,
    // Taken when the body is first waited for.
    within: Option<Duration>,
    complete: bool,
}

impl ReadPrefix {
    pub(crate) fn new(body: ReplyBody, max: usize, within: Duration) -> Self {
        Self { body, read: Read::One(Bytes::new()), max, within: Some(within), complete: false }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let piece = match self.body.poll_chunk(cx) {
                Poll::Ready(piece) => piece,
                Poll::Pending => {
                    let Some(within) = self.within.take() else { return Poll::Pending };
                    self.body.shorten(within);
                    // Poll again, so that the new limit is waited for.
                    continue;
                }
            };
            match piece {
                None => self.complete = true,
                Some(Err(_)) => {}
                Some(Ok(mut piece)) => {
                    let room = self.max - self.read.len();
                    let fits = piece.len() <= room;
                    piece.truncate(room);
                    self.read.push(piece, 0);
                    if fits {
                        continue;
                    }
                }
            }
            return Poll::Ready(());
        }
    }
}

impl Future for ReadPrefix {
    type Output = Bytes;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.poll_read(cx));
        Poll::Ready(self.read.take())
    }
}

/// A whole body as text, from [`Reply::text`]. Dropping it drops the reply.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ReadText {
    bytes: ReadBytes,
    charset: Charset,
}

impl ReadText {
    pub(crate) fn new(bytes: ReadBytes, charset: Charset) -> Self {
        Self { bytes, charset }
    }
}

impl Future for ReadText {
    type Output = Result<String, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let bytes = ready!(Pin::new(&mut self.bytes).poll(cx))?;
        Poll::Ready(self.charset.decode(bytes).map_err(|error| self.bytes.fail(error)))
    }
}

/// A whole body as JSON, from [`Reply::json`]. Dropping it drops the reply.
#[must_use = "futures do nothing unless polled"]
pub struct ReadJson<T> {
    bytes: ReadBytes,
    value: PhantomData<fn() -> T>,
}

impl<T> ReadJson<T> {
    pub(crate) fn new(bytes: ReadBytes) -> Self {
        Self { bytes, value: PhantomData }
    }
}

impl<T: DeserializeOwned> Future for ReadJson<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let bytes = ready!(Pin::new(&mut self.bytes).poll(cx))?;
        let text = without_bom(&bytes);
        Poll::Ready(
            serde_json::from_slice(text).map_err(|error| self.bytes.fail(Error::json(error, text, 1))),
        )
    }
}

/// A byte order mark is not part of JSON and may be ignored (RFC 8259, section 8.1).
fn without_bom(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

impl<T> fmt::Debug for ReadJson<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadJson").field("bytes", &self.bytes).finish()
    }
}

/// The reply, or an error for its status, from [`Reply::error_for_status`]. Dropping it drops the reply.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ErrorForStatus(State);

enum State {
    /// Not an error.
    Success(Reply),
    /// An error whose body is being read.
    Reading { status: StatusCode, headers: HeaderMap, prefix: ReadPrefix },
    /// Nothing more to come.
    Done,
}

impl ErrorForStatus {
    const MAX_BODY: usize = 64 << 10;
    const WITHIN: Duration = Duration::from_secs(2);

    pub(crate) fn new(reply: Reply) -> Self {
        if reply.status().as_u16() < 300 {
            return Self(State::Success(reply));
        }
        let (status, headers, body) = reply.into_parts();
        let prefix = ReadPrefix::new(body, Self::MAX_BODY, Self::WITHIN);
        Self(State::Reading { status, headers, prefix })
    }
}

impl Future for ErrorForStatus {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Reading { prefix, .. } = &mut self.0 {
            // The error is the status, also if the body could not be read to its end.
            ready!(prefix.poll_read(cx));
        }
        match std::mem::replace(&mut self.0, State::Done) {
            State::Success(reply) => Poll::Ready(Ok(reply)),
            State::Reading { status, headers, mut prefix } => {
                let reply =
                    ErrorReply { status, headers, body: prefix.read.take(), complete: prefix.complete };
                Poll::Ready(Err(prefix.body.fail(Error::of_status(reply))))
            }
            State::Done => panic!("polled after it was ready"),
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success(reply) => reply.fmt(f),
            Self::Reading { status, prefix, .. } => {
                f.debug_struct("Reading").field("status", status).field("read", &prefix.read).finish()
            }
            Self::Done => f.write_str("Done"),
        }
    }
}
