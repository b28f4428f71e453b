//! The codings of a body that is in memory.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};

use super::decoded::decoder;

const PIECE: usize = 32 << 10;

/// Undoes one coding; an error also if more than so many bytes come of it, or if it ends too early.
pub(super) fn undo(coding: &str, mut coded: Bytes, max: usize) -> io::Result<Bytes> {
    let odd = |why: &'static str| io::Error::new(io::ErrorKind::InvalidData, why);
    let first = *coded.first().ok_or_else(|| odd("nothing"))?;
    let mut decoder = decoder(coding, first).ok_or_else(|| odd("a coding that is not known"))?;
    let (mut plain, mut piece) = (BytesMut::new(), vec![0; PIECE]);
    loop {
        let mut output = WriteBuffer::new_initialized(&mut piece);
        let mut input = PartialBuffer::new(&coded[..]);
        let is_whole = decoder.decode(&mut input, &mut output)?;
        let (taken, written) = (input.written_len(), output.written_len());
        coded.advance(taken);
        plain.extend_from_slice(&piece[..written]);
        if plain.len() > max {
            return Err(odd("too large"));
        }
        if is_whole {
            return if coded.is_empty() { Ok(plain.freeze()) } else { Err(odd("bytes behind the end")) };
        }
        if taken == 0 && written == 0 {
            return Err(odd("it ends too early"));
        }
    }
}
