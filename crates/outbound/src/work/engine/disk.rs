//! The journal of an engine: how it is read at the start, waited for, and rewritten.

use std::sync::{Arc, Mutex as Lock, PoisonError};

use bytes::Bytes;
use outbound_journal::{Error, Journal, Position};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task,
};

use super::{
    super::{
        WorkError,
        event::{Data, Event},
        log::{Log, fetch},
        model::Model,
        place::Clock,
    },
    Engine, Inner,
};

/// A smaller journal is not rewritten.
const SMALL: usize = 1 << 20;
impl Engine {
    /// Reads the whole journal. Blocks meanwhile.
    pub(crate) fn replay(journal: Journal) -> Result<Self, WorkError> {
        // Records of an earlier writer may not be in the file yet.
        journal.commit().map_err(WorkError::new)?;
        let mut model = Model::default();
        let (mut bytes, mut last) = (0, None);
        for record in journal.records().map_err(WorkError::new)? {
            let record = record.map_err(WorkError::new)?;
            let is_first = bytes == 0;
            bytes += record.bytes.len();
            last = Some(record.position);
            let event = Event::decode(&record.bytes, record.position);
            let event = event.filter(|event| matches!(event, Event::Begin { .. }) == is_first);
            if !event.is_some_and(|event| model.apply(event)) {
                let position = record.position;
                return Err(WorkError::new(format!(
                    "the record at {position} does not belong to a store of work"
                )));
            }
        }
        let journal = Arc::new(journal);
        let mut log = Log::new(journal.clone(), bytes, last);
        if bytes == 0 {
            log.append(&mut Event::Begin { last_lease: 0 })?;
        }
        // The process that held these leases is gone.
        for (lease, sent) in model.orphans() {
            let mut event = Event::Released { lease, sent };
            log.append(&mut event)?;
            model.apply(event);
        }
        let clock = Clock::new(model.last_pushed);
        let inner = Arc::new(Mutex::new(Inner { model, log: Some(log), clock, more: true }));
        Ok(Self {
            inner,
            journal: Some(journal),
            durable: Arc::new(Lock::new(last)),
            changed: Arc::default(),
        })
    }

    /// Waits until everything recorded so far is durable. Other calls go on meanwhile, and share the sync.
    pub(super) async fn durable(&self, inner: OwnedMutexGuard<Inner>) -> Result<(), WorkError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let committed = journal.committed();
        let last = inner.log.as_ref().and_then(|log| log.last);
        compact(inner).await;
        committed.await.map_err(WorkError::new)?;
        self.is_durable(last);
        Ok(())
    }

    /// Records that this record is durable. Returns the last durable record.
    fn is_durable(&self, record: Option<Position>) -> Option<Position> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        *durable = (*durable).max(record);
        *durable
    }

    /// Reads data from the journal, on a thread that may block. The lock is held, so that nothing is moved meanwhile.
    pub(super) async fn load(
        &self,
        inner: OwnedMutexGuard<Inner>,
        wanted: Vec<Data>,
    ) -> Result<(OwnedMutexGuard<Inner>, Vec<Bytes>), WorkError> {
        let last = wanted.iter().filter_map(Data::position).max();
        let Some(journal) = self.journal.clone().filter(|_| last.is_some()) else {
            return Ok((inner, wanted.iter().filter_map(Data::in_memory).collect()));
        };
        if last > self.is_durable(None) {
            journal.committed().await.map_err(WorkError::new)?;
            self.is_durable(last);
        }
        let read = move || {
            let bytes: Result<_, Error> = wanted.iter().map(|data| fetch(&journal, data)).collect();
            (inner, bytes)
        };
        let (inner, bytes) = task::spawn_blocking(read).await.map_err(WorkError::new)?;
        Ok((inner, bytes.map_err(WorkError::new)?))
    }
}

impl Inner {
    fn is_mostly_garbage(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.bytes > 2 * self.model.size + SMALL)
    }
}

/// Rewrites the journal if more than half of it is not needed any more.
///
/// The lock moves to the thread that does it. So nobody appends meanwhile, even if the caller is dropped.
pub(super) async fn compact(mut inner: OwnedMutexGuard<Inner>) {
    if !inner.is_mostly_garbage() {
        return;
    }
    let rewrite = move || {
        let Inner { model, log, .. } = &mut *inner;
        let Some(log) = log else { return };
        let journal = &log.journal;
        let records = model.history().map(|mut event| {
            let data = event.data().map_or(Ok(Bytes::new()), |data| fetch(journal, data))?;
            let mut bytes = Vec::new();
            event.encode(&data, &mut bytes);
            Ok(bytes)
        });
        // Records that were just appended have to be in the file.
        let positions = journal.commit().and_then(|()| journal.try_rewrite(records));
        // If it fails, the disk may be full: the old content stays, and the next try comes when as much was appended
        // again. If the journal itself has failed, the next append returns the error.
        if let Ok(positions) = positions {
            model.moved(&positions);
            log.last = positions.last().copied();
        }
        log.bytes = model.size;
        log.unsynced = 0;
    };
    // A panic of that thread was printed there.
    let _ = task::spawn_blocking(rewrite).await;
}
