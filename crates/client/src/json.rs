//! JSON to bytes and back, with errors that say where.

use std::{cell::Cell, error::Error, fmt};

use bytes::Bytes;
use serde::Serialize;

/// Writes a value into exactly as much memory as it needs, unless it is long: that makes a `Bytes` without another
/// allocation, and one that does not grow.
pub(crate) fn to_bytes<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Bytes> {
    // What a thread keeps; longer bodies are given away as they are.
    const KEEP: usize = 64 << 10;
    thread_local! {
        static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    // Taken, not borrowed: writing a value may write another.
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

/// What stands around the place of an error, cut at characters.
pub(crate) fn excerpt(text: &[u8], error: &serde_json::Error) -> Box<str> {
    const AROUND: usize = 40;
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let line: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let place = (line + error.column()).min(text.len());
    let piece = &text[place.saturating_sub(AROUND)..(place + AROUND).min(text.len())];
    // What the cuts left of a character at either end, and what was none, is not shown.
    piece.utf8_chunks().map(|chunk| chunk.valid()).collect::<String>().into()
}

/// Why a text is not the expected JSON. Its message may quote a value, which may be anybody's secret, of any length.
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
