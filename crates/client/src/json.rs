//! Serializes JSON bodies and describes errors in received JSON.

use std::{cell::Cell, error::Error, fmt};

use bytes::Bytes;
use serde::Serialize;

/// Serializes a value into exactly as much memory as it needs, unless it is long. Such a vector becomes a `Bytes`
/// without another allocation, and does not grow.
pub(crate) fn to_bytes<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Bytes> {
    // The size up to which a thread keeps its buffer. Longer bodies are returned without a copy.
    const KEEP: usize = 64 << 10;
    thread_local! {
        static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    // The buffer is taken out and not borrowed, because serializing a value may serialize another value.
    let mut scratch = SCRATCH.take();
    scratch.clear();
    serde_json::to_writer(&mut scratch, value)?;
    if scratch.capacity() > KEEP {
        return Ok(scratch.into());
    }
    let json = Bytes::copy_from_slice(&scratch);
    SCRATCH.set(scratch);
    Ok(json)
}

/// The text around the position of an error, cut between characters.
pub(crate) fn excerpt(text: &[u8], error: &serde_json::Error) -> Box<str> {
    const AROUND: usize = 40;
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let line: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let place = (line + error.column()).min(text.len());
    let piece = &text[place.saturating_sub(AROUND)..(place + AROUND).min(text.len())];
    // Incomplete characters at both ends, and bytes that are not UTF-8, are left out.
    piece.utf8_chunks().map(|chunk| chunk.valid()).collect::<String>().into()
}

/// Why a text is not the expected JSON. Its message may quote a value, which may be secret and of any length.
pub(crate) struct Mismatch(pub(crate) serde_json::Error);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.128}", self.0.to_string())
    }
}

impl fmt::Debug for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mismatch({:?}, line {}, column {})", self.0.classify(), self.0.line(), self.0.column())
    }
}

impl Error for Mismatch {}
