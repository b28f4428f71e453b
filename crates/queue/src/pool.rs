//! Workers on a queue: the one thing here that spawns.

mod catch;
mod report;
mod worker;

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{task::JoinSet, time::timeout};

pub use self::report::Report;
use self::worker::{Crew, Deliver, Member, Tally, work};
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
/// What a handler returns is dropped, unless the pool was [spawned into](WorkerPoolBuilder::spawn_into) a queue for
/// results, whose [`items`](Queue::items) are their stream.
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
pub struct WorkerPool<T, K: Ord = Infallible> {
    queue: Queue<T, K>,
    workers: JoinSet<()>,
    tally: Arc<Tally<T>>,
    /// Spawns one more worker; `false` if all have ended, which they do together.
    hire: Hire,
    crew: Arc<Crew>,
    /// The queue's count when the pool was spawned.
    acknowledged_before: u64,
}

type Hire = Box<dyn Fn(&mut JoinSet<()>) -> bool + Send + Sync>;

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
    pub fn spawn<T, K, F, Fut>(self, queue: Queue<T, K>, workers: usize, handler: F) -> WorkerPool<T, K>
    where
        T: Send + 'static,
        K: Ord + Send + 'static,
        F: Fn(Lease<T, K>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.spawn_crew(queue, workers, Deliver::Nowhere, handler)
    }

    /// Spawns `workers` workers, 0 is taken for 1, that push what their handler returns into `results`: as a stream,
    /// these are its [`items`](Queue::items), in the order in which the work was finished. It can be another pool's
    /// queue as well, and the two a pipeline.
    ///
    /// A worker waits for a place in `results` before it takes the next item, so results that nobody takes hold the
    /// pool back. When the last worker has ended, `results` is closed. Nothing returned is lost: a worker that is
    /// aborted while it waits leaves its result beyond the capacity, and one that finds `results` closed leaves it
    /// there for [`take_all`](Queue::take_all). A handler that panics has no result.
    ///
    /// ```
    /// use futures::StreamExt;
    /// use outbound_queue::{Lease, Queue, WorkerPool};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let (words, lengths) = (Queue::bounded(8), Queue::bounded(8));
    /// let pool = WorkerPool::builder().spawn_into(
    ///     words.clone(),
    ///     2,
    ///     lengths.clone(),
    ///     |word: Lease<&str>| async move { word.into_inner().len() },
    /// );
    /// for word in ["a", "few", "words"] {
    ///     words.push(word).await.expect("nobody has closed it");
    /// }
    /// words.close();
    /// let mut lengths: Vec<usize> = lengths.items().collect().await;
    /// lengths.sort();
    /// assert_eq!(lengths, [1, 3, 5]);
    /// # drop(pool);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn spawn_into<T, K, F, Fut>(
        self,
        queue: Queue<T, K>,
        workers: usize,
        results: Queue<Fut::Output>,
        handler: F,
    ) -> WorkerPool<T, K>
    where
        T: Send + 'static,
        K: Ord + Send + 'static,
        F: Fn(Lease<T, K>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Send + 'static> + Send + 'static,
    {
        self.spawn_crew(queue, workers, Deliver::Into(results), handler)
    }

    fn spawn_crew<T, K, F, Fut>(
        self,
        queue: Queue<T, K>,
        workers: usize,
        deliver: Deliver<Fut::Output>,
        handler: F,
    ) -> WorkerPool<T, K>
    where
        T: Send + 'static,
        K: Ord + Send + 'static,
        F: Fn(Lease<T, K>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Send + 'static> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let tally = Arc::new(Tally::default());
        let crew = Arc::new(Crew::default());
        // Only the workers keep it, so that it ends, and closes the results, with the last of them.
        let deliver = Arc::new(deliver);
        let of_workers: Weak<_> = Arc::downgrade(&deliver);
        let hire = {
            let (queue, tally, crew) = (queue.clone(), Arc::clone(&tally), Arc::clone(&crew));
            let max_deliveries = self.max_deliveries.max(1);
            move |set: &mut JoinSet<()>| {
                let Some(deliver) = of_workers.upgrade() else { return false };
                let (queue, handler) = (queue.clone(), Arc::clone(&handler));
                let member = Member::new(&crew);
                set.spawn(work(queue, handler, Arc::clone(&tally), member, deliver, max_deliveries));
                true
            }
        };
        let acknowledged_before = queue.acknowledged();
        let mut pool = WorkerPool {
            queue,
            workers: JoinSet::new(),
            tally,
            hire: Box::new(hire),
            crew,
            acknowledged_before,
        };
        pool.resize(workers);
        drop(deliver);
        pool
    }
}

impl<T: Send + 'static, K: Ord + Send + 'static> WorkerPool<T, K> {
    /// Spawns `workers` workers (0 is taken for 1) with the defaults of the [builder](WorkerPool::builder).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn spawn<F, Fut>(queue: Queue<T, K>, workers: usize, handler: F) -> Self
    where
        F: Fn(Lease<T, K>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        WorkerPool::builder().spawn(queue, workers, handler)
    }

    /// Makes the pool one of `workers` workers; 0 is taken for 1.
    ///
    /// New ones begin at once. Those that are too many end when they are idle: each finishes what it works on. Once
    /// the queue is closed and the workers have ended, this has no effect.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn resize(&mut self, workers: usize) {
        while self.workers.try_join_next().is_some() {}
        self.crew.want(workers.max(1));
        while self.crew.wants_more() && (self.hire)(&mut self.workers) {}
    }

    /// How many workers there are, those included that will end when they have finished what they work on.
    pub fn workers(&self) -> usize {
        self.crew.present()
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
            panics: self.tally.panics(),
        }
    }
}

impl<T, K: Ord> fmt::Debug for WorkerPool<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPool")
            .field("queue", &self.queue)
            .field("workers", &self.crew.present())
            .field("panics", &self.tally.panics())
            .finish_non_exhaustive()
    }
}
