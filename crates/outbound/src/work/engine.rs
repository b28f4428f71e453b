//! What the stores of this crate share: decisions of the model, written down before they count.

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

/// So much is appended before a commit is waited for. Below 8 MiB an append never blocks.
const UNSYNCED: usize = 4 << 20;
/// Below this a journal is not worth a rewrite.
const SMALL: usize = 1 << 20;
/// About a hundred years, for limits that are beyond the clock.
const FAR: Duration = Duration::from_secs(3_000_000_000);

#[derive(Clone, Default)]
pub(crate) struct Engine {
    inner: Arc<Mutex<Inner>>,
    journal: Option<Arc<Journal>>,
    /// A record that is known to be durable, with all before it. What is behind it may not be in the file yet.
    durable: Arc<Lock<Option<Position>>>,
}

#[derive(Default)]
struct Inner {
    model: Model,
    log: Option<Log>,
}

/// The journal of a store. Nobody else appends to it.
struct Log {
    journal: Arc<Journal>,
    /// Bytes of its records, about.
    bytes: usize,
    /// Bytes that were appended, and may wait to be written.
    unsynced: usize,
    /// The last record.
    last: Option<Position>,
    buffer: Vec<u8>,
}

impl Engine {
    /// Blocks while it reads all.
    pub(crate) fn replay(journal: Journal) -> Result<Self, WorkError> {
        // What somebody has appended is read as well.
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
                let place = record.position;
                return Err(WorkError::new(format!("the record at {place} is not one of a store of work")));
            }
        }
        let journal = Arc::new(journal);
        let mut log = Log { journal: journal.clone(), bytes, unsynced: 0, last, buffer: Vec::new() };
        if bytes == 0 {
            log.append(&mut Event::Begin { last_lease: 0 })?;
        }
        // Whoever held them is gone with the process.
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
                let state = State::Open(Data::Held(payload));
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
        // Whoever is late must not send what the next claim may give to another.
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
                let answer = Data::Held(answer.clone());
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
        // Whoever finished them may not have waited.
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

    /// Waits until all is durable that was recorded so far. Others go on meanwhile, and share the sync.
    async fn durable(&self, inner: OwnedMutexGuard<Inner>) -> Result<(), WorkError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let committed = journal.committed();
        let last = inner.log.as_ref().and_then(|log| log.last);
        compact(inner).await;
        committed.await.map_err(WorkError::new)?;
        self.is_durable(last);
        Ok(())
    }

    /// Says that this record is durable. Gives the last one that is.
    fn is_durable(&self, record: Option<Position>) -> Option<Position> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        *durable = (*durable).max(record);
        *durable
    }

    /// Reads data where it is kept, on a thread that may block. The lock goes along: nothing is moved meanwhile.
    async fn load(
        &self,
        inner: OwnedMutexGuard<Inner>,
        wanted: Vec<Data>,
    ) -> Result<(OwnedMutexGuard<Inner>, Vec<Bytes>), WorkError> {
        let last = wanted.iter().filter_map(Data::position).max();
        let Some(journal) = self.journal.clone().filter(|_| last.is_some()) else {
            return Ok((inner, wanted.iter().filter_map(Data::held).collect()));
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
        Data::Held(bytes) => Ok(bytes.clone()),
        Data::Kept { position, length } => {
            let mut record = journal.read(*position)?;
            Ok(record.split_off(record.len().saturating_sub(*length)).into())
        }
    }
}

fn after(ttl: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(ttl).unwrap_or(now + FAR)
}

impl Inner {
    /// Writes an event down, then lets it count. Nothing waits in between: dropped early, it did not happen.
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
    /// Writes an event down. Its data is in the journal then, and not in memory.
    fn append(&mut self, event: &mut Event) -> Result<(), WorkError> {
        let data = event.data().and_then(|data| data.held()).unwrap_or_default();
        self.buffer.clear();
        event.encode(&data, &mut self.buffer);
        let position = self.journal.append(&self.buffer).map_err(WorkError::new)?;
        if let Some(data) = event.data() {
            data.keep(position);
        }
        self.bytes += self.buffer.len();
        self.unsynced += self.buffer.len();
        self.last = Some(position);
        Ok(())
    }
}

/// Rewrites the journal where more than half of it is of no use any more.
///
/// The lock goes along to the thread that does it: if the caller is dropped, nobody appends meanwhile.
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
        // What was appended last is read from the file, too.
        let places = journal.commit().and_then(|()| journal.try_rewrite(records));
        // Where it fails, the disk may be full: the old content counts, and the next try is when as much has come
        // again. If the journal itself failed, the next append says so.
        if let Ok(places) = places {
            model.moved(&places);
            log.last = places.last().copied();
        }
        log.bytes = model.size;
        log.unsynced = 0;
    };
    // A panic there was printed there.
    let _ = task::spawn_blocking(rewrite).await;
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No payload and no answer, which may hold secrets.
        f.debug_struct("Engine").field("journal", &self.journal).finish_non_exhaustive()
    }
}
