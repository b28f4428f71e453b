use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use compression_codecs::{
    DecodeV2,
    core::util::{PartialBuffer, WriteBuffer},
};
use http::Version;
use http_body::{Body, Frame};

use crate::{
    error::{Error, Kind},
    reply_body::ReplyBody,
};

/// What is asked for, in the order of preference.
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

pub(super) type Decoder = Box<dyn DecodeV2 + Send>;

/// The decoder of a coding, which may depend on the first byte.
pub(super) fn decoder(coding: &str, first: u8) -> Option<Decoder> {
    match coding {
        #[cfg(feature = "gzip")]
        "gzip" | "x-gzip" => Some(Box::new(compression_codecs::GzipDecoder::new())),
        // It is the format of zlib (RFC 9110, section 8.4.1.2), and with some servers the bare one. The low half of the
        // first byte is 8 in zlib's; a bare one whose first block is compressed cannot begin so.
        #[cfg(feature = "gzip")]
        "deflate" if first & 0x8f == 8 => Some(Box::new(compression_codecs::ZlibDecoder::new())),
        #[cfg(feature = "gzip")]
        "deflate" => Some(Box::new(compression_codecs::DeflateDecoder::new())),
        #[cfg(feature = "brotli")]
        "br" => Some(Box::new(compression_codecs::BrotliDecoder::new())),
        // A window of 8 MiB is the most that HTTP has (RFC 9659); more of one is an error, before it is allocated.
        #[cfg(feature = "zstd")]
        "zstd" => {
            let window = compression_codecs::zstd::params::DParameter::window_log_max(23);
            Some(Box::new(compression_codecs::ZstdDecoder::new_with_params(&[window])))
        }
        _ => {
            let _ = first;
            None
        }
    }
}

/// Whether another member may begin behind the end of one (RFC 1952, section 2.2; RFC 8878, section 3).
fn begins_another(coding: &str, first: u8) -> bool {
    match coding {
        "gzip" | "x-gzip" => first == 0x1f,
        "zstd" => first == 0x28 || first & 0xf0 == 0x50,
        _ => false,
    }
}

/// Whether the first byte of brotli begins the window of an extension. The format's own has at most 16 MiB (RFC 7932,
/// section 9.1), the decoder takes the extension's 1 GiB as well.
fn is_too_wide(coding: &str, first: u8) -> bool {
    coding == "br" && first & 0x7f == 0x11
}

/// Undoes codings, the last one first.
pub(super) fn undo(mut body: ReplyBody, version: Version, codings: &[String]) -> ReplyBody {
    let came = Arc::<AtomicU64>::default();
    for (done, coding) in codings.iter().rev().enumerate() {
        let (coding, came) = (coding.clone(), came.clone());
        body = body.wrap(version, |body| Decoded {
            body,
            coding,
            decoder: None,
            input: Bytes::new(),
            is_full: false,
            is_whole: false,
            is_outermost: done == 0,
            came,
            given: 0,
        });
    }
    body
}

/// A body whose coding is undone as it is read, in pieces of at most [`Self::PIECE`].
struct Decoded {
    body: ReplyBody,
    coding: String,
    // From the first byte on.
    decoder: Option<Decoder>,
    input: Bytes,
    /// The last piece was full, so there may be more without more input.
    is_full: bool,
    /// The end of the coded bytes has come.
    is_whole: bool,
    /// What it reads are the bytes that come over the wire.
    is_outermost: bool,
    /// How many of these have come. Shared with the other codings of the body: each by itself may be no bomb.
    came: Arc<AtomicU64>,
    given: u64,
}

impl Decoded {
    const PIECE: usize = 32 << 10;
    // No text or JSON that is meant to be read is compressed so well; a bomb is.
    const MAX_RATIO: u64 = 250;
    const FREE: u64 = 1 << 20;

    /// The next piece; none if more input is needed for it.
    fn decode(&mut self) -> io::Result<Option<Bytes>> {
        let Some(first) = self.input.first().copied().or(self.is_full.then_some(0)) else { return Ok(None) };
        if self.is_whole {
            if !begins_another(&self.coding, first) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "bytes behind the end"));
            }
            self.is_whole = false;
            if let Some(decoder) = &mut self.decoder {
                decoder.reinit()?;
            }
        }
        if self.decoder.is_none() {
            if is_too_wide(&self.coding, first) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a window of more than 16 MiB"));
            }
            self.decoder = decoder(&self.coding, first);
        }
        let Some(decoder) = &mut self.decoder else { return Ok(None) };
        let mut piece = vec![0; Self::PIECE];
        let mut output = WriteBuffer::new_initialized(&mut piece);
        let mut input = PartialBuffer::new(&self.input[..]);
        self.is_whole = decoder.decode(&mut input, &mut output)?;
        let (taken, written) = (input.written_len(), output.written_len());
        self.input.advance(taken);
        self.is_full = !self.is_whole && written == Self::PIECE;
        if taken == 0 && written == 0 && !self.is_whole && !self.input.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no progress"));
        }
        self.given += written as u64;
        piece.truncate(written);
        Ok(Some(piece.into()))
    }

    fn is_bomb(&self) -> bool {
        self.given > Self::FREE && self.given / Self::MAX_RATIO > self.came.load(Ordering::Relaxed)
    }

    fn invalid(&mut self, cause: io::Error) -> Error {
        let message = format!("the reply's body is not valid `{}`", self.coding);
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
                        "the reply's body is more than {} times as large as it came, with its coding `{}` undone",
                        Self::MAX_RATIO,
                        this.coding
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
                    this.input = piece;
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if this.is_whole || this.decoder.is_none() => return Poll::Ready(None),
                None => {
                    let cause = io::Error::new(io::ErrorKind::UnexpectedEof, "it ends too early");
                    return Poll::Ready(Some(Err(this.invalid(cause))));
                }
            }
        }
    }
}
