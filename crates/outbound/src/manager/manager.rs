//! The composition.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, resume_unwind},
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use futures::{
    FutureExt,
    future::{self, BoxFuture, Either},
    stream::{self, Iter, Stream},
};
use http::HeaderValue;
use outbound_client::Limits;
use tokio::time::Instant;

use super::{
    batch::Batch,
    builder::{BuildError, RequestManagerBuilder},
    clock::WallClock,
    error::{Error, ErrorKind},
    exchange::Prepared,
    flight::Flight,
    lifecycle::Lifecycle,
    outcome::{Outcome, Reply},
    record::Record,
    request::Request,
    scope::Scope,
    ticket::{Desk, SubmitError, Ticket},
};

/// Sends requests under limits, retries what is worth it, and brings every answer back.
///
/// Cloning gives another handle to the same manager. See the [crate's page](crate) for what it does by default.
///
/// # Dropping
///
/// Dropping a future made by a manager cancels its request: its place and its quota are given back as far as it
/// was not sent. When the last handle is dropped, submitted requests are cut off, and their tickets say so; to bring
/// everything to its end, [`shutdown`](Self::shutdown) first, or use a [`scope`](Self::scope). Batches are handles.
#[derive(Clone)]
pub struct RequestManager {
    inner: Arc<Inner>,
    // Dropped with the last handle; what runs for the manager holds `inner` alone.
    _handle: Arc<AbortOnDrop>,
}

/// What all handles share, and all that runs for them.
pub(crate) struct Inner {
    scope: Scope,
    others: BTreeMap<String, Scope>,
    settings: Settings,
    /// How many requests a batch or the queue looks after at once: more than are in flight, since one that backs
    /// off, or waits for its quota, holds nothing.
    window: usize,
    seed: u64,
    /// Requests so far: with `seed`, where their draws and keys come from.
    begun: AtomicU64,
    clock: WallClock,
    lifecycle: Lifecycle,
    desk: OnceLock<Desk>,
}

struct AbortOnDrop(Arc<Inner>);

/// As wide as a window gets for the sake of those that hold nothing.
const WIDEST: usize = 16_384;

/// What holds for every request that does not say otherwise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) deadline: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) first_item_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) max_attempts: u32,
}

/// What a shutdown left.
#[derive(Debug)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// How many requests were cut off under way.
    pub aborted: usize,
    /// Submitted requests that had not been sent.
    pub returned: Vec<Request>,
}

impl Settings {
    /// The limits of one exchange. A request waits for its admission, not for a connection: the client's pool has no
    /// cap, and so no limit on waiting for it.
    pub(crate) fn limits(&self) -> Limits {
        Limits::new()
            .pool_wait(None)
            .dns(self.connect_timeout)
            .connect(self.connect_timeout)
            .tls(self.connect_timeout)
            .write_idle(self.idle_timeout)
            .first_byte(None)
            .idle(self.idle_timeout)
            .exchange(self.attempt_timeout)
            .total(None)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30 * 60),
            attempt_timeout: Duration::from_secs(5 * 60),
            first_item_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            max_attempts: 5,
        }
    }
}

impl RequestManager {
    /// Starts with the defaults listed at [`RequestManagerBuilder`].
    pub fn builder() -> RequestManagerBuilder {
        RequestManagerBuilder::new()
    }

    /// Sends one request and waits for its outcome, for as long as its deadline allows.
    ///
    /// Dropping the future cancels the request.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn send(&self, request: Request) -> Outcome {
        let now = Instant::now();
        self.inner.run(request, 0, now, Some(now)).await
    }

    /// Sends many requests, a window of them at a time, and yields their outcomes as they complete. One failure
    /// never hides the others.
    ///
    /// The window is wider than the number of requests in flight, since a request that backs off holds nothing. The
    /// deadline of each runs from its first admission on: waiting for its turn is no fault of its own.
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

    /// Puts a request into the queue, waiting for room in it, and returns a ticket for its outcome. The deadline
    /// runs from here on.
    ///
    /// As many may wait in the queue as are looked after at once; workers are started with the first, on the runtime
    /// that it comes from. Dropping this future before it is done submits nothing. Dropping the ticket does not cancel
    /// the request.
    ///
    /// # Errors
    ///
    /// Gives the request back if the manager has been shut down.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn submit(&self, request: Request) -> Result<Ticket, SubmitError> {
        let now = Instant::now();
        let inner = &self.inner;
        if !inner.lifecycle.is_open() {
            return Err(SubmitError(request));
        }
        let desk = inner.desk.get_or_init(|| Desk::open(Arc::downgrade(inner), inner.window));
        // A shutdown that came in between has closed no desk.
        if !inner.lifecycle.is_open() {
            drop(desk.close());
            desk.ended().await;
            return Err(SubmitError(request));
        }
        desk.submit(request, now).await
    }

    /// Lets nobody in any more and sends nothing more: what waits for its admission, or between two attempts, ends at
    /// once with [`ErrorKind::ShutDown`]. Attempts under way are waited for, and cut off after the time given.
    /// Submitted requests that have not been sent are given back, and their tickets resolve with the same error.
    ///
    /// A batch goes on as it is polled: await this beside it, not in its place.
    ///
    /// Dropping the future leaves the doors closed, and lets what is under way run on.
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport {
        let inner = &self.inner;
        inner.lifecycle.drain();
        inner.close_quotas();
        let mut returned = inner.desk.get().map(Desk::close).unwrap_or_default();
        let aborted = inner.lifecycle.drained(grace).await;
        inner.lifecycle.abort();
        // Those cut off are told at once; whoever awaits their outcomes is not waited for.
        if let Some(desk) = inner.desk.get() {
            returned.extend(desk.ended().await);
        }
        ShutdownReport { aborted, returned }
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

    pub(crate) fn window(&self) -> usize {
        self.inner.window
    }

    /// One request of a batch, to be polled by it.
    pub(crate) fn boxed(&self, request: Request, index: usize) -> BoxFuture<'static, Outcome> {
        let inner = Arc::clone(&self.inner);
        let started = Instant::now();
        Box::pin(async move { inner.run(request, index, started, None).await })
    }

    pub(crate) fn new(
        scope: Scope,
        others: BTreeMap<String, Scope>,
        settings: Settings,
        seed: u64,
        wall_clock: SystemTime,
    ) -> Self {
        let concurrent = others.values().map(|scope| scope.max_concurrent);
        let concurrent = concurrent.fold(scope.max_concurrent, usize::saturating_add);
        let inner = Arc::new(Inner {
            scope,
            others,
            settings,
            window: concurrent.saturating_mul(4).saturating_add(64).min(concurrent.max(WIDEST)),
            seed,
            begun: AtomicU64::new(0),
            clock: WallClock::starting_at(wall_clock),
            lifecycle: Lifecycle::new(),
            desk: OnceLock::new(),
        });
        Self { _handle: Arc::new(AbortOnDrop(Arc::clone(&inner))), inner }
    }
}

impl Inner {
    /// One request, from its arrival at `started` to its outcome. Its deadline runs from `since`, or from its first
    /// admission on.
    pub(crate) async fn run(
        &self,
        request: Request,
        index: usize,
        started: Instant,
        since: Option<Instant>,
    ) -> Outcome {
        let id = request.id.clone();
        let mut record = Record::default();
        let result = match self.lifecycle.enter() {
            Some(_inside) => {
                let flight = pin!(self.fly(request, since, &mut record));
                let aborted = pin!(self.lifecycle.aborted());
                match future::select(flight, aborted).await {
                    Either::Left((result, _)) => result,
                    Either::Right(((), _)) => Err(Error::new(ErrorKind::ShutDown, "cut off by the shutdown")),
                }
            }
            None => Err(Error::new(ErrorKind::ShutDown, "the manager has been shut down")),
        };
        record.into_outcome(result, id, index, started.elapsed())
    }

    async fn fly(
        &self,
        request: Request,
        since: Option<Instant>,
        record: &mut Record,
    ) -> Result<Reply, Error> {
        let scope = match &request.endpoint {
            None => &self.scope,
            Some(name) => self.others.get(name).ok_or_else(|| {
                Error::new(ErrorKind::Invalid, format!("there is no endpoint of the name {name:?}"))
            })?,
        };
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let limit = request.deadline.unwrap_or(self.settings.deadline);
        let key = || idempotency_key(self.seed, number);
        let flight = Flight {
            scope,
            clock: &self.clock,
            lifecycle: &self.lifecycle,
            prepared: Prepared::new(request, scope, &self.settings, key)?,
            max_attempts: self.settings.max_attempts,
            limit,
            since,
            seed: mix(self.seed, number),
        };
        flight.run(record).await
    }

    fn close_quotas(&self) {
        for scope in std::iter::once(&self.scope).chain(self.others.values()) {
            scope.quota.close();
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.lifecycle.abort();
        self.0.close_quotas();
        if let Some(desk) = self.0.desk.get() {
            drop(desk.close());
        }
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
            .field("endpoint", &self.inner.scope)
            .field("others", &self.inner.others)
            .field("active", &self.inner.lifecycle.active())
            .finish_non_exhaustive()
    }
}

/// A key that no other request of this manager has, and most likely none of another: 64 bits of its seed, 64 of the
/// request's number.
fn idempotency_key(seed: u64, number: u64) -> HeaderValue {
    let key = format!("outbound-{:016x}{number:016x}", mix(seed, u64::MAX));
    // Hexadecimal digits are a header value.
    HeaderValue::from_str(&key).unwrap_or_else(|_| HeaderValue::from_static("outbound"))
}

/// The finalizer of `SplitMix64` over a seed and a counter (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", OOPSLA 2014).
fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
