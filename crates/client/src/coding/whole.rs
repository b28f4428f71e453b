//! The codings of a body that is in memory.

use std::io;

use bytes::{Bytes, BytesMut};

use super::decoding::Decoding;

/// Undoes one coding; an error also if more than so many bytes come of it, or if it ends too early.
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
