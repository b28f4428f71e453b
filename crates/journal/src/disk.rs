//! What a journal needs from the storage of its segments.

use std::{
    fmt,
    io::{self, Read},
    path::PathBuf,
};

/// The number under which a rewrite writes its segment. No segment of a journal has this number.
pub(crate) const DRAFT: u64 = 0;

/// Numbered segments of bytes. There are two implementations: a folder, and memory.
pub(crate) trait Disk: fmt::Debug + Send + Sync {
    /// Keeps other writers out until [`unlock`](Disk::unlock). `false` if there is another writer already.
    fn lock(&self) -> io::Result<bool>;
    fn unlock(&self);
    /// The numbers of all segments, in order.
    fn segments(&self) -> io::Result<Vec<u64>>;
    /// Reads a segment from a byte offset on.
    fn read(&self, segment: u64, from: u64) -> io::Result<Box<dyn Read + Send>>;
    /// Adds bytes at the end of a segment, which is created if it does not exist.
    fn append(&self, segment: u64, bytes: &[u8]) -> io::Result<()>;
    fn cut(&self, segment: u64, length: u64) -> io::Result<()>;
    /// Gives a segment a number that no other segment has.
    fn rename(&self, segment: u64, to: u64) -> io::Result<()>;
    fn remove(&self, segment: u64) -> io::Result<()>;
    /// Returns when the bytes of a segment are durable.
    fn sync(&self, segment: u64) -> io::Result<()>;
    /// Returns when the names of the segments are durable.
    fn sync_names(&self) -> io::Result<()>;
    /// The name of a segment, for messages.
    fn name(&self, segment: u64) -> PathBuf;
    /// The name of the whole storage, for messages.
    fn location(&self) -> PathBuf;
}
