//! The engine of both stores: each decision of the model is written to the journal before it takes effect.

use std::{
    fmt,
    pin::pin,
    sync::{Arc, Mutex as Lock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use outbound_journal::{Error, Journal, Position};
use tokio::{
    sync::{Mutex, Notify, OwnedMutexGuard},
    task,
    time::{Instant, timeout_at},
};

use super::{
    Ambiguous, Answer, Counts, End, Held, Lease, POLL, Pushed, Stale, Work, WorkError,
    event::{Data, Event, State},
    log::{Log, fetch},
    model::Model,
    place::{Clock, Place},
};

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
    /// There may be work to claim, or all of it is done.
    changed: Arc<Notify>,
}

struct Inner {
    model: Model,
    log: Option<Log>,
    clock: Clock,
    /// There may be more work than the last claim found.
    more: bool,
}

impl Default for Inner {
    fn default() -> Self {
        Self { model: Model::default(), log: None, clock: Clock::new(0), more: true }
    }
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

    pub(crate) async fn push(&self, work: Vec<Work>) -> Result<Vec<Pushed>, WorkError> {
        let mut inner = self.lock().await;
        let pushed = inner.clock.micros();
        let mut found = Vec::with_capacity(work.len());
        // Payloads that have to be looked at, and of which work.
        let (mut of, mut payloads) = (Vec::new(), Vec::new());
        for (number, Work { id, payload, priority }) in work.iter().enumerate() {
            found.push(match inner.model.find(id) {
                None => {
                    let state = State::Open(Data::InMemory(payload.clone()));
                    let place = Place { pushed, priority: *priority };
                    let (id, deliveries, ambiguous) = (id.clone(), 0, false);
                    inner.record(Event::Item { id, deliveries, ambiguous, place, state }).await?;
                    Pushed::New
                }
                Some((_, Some(first))) if first.len() != payload.len() => Pushed::Changed,
                Some((known, first)) => {
                    if let Some(first) = first {
                        of.push(number);
                        payloads.push(first);
                    }
                    known
                }
            });
        }
        if found.contains(&Pushed::New) {
            self.wake(&mut inner);
        }
        let (inner, payloads) = self.load(inner, payloads).await?;
        for (number, first) in of.into_iter().zip(payloads) {
            if let (Some(work), Some(found)) = (work.get(number), found.get_mut(number))
                && work.payload != first
            {
                *found = Pushed::Changed;
            }
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
        if inner.rescue().await? > 0 {
            self.wake(&mut inner);
        }
        let mut leases = Vec::new();
        while leases.len() < most
            && let Some(item) = inner.model.next(ambiguous)
        {
            let lease = inner.model.last_lease + 1;
            inner.record(Event::Claimed { lease, item }).await?;
            inner.model.expires(lease, after(ttl));
            leases.extend(inner.model.lease(lease));
        }
        inner.more = leases.len() == most;
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
            if inner.model.held(lease.number).is_some_and(|(_, sent)| !sent) {
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

    pub(crate) async fn finish(&self, ends: &[(&Lease, End)]) -> Result<Held, WorkError> {
        let mut inner = self.lock().await;
        let mut held = Vec::with_capacity(ends.len());
        for (lease, end) in ends {
            if let Some((item, _)) = inner.model.held(lease.number) {
                let event = match end {
                    End::Answered(answer) => {
                        let answer = Data::InMemory(answer.clone());
                        Event::Finished { lease: lease.number, id: lease.id.clone(), answer }
                    }
                    End::Failed(why) => Event::Failed { item, answer: Some(Data::InMemory(why.clone())) },
                };
                inner.record(event).await?;
                held.push(Ok(()));
            } else {
                held.push(Err(Stale::new(lease)));
            }
        }
        if inner.model.is_done() {
            self.wake(&mut inner);
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
        self.wake(&mut inner);
        compact(inner).await;
        Ok(held)
    }

    pub(crate) async fn rescue(&self) -> Result<usize, WorkError> {
        let mut inner = self.lock().await;
        let rescued = inner.rescue().await?;
        if rescued > 0 {
            self.wake(&mut inner);
        }
        Ok(rescued)
    }

    pub(crate) async fn retry_failed(&self) -> Result<usize, WorkError> {
        let mut inner = self.lock().await;
        let failed = inner.model.counts().failed;
        if failed > 0 {
            inner.record(Event::Retried).await?;
            self.wake(&mut inner);
        }
        self.durable(inner).await?;
        Ok(failed)
    }

    pub(crate) async fn answers(&self, after: Option<u64>, most: usize) -> Result<Vec<Answer>, WorkError> {
        let inner = self.lock().await;
        let (mut answers, bytes): (Vec<_>, Vec<_>) = inner.model.answers(after, most).into_iter().unzip();
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

    pub(crate) async fn wait(&self) {
        let mut changed = pin!(self.changed.notified());
        // What changes from here on is heard.
        changed.as_mut().enable();
        let poll = Instant::now() + POLL;
        let mut inner = self.lock().await;
        // What was taken back is ready now. If it could not be, the next call says why.
        let rescued = inner.rescue().await.is_ok_and(|rescued| rescued > 0);
        // Only one wait ends for it: who waits for something else, and does not claim, has to wait.
        if std::mem::take(&mut inner.more) || rescued {
            return;
        }
        let expiry = inner.model.next_expiry().filter(|expiry| *expiry > Instant::now());
        drop(inner);
        // Nothing changed, and it is time to look again.
        let _ = timeout_at(expiry.map_or(poll, |expiry| expiry.min(poll)), changed).await;
    }

    /// Ends all waits, and the next one.
    fn wake(&self, inner: &mut Inner) {
        inner.more = true;
        self.changed.notify_waiters();
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

fn after(ttl: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(ttl).unwrap_or(now + CENTURY)
}

impl Inner {
    /// Writes an event to the journal, then applies it. There is no await between the two. So a dropped future has done
    /// both or none.
    async fn record(&mut self, mut event: Event) -> Result<(), WorkError> {
        if let Some(log) = &mut self.log {
            log.has_room().await?;
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
        self.model.held(lease.number).map(drop).ok_or_else(|| Stale::new(lease))
    }

    fn is_mostly_garbage(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.bytes > 2 * self.model.size + SMALL)
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

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without payloads and answers, which may hold secrets.
        f.debug_struct("Engine").field("journal", &self.journal).finish_non_exhaustive()
    }
}
