//! Segments in memory, with simulated faults of a disk.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::disk::Disk;

/// A disk in memory, for tests. Clones are the same disk. It outlives the journals that are opened on it.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The segments by number, as programs see them.
    segments: BTreeMap<u64, File>,
    /// The segments by number, as they were when the names were last synced.
    durable: BTreeMap<u64, File>,
    locked: bool,
    room: Option<usize>,
    changes: Option<u64>,
    fail_next_sync: bool,
    syncs: u64,
}

/// The bytes of a segment. They may have several names, or none.
type File = Arc<Mutex<Bytes>>;

#[derive(Clone, Default)]
struct Bytes {
    bytes: Vec<u8>,
    synced: usize,
}

impl Memory {
    /// An empty disk without a limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another disk, with what a power failure leaves of this one at worst: only the names and bytes that were
    /// synced.
    #[must_use]
    pub fn after_power_loss(&self) -> Self {
        let copy = Self::new();
        for (number, file) in &self.state().durable {
            let file = bytes(file);
            copy.set_segment(*number, file.bytes[..file.synced].to_vec());
        }
        copy
    }

    /// Numbers and bytes of all segments, in order. Number 0 is a rewrite that has not ended.
    pub fn segments(&self) -> Vec<(u64, Vec<u8>)> {
        self.state().segments.iter().map(|(number, file)| (*number, bytes(file).bytes.clone())).collect()
    }

    /// Replaces or adds a segment, to test damage.
    pub fn set_segment(&self, number: u64, bytes: Vec<u8>) {
        let file = File::new(Mutex::new(Bytes { synced: bytes.len(), bytes }));
        let mut state = self.state();
        state.segments.insert(number, file.clone());
        state.durable.insert(number, file);
    }

    /// Removes a segment.
    pub fn remove_segment(&self, number: u64) {
        let mut state = self.state();
        state.segments.remove(&number);
        state.durable.remove(&number);
    }

    /// The disk takes this many more bytes, and is full then. `None`, the default: no limit.
    pub fn set_room(&self, bytes: Option<usize>) {
        self.state().room = bytes;
    }

    /// The disk makes this many more changes (writes, cuts, renames, removals, syncs). Every later change fails.
    /// `None`, the default: no limit.
    pub fn set_changes(&self, changes: Option<u64>) {
        self.state().changes = changes;
    }

    /// The next sync fails, and no other: like a fault of the device that happens once.
    pub fn fail_next_sync(&self) {
        self.state().fail_next_sync = true;
    }

    /// How many syncs of segments were requested, including failed ones.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, for one more change.
    fn change(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        match &mut state.changes {
            Some(0) => Err(io::Error::other("the device is gone")),
            Some(left) => {
                *left -= 1;
                Ok(state)
            }
            None => Ok(state),
        }
    }
}

fn bytes(file: &File) -> MutexGuard<'_, Bytes> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn find(&self, segment: u64) -> io::Result<MutexGuard<'_, Bytes>> {
        Ok(bytes(self.segments.get(&segment).ok_or(io::ErrorKind::NotFound)?))
    }
}

/// An open file. It stays readable if its name changes or is removed.
struct Reading {
    file: File,
    at: usize,
}

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = bytes(&self.file).bytes.get(self.at..).unwrap_or_default().read(into)?;
        self.at += read;
        Ok(read)
    }
}

impl Disk for Memory {
    fn lock(&self) -> io::Result<bool> {
        let mut state = self.state();
        Ok(!std::mem::replace(&mut state.locked, true))
    }

    fn unlock(&self) {
        self.state().locked = false;
    }

    fn segments(&self) -> io::Result<Vec<u64>> {
        Ok(self.state().segments.keys().copied().collect())
    }

    fn read(&self, segment: u64, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let file = self.state().segments.get(&segment).ok_or(io::ErrorKind::NotFound)?.clone();
        Ok(Box::new(Reading { file, at: usize::try_from(from).unwrap_or(usize::MAX) }))
    }

    fn append(&self, segment: u64, new: &[u8]) -> io::Result<()> {
        let mut state = self.change()?;
        // As with a file, a full disk takes a part of the bytes.
        let taken = state.room.unwrap_or(new.len()).min(new.len());
        state.room = state.room.map(|room| room - taken);
        bytes(state.segments.entry(segment).or_default()).bytes.extend_from_slice(&new[..taken]);
        if taken < new.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn cut(&self, segment: u64, length: u64) -> io::Result<()> {
        let state = self.change()?;
        let mut file = state.find(segment)?;
        file.bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        file.synced = file.synced.min(file.bytes.len());
        Ok(())
    }

    fn rename(&self, segment: u64, to: u64) -> io::Result<()> {
        let mut state = self.change()?;
        let file = state.segments.remove(&segment).ok_or(io::ErrorKind::NotFound)?;
        state.segments.insert(to, file);
        Ok(())
    }

    fn remove(&self, segment: u64) -> io::Result<()> {
        self.change()?.segments.remove(&segment).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync(&self, segment: u64) -> io::Result<()> {
        let mut state = self.change()?;
        state.syncs += 1;
        if std::mem::take(&mut state.fail_next_sync) {
            return Err(io::Error::other("the device did not take the bytes"));
        }
        let mut file = state.find(segment)?;
        file.synced = file.bytes.len();
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.change()?;
        state.durable = state.segments.clone();
        Ok(())
    }

    fn name(&self, segment: u64) -> PathBuf {
        PathBuf::from(format!("memory/{segment:020}.journal"))
    }

    fn location(&self) -> PathBuf {
        PathBuf::from("memory")
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let total: usize = state.segments.values().map(|file| bytes(file).bytes.len()).sum();
        f.debug_struct("Memory").field("segments", &state.segments.len()).field("bytes", &total).finish()
    }
}
