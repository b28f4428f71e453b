//! The lines of a body, as text or as JSON values.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;
use futures_core::Stream;
use memchr::memchr;
use serde::de::DeserializeOwned;

use crate::{error::Error, reply_body::ReplyBody};

/// The lines of a reply, from [`Reply::lines`](crate::Reply::lines): a [`Stream`], and [`next`](Self::next).
///
/// A line ends with LF or CRLF, which are not part of it. The last line may have no end. A line that came in one
/// piece of the body is not copied. A line that is not UTF-8 is an error of [`Kind::Decode`](crate::Kind::Decode)
/// that names the line's number, and the lines after it can still be read. After any other error there is nothing
/// more.
#[must_use = "dropping lines closes their connection"]
pub struct Lines {
    body: ReplyBody,
    chunk: Bytes,
    // The beginning of a line whose end has not come yet.
    line: BytesMut,
    // The number of the line that was given last.
    number: u64,
    ended: bool,
}

impl Lines {
    pub(crate) fn new(body: ReplyBody) -> Self {
        Self { body, chunk: Bytes::new(), line: BytesMut::new(), number: 0, ended: false }
    }

    /// The next line; `None` at the end of the body.
    ///
    /// Cancel safe: dropping the future loses no line.
    #[expect(clippy::should_implement_trait, reason = "asynchronous, with the name that streams use")]
    pub fn next(&mut self) -> NextLine<'_> {
        NextLine(self)
    }

    fn poll_text(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ByteString, Error>>> {
        let Some(line) = ready!(self.poll_line(cx)) else { return Poll::Ready(None) };
        let text = line.and_then(|line| {
            ByteString::try_from(line).map_err(|_| Error::not_utf8(self.number).at(self.body.origin()))
        });
        Poll::Ready(Some(text))
    }

    fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let max = self.body.limits().max_line;
        while !self.ended {
            let end = memchr(b'\n', &self.chunk);
            if self.line.len() + end.unwrap_or(self.chunk.len()) > max {
                self.ended = true;
                return Poll::Ready(Some(Err(self.body.fail(Error::too_large("max_line", max)))));
            }
            if let Some(end) = end {
                let mut line = self.chunk.split_to(end);
                self.chunk.advance(1);
                if !self.line.is_empty() {
                    self.line.extend_from_slice(&line);
                    line = self.line.split().freeze();
                }
                if line.ends_with(b"\r") {
                    line.truncate(line.len() - 1);
                }
                return Poll::Ready(Some(Ok(self.finish(line))));
            }
            self.line.extend_from_slice(&self.chunk);
            self.chunk.clear();
            match ready!(self.body.poll_chunk(cx)) {
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.ended = true;
                    if !self.line.is_empty() {
                        let line = self.line.split().freeze();
                        return Poll::Ready(Some(Ok(self.finish(line))));
                    }
                }
            }
        }
        Poll::Ready(None)
    }

    fn finish(&mut self, mut line: Bytes) -> Bytes {
        if self.number == 0 && line.starts_with(b"\xef\xbb\xbf") {
            line.advance(3);
        }
        self.number += 1;
        line
    }
}

impl Stream for Lines {
    type Item = Result<ByteString, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_text(cx)
    }
}

/// The next line, from [`Lines::next`]. Dropping it loses nothing.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct NextLine<'a>(&'a mut Lines);

impl Future for NextLine<'_> {
    type Output = Option<Result<ByteString, Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_text(cx)
    }
}

/// The values of a reply with one JSON text in each line, from [`Reply::ndjson`](crate::Reply::ndjson): a [`Stream`],
/// and [`next`](Self::next).
///
/// Blank lines are skipped. A line that is not the expected JSON is an error of [`Kind::Decode`](crate::Kind::Decode)
/// that names line and column, and the lines after it can still be read. After any other error there is nothing more.
#[must_use = "dropping values closes their connection"]
pub struct Ndjson<T> {
    lines: Lines,
    value: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Ndjson<T> {
    pub(crate) fn new(body: ReplyBody) -> Self {
        Self { lines: Lines::new(body), value: PhantomData }
    }

    /// The next value; `None` at the end of the body.
    ///
    /// Cancel safe: dropping the future loses no value.
    #[expect(clippy::should_implement_trait, reason = "asynchronous, with the name that streams use")]
    pub fn next(&mut self) -> NextValue<'_, T> {
        NextValue(self)
    }

    fn poll_value(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Error>>> {
        while let Some(line) = ready!(self.lines.poll_line(cx)) {
            let line = line?;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let value = serde_json::from_slice(&line)
                .map_err(|error| Error::json(error, &line, self.lines.number).at(self.lines.body.origin()));
            return Poll::Ready(Some(value));
        }
        Poll::Ready(None)
    }
}

impl<T: DeserializeOwned> Stream for Ndjson<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_value(cx)
    }
}

/// The next value, from [`Ndjson::next`]. Dropping it loses nothing.
#[must_use = "futures do nothing unless polled"]
pub struct NextValue<'a, T>(&'a mut Ndjson<T>);

impl<T: DeserializeOwned> Future for NextValue<'_, T> {
    type Output = Option<Result<T, Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_value(cx)
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("body", &self.body)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Ndjson<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ndjson").field("lines", &self.lines).finish()
    }
}

impl<T> fmt::Debug for NextValue<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NextValue").field(&self.0).finish()
    }
}
