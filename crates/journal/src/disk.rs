//! What a journal needs of the place where its segments are.

use std::{fmt, io, path::PathBuf};

/// Numbered segments of bytes. Two implementations: a folder, and memory.
pub(crate) trait Disk: fmt::Debug + Send + Sync {
    /// Keeps other writers away until [`unlock`](Disk::unlock). `false` if there is one already.
    fn lock(&self) -> io::Result<bool>;
    fn unlock(&self);
    /// Numbers of all segments, in order.
    fn segments(&self) -> io::Result<Vec<u64>>;
    fn read(&self, segment: u64) -> io::Result<Vec<u8>>;
    /// Adds at the end of a segment, which is made if it is not there.
    fn append(&self, segment: u64, bytes: &[u8]) -> io::Result<()>;
    fn cut(&self, segment: u64, length: u64) -> io::Result<()>;
    /// Returns when the bytes of a segment are durable.
    fn sync(&self, segment: u64) -> io::Result<()>;
    /// Returns when the names of the segments are durable.
    fn sync_names(&self) -> io::Result<()>;
    /// Name of a segment, for messages.
    fn name(&self, segment: u64) -> PathBuf;
    /// Name of the whole, for messages.
    fn place(&self) -> PathBuf;
}
