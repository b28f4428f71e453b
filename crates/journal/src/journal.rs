//! The journal: opening, appending, committing.

use std::{
    fmt,
    path::Path,
    sync::{Arc, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    Committed, Error, Memory, Records,
    disk::Disk,
    folder::Folder,
    format::{HEADER, Header, MARK, PREFIX, put_record},
    segment::read_one,
    writer::{BUFFER, Files, Shared, State, run},
};

/// When the bytes of a commit are synced to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fsync {
    /// At once. Commits that wait while a sync is under way share the next one.
    #[default]
    Always,
    /// This long after the first commit that waits: more commits share one sync, and each commit takes that much
    /// longer.
    Batch(Duration),
    /// Never, except in a [rewrite](Journal::rewrite). A commit returns when the operating system has the bytes: they
    /// survive a crash of the process, but not of the machine.
    Off,
}

/// The position of a record in a journal. Positions have the order of their records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// The offset in the segment, in bytes.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment, self.offset)
    }
}

/// The settings of a [`Journal`].
#[derive(Debug, Clone)]
pub struct JournalBuilder {
    fsync: Fsync,
    segment_bytes: u64,
    pub(crate) max_record: u32,
}

impl JournalBuilder {
    /// When commits are synced. Default: [`Fsync::Always`].
    #[must_use]
    pub fn fsync(mut self, fsync: Fsync) -> Self {
        self.fsync = fsync;
        self
    }

    /// A segment takes no further record that would make it larger than this, in bytes. Default: 64 MiB.
    ///
    /// A record that is larger than this has a segment for itself.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// The largest record, in bytes. Default: 1 MiB. At most 4 GiB less two bytes.
    #[must_use]
    pub fn max_record(mut self, bytes: u32) -> Self {
        // The last number is the one of a mark.
        self.max_record = bytes.min(MARK - 1);
        self
    }

    /// Opens the journal in a folder, which is created if it does not exist. A torn end is cut, and files that a
    /// [rewrite](Journal::rewrite) has left are removed.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`], [`Error::Damaged`], [`Error::Missing`], [`Error::Version`]: the segments are left
    /// unchanged. [`Error::Io`].
    pub fn open(&self, folder: impl AsRef<Path>) -> Result<Journal, Error> {
        let disk: Arc<dyn Disk> = Arc::new(Folder::new(folder.as_ref()));
        self.open_on(&disk)
    }

    /// Opens the journal in memory, in the same way as in a folder.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_memory(&self, memory: &Memory) -> Result<Journal, Error> {
        let disk: Arc<dyn Disk> = Arc::new(memory.clone());
        self.open_on(&disk)
    }

    fn open_on(&self, disk: &Arc<dyn Disk>) -> Result<Journal, Error> {
        if !disk.lock().map_err(Error::io(disk.location()))? {
            return Err(Error::Locked { folder: disk.location() });
        }
        self.open_locked(disk).inspect_err(|_| disk.unlock())
    }

    fn open_locked(&self, disk: &Arc<dyn Disk>) -> Result<Journal, Error> {
        let mut records = Records::of(disk)?;
        let mut found = 0;
        while records.advance()?.is_some() {
            found += 1;
        }
        for leftover in records.leftovers() {
            disk.remove(*leftover).map_err(Error::io(disk.name(*leftover)))?;
        }
        let end = records.end();
        let (mut next, mut before) = (Position { segment: 1, offset: 0 }, 0);
        if let Some(end) = end {
            (next, before) = (end.position, end.before);
            let file = disk.name(next.segment);
            if end.torn > 0 {
                disk.cut(next.segment, next.offset).map_err(Error::io(&file))?;
            }
            // The records that were found may only be in the system's memory. They must be durable before the caller
            // relies on them.
            if self.fsync != Fsync::Off {
                disk.sync(next.segment).map_err(Error::io(&file))?;
                disk.sync_names().map_err(Error::io(disk.location()))?;
            }
            if next.offset > 0 && end.max_record != self.max_record {
                // The limit is stored in the header, so a changed limit needs a new segment.
                before = next.offset;
                next = Position { segment: next.segment + 1, offset: 0 };
            }
        }
        let files = Files {
            disk: disk.clone(),
            fsync: self.fsync,
            dirty: None,
            newest: end.map(|end| end.position.segment),
            new_names: false,
        };
        let shared = Arc::new(Shared::new(next, before, end.is_none_or(|end| end.marked), files));
        let writer = shared.clone();
        let thread = thread::Builder::new().name(String::from("journal")).spawn(move || run(&writer));
        let thread = Some(thread.map_err(Error::io(disk.location()))?);
        let cut = end.map_or(0, |end| end.torn);
        Ok(Journal { settings: self.clone(), disk: disk.clone(), shared, thread, found, cut })
    }

    pub(crate) fn fits(&self, record: &[u8]) -> Result<(), Error> {
        let max = self.max_record;
        let fits = u32::try_from(record.len()).is_ok_and(|bytes| bytes <= max);
        if fits { Ok(()) } else { Err(Error::TooLarge { bytes: record.len(), max }) }
    }
}

/// An append-only log of records, open for writing.
///
/// Share it by reference or in an `Arc`. Dropping it writes and syncs what was appended, ends the writer's thread and
/// releases the lock. Only [`close`](Self::close) returns an error of this.
pub struct Journal {
    pub(crate) settings: JournalBuilder,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    found: u64,
    cut: u64,
}

impl Journal {
    /// Settings, each with its default.
    pub fn builder() -> JournalBuilder {
        JournalBuilder { fsync: Fsync::Always, segment_bytes: 64 << 20, max_record: 1 << 20 }
    }

    /// How many records there were when it was opened.
    pub fn found_records(&self) -> u64 {
        self.found
    }

    /// How many bytes of a torn end were cut when it was opened.
    pub fn cut_bytes(&self) -> u64 {
        self.cut
    }

    /// Adds a record, and returns its position. It is durable after the next [`commit`](Self::commit).
    ///
    /// It only copies the bytes. But it blocks its thread while 8 MiB wait to be written. In async code, keep the
    /// bytes that were appended and not yet [`committed`](Self::committed) below that, or call this where blocking is
    /// allowed.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`]; [`Error::Failed`] after a write or a sync has failed.
    pub fn append(&self, record: &[u8]) -> Result<Position, Error> {
        self.settings.fits(record)?;
        let full =
            |state: &mut State| (state.pending_bytes >= BUFFER || state.rewriting) && state.failed.is_none();
        let state = self.shared.done.wait_while(self.shared.state(), full);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.failure()?;
        let length = (PREFIX + record.len()) as u64;
        if state.next.offset > HEADER as u64 && state.next.offset + length > self.settings.segment_bytes {
            state.roll();
        }
        let segment = state.next.segment;
        let mut position = state.next;
        let before = state.before;
        let bytes = state.buffer(segment);
        let filled = bytes.len();
        if position.offset == 0 {
            let header = Header { max_record: self.settings.max_record, begins: false, before };
            bytes.extend_from_slice(&header.bytes());
            position.offset = HEADER as u64;
        }
        put_record(bytes, segment, position.offset, record);
        let added = bytes.len() - filled;
        state.pending_bytes += added;
        state.next.offset = position.offset + length;
        state.appended += 1;
        state.marked = false;
        self.shared.wake_writer(state);
        Ok(position)
    }

    /// Blocks until all records that were appended before are durable, as the journal's [`Fsync`] defines it.
    ///
    /// All that wait share one sync.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] if a write or a sync failed. It is not known then which of the records since the last good
    /// commit are there, until the journal is opened again.
    pub fn commit(&self) -> Result<(), Error> {
        let mut state = self.shared.state();
        let upto = state.appended;
        state.wanted = state.wanted.max(upto);
        self.shared.wake_writer(state);
        let waiting = |state: &mut State| state.committed(upto).is_none();
        let state =
            self.shared.done.wait_while(self.shared.state(), waiting).unwrap_or_else(PoisonError::into_inner);
        state.committed(upto).unwrap_or(Ok(()))
    }

    /// Waits until all records that were appended before this call are durable, as [`commit`](Self::commit) does,
    /// without blocking a thread.
    ///
    /// Callers that wait here and callers that block in `commit` share one sync.
    ///
    /// # Errors
    ///
    /// The future has those of [`commit`](Self::commit).
    pub fn committed(&self) -> Committed<'_> {
        Committed::new(&self.shared)
    }

    /// Commits, and ends the writer's thread. It does not wait for other commits to share the sync.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub fn close(self) -> Result<(), Error> {
        self.shared.state().closing = true;
        self.commit()
    }

    /// Reads the record at a position that [`append`](Self::append) returned, once a commit has covered it. It
    /// blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if there is no correct record at this position. A [rewrite](Self::rewrite) makes all
    /// earlier positions invalid. [`Error::Io`].
    pub fn read(&self, position: Position) -> Result<Vec<u8>, Error> {
        let Position { segment, offset } = position;
        let file = self.disk.name(segment);
        let source = self.disk.read(segment, offset);
        let record = source.and_then(|mut source| read_one(&mut *source, segment, offset));
        record.map_err(Error::io(&file))?.ok_or(Error::Damaged { file, offset })
    }

    /// Reads all records that were handed to the operating system, at least all committed ones. It works after a
    /// failure too.
    ///
    /// # Errors
    ///
    /// As [`Records::read`].
    pub fn records(&self) -> Result<Records, Error> {
        Records::of(&self.disk)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.closing = true;
        self.shared.wake_writer(state);
        if let Some(thread) = self.thread.take() {
            // If that thread panicked, it has printed the panic already, and nobody is left to receive it.
            let _ = thread.join();
        }
        self.disk.unlock();
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = self.disk.location();
        f.debug_struct("Journal")
            .field("place", &location)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
