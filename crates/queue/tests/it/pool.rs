//! Worker pools: how many work at once, and what a shutdown or a drop does with every item.

use std::{error::Error, future, panic, time::Duration};

use outbound_queue::{Lease, Queue, WorkerPool};
use tokio::time::{Instant, sleep};

mod failures;
mod results;

const SECOND: Duration = Duration::from_secs(1);

/// A panic that prints nothing.
fn fail() {
    panic::resume_unwind(Box::new("a panic of the handler"));
}

/// A handler whose work takes a second.
async fn one_second(_: &mut Lease<u32>) -> Result<(), Box<dyn Error + Send + Sync>> {
    sleep(SECOND).await;
    Ok(())
}

async fn filled(items: u32) -> Queue<u32> {
    let queue = Queue::unbounded();
    for item in 0..items {
        queue.push(item).await.expect("it is open");
    }
    queue
}

#[tokio::test(start_paused = true)]
async fn everything_is_done_in_time() {
    let pool = WorkerPool::spawn(filled(10).await, 3, one_second);
    let before = Instant::now();
    let report = pool.shutdown(SECOND * 60).await;
    assert_eq!(before.elapsed(), SECOND * 4, "three at a time");
    assert_eq!((report.done, report.panics, report.leased), (10, 0, 0));
    assert!(report.returned.is_empty() && report.abandoned.is_empty() && report.exhausted.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_done_in_time_is_handed_back() {
    let queue = filled(10).await;
    let pool = WorkerPool::spawn(queue.clone(), 2, async |_: &mut Lease<u32>| {
        sleep(SECOND * 2).await;
        Ok(())
    });
    let report = pool.shutdown(SECOND * 3).await;
    assert_eq!(report.done, 2);
    assert_eq!(report.abandoned, [2, 3], "the items that were being worked on");
    assert_eq!(report.returned, [4, 5, 6, 7, 8, 9], "the items that no worker had begun");
    assert!(queue.push(1).await.is_err());
    assert_eq!(queue.unfinished(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_grace_aborts_at_once() {
    let queue = filled(4).await;
    let pool = WorkerPool::spawn(queue, 2, one_second);
    sleep(SECOND / 2).await;
    let before = Instant::now();
    let report = pool.shutdown(Duration::ZERO).await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!((report.done, report.abandoned, report.returned), (0, vec![0, 1], vec![2, 3]));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_refuses_waiting_pushes_while_the_workers_finish() {
    let queue = Queue::bounded(1);
    let pool = WorkerPool::spawn(queue.clone(), 1, one_second);
    queue.push(1).await.expect("it is open");
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.push(2).await }
    });
    sleep(SECOND / 2).await;
    let report = pool.shutdown(SECOND * 10).await;
    assert_eq!(waiting.await.expect("no panic").expect_err("it was closed").into_inner(), 2);
    assert_eq!((report.done, report.returned.len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_pool_aborts_its_workers_and_leaves_the_items() {
    let queue = filled(3).await;
    let pool = WorkerPool::spawn(queue.clone(), 2, one_second);
    sleep(SECOND / 2).await;
    assert_eq!(queue.leased(), 2);
    drop(pool);
    sleep(SECOND).await;
    assert_eq!((queue.leased(), queue.is_closed()), (0, false));
    assert_eq!(queue.take_all(), [0, 1, 2], "they are in front again, in their order");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_shutdown_aborts_and_leaves_the_items_in_the_closed_queue() {
    let queue = filled(3).await;
    let pool = WorkerPool::spawn(queue.clone(), 1, one_second);
    tokio::select! {
        biased;
        _ = pool.shutdown(SECOND * 60) => unreachable!("it takes three seconds"),
        () = sleep(SECOND / 2) => {}
    }
    sleep(SECOND).await;
    assert!(queue.is_closed());
    assert_eq!(queue.take_all(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_outside_of_the_pool_is_reported() {
    let queue = filled(3).await;
    let (first, second) = (queue.lease().await.expect("three"), queue.lease().await.expect("two"));
    let pool = WorkerPool::spawn(queue.clone(), 1, async |_: &mut Lease<u32>| Ok(()));
    let report = pool.shutdown(SECOND).await;
    assert_eq!((report.done, report.leased), (1, 2));
    first.done();
    drop(second);
    assert_eq!(queue.take_all(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_report_and_a_pool_show_no_item() {
    let queue = Queue::unbounded();
    queue.push("canary").await.expect("it is open");
    let pool = WorkerPool::spawn(queue.clone(), 0, async |_: &mut Lease<&str>| future::pending().await);
    sleep(SECOND / 2).await;
    let mut shown = format!("{pool:?}");
    shown += &format!("{:?}", pool.shutdown(Duration::ZERO).await);
    assert!(!shown.contains("canary") && shown.contains("abandoned: 1"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_pool_grows_at_once_and_shrinks_as_its_workers_become_idle() {
    let queue = filled(12).await;
    let mut pool = WorkerPool::spawn(queue.clone(), 1, one_second);
    sleep(SECOND / 2).await;
    assert_eq!((pool.workers(), queue.leased()), (1, 1));
    pool.resize(4);
    sleep(SECOND / 4).await;
    assert_eq!((pool.workers(), queue.leased()), (4, 4));
    pool.resize(2);
    sleep(SECOND / 8).await;
    assert_eq!((pool.workers(), queue.leased()), (4, 4), "a worker finishes the item that it has begun");
    sleep(SECOND).await;
    assert_eq!((pool.workers(), queue.leased()), (2, 2));
    let report = pool.shutdown(SECOND * 60).await;
    assert_eq!((report.done, report.abandoned.len()), (12, 0));
}

#[tokio::test(start_paused = true)]
async fn idle_workers_that_are_too_many_end_and_leave_no_item_behind() {
    let queue: Queue<u32> = Queue::unbounded();
    let mut pool = WorkerPool::spawn(queue.clone(), 8, async |_: &mut Lease<u32>| Ok(()));
    sleep(SECOND).await;
    assert_eq!((pool.workers(), queue.waiting_to_pop()), (8, 8));
    // Workers are woken for an item and told to end at the same moment.
    queue.try_push(1).expect("it is open");
    queue.try_push(2).expect("it is open");
    pool.resize(0);
    queue.join().await;
    sleep(SECOND).await;
    assert_eq!((pool.workers(), queue.waiting_to_pop()), (1, 1), "0 counts as 1");
    pool.resize(3);
    sleep(SECOND).await;
    assert_eq!((pool.workers(), queue.waiting_to_pop()), (3, 3));
    assert_eq!(pool.shutdown(SECOND).await.done, 2);
}

#[tokio::test(start_paused = true)]
async fn a_pool_whose_workers_have_ended_cannot_grow() {
    let queue = filled(2).await;
    let mut pool = WorkerPool::spawn(queue.clone(), 2, async |_: &mut Lease<u32>| Ok(()));
    queue.close();
    sleep(SECOND).await;
    assert_eq!(pool.workers(), 0);
    pool.resize(4);
    assert_eq!(pool.workers(), 0);
    assert_eq!(pool.shutdown(SECOND).await.done, 2);
}
