//! Segments in memory, with the faults of a disk on request.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::disk::Disk;

/// A disk in memory, for tests. Clones are the same disk, and it outlives the journals opened on it.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    segments: BTreeMap<u64, Segment>,
    locked: bool,
    room: Option<usize>,
    fail_next_sync: bool,
    syncs: u64,
}

#[derive(Clone, Default)]
struct Segment {
    bytes: Vec<u8>,
    synced: usize,
}

impl Memory {
    /// An empty disk without a limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another disk with what a loss of power leaves of this one at worst: the bytes that were synced.
    #[must_use]
    pub fn after_power_loss(&self) -> Self {
        let segments = self.state().segments.clone().into_iter().map(|(number, mut segment)| {
            segment.bytes.truncate(segment.synced);
            (number, segment)
        });
        Self(Arc::new(Mutex::new(State { segments: segments.collect(), ..State::default() })))
    }

    /// Numbers and bytes of all segments, in order.
    pub fn segments(&self) -> Vec<(u64, Vec<u8>)> {
        self.state().segments.iter().map(|(number, segment)| (*number, segment.bytes.clone())).collect()
    }

    /// Puts a segment in place, to try damage.
    pub fn set_segment(&self, number: u64, bytes: Vec<u8>) {
        let synced = bytes.len();
        self.state().segments.insert(number, Segment { bytes, synced });
    }

    /// Takes a segment away.
    pub fn remove_segment(&self, number: u64) {
        self.state().segments.remove(&number);
    }

    /// The disk takes so many more bytes and is full then. `None`, the default: no limit.
    pub fn set_room(&self, bytes: Option<usize>) {
        self.state().room = bytes;
    }

    /// The next sync fails, as once after a fault of the device.
    pub fn fail_next_sync(&self) {
        self.state().fail_next_sync = true;
    }

    /// How many syncs of segments were asked for, failed ones included.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn read(&self, segment: u64) -> io::Result<Vec<u8>> {
        let state = self.state();
        let segment = state.segments.get(&segment).ok_or(io::ErrorKind::NotFound)?;
        Ok(segment.bytes.clone())
    }

    fn append(&self, segment: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        // Like a file, a full disk takes a part of what it is given.
        let taken = state.room.unwrap_or(bytes.len()).min(bytes.len());
        state.room = state.room.map(|room| room - taken);
        state.segments.entry(segment).or_default().bytes.extend_from_slice(&bytes[..taken]);
        if taken < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn cut(&self, segment: u64, length: u64) -> io::Result<()> {
        let mut state = self.state();
        let segment = state.segments.entry(segment).or_default();
        segment.bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        segment.synced = segment.synced.min(segment.bytes.len());
        Ok(())
    }

    fn sync(&self, segment: u64) -> io::Result<()> {
        let mut state = self.state();
        state.syncs += 1;
        if std::mem::take(&mut state.fail_next_sync) {
            return Err(io::Error::other("the device did not take the bytes"));
        }
        let segment = state.segments.entry(segment).or_default();
        segment.synced = segment.bytes.len();
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }

    fn name(&self, segment: u64) -> PathBuf {
        PathBuf::from(format!("memory/{segment:020}.journal"))
    }

    fn place(&self) -> PathBuf {
        PathBuf::from("memory")
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let bytes: usize = state.segments.values().map(|segment| segment.bytes.len()).sum();
        f.debug_struct("Memory").field("segments", &state.segments.len()).field("bytes", &bytes).finish()
    }
}
