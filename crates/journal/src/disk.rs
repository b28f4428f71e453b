//! What a journal needs of the place where its segments are.

use std::{
    fmt,
    io::{self, Read},
    path::PathBuf,
};

/// The number under which a rewrite makes its segment. No segment of a journal has it.
pub(crate) const DRAFT: u64 = 0;

/// Numbered segments of bytes. Two implementations: a folder, and memory.
pub(crate) trait Disk: fmt::Debug + Send + Sync {
    /// Keeps other writers away until [`unlock`](Disk::unlock). `false` if there is one already.
    fn lock(&self) -> io::Result<bool>;
    fn unlock(&self);
    /// Numbers of all segments, in order.
    fn segments(&self) -> io::Result<Vec<u64>>;
    /// Reads a segment from a byte on.
    fn read(&self, segment: u64, from: u64) -> io::Result<Box<dyn Read + Send>>;
    /// Adds at the end of a segment, which is made if it is not there.
    fn append(&self, segment: u64, bytes: &[u8]) -> io::Result<()>;
    fn cut(&self, segment: u64, length: u64) -> io::Result<()>;
    /// Gives a segment another number, which no segment has.
    fn rename(&self, segment: u64, to: u64) -> io::Result<()>;
    fn remove(&self, segment: u64) -> io::Result<()>;
    /// Returns when the bytes of a segment are durable.
    fn sync(&self, segment: u64) -> io::Result<()>;
    /// Returns when the names of the segments are durable.
    fn sync_names(&self) -> io::Result<()>;
    /// Name of a segment, for messages.
    fn name(&self, segment: u64) -> PathBuf;
    /// Name of the whole, for messages.
    fn place(&self) -> PathBuf;
}
