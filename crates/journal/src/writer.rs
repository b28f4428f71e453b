//! The writer's thread: it writes what was appended, and syncs once for all who wait.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use crate::{Error, Fsync, Position, disk::Disk};

/// Bytes that may wait to be written. An append waits while there are as many.
pub(crate) const BUFFER: usize = 8 << 20;

/// What the callers and the writer share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// There is something to do.
    pub(crate) work: Condvar,
    /// Something was done, or failed.
    pub(crate) done: Condvar,
}

pub(crate) struct State {
    /// Where the next record begins; at offset 0 the header comes first.
    pub(crate) next: Position,
    /// Segments and bytes that wait to be written.
    pub(crate) pending: Vec<(u64, Vec<u8>)>,
    pub(crate) pending_bytes: usize,
    /// Records appended; of these, how many somebody waits for, and how many are durable.
    pub(crate) appended: u64,
    pub(crate) wanted: u64,
    pub(crate) durable: u64,
    pub(crate) failed: Option<(io::ErrorKind, String)>,
    pub(crate) closing: bool,
    /// Who waits without a thread: by how many records have to be durable, and by a number of its own.
    pub(crate) wakers: BTreeMap<(u64, u64), Waker>,
    pub(crate) last_waiter: u64,
}

impl State {
    /// How waiting for so many records to be durable ended; `None` while it has not.
    pub(crate) fn committed(&self, upto: u64) -> Option<Result<(), Error>> {
        if self.durable >= upto {
            return Some(Ok(()));
        }
        self.failure().err().map(Err)
    }

    /// Takes the wakers of all whose waiting has ended.
    fn ended(&mut self) -> BTreeMap<(u64, u64), Waker> {
        let rest = match self.failed {
            Some(_) => BTreeMap::new(),
            None => self.wakers.split_off(&(self.durable + 1, 0)),
        };
        std::mem::replace(&mut self.wakers, rest)
    }

    pub(crate) fn failure(&self) -> Result<(), Error> {
        match &self.failed {
            Some((kind, message)) => Err(Error::Failed { kind: *kind, message: message.clone() }),
            None => Ok(()),
        }
    }
}

impl Shared {
    pub(crate) fn new(next: Position) -> Self {
        let state = State {
            next,
            pending: Vec::new(),
            pending_bytes: 0,
            appended: 0,
            wanted: 0,
            durable: 0,
            failed: None,
            closing: false,
            wakers: BTreeMap::new(),
            last_waiter: 0,
        };
        Self { state: Mutex::new(state), work: Condvar::new(), done: Condvar::new() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) fsync: Fsync,
    /// The segment that was written last, if it has bytes that no sync has covered.
    pub(crate) dirty: Option<u64>,
    /// The newest segment on the disk.
    pub(crate) newest: Option<u64>,
    pub(crate) new_names: bool,
}

impl Writer {
    /// Runs until the journal closes or something fails. A failed write or sync is never tried again: the system
    /// may have dropped the bytes, and a second sync would then say that all is well.
    pub(crate) fn run(mut self) {
        loop {
            let (chunks, upto, sync, closing) = self.wait();
            let result = self.write(chunks).and_then(|()| if sync { self.sync() } else { Ok(()) });
            let mut state = self.shared.state();
            match &result {
                Ok(()) if sync => state.durable = upto,
                Ok(()) => {}
                Err(error) => state.failed = Some((error.kind(), error.to_string())),
            }
            let ended = state.ended();
            drop(state);
            self.shared.done.notify_all();
            // Without the lock: a waker is somebody else's code.
            ended.into_values().for_each(Waker::wake);
            if closing || result.is_err() {
                return;
            }
        }
    }

    /// Waits for work. Gives the bytes to write, the number of records appended so far, whether to sync, and
    /// whether this is the end.
    fn wait(&self) -> (Vec<(u64, Vec<u8>)>, u64, bool, bool) {
        let idle =
            |state: &mut State| state.pending.is_empty() && state.wanted <= state.durable && !state.closing;
        let state = self.shared.work.wait_while(self.shared.state(), idle);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if let (Fsync::Batch(wait), true) = (self.fsync, state.wanted > state.durable) {
            state = self.gather(state, wait);
        }
        let chunks = std::mem::take(&mut state.pending);
        state.pending_bytes = 0;
        (chunks, state.appended, state.wanted > state.durable || state.closing, state.closing)
    }

    fn gather<'a>(&self, state: MutexGuard<'a, State>, wait: Duration) -> MutexGuard<'a, State> {
        let more_may_come = |state: &mut State| state.pending_bytes < BUFFER && !state.closing;
        let waited = self.shared.work.wait_timeout_while(state, wait, more_may_come);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn write(&mut self, chunks: Vec<(u64, Vec<u8>)>) -> io::Result<()> {
        for (segment, bytes) in chunks {
            if self.newest != Some(segment) {
                // A segment is durable before the next one exists: only the last can have a torn end.
                self.sync()?;
                self.new_names = true;
                self.newest = Some(segment);
            }
            self.disk.append(segment, &bytes)?;
            self.dirty = Some(segment);
        }
        Ok(())
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
