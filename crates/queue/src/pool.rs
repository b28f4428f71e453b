//! Worker pools: tasks that work on the items of a queue. Only this part of the crate spawns tasks.

mod builder;
mod catch;
mod failures;
mod handler;
mod report;
mod results;
mod size;
mod worker;

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::timeout};

pub use self::{
    builder::WorkerPoolBuilder,
    handler::Handler,
    report::{Failure, Report},
};
use self::{failures::Failures, size::PoolSize};
use crate::{Lease, Queue};

/// Workers that take items from a [`Queue`] and give them to a handler. Each worker has one item at a time.
///
/// The handler borrows the item on its [`Lease`]. Its result decides what happens to the item:
///
/// | the handler | the item |
/// |---|---|
/// | returns `Ok` | is done |
/// | returns `Err`, or panics | is delivered again after a [wait](WorkerPoolBuilder::redelivery_wait), and later items go ahead of it. After [`max_deliveries`](WorkerPoolBuilder::max_deliveries) it leaves the queue and is [handed back](Self::take_exhausted) with the reason |
/// | is aborted, because the pool is dropped | goes back to the front of the queue at once |
///
/// The [`Report`] counts errors and panics, and has the item number and the message of the last ones. A panic costs one
/// delivery, and the worker goes on. An item that waits for its next delivery keeps its slot in the capacity.
///
/// The workers are tasks on the runtime that the pool is spawned on. They end when the queue is closed and empty. They
/// also end with the pool: dropping it aborts them, each at the next await of its handler, and the queue stays open. For
/// an orderly end see [`shutdown`](Self::shutdown).
///
/// ```
/// use std::time::Duration;
/// use outbound_queue::{Lease, Queue, WorkerPool};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let queue: Queue<u32> = Queue::bounded(100);
/// let pool = WorkerPool::spawn(queue.clone(), 8, async |job: &mut Lease<u32>| {
///     println!("working on {}", **job);
///     Ok(())
/// });
/// for job in 0..10 {
///     queue.push(job).await.expect("the queue is open");
/// }
/// let report = pool.shutdown(Duration::from_secs(30)).await;
/// assert_eq!((report.done, report.returned.len(), report.abandoned.len()), (10, 0, 0));
/// # }
/// ```
pub struct WorkerPool<T, K: Ord = Infallible> {
    queue: Queue<T, K>,
    workers: JoinSet<()>,
    failures: Arc<Failures<T>>,
    /// Spawns one more worker. `false` if the workers have ended.
    spawn_one: SpawnOne,
    size: Arc<PoolSize>,
    /// How many items of the queue were done when the pool was spawned.
    done_before: u64,
}

type SpawnOne = Box<dyn Fn(&mut JoinSet<()>) -> bool + Send + Sync>;

impl<T: Send + 'static, K: Ord + Send + 'static> WorkerPool<T, K> {
    /// Spawns `workers` workers (0 counts as 1) with the defaults of the [builder](WorkerPool::builder).
    ///
    /// The handler is an async function or closure that captures nothing: see [`Handler`]. With
    /// [`spawn_with`](Self::spawn_with) it gets a state beside the item.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled.
    pub fn spawn<F>(queue: Queue<T, K>, workers: usize, handler: F) -> Self
    where
        F: for<'a> Handler<(&'a mut Lease<T, K>,), ()>,
    {
        WorkerPool::builder().spawn(queue, workers, handler)
    }

    /// As [`spawn`](Self::spawn), with a handler that also borrows `state`: a client, another queue, a pair of them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use outbound_queue::{Lease, Queue, WorkerPool};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// // Each job pushes smaller jobs into its own queue. It is done once they are pushed, so `join` waits for all.
    /// let queue = Queue::unbounded();
    /// let pool =
    ///     WorkerPool::spawn_with(queue.clone(), queue.clone(), 4, async |queue: &Queue<u32>, job: &mut Lease<u32>| {
    ///         for smaller in 0..**job {
    ///             queue.push(smaller).await?;
    ///         }
    ///         Ok(())
    ///     });
    /// queue.push(3).await.expect("the queue is open");
    /// queue.join().await;
    /// assert_eq!(pool.shutdown(Duration::from_secs(30)).await.done, 8);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled.
    pub fn spawn_with<S, F>(state: S, queue: Queue<T, K>, workers: usize, handler: F) -> Self
    where
        S: Send + Sync + 'static,
        F: for<'a> Handler<(&'a S, &'a mut Lease<T, K>), ()>,
    {
        WorkerPool::builder().spawn_with(state, queue, workers, handler)
    }

    /// Changes the number of workers; 0 counts as 1.
    ///
    /// New workers begin at once. Workers that are too many finish what they work on, and then end. Once the queue is
    /// closed and the workers have ended, this has no effect.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn resize(&mut self, workers: usize) {
        while self.workers.try_join_next().is_some() {}
        self.size.want(workers.max(1));
        while self.size.wants_more() && (self.spawn_one)(&mut self.workers) {}
    }

    /// How many workers there are, including those that will end when they have finished what they work on.
    pub fn workers(&self) -> usize {
        self.size.present()
    }

    /// Takes the items that have used up their deliveries since the last call, each with how its last delivery ended.
    pub fn take_exhausted(&self) -> Vec<(T, Failure)> {
        self.failures.take_exhausted()
    }

    /// Shuts the pool down. It closes the queue and gives the workers the time `grace` to finish the items. Then it aborts
    /// the workers that have not ended, and takes the remaining items out of the queue.
    ///
    /// Afterwards each item is exactly one of these: done, in one of the lists of the [`Report`], or on a lease that other
    /// code has taken. `Duration::ZERO` aborts at once. `Duration::MAX` waits until all items are done.
    ///
    /// An abort takes effect where the handler awaits. A handler that blocks its thread is waited for.
    ///
    /// # Cancel safety
    ///
    /// Dropping this future aborts the workers. The queue is then closed, and [`Queue::take_all`] gives what is left in
    /// it.
    ///
    /// # Panics
    ///
    /// If the runtime has no time enabled.
    pub async fn shutdown(mut self, grace: Duration) -> Report<T> {
        self.queue.close();
        let drained = timeout(grace, async { while self.workers.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            // This also waits for the aborted workers, so that their items are back in the queue.
            self.workers.shutdown().await;
        }
        let (mut returned, mut abandoned) = (Vec::new(), Vec::new());
        for (item, deliveries) in self.queue.take_all_with_deliveries() {
            if deliveries == 0 { returned.push(item) } else { abandoned.push(item) }
        }
        let exhausted = self.failures.take_exhausted();
        let failures = self.failures.read();
        Report {
            done: self.queue.acknowledged() - self.done_before,
            returned,
            abandoned,
            exhausted,
            leased: self.queue.leased(),
            errors: failures.errors,
            panics: failures.panics,
            failures: failures.latest.iter().cloned().collect(),
        }
    }
}

impl<T, K: Ord> fmt::Debug for WorkerPool<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failures = self.failures.read();
        f.debug_struct("WorkerPool")
            .field("queue", &self.queue)
            .field("workers", &self.size.present())
            .field("errors", &failures.errors)
            .field("panics", &failures.panics)
            .finish_non_exhaustive()
    }
}
