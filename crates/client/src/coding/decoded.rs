//! A reply's body that is decoded while it is read.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame};

use super::decoding::Decoding;
use crate::{
    error::{Error, Kind},
    reply_body::ReplyBody,
};

/// What is asked for, in order of preference.
pub(crate) const ASKED: &str =
    match (cfg!(feature = "zstd"), cfg!(feature = "brotli"), cfg!(feature = "gzip")) {
        (true, true, true) => "zstd, br, gzip, deflate",
        (true, true, false) => "zstd, br",
        (true, false, true) => "zstd, gzip, deflate",
        (true, false, false) => "zstd",
        (false, true, true) => "br, gzip, deflate",
        (false, true, false) => "br",
        _ => "gzip, deflate",
    };

/// Decodes a body, the last coding first.
pub(super) fn undo(mut body: ReplyBody, version: Version, codings: &[String]) -> ReplyBody {
    let came = Arc::<AtomicU64>::default();
    for (done, coding) in codings.iter().rev().enumerate() {
        let (coding, came) = (coding.clone(), came.clone());
        body = body.wrap(version, |body| Decoded {
            body,
            decoding: Decoding::of(coding),
            is_outermost: done == 0,
            came,
            given: 0,
        });
    }
    body
}

/// A body that is decoded while it is read.
struct Decoded {
    body: ReplyBody,
    decoding: Decoding,
    /// Whether its input is the bytes that came over the connection.
    is_outermost: bool,
    /// How many such bytes have come. Shared by all codings of a body, because each one alone may stay below the
    /// bound.
    came: Arc<AtomicU64>,
    given: u64,
}

impl Decoded {
    // No text or JSON that people read compresses this well. A decompression bomb does.
    const MAX_RATIO: u64 = 250;
    const FREE: u64 = 1 << 20;

    fn decode(&mut self) -> io::Result<Option<Bytes>> {
        let piece = self.decoding.next()?;
        self.given += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Ok(piece)
    }

    fn is_bomb(&self) -> bool {
        self.given > Self::FREE && self.given / Self::MAX_RATIO > self.came.load(Ordering::Relaxed)
    }

    fn invalid(&mut self, cause: io::Error) -> Error {
        let message = format!("the reply's body is not valid `{}`", self.decoding.coding());
        self.body.fail(Error::body(Kind::Decode).message(message).source_from(cause))
    }
}

impl Body for Decoded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        loop {
            match this.decode() {
                Ok(Some(_)) if this.is_bomb() => {
                    let message = format!(
                        "the reply's body is more than {} times as large as it came, after its coding `{}` was undone",
                        Self::MAX_RATIO,
                        this.decoding.coding()
                    );
                    let error = Error::body(Kind::TooLarge).message(message);
                    return Poll::Ready(Some(Err(this.body.fail(error))));
                }
                Ok(Some(piece)) if !piece.is_empty() => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Ok(Some(_)) => continue,
                Ok(None) => {}
                Err(cause) => return Poll::Ready(Some(Err(this.invalid(cause)))),
            }
            match ready!(this.body.poll_chunk(cx)) {
                Some(Ok(piece)) => {
                    if this.is_outermost {
                        this.came.fetch_add(piece.len() as u64, Ordering::Relaxed);
                    }
                    this.decoding.feed(piece);
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if this.decoding.is_whole() || !this.decoding.has_begun() => return Poll::Ready(None),
                None => {
                    let cause = io::Error::new(io::ErrorKind::UnexpectedEof, "it ends too early");
                    return Poll::Ready(Some(Err(this.invalid(cause))));
                }
            }
        }
    }
}
