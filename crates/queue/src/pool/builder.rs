//! The settings of a pool, and how it is spawned.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::sleep};

use super::{
    WorkerPool,
    failures::Failures,
    handler::{Handler, Plain, WithState, Work},
    results::Results,
    size::{PoolSize, WorkerGuard},
    worker::{Redelivery, run},
};
use crate::{Lease, Queue};

/// The settings of a [`WorkerPool`]; made by [`WorkerPool::builder`].
///
/// | setter | default |
/// |---|---|
/// | [`max_deliveries`](Self::max_deliveries) | 3 |
/// | [`redelivery_wait`](Self::redelivery_wait) | 1 s, doubled each time up to 60 s |
/// | [`results`](Self::results) | dropped |
#[derive(Debug, Clone)]
#[must_use = "nothing is spawned before `spawn`"]
pub struct WorkerPoolBuilder<R = ()> {
    redelivery: Redelivery,
    results: Option<Queue<R>>,
}

impl WorkerPool<()> {
    /// A builder with the defaults.
    pub const fn builder() -> WorkerPoolBuilder {
        let redelivery = Redelivery {
            max_deliveries: 3,
            first_wait: Duration::from_secs(1),
            max_wait: Duration::from_secs(60),
        };
        WorkerPoolBuilder { redelivery, results: None }
    }
}

impl<R> WorkerPoolBuilder<R> {
    /// How often an item is given to the handler before it leaves the queue. It is then in
    /// [`take_exhausted`](WorkerPool::take_exhausted) or in the [`Report`](crate::Report). Default: 3. `u32::MAX` means no
    /// bound, and 0 counts as 1.
    pub fn max_deliveries(mut self, max_deliveries: u32) -> Self {
        self.redelivery.max_deliveries = max_deliveries.max(1);
        self
    }

    /// How long an item waits for its next delivery after one that failed: `first`, then twice as long each time, but at
    /// most `max`. A handler can set another wait for its item: [`Lease::delay_next_delivery`]. Default: 1 s and 60 s.
    ///
    /// The waits have no jitter. At most as many items come back at the same time as there are workers.
    pub fn redelivery_wait(mut self, first: Duration, max: Duration) -> Self {
        (self.redelivery.first_wait, self.redelivery.max_wait) = (first, max);
        self
    }

    /// The queue for the handler's results, in the order in which the work was finished. Its [`items`](Queue::items) are
    /// the results as a stream. It can be the queue of another pool: then the two pools are a pipeline. Default: results
    /// are dropped.
    ///
    /// A worker waits for a free slot in `results` before it takes the next item. So results that nobody takes stop the
    /// pool. When the last worker has ended, `results` is closed. No result is lost: a worker that is aborted while it
    /// waits pushes its result beyond the capacity. A worker that finds `results` closed pushes it there too, for
    /// [`take_all`](Queue::take_all).
    ///
    /// ```
    /// use futures::StreamExt;
    /// use outbound_queue::{Lease, Queue, WorkerPool};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let (words, lengths) = (Queue::bounded(8), Queue::bounded(8));
    /// let pool = WorkerPool::builder()
    ///     .results(lengths.clone())
    ///     .spawn(words.clone(), 2, async |word: &mut Lease<&str>| Ok(word.len()));
    /// for word in ["a", "few", "words"] {
    ///     words.push(word).await.expect("the queue is open");
    /// }
    /// words.close();
    /// let mut lengths: Vec<usize> = lengths.items().collect().await;
    /// lengths.sort();
    /// assert_eq!(lengths, [1, 3, 5]);
    /// # drop(pool);
    /// # }
    /// ```
    pub fn results<Next>(self, results: Queue<Next>) -> WorkerPoolBuilder<Next> {
        WorkerPoolBuilder { redelivery: self.redelivery, results: Some(results) }
    }

    /// Spawns `workers` workers; 0 counts as 1.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled.
    pub fn spawn<T, K, F>(self, queue: Queue<T, K>, workers: usize, handler: F) -> WorkerPool<T, K>
    where
        T: Send + 'static,
        K: Ord + Send + 'static,
        R: Send + 'static,
        F: for<'a> Handler<(&'a mut Lease<T, K>,), R>,
    {
        self.spawn_workers(queue, workers, Plain(handler))
    }

    /// As [`spawn`](Self::spawn), with a handler that also borrows `state`: a client, another queue, a pair of them.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled.
    pub fn spawn_with<S, T, K, F>(
        self,
        state: S,
        queue: Queue<T, K>,
        workers: usize,
        handler: F,
    ) -> WorkerPool<T, K>
    where
        S: Send + Sync + 'static,
        T: Send + 'static,
        K: Ord + Send + 'static,
        R: Send + 'static,
        F: for<'a> Handler<(&'a S, &'a mut Lease<T, K>), R>,
    {
        self.spawn_workers(queue, workers, WithState(state, handler))
    }

    fn spawn_workers<T, K, W>(self, queue: Queue<T, K>, workers: usize, handler: W) -> WorkerPool<T, K>
    where
        T: Send + 'static,
        K: Ord + Send + 'static,
        R: Send + 'static,
        W: Work<T, K, R>,
    {
        // Redeliveries need a timer. This panics here where there is none, and not later in a worker.
        drop(sleep(Duration::ZERO));
        let (handler, redelivery) = (Arc::new(handler), self.redelivery);
        let (failures, size) = (Arc::new(Failures::default()), Arc::new(PoolSize::default()));
        // Only the workers keep it. So it is dropped with the last worker, and closes the queue of results.
        let results = Arc::new(Results(self.results));
        let workers_results = Arc::downgrade(&results);
        let spawn_one = {
            let (queue, failures, size) = (queue.clone(), Arc::clone(&failures), Arc::clone(&size));
            move |set: &mut JoinSet<()>| {
                let Some(results) = workers_results.upgrade() else { return false };
                let (queue, handler, guard) = (queue.clone(), Arc::clone(&handler), WorkerGuard::new(&size));
                set.spawn(run(queue, handler, Arc::clone(&failures), guard, results, redelivery));
                true
            }
        };
        let done_before = queue.acknowledged();
        let workers_now = JoinSet::new();
        let spawn_one = Box::new(spawn_one);
        let mut pool = WorkerPool { queue, workers: workers_now, failures, spawn_one, size, done_before };
        pool.resize(workers);
        drop(results);
        pool
    }
}
