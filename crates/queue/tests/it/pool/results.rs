//! The results of a pool, as a stream and as the queue of the next pool.

use std::time::Duration;

use futures::StreamExt;
use outbound_queue::{Lease, Queue, WorkerPool};
use tokio::time::sleep;

use super::{SECOND, fail, filled};

/// A pool of two workers that doubles each item into `results`. Each item takes a second, and item 3 panics.
fn doubling(queue: Queue<u32>, results: Queue<u32>) -> WorkerPool<u32> {
    WorkerPool::builder().max_deliveries(1).results(results).spawn(
        queue,
        2,
        async |lease: &mut Lease<u32>| {
            sleep(SECOND).await;
            if **lease == 3 {
                fail();
            }
            Ok(**lease * 2)
        },
    )
}

#[tokio::test(start_paused = true)]
async fn results_come_as_a_stream_that_ends_with_the_workers() {
    let (queue, results) = (filled(6).await, Queue::bounded(1));
    let pool = doubling(queue.clone(), results.clone());
    queue.close();
    assert_eq!(results.items().collect::<Vec<_>>().await, [0, 2, 4, 8, 10], "a panic has no result");
    let report = pool.shutdown(SECOND).await;
    assert_eq!((report.done, report.panics, report.exhausted[0].0), (5, 1, 3));
}

#[tokio::test(start_paused = true)]
async fn results_that_nobody_takes_stop_the_pool_and_are_not_lost() {
    let (queue, results) = (filled(6).await, Queue::bounded(1));
    let pool = doubling(queue.clone(), results.clone());
    sleep(SECOND * 10).await;
    assert_eq!((results.len(), queue.len()), (1, 3), "one result is in the queue, and each worker has one");
    let report = pool.shutdown(Duration::ZERO).await;
    assert_eq!((report.done, report.returned.len()), (3, 3));
    let mut left = [report.returned, report.abandoned].concat();
    assert!(report.exhausted.is_empty());
    left.extend(results.take_all().into_iter().map(|result| result / 2));
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2, 3, 4, 5]);
    assert!(results.is_closed());
}

#[tokio::test(start_paused = true)]
async fn results_are_pushed_into_a_closed_queue_too() {
    let (queue, results) = (filled(2).await, Queue::bounded(1));
    let pool = doubling(queue.clone(), results.clone());
    sleep(SECOND / 2).await;
    results.close();
    assert_eq!(pool.shutdown(SECOND * 10).await.done, 2);
    assert_eq!(results.take_all(), [0, 2]);
}
