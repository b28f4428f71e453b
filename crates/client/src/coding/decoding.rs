//! Decodes one coding piece by piece, from any source of bytes.

use std::io;

use bytes::{Buf, Bytes};
use compression_codecs::{
    DecodeV2,
    core::util::{PartialBuffer, WriteBuffer},
};

type Decoder = Box<dyn DecodeV2 + Send>;

/// The decoder of a coding. It may depend on the first byte.
fn decoder(coding: &str, first: u8) -> Option<Decoder> {
    match coding {
        #[cfg(feature = "gzip")]
        "gzip" | "x-gzip" => Some(Box::new(compression_codecs::GzipDecoder::new())),
        // `deflate` is the zlib format (RFC 9110, section 8.4.1.2), but some servers send raw deflate. The low half
        // of the first byte is 8 in zlib's. Raw deflate whose first block is compressed cannot begin like that.
        #[cfg(feature = "gzip")]
        "deflate" if first & 0x8f == 8 => Some(Box::new(compression_codecs::ZlibDecoder::new())),
        #[cfg(feature = "gzip")]
        "deflate" => Some(Box::new(compression_codecs::DeflateDecoder::new())),
        #[cfg(feature = "brotli")]
        "br" => Some(Box::new(compression_codecs::BrotliDecoder::new())),
        // HTTP allows a window of 8 MiB at most (RFC 9659). A larger one is an error, before it is allocated.
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

/// Whether another member may follow the end of one (RFC 1952, section 2.2; RFC 8878, section 3).
fn begins_another(coding: &str, first: u8) -> bool {
    match coding {
        "gzip" | "x-gzip" => first == 0x1f,
        "zstd" => first == 0x28 || first & 0xf0 == 0x50,
        _ => false,
    }
}

/// Whether the first byte of brotli announces the large window of an extension. The format itself has 16 MiB at most
/// (RFC 7932, section 9.1), but the decoder would also accept the extension's 1 GiB.
fn is_too_wide(coding: &str, first: u8) -> bool {
    coding == "br" && first & 0x7f == 0x11
}

/// The decoder of one coding. It gives pieces of at most [`Self::PIECE`].
pub(super) struct Decoding {
    coding: String,
    // Made when the first byte has come.
    decoder: Option<Decoder>,
    input: Bytes,
    /// The last piece was full, so there may be more output without more input.
    is_full: bool,
    /// The end of the encoded bytes has come.
    is_whole: bool,
}

impl Decoding {
    const PIECE: usize = 32 << 10;

    pub(super) fn of(coding: String) -> Self {
        Self { coding, decoder: None, input: Bytes::new(), is_full: false, is_whole: false }
    }

    pub(super) fn coding(&self) -> &str {
        &self.coding
    }

    /// Adds the bytes that come next, after [`next`](Self::next) has asked for more.
    pub(super) fn feed(&mut self, input: Bytes) {
        self.input = input;
    }

    /// Whether any byte has come.
    pub(super) fn has_begun(&self) -> bool {
        self.decoder.is_some()
    }

    /// Whether the end of the encoded bytes has come.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The next piece. `None` if that needs more input.
    pub(super) fn next(&mut self) -> io::Result<Option<Bytes>> {
        let Some(first) = self.input.first().copied().or(self.is_full.then_some(0)) else { return Ok(None) };
        if self.is_whole {
            if !begins_another(&self.coding, first) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "bytes after the end"));
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
        let decoded = decoder.decode(&mut input, &mut output);
        self.is_whole = match decoded {
            // When zlib's decoder is asked for the rest of earlier input, it writes that, and then reports the
            // missing input as an error.
            Err(_) if self.input.is_empty() => false,
            decoded => decoded?,
        };
        let (taken, written) = (input.written_len(), output.written_len());
        self.input.advance(taken);
        self.is_full = !self.is_whole && written == Self::PIECE;
        if taken == 0 && written == 0 && !self.is_whole && !self.input.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no progress"));
        }
        piece.truncate(written);
        Ok(Some(piece.into()))
    }
}
