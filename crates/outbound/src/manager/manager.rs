//! The composition.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    num::NonZeroU32,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use futures::{
    FutureExt,
    stream::{self, Iter, Stream},
};
use outbound_limiter::ConcurrencyLimiter;
use parking_lot::Mutex;
use tokio::{sync::oneshot, task::JoinHandle, time::Instant};

use super::{
    admission::Admission,
    attempt::{Prepared, Wire},
    batch::Batch,
    builder::{BuildError, RequestManagerBuilder},
    driver::{self, Job, Seat, To},
    error::{Error, ErrorKind},
    judge::Rules,
    key::{idempotency_key, mix},
    lifecycle::Lifecycle,
    observe::{Event, Step},
    outcome::{Outcome, Reply},
    record::Record,
    request::Request,
    run::Run,
    scope::Account,
    settings::Settings,
    ticket::{SubmitError, Ticket},
    wall_clock::WallClock,
};

/// Sends requests under limits, retries what is worth it, and brings every answer back.
///
/// Cloning gives another handle to the same manager. See the [crate's page](crate) for what it does by default.
///
/// Each request runs in a task of its own, on the tokio runtime of the call that brought it.
///
/// # Dropping
///
/// Dropping the future of [`send`](Self::send) or a [`Batch`] cuts off its requests: what they hold is given back as far
/// as it was not sent. Dropping a [`Ticket`] does not. When the last handle is dropped, submitted requests are cut off,
/// and their tickets say so; to bring everything to its end, [`shutdown`](Self::shutdown) first, or use a
/// [`scope`](Self::scope). Batches are handles.
#[derive(Clone)]
pub struct RequestManager {
    inner: Arc<Inner>,
    // Dropped with the last handle; what runs for the manager holds `inner` alone.
    _handle: Arc<AbortOnDrop>,
}

/// What all handles share, and all that runs for them.
pub(crate) struct Inner {
    account: Arc<Account>,
    others: BTreeMap<String, Arc<Account>>,
    settings: Settings,
    seed: u64,
    /// Requests so far: where the draws of each come from, with `seed`.
    begun: AtomicU64,
    clock: WallClock,
    pub(crate) lifecycle: Arc<Lifecycle>,
    /// How many submitted requests there may be that have no outcome.
    room: ConcurrencyLimiter,
    /// Submitted requests that a shutdown kept from being sent, until a shutdown gives them back.
    returned: Mutex<Vec<Request>>,
}

struct AbortOnDrop(Arc<Inner>);

/// A task that is cut off when it is dropped.
struct Cut(JoinHandle<()>);

/// So many times `max_concurrent` submitted requests may be without an outcome.
const SUBMITTED: usize = 8;

/// What a shutdown left.
#[derive(Debug)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// How many requests were cut off under way.
    pub aborted: usize,
    /// Submitted requests that had not been sent.
    pub returned: Vec<Request>,
}

impl RequestManager {
    /// Starts with the defaults listed at [`RequestManagerBuilder`].
    pub fn builder() -> RequestManagerBuilder {
        RequestManagerBuilder::new()
    }

    /// Sends one request and waits for its outcome, for as long as its deadline allows.
    ///
    /// Dropping the future cuts the request off.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn send(&self, request: Request) -> Outcome {
        let (sender, outcome) = oneshot::channel();
        let id = request.id.clone();
        let job = Job { request, index: 0, since: Some(Instant::now()) };
        let (entry, task) = driver::task(&self.inner, job, To::One(sender));
        let task = Cut(tokio::spawn(task));
        self.inner.lifecycle.runs_in(entry, &task.0.abort_handle());
        Ticket::new(outcome, id).await
    }

    /// Sends many requests, as many at a time as the limits can use, and yields their outcomes as they complete. One
    /// failure never hides the others.
    ///
    /// The deadline of each runs from its first admission on: waiting for its turn is no fault of its own.
    pub fn batch<I>(&self, requests: I) -> Batch<Iter<I::IntoIter>>
    where
        I: IntoIterator<Item = Request>,
    {
        self.batch_stream(stream::iter(requests))
    }

    /// As [`batch`](Self::batch), with requests that come in time.
    pub fn batch_stream<S: Stream<Item = Request>>(&self, requests: S) -> Batch<S> {
        Batch::new(self.clone(), requests)
    }

    /// Takes a request over and returns a ticket for its outcome; waits where eight times `max_concurrent` have been
    /// submitted and have no outcome. The deadline runs from here on.
    ///
    /// Dropping this future before it is done submits nothing. Dropping the ticket does not cut the request off.
    ///
    /// # Errors
    ///
    /// Gives the request back if the manager has been shut down.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn submit(&self, request: Request) -> Result<Ticket, SubmitError> {
        let since = Some(Instant::now());
        let inner = &self.inner;
        let Ok(room) = inner.room.acquire_owned().await else { return Err(SubmitError(request)) };
        if !inner.lifecycle.is_open() {
            return Err(SubmitError(request));
        }
        let (sender, outcome) = oneshot::channel();
        let id = request.id.clone();
        let job = Job { request, index: 0, since };
        let (entry, task) = driver::task(inner, job, To::Submitter(sender));
        let task = tokio::spawn(async move {
            let _room = room;
            task.await;
        });
        inner.lifecycle.runs_in(entry, &task.abort_handle());
        Ok(Ticket::new(outcome, id))
    }

    /// Lets nobody in any more and sends nothing more: what waits for its admission, or between two attempts, ends at
    /// once with [`ErrorKind::ShutDown`]. Attempts under way are waited for, and cut off after the time given.
    /// Submitted requests that have not been sent are given back, and their tickets resolve with the same error.
    ///
    /// Dropping the future leaves the doors closed, and lets what is under way run on. What there was to give back is
    /// given back by the next call.
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport {
        let inner = &self.inner;
        inner.drain();
        let aborted = inner.lifecycle.drained(grace).await;
        inner.lifecycle.abort();
        // Those cut off tell their outcomes as they are dropped; a runtime that stands still is not waited for.
        inner.lifecycle.drained(Duration::from_secs(1)).await;
        ShutdownReport { aborted, returned: std::mem::take(&mut inner.returned.lock()) }
    }

    /// Lifts every stop: the keys, the money and the servers are tried again from here on.
    pub fn resume(&self) {
        let now = Instant::now();
        self.inner.accounts().for_each(|account| account.resume(now));
    }

    /// Builds a manager, lends it to a function, and shuts it down when the function returns, fails or panics;
    /// what is under way then is cut off, and the shutdown is awaited. Dropping the future of the scope cuts
    /// everything off as well, without awaiting it.
    ///
    /// # Errors
    ///
    /// If the manager cannot be built.
    pub async fn scope<F, T>(
        builder: RequestManagerBuilder,
        body: impl FnOnce(Self) -> F,
    ) -> Result<T, BuildError>
    where
        F: Future<Output = T>,
    {
        let manager = builder.build()?;
        // The body may keep handles; the end of the scope is the end all the same.
        let _abort = AbortOnDrop(Arc::clone(&manager.inner));
        let ended = AssertUnwindSafe(async { body(manager.clone()).await }).catch_unwind().await;
        manager.shutdown(Duration::ZERO).await;
        match ended {
            Ok(value) => Ok(value),
            Err(panic) => resume_unwind(panic),
        }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    pub(crate) fn new(
        account: Account,
        others: BTreeMap<String, Account>,
        settings: Settings,
        seed: u64,
        wall_clock: SystemTime,
    ) -> Self {
        let others: BTreeMap<_, _> =
            others.into_iter().map(|(name, account)| (name, Arc::new(account))).collect();
        let concurrent = others.values().map(|account| account.max_concurrent);
        let width = concurrent.fold(account.max_concurrent, usize::saturating_add);
        let inner = Arc::new(Inner {
            account: Arc::new(account),
            others,
            settings,
            seed,
            begun: AtomicU64::new(0),
            clock: WallClock::starting_at(wall_clock),
            lifecycle: Arc::default(),
            room: ConcurrencyLimiter::new(width.saturating_mul(SUBMITTED)),
            returned: Mutex::default(),
        });
        Self { _handle: Arc::new(AbortOnDrop(Arc::clone(&inner))), inner }
    }
}

impl Inner {
    /// `max_concurrent`, of all endpoints together.
    pub(crate) fn width(&self) -> usize {
        self.accounts().map(|account| account.max_concurrent).fold(0, usize::saturating_add)
    }

    pub(crate) fn has_one_endpoint(&self) -> bool {
        self.others.is_empty()
    }

    pub(crate) fn equal_refusals(&self) -> Option<NonZeroU32> {
        self.settings.stop_after_equal_refusals
    }

    /// A submitted request that was not sent: a shutdown gives it back.
    pub(crate) fn give_back(&self, request: Request) {
        self.returned.lock().push(request);
    }

    /// One request, to its reply or its error.
    pub(crate) async fn run(
        &self,
        request: &Request,
        index: usize,
        since: Option<Instant>,
        record: &mut Record,
        seat: &mut Seat,
    ) -> Result<Reply, Error> {
        let account = match &request.endpoint {
            None => &self.account,
            Some(name) => self.others.get(name).ok_or_else(|| {
                Error::new(ErrorKind::Invalid, format!("there is no endpoint of the name {name:?}"))
            })?,
        };
        let settings = &self.settings;
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let key = || idempotency_key(self.seed, request.id.as_deref(), number);
        let prepared = Prepared::new(request, account, settings, key)?;
        let scope = account.scope(prepared.facts.model.as_deref());
        let observed = settings.observer.as_deref().map(|observer| {
            let (id, model) = (request.id.as_deref(), prepared.facts.model.as_deref());
            let endpoint = account.name.as_deref();
            (observer, Event { id, index, endpoint, model, step: Step::Queued })
        });
        if let Some((observer, event)) = &observed {
            observer.event(event);
        }
        let run = Run {
            scope: &scope,
            attempt: Wire { scope: &scope, clock: &self.clock, observed },
            admission: Admission {
                scope: &scope,
                lifecycle: &self.lifecycle,
                seat,
                cost: prepared.cost,
                limit: request.deadline.unwrap_or(settings.deadline),
                since,
                observed,
            },
            prepared: &prepared,
            rules: Rules { max_attempts: settings.max_attempts, retry_ambiguous: settings.retry_ambiguous },
            number,
            draw: mix(self.seed, number),
        };
        let result = run.run(record).await;
        if let Some((observer, event)) = &observed {
            let failure = result.as_ref().err().map(Error::kind);
            observer.event(&Event { step: Step::Ended { failure }, ..*event });
        }
        result
    }

    /// Wakes all who wait, so that they ask again whether they may go.
    pub(crate) fn notify(&self) {
        self.accounts().for_each(|account| account.notify().notify_waiters());
    }

    /// Lets nobody in and sends nothing more.
    fn drain(&self) {
        self.lifecycle.drain();
        self.room.close();
        self.accounts().for_each(|account| account.close());
    }

    fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        std::iter::once(&self.account).chain(self.others.values())
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.drain();
        self.0.lifecycle.abort();
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}

impl fmt::Debug for RequestManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestManager")
            .field("endpoint", &self.inner.account)
            .field("others", &self.inner.others)
            .field("active", &self.inner.lifecycle.active())
            .finish_non_exhaustive()
    }
}
