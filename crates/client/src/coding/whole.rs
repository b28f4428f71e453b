//! Decodes a body that is in memory.

use std::io;

use bytes::{Bytes, BytesMut};

use super::decoding::Decoding;

/// Decodes one coding. It is an error if the output has more than this many bytes, or if the input ends too early.
pub(super) fn undo(coding: &str, coded: Bytes, max: usize) -> io::Result<Bytes> {
    let mut decoding = Decoding::of(coding.to_owned());
    decoding.feed(coded);
    let mut plain = BytesMut::new();
    while let Some(piece) = decoding.next()? {
        plain.extend_from_slice(&piece);
        if plain.len() > max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too large"));
        }
    }
    if decoding.is_whole() { Ok(plain.freeze()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
