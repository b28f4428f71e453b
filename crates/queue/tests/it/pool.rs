//! Workers: a panic costs a delivery, and a shutdown accounts for every item.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use outbound_queue::{Lease, Queue, WorkerPool};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// A panic that prints nothing.
fn fail() {
    std::panic::resume_unwind(Box::new("as if the handler had panicked"));
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
    let pool = WorkerPool::spawn(filled(10).await, 3, |lease| async move {
        sleep(SECOND).await;
        lease.done();
    });
    let before = tokio::time::Instant::now();
    let report = pool.shutdown(SECOND * 60).await;
    assert_eq!(before.elapsed(), SECOND * 4, "three at a time");
    assert_eq!((report.done, report.panics, report.leased), (10, 0, 0));
    assert!(report.returned.is_empty() && report.abandoned.is_empty() && report.exhausted.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_done_in_time_is_handed_back() {
    let queue = filled(10).await;
    let pool = WorkerPool::spawn(queue.clone(), 2, |lease| async move {
        sleep(SECOND * 2).await;
        lease.done();
    });
    let report = pool.shutdown(SECOND * 3).await;
    assert_eq!(report.done, 2);
    assert_eq!(report.abandoned, [2, 3], "those that were being worked on");
    assert_eq!(report.returned, [4, 5, 6, 7, 8, 9], "those that no worker had begun");
    assert!(queue.push(1).await.is_err());
    assert_eq!(queue.unfinished(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_grace_aborts_at_once() {
    let queue = filled(4).await;
    let pool = WorkerPool::spawn(queue, 2, |lease: Lease<u32>| async move {
        sleep(SECOND).await;
        lease.done();
    });
    sleep(SECOND / 2).await;
    let before = tokio::time::Instant::now();
    let report = pool.shutdown(Duration::ZERO).await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!((report.done, report.abandoned, report.returned), (0, vec![0, 1], vec![2, 3]));
}

#[tokio::test(start_paused = true)]
async fn closing_stops_admission_while_the_workers_drain() {
    let queue = Queue::bounded(1);
    let pool = WorkerPool::spawn(queue.clone(), 1, |lease: Lease<u32>| async move {
        sleep(SECOND).await;
        lease.done();
    });
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
async fn a_panic_costs_a_delivery_and_no_worker() {
    let queue = filled(5).await;
    let pool = WorkerPool::spawn(queue.clone(), 1, |lease| async move {
        if lease.deliveries() == 1 {
            fail();
        }
        lease.done();
    });
    queue.join().await;
    let report = pool.shutdown(SECOND).await;
    assert_eq!((report.done, report.panics), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_before_it_has_a_future_costs_no_worker() {
    let queue = filled(3).await;
    let pool = WorkerPool::spawn(queue.clone(), 1, |lease| {
        if lease.deliveries() == 1 {
            fail();
        }
        async move { lease.done() }
    });
    queue.join().await;
    assert_eq!(pool.shutdown(SECOND).await.panics, 3);
}

#[tokio::test(start_paused = true)]
async fn a_future_that_panics_when_dropped_costs_no_worker() {
    struct Bomb(Option<Lease<u32>>);
    impl Future for Bomb {
        type Output = ();
        fn poll(mut self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<()> {
            if let Some(lease) = self.0.take() {
                lease.done();
            }
            std::task::Poll::Ready(())
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            fail();
        }
    }
    let queue = filled(3).await;
    let pool = WorkerPool::spawn(queue.clone(), 1, |lease| Bomb(Some(lease)));
    queue.join().await;
    let report = pool.shutdown(SECOND).await;
    assert_eq!((report.done, report.panics), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn three_deliveries_are_the_default() {
    let deliveries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&deliveries);
    let pool = WorkerPool::spawn(filled(2).await, 1, move |lease: Lease<u32>| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            if *lease == 0 {
                fail();
            }
            lease.done();
        }
    });
    let report = pool.shutdown(SECOND).await;
    assert_eq!((deliveries.load(Ordering::Relaxed), report.done, report.panics), (4, 1, 3));
    assert_eq!(report.exhausted, [0]);
    assert_eq!((report.returned.len(), report.abandoned.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_falls_out_can_be_had_before_the_end_and_ends_a_join() {
    let queue = filled(3).await;
    let pool = WorkerPool::builder().max_deliveries(1).spawn(queue.clone(), 2, |_not_done| async {});
    queue.join().await;
    let mut exhausted = pool.take_exhausted();
    exhausted.sort_unstable();
    assert_eq!(exhausted, [0, 1, 2]);
    let report = pool.shutdown(SECOND).await;
    assert_eq!((report.done, report.panics, report.exhausted.len()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_pool_aborts_its_workers_and_leaves_the_items() {
    let queue = filled(3).await;
    let pool = WorkerPool::spawn(queue.clone(), 2, |lease| async move {
        sleep(SECOND).await;
        lease.done();
    });
    sleep(SECOND / 2).await;
    assert_eq!(queue.leased(), 2);
    drop(pool);
    sleep(SECOND).await;
    assert_eq!((queue.leased(), queue.is_closed()), (0, false));
    assert_eq!(queue.take_all(), [0, 1, 2], "in front again, as they stood");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_shutdown_aborts_and_leaves_the_items_in_the_closed_queue() {
    let queue = filled(3).await;
    let pool = WorkerPool::spawn(queue.clone(), 1, |lease| async move {
        sleep(SECOND).await;
        lease.done();
    });
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
async fn a_lease_that_left_its_worker_is_reported() {
    let queue = filled(2).await;
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let pool = WorkerPool::spawn(queue.clone(), 1, move |lease| {
        let sent = sender.send(lease).is_ok();
        async move { assert!(sent) }
    });
    let report = pool.shutdown(SECOND).await;
    assert_eq!((report.done, report.leased), (0, 2));
    receiver.recv().await.expect("a lease").done();
    drop(receiver.recv().await);
    assert_eq!(queue.take_all(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_report_and_a_pool_show_no_item() {
    let queue = Queue::unbounded();
    queue.push("canary").await.expect("it is open");
    let pool = WorkerPool::spawn(queue.clone(), 0, |lease| async move {
        sleep(SECOND).await;
        lease.done();
    });
    sleep(SECOND / 2).await;
    let mut shown = format!("{pool:?}");
    shown += &format!("{:?}", pool.shutdown(Duration::ZERO).await);
    assert!(!shown.contains("canary") && shown.contains("abandoned: 1"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_pool_grows_at_once_and_shrinks_as_its_workers_become_idle() {
    let queue = filled(12).await;
    let mut pool = WorkerPool::spawn(queue.clone(), 1, |lease: Lease<u32>| async move {
        sleep(SECOND).await;
        lease.done();
    });
    sleep(SECOND / 2).await;
    assert_eq!((pool.workers(), queue.leased()), (1, 1));
    pool.resize(4);
    sleep(SECOND / 4).await;
    assert_eq!((pool.workers(), queue.leased()), (4, 4));
    pool.resize(2);
    sleep(SECOND / 8).await;
    assert_eq!((pool.workers(), queue.leased()), (4, 4), "what is begun is finished");
    sleep(SECOND).await;
    assert_eq!((pool.workers(), queue.leased()), (2, 2));
    let report = pool.shutdown(SECOND * 60).await;
    assert_eq!((report.done, report.abandoned.len()), (12, 0));
}

#[tokio::test(start_paused = true)]
async fn idle_workers_that_are_too_many_leave_and_no_item_is_left_lying() {
    let queue: Queue<u32> = Queue::unbounded();
    let mut pool = WorkerPool::spawn(queue.clone(), 8, |lease| async move { lease.done() });
    sleep(SECOND).await;
    assert_eq!((pool.workers(), queue.waiting_to_pop()), (8, 8));
    // Woken for an item, and told to leave, at the same moment.
    queue.try_push(1).expect("it is open");
    queue.try_push(2).expect("it is open");
    pool.resize(0);
    queue.join().await;
    sleep(SECOND).await;
    assert_eq!((pool.workers(), queue.waiting_to_pop()), (1, 1), "0 is taken for 1");
    pool.resize(3);
    sleep(SECOND).await;
    assert_eq!((pool.workers(), queue.waiting_to_pop()), (3, 3));
    assert_eq!(pool.shutdown(SECOND).await.done, 2);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_has_ended_stays_so() {
    let queue = filled(2).await;
    let mut pool = WorkerPool::spawn(queue.clone(), 2, |lease: Lease<u32>| async move { lease.done() });
    queue.close();
    sleep(SECOND).await;
    assert_eq!(pool.workers(), 0);
    pool.resize(4);
    assert_eq!(pool.workers(), 0);
    assert_eq!(pool.shutdown(SECOND).await.done, 2);
}

/// A pool of two that doubles each item into `results`, each a second long.
fn doubling(queue: Queue<u32>, results: Queue<u32>) -> WorkerPool<u32> {
    WorkerPool::builder().max_deliveries(1).spawn_into(queue, 2, results, |lease: Lease<u32>| async move {
        sleep(SECOND).await;
        if *lease == 3 {
            fail();
        }
        lease.into_inner() * 2
    })
}

#[tokio::test(start_paused = true)]
async fn results_come_as_a_stream_that_ends_with_the_workers() {
    let (queue, results) = (filled(6).await, Queue::bounded(1));
    let pool = doubling(queue.clone(), results.clone());
    queue.close();
    assert_eq!(results.items().collect::<Vec<_>>().await, [0, 2, 4, 8, 10], "a panic has no result");
    let report = pool.shutdown(SECOND).await;
    assert_eq!((report.done, report.panics, report.exhausted), (5, 1, vec![3]));
}

#[tokio::test(start_paused = true)]
async fn results_that_nobody_takes_hold_the_pool_back_and_are_not_lost() {
    let (queue, results) = (filled(6).await, Queue::bounded(1));
    let pool = doubling(queue.clone(), results.clone());
    sleep(SECOND * 10).await;
    assert_eq!((results.len(), queue.len()), (1, 3), "one in the queue, one in the hands of each worker");
    let report = pool.shutdown(Duration::ZERO).await;
    assert_eq!((report.done, report.returned.len()), (3, 3));
    let mut left = [report.returned, report.abandoned, report.exhausted].concat();
    left.extend(results.take_all().into_iter().map(|result| result / 2));
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2, 3, 4, 5]);
    assert!(results.is_closed());
}

#[tokio::test(start_paused = true)]
async fn results_find_a_closed_queue_and_stay_there() {
    let (queue, results) = (filled(2).await, Queue::bounded(1));
    let pool = doubling(queue.clone(), results.clone());
    sleep(SECOND / 2).await;
    results.close();
    assert_eq!(pool.shutdown(SECOND * 10).await.done, 2);
    assert_eq!(results.take_all(), [0, 2]);
}
