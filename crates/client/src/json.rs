//! JSON to bytes and back, with errors that say where.

use std::cell::Cell;

use bytes::Bytes;
use serde::Serialize;

/// Writes a value into exactly as much memory as it needs, whatever its length: that makes a `Bytes` without another
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
