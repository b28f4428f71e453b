//! The engine of both stores: each decision of the model is written to the journal before it takes effect.

use std::{
    fmt,
    sync::{Arc, Mutex as Lock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use outbound_journal::{Error, Journal, Position};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task,
    time::Instant,
};

use super::{
    Ambiguous, Answer, Counts, Held, Lease, Pushed, Stale, Work, WorkError,
    event::{Data, Event, State},
    model::Model,
};

/// How many bytes are appended before a commit is waited for. Below 8 MiB an append never blocks.
const UNSYNCED: usize = 4 << 20;
/// A smaller journal is not rewritten.
const SMALL: usize = 1 << 20;
/// About a hundred years, for times beyond the range of the clock.
const CENTURY: Duration = Duration::from_secs(3_000_000_000);

#[derive(Clone, Default)]
pub(crate) struct Engine {
    inner: Arc<Mutex<Inner>>,
    journal: Option<Arc<Journal>>,
    /// The last record that is known to be durable. Later ones may not be in the file yet.
    durable: Arc<Lock<Option<Position>>>,
}

#[derive(Default)]
struct Inner {
    model: Model,
    log: Option<Log>,
}

/// The journal of a store. Only the store appends to it.
struct Log {
    journal: Arc<Journal>,
    /// The bytes of its records, roughly.
    bytes: usize,
    /// Bytes that were appended and may not be written yet.
    unsynced: usize,
    /// The last record.
    last: Option<Position>,
    buffer: Vec<u8>,
}

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
        let mut log = Log { journal: journal.clone(), bytes, unsynced: 0, last, buffer: Vec::new() };
        if bytes == 0 {
            log.append(&mut Event::Begin { last_lease: 0 })?;
        }
        // The process that held these leases is gone.
        for (lease, sent) in model.orphans() {
            let mut event = Event::Released { lease, sent };
            log.append(&mut event)?;
            model.apply(event);
        }
        let inner = Arc::new(Mutex::new(Inner { model, log: Some(log) }));
        Ok(Self { inner, journal: Some(journal), durable: Arc::new(Lock::new(last)) })
    }

    pub(crate) async fn push(&self, work: Vec<Work>) -> Result<Vec<Pushed>, WorkError> {
        let mut inner = self.lock().await;
        let mut found = Vec::with_capacity(work.len());
        for Work { id, payload } in work {
            let known = inner.model.find(&id);
            if known.is_none() {
                let state = State::Open(Data::InMemory(payload));
                inner.record(Event::Item { id, deliveries: 0, ambiguous: false, state }).await?;
            }
            found.push(known.unwrap_or(Pushed::New));
        }
        self.durable(inner).await?;
        Ok(found)
    }

    pub(crate) async fn claim(
        &self,
        most: usize,
        ttl: Duration,
        ambiguous: Ambiguous,
    ) -> Result<Vec<Lease>, WorkError> {
        let mut inner = self.lock().await;
        inner.rescue().await?;
        let mut leases = Vec::new();
        while leases.len() < most
            && let Some(item) = inner.model.next(ambiguous)
        {
            let lease = inner.model.last_lease + 1;
            inner.record(Event::Claimed { lease, item }).await?;
            inner.model.expires(lease, after(ttl));
            leases.extend(inner.model.lease(lease));
        }
        let (mut leases, payloads): (Vec<_>, Vec<_>) = leases.into_iter().unzip();
        let (inner, payloads) = self.load(inner, payloads).await?;
        leases.iter_mut().zip(payloads).for_each(|(lease, payload)| lease.payload = payload);
        compact(inner).await;
        Ok(leases)
    }

    pub(crate) async fn sent(&self, leases: &[&Lease]) -> Result<Held, WorkError> {
        let mut inner = self.lock().await;
        // A late holder must not send what the next claim may give to another one.
        inner.rescue().await?;
        let mut held = Vec::with_capacity(leases.len());
        for lease in leases {
            held.push(inner.held(lease));
            if inner.model.is_sent(lease.number) == Some(false) {
                inner.record(Event::Sent { lease: lease.number }).await?;
            }
        }
        self.durable(inner).await?;
        Ok(held)
    }

    pub(crate) async fn renew(&self, leases: &[&Lease], ttl: Duration) -> Result<Held, WorkError> {
        let mut inner = self.lock().await;
        let renewed = leases.iter().map(|lease| {
            inner.held(lease).inspect(|()| {
                inner.model.expires(lease.number, after(ttl));
            })
        });
        Ok(renewed.collect())
    }

    pub(crate) async fn finish(&self, answers: &[(&Lease, Bytes)]) -> Result<Held, WorkError> {
        let mut inner = self.lock().await;
        let mut held = Vec::with_capacity(answers.len());
        for (lease, answer) in answers {
            let is_held = inner.held(lease);
            if is_held.is_ok() {
                let (lease, id) = (lease.number, lease.id.clone());
                let answer = Data::InMemory(answer.clone());
                inner.record(Event::Finished { lease, id, answer }).await?;
            }
            held.push(is_held);
        }
        self.durable(inner).await?;
        Ok(held)
    }

    pub(crate) async fn release(&self, leases: &[&Lease], sent: bool) -> Result<Held, WorkError> {
        let mut inner = self.lock().await;
        let mut held = Vec::with_capacity(leases.len());
        for lease in leases {
            let is_held = inner.held(lease);
            if is_held.is_ok() {
                inner.record(Event::Released { lease: lease.number, sent }).await?;
            }
            held.push(is_held);
        }
        compact(inner).await;
        Ok(held)
    }

    pub(crate) async fn rescue(&self) -> Result<usize, WorkError> {
        self.lock().await.rescue().await
    }

    pub(crate) async fn answers(&self, most: usize) -> Result<Vec<Answer>, WorkError> {
        let inner = self.lock().await;
        let (mut answers, bytes): (Vec<_>, Vec<_>) = inner.model.answers(most).into_iter().unzip();
        let (inner, bytes) = self.load(inner, bytes).await?;
        answers.iter_mut().zip(bytes).for_each(|(answer, bytes)| answer.bytes = bytes);
        // Whoever finished these answers may not have waited until they were durable.
        self.durable(inner).await?;
        Ok(answers)
    }

    pub(crate) async fn exported(&self, ids: &[Arc<str>]) -> Result<(), WorkError> {
        let mut inner = self.lock().await;
        for id in ids {
            if let Some(item) = inner.model.exportable(id) {
                inner.record(Event::Exported { item }).await?;
            }
        }
        self.durable(inner).await
    }

    pub(crate) async fn counts(&self) -> Counts {
        self.lock().await.model.counts()
    }

    async fn lock(&self) -> OwnedMutexGuard<Inner> {
        self.inner.clone().lock_owned().await
    }

    /// Waits until everything recorded so far is durable. Other calls go on meanwhile, and share the sync.
    async fn durable(&self, inner: OwnedMutexGuard<Inner>) -> Result<(), WorkError> {
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
    async fn load(
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

fn fetch(journal: &Journal, data: &Data) -> Result<Bytes, Error> {
    match data {
        Data::InMemory(bytes) => Ok(bytes.clone()),
        Data::InJournal { position, length } => {
            let mut record = journal.read(*position)?;
            Ok(record.split_off(record.len().saturating_sub(*length)).into())
        }
    }
}

fn after(ttl: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(ttl).unwrap_or(now + CENTURY)
}

impl Inner {
    /// Writes an event to the journal, then applies it. There is no await between the two. So a dropped future has done
    /// both or none.
    async fn record(&mut self, mut event: Event) -> Result<(), WorkError> {
        if let Some(log) = &mut self.log {
            if log.unsynced >= UNSYNCED {
                log.journal.committed().await.map_err(WorkError::new)?;
                log.unsynced = 0;
            }
            log.append(&mut event)?;
        }
        self.model.apply(event);
        Ok(())
    }

    async fn rescue(&mut self) -> Result<usize, WorkError> {
        let now = Instant::now();
        let mut rescued = 0;
        while let Some((lease, sent)) = self.model.expired(now) {
            self.record(Event::Released { lease, sent }).await?;
            rescued += 1;
        }
        Ok(rescued)
    }

    fn held(&self, lease: &Lease) -> Result<(), Stale> {
        self.model.is_sent(lease.number).map(drop).ok_or_else(|| Stale::new(lease))
    }

    fn is_mostly_garbage(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.bytes > 2 * self.model.size + SMALL)
    }
}

impl Log {
    /// Writes an event to the journal. From then on its data is in the journal, and no longer in memory.
    fn append(&mut self, event: &mut Event) -> Result<(), WorkError> {
        let data = event.data().and_then(|data| data.in_memory()).unwrap_or_default();
        self.buffer.clear();
        event.encode(&data, &mut self.buffer);
        let position = self.journal.append(&self.buffer).map_err(WorkError::new)?;
        if let Some(data) = event.data() {
            data.move_to_journal(position);
        }
        self.bytes += self.buffer.len();
        self.unsynced += self.buffer.len();
        self.last = Some(position);
        Ok(())
    }
}

/// Rewrites the journal if more than half of it is not needed any more.
///
/// The lock moves to the thread that does it. So nobody appends meanwhile, even if the caller is dropped.
async fn compact(mut inner: OwnedMutexGuard<Inner>) {
    if !inner.is_mostly_garbage() {
        return;
    }
    let rewrite = move || {
        let Inner { model, log } = &mut *inner;
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

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without payloads and answers, which may hold secrets.
        f.debug_struct("Engine").field("journal", &self.journal).finish_non_exhaustive()
    }
}
