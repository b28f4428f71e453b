//! Workers on a queue: the one thing here that spawns.

mod catch;
mod report;

use std::{
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::timeout};

use self::catch::CatchUnwind;
pub use self::report::Report;
use crate::{Lease, Queue};

/// Workers that take items from a [`Queue`], each one at a time, and give them to one handler.
///
/// The handler gets a [`Lease`] and says [`done`](Lease::done) when the work is. If it panics, returns without that,
/// or is aborted, the item goes back to the front and is delivered again, up to
/// [`max_deliveries`](WorkerPoolBuilder::max_deliveries). A panic costs that one delivery; the worker goes on.
///
/// The workers are tasks of the runtime that it is spawned on. They end when the queue is closed and empty, and they
/// end with the pool: dropping it aborts them, each at its handler's next await, and what they were working on goes
/// back into the queue, which stays open. To end in order, see [`shutdown`](Self::shutdown).
///
/// ```
/// use std::time::Duration;
/// use outbound_queue::{Queue, WorkerPool};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let queue: Queue<u32> = Queue::bounded(100);
/// let pool = WorkerPool::spawn(queue.clone(), 8, |lease| async move {
///     println!("working on {}", *lease);
///     lease.done();
/// });
/// for job in 0..10 {
///     queue.push(job).await.expect("nobody has closed it");
/// }
/// let report = pool.shutdown(Duration::from_secs(30)).await;
/// assert_eq!((report.done, report.returned.len(), report.abandoned.len()), (10, 0, 0));
/// # }
/// ```
pub struct WorkerPool<T> {
    queue: Queue<T>,
    workers: JoinSet<()>,
    tally: Arc<Tally<T>>,
    /// The queue's count when the pool was spawned.
    acknowledged_before: u64,
}

/// How a [`WorkerPool`] is to be: made by [`WorkerPool::builder`].
///
/// | | default |
/// |---|---|
/// | [`max_deliveries`](Self::max_deliveries) | 3 |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "nothing is spawned before `spawn`"]
pub struct WorkerPoolBuilder {
    max_deliveries: u32,
}

/// What the workers count.
struct Tally<T> {
    panics: AtomicU64,
    exhausted: Mutex<Vec<T>>,
}

impl WorkerPool<()> {
    /// The defaults, to be changed.
    pub const fn builder() -> WorkerPoolBuilder {
        WorkerPoolBuilder { max_deliveries: 3 }
    }
}

impl WorkerPoolBuilder {
    /// How often an item is given to the handler before it falls out, to be had from
    /// [`take_exhausted`](WorkerPool::take_exhausted) or the [`Report`]. Default: 3; `u32::MAX` is no bound. 0 is
    /// taken for 1.
    pub const fn max_deliveries(self, max_deliveries: u32) -> Self {
        Self { max_deliveries }
    }

    /// Spawns `workers` workers; 0 is taken for 1.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn spawn<T, F, Fut>(self, queue: Queue<T>, workers: usize, handler: F) -> WorkerPool<T>
    where
        T: Send + 'static,
        F: Fn(Lease<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let tally = Arc::new(Tally { panics: AtomicU64::new(0), exhausted: Mutex::new(Vec::new()) });
        let acknowledged_before = queue.acknowledged();
        let max_deliveries = self.max_deliveries.max(1);
        let mut set = JoinSet::new();
        for _ in 0..workers.max(1) {
            set.spawn(work(queue.clone(), Arc::clone(&handler), Arc::clone(&tally), max_deliveries));
        }
        WorkerPool { queue, workers: set, tally, acknowledged_before }
    }
}

impl<T: Send + 'static> WorkerPool<T> {
    /// Spawns `workers` workers (0 is taken for 1) with the defaults of the [builder](WorkerPool::builder).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn spawn<F, Fut>(queue: Queue<T>, workers: usize, handler: F) -> Self
    where
        F: Fn(Lease<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        WorkerPool::builder().spawn(queue, workers, handler)
    }

    /// The items that were delivered as often as they may be, since this was last called.
    pub fn take_exhausted(&self) -> Vec<T> {
        self.tally.take_exhausted()
    }

    /// Closes the queue, lets the workers finish what is in it for as long as `grace`, aborts those that have not,
    /// and takes what is left out of the queue.
    ///
    /// Each item ends up in exactly one place: it is done, or in one of the lists of the [`Report`], or still on a
    /// lease that has left its worker. `Duration::ZERO` aborts at once, `Duration::MAX` waits until all is done.
    ///
    /// Aborting takes effect where the handler awaits: one that blocks its thread is waited for.
    ///
    /// # Cancel safety
    ///
    /// Dropping this future aborts the workers; the queue is closed, and what is left in it is had from
    /// [`Queue::take_all`].
    ///
    /// # Panics
    ///
    /// If the runtime has no timer.
    pub async fn shutdown(mut self, grace: Duration) -> Report<T> {
        self.queue.close();
        let drained = timeout(grace, async { while self.workers.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            // Waits for the aborted as well, so that what they held is back in the queue.
            self.workers.shutdown().await;
        }
        let (mut returned, mut abandoned) = (Vec::new(), Vec::new());
        for (item, deliveries) in self.queue.take_all_with_deliveries() {
            if deliveries == 0 { returned.push(item) } else { abandoned.push(item) }
        }
        Report {
            done: self.queue.acknowledged() - self.acknowledged_before,
            returned,
            abandoned,
            exhausted: self.tally.take_exhausted(),
            leased: self.queue.leased(),
            panics: self.tally.panics.load(Ordering::Relaxed),
        }
    }
}

impl<T> Tally<T> {
    fn take_exhausted(&self) -> Vec<T> {
        std::mem::take(&mut *self.exhausted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn work<T, F, Fut>(queue: Queue<T>, handler: Arc<F>, tally: Arc<Tally<T>>, max_deliveries: u32)
where
    F: Fn(Lease<T>) -> Fut,
    Fut: Future<Output = ()>,
{
    while let Some(lease) = queue.lease().await {
        if lease.deliveries() > max_deliveries {
            let item = lease.give_up();
            tally.exhausted.lock().unwrap_or_else(PoisonError::into_inner).push(item);
            continue;
        }
        // The handler is called inside, since it may panic before it has made a future.
        let handled = CatchUnwind::new(async { handler(lease).await });
        if handled.await.is_err() {
            tally.panics.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<T> fmt::Debug for WorkerPool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPool")
            .field("queue", &self.queue)
            .field("workers", &self.workers.len())
            .field("panics", &self.tally.panics.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}
