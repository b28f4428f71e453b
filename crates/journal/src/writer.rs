//! The writer's thread: it writes what was appended, and syncs once for all that wait.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use crate::{
    Error, Fsync, Position,
    disk::Disk,
    format::{PREFIX, put_mark},
};

/// Bytes that may wait to be written. With this many, an append waits.
pub(crate) const BUFFER: usize = 8 << 20;

/// What the callers and the writer's thread share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Signalled when there is something to do: see [`State::idle`].
    work: Condvar,
    /// Signalled when something was done, or failed.
    pub(crate) done: Condvar,
}

pub(crate) struct State {
    /// Where the next record begins. At offset 0, the header comes first.
    pub(crate) next: Position,
    /// Length of the segment before that one, 0 if there is none.
    pub(crate) before: u64,
    /// Bytes that wait to be written, with their segments.
    pub(crate) pending: Vec<(u64, Vec<u8>)>,
    pub(crate) pending_bytes: usize,
    /// An empty buffer that was used before, so that its memory can be used again.
    spare: Vec<u8>,
    /// Whether the writer sleeps. Waking is a system call, even if nobody sleeps, so it is done only then.
    idle: bool,
    /// Whether a mark follows the last record.
    pub(crate) marked: bool,
    /// How many records were appended. Of these, how many somebody waits for, and how many are durable.
    pub(crate) appended: u64,
    pub(crate) wanted: u64,
    pub(crate) durable: u64,
    pub(crate) failed: Option<(io::ErrorKind, String)>,
    pub(crate) closing: bool,
    /// Taken by the thread that writes, and put back afterwards.
    pub(crate) files: Option<Files>,
    /// A rewrite has the files, so an append waits.
    pub(crate) rewriting: bool,
    /// The wakers of the futures that wait. The key is the number of records that must be durable, and a number of
    /// the waker.
    pub(crate) wakers: BTreeMap<(u64, u64), Waker>,
    pub(crate) last_waiter: u64,
}

impl State {
    pub(crate) fn failure(&self) -> Result<(), Error> {
        match &self.failed {
            Some((kind, message)) => Err(Error::Failed { kind: *kind, message: message.clone() }),
            None => Ok(()),
        }
    }

    /// The result of waiting for this many durable records. `None` while the wait is not over.
    pub(crate) fn committed(&self, upto: u64) -> Option<Result<(), Error>> {
        if self.durable >= upto {
            return Some(Ok(()));
        }
        self.failure().err().map(Err)
    }

    /// Removes the wakers of all waits that are over.
    fn ended(&mut self) -> BTreeMap<(u64, u64), Waker> {
        let rest = match self.failed {
            Some(_) => BTreeMap::new(),
            None => self.wakers.split_off(&(self.durable + 1, 0)),
        };
        std::mem::replace(&mut self.wakers, rest)
    }

    /// Begins another segment.
    pub(crate) fn roll(&mut self) {
        self.before = self.next.offset;
        self.next = Position { segment: self.next.segment + 1, offset: 0 };
    }

    /// The buffer for the bytes that come next at the end of a segment.
    pub(crate) fn buffer(&mut self, segment: u64) -> &mut Vec<u8> {
        if self.pending.last().is_none_or(|(last, _)| *last != segment) {
            let spare = std::mem::take(&mut self.spare);
            self.pending.push((segment, spare));
        }
        let last = self.pending.len() - 1;
        &mut self.pending[last].1
    }

    /// Adds a mark if records follow the last one. It is written with them, and costs no sync of its own.
    fn mark(&mut self) {
        let Position { segment, offset } = self.next;
        if self.marked || offset == 0 {
            return;
        }
        put_mark(self.buffer(segment), segment, offset);
        self.next.offset += PREFIX as u64;
        self.marked = true;
    }
}

impl Shared {
    pub(crate) fn new(next: Position, before: u64, marked: bool, files: Files) -> Self {
        let state = State {
            next,
            before,
            pending: Vec::new(),
            pending_bytes: 0,
            spare: Vec::new(),
            idle: false,
            marked,
            appended: 0,
            wanted: 0,
            durable: 0,
            failed: None,
            closing: false,
            files: Some(files),
            rewriting: false,
            wakers: BTreeMap::new(),
            last_waiter: 0,
        };
        Self { state: Mutex::new(state), work: Condvar::new(), done: Condvar::new() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the writer if it sleeps, because there is something to do.
    pub(crate) fn wake_writer(&self, mut state: MutexGuard<'_, State>) {
        let was_idle = std::mem::take(&mut state.idle);
        drop(state);
        if was_idle {
            self.work.notify_one();
        }
    }

    /// Wakes all that wait for a change of the state.
    pub(crate) fn changed(&self, mut state: MutexGuard<'_, State>) {
        let ended = state.ended();
        self.wake_writer(state);
        self.done.notify_all();
        // Without the lock, because a waker is foreign code.
        ended.into_values().for_each(Waker::wake);
    }
}

/// Runs until the journal closes or something fails. A failed write or sync is never repeated: the system may have
/// dropped the bytes, and a second sync would then report success.
pub(crate) fn run(shared: &Shared) {
    while let Some(mut work) = wait(shared) {
        let result = work.files.write(&work.chunks, work.sync);
        let mut state = shared.state();
        if let Some((_, mut spare)) = work.chunks.pop().filter(|_| state.spare.capacity() == 0) {
            spare.clear();
            state.spare = spare;
        }
        match &result {
            Ok(()) if work.sync => state.durable = work.upto,
            Ok(()) => {}
            Err(error) => state.failed = Some((error.kind(), error.to_string())),
        }
        state.files = Some(work.files);
        shared.changed(state);
        if work.closing || result.is_err() {
            return;
        }
    }
}

struct Work {
    files: Files,
    chunks: Vec<(u64, Vec<u8>)>,
    /// Records appended so far.
    upto: u64,
    sync: bool,
    closing: bool,
}

/// Waits for work. `None` after a failure.
fn wait(shared: &Shared) -> Option<Work> {
    let idle = |state: &mut State| {
        let nothing = state.pending.is_empty() && state.wanted <= state.durable && !state.closing;
        state.idle = (nothing || state.files.is_none()) && state.failed.is_none();
        state.idle
    };
    let mut state = shared.state();
    loop {
        state = shared.work.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        let fsync = state.files.as_ref().map(|files| files.fsync);
        if let (Some(Fsync::Batch(wait)), true) = (fsync, state.wanted > state.durable) {
            state = gather(shared, state, wait);
        }
        if state.failed.is_some() {
            return None;
        }
        // A rewrite may have taken the files while this thread waited for more commits.
        let Some(files) = state.files.take() else { continue };
        let sync = state.wanted > state.durable || state.closing;
        if sync {
            state.mark();
        }
        let chunks = std::mem::take(&mut state.pending);
        state.pending_bytes = 0;
        return Some(Work { files, chunks, upto: state.appended, sync, closing: state.closing });
    }
}

fn gather<'a>(shared: &Shared, state: MutexGuard<'a, State>, wait: Duration) -> MutexGuard<'a, State> {
    let more_may_come = |state: &mut State| {
        state.idle = state.pending_bytes < BUFFER && !state.closing;
        state.idle
    };
    let waited = shared.work.wait_timeout_while(state, wait, more_may_come);
    waited.unwrap_or_else(PoisonError::into_inner).0
}

/// The segments that are written, and which of them have bytes that are not synced.
pub(crate) struct Files {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) fsync: Fsync,
    /// The segment that was written last, if it has bytes that are not synced.
    pub(crate) dirty: Option<u64>,
    /// The newest segment in the storage.
    pub(crate) newest: Option<u64>,
    pub(crate) new_names: bool,
}

impl Files {
    fn write(&mut self, chunks: &[(u64, Vec<u8>)], sync: bool) -> io::Result<()> {
        for (segment, bytes) in chunks {
            let segment = *segment;
            if self.newest != Some(segment) {
                // A segment is durable before the next one exists, so only the last one can have a torn end.
                self.sync()?;
                self.new_names = true;
                self.newest = Some(segment);
            }
            self.disk.append(segment, bytes)?;
            self.dirty = Some(segment);
        }
        if sync { self.sync() } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.fsync == Fsync::Off {
            return Ok(());
        }
        if let Some(segment) = self.dirty.take() {
            self.disk.sync(segment)?;
        }
        if std::mem::take(&mut self.new_names) {
            self.disk.sync_names()?;
        }
        Ok(())
    }
}
