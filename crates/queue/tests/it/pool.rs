//! Workers: a panic costs a delivery, and a shutdown accounts for every item.

use std::{
    error::Error,
    future::{self, Future},
    io, panic,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::StreamExt;
use outbound_queue::{Lease, Queue, WorkerPool};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// A panic that prints nothing.
fn fail() {
    panic::resume_unwind(Box::new("as if the handler had panicked"));
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
    assert_eq!(report.abandoned, [2, 3], "those that were being worked on");
    assert_eq!(report.returned, [4, 5, 6, 7, 8, 9], "those that no worker had begun");
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
async fn closing_stops_admission_while_the_workers_drain() {
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
async fn a_panic_costs_a_delivery_and_no_worker() {
    let queue = filled(5).await;
    let pool = WorkerPool::spawn(queue.clone(), 1, async |lease: &mut Lease<u32>| {
        if lease.deliveries() == 1 {
            fail();
        }
        Ok(())
    });
    queue.join().await;
    let report = pool.shutdown(SECOND).await;
    assert_eq!((report.done, report.panics), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_before_it_has_a_future_costs_no_worker() {
    let queue = filled(3).await;
    let calls = Arc::new(AtomicUsize::new(0));
    type Handling<'a> = Pin<Box<dyn Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send + 'a>>;
    // No async function, and handles as well as one.
    fn handler<'a>(calls: &'a Arc<AtomicUsize>, lease: &'a mut Lease<u32>) -> Handling<'a> {
        calls.fetch_add(1, Ordering::Relaxed);
        if lease.deliveries() == 1 {
            fail();
        }
        Box::pin(future::ready(Ok(())))
    }
    let pool = WorkerPool::spawn_with(Arc::clone(&calls), queue.clone(), 1, handler);
    queue.join().await;
    assert_eq!((pool.shutdown(SECOND).await.panics, calls.load(Ordering::Relaxed)), (3, 6));
}

/// A future that is ready at once, and panics when it is dropped.
struct Bomb;

impl Future for Bomb {
    type Output = Result<(), Box<dyn Error + Send + Sync>>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        fail();
    }
}

#[tokio::test(start_paused = true)]
async fn a_future_that_panics_when_dropped_costs_no_worker() {
    let queue = filled(3).await;
    let pool = WorkerPool::spawn(queue.clone(), 1, |_: &mut Lease<u32>| Bomb);
    queue.join().await;
    let report = pool.shutdown(SECOND).await;
    assert_eq!((report.done, report.panics, report.exhausted.len()), (0, 9, 3));
}

#[tokio::test(start_paused = true)]
async fn an_item_that_panics_when_dropped_is_done_and_costs_no_worker() {
    struct Item(u32);
    impl Drop for Item {
        fn drop(&mut self) {
            if self.0 == 1 {
                fail();
            }
        }
    }
    let queue = Queue::unbounded();
    for item in 0..3 {
        queue.push(Item(item)).await.expect("it is open");
    }
    let pool = WorkerPool::spawn(queue.clone(), 1, async |_: &mut Lease<Item>| Ok(()));
    let report = pool.shutdown(SECOND).await;
    assert_eq!((report.done, report.panics), (3, 1));
    assert_eq!(report.failures[0].message, "as if the handler had panicked");
}

#[tokio::test(start_paused = true)]
async fn whoever_returns_a_value_has_done_his_item_and_cannot_forget_it() {
    let pool = WorkerPool::spawn(filled(5).await, 2, async |_: &mut Lease<u32>| Ok(()));
    let report = pool.shutdown(SECOND).await;
    assert_eq!((report.done, report.errors, report.panics), (5, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn three_deliveries_are_the_default_and_each_waits_twice_as_long() {
    let queue = filled(2).await;
    let began = Instant::now();
    let starts = Arc::new(Mutex::new(Vec::new()));
    let pool = WorkerPool::spawn_with(
        Arc::clone(&starts),
        queue.clone(),
        1,
        async |starts: &Arc<Mutex<Vec<(u32, Instant)>>>, lease: &mut Lease<u32>| {
            starts.lock().expect("nobody panics here").push((**lease, Instant::now()));
            if **lease == 0 {
                fail();
            }
            Ok(())
        },
    );
    queue.join().await;
    let starts: Vec<_> = starts.lock().expect("nobody panics here").clone();
    let seconds: Vec<_> = starts.iter().map(|(item, at)| (*item, (*at - began).as_secs())).collect();
    assert_eq!(seconds, [(0, 0), (1, 0), (0, 1), (0, 3)], "the other goes ahead");
    let report = pool.shutdown(SECOND).await;
    assert_eq!((report.done, report.panics, report.errors), (1, 3, 0));
    assert_eq!((report.returned.len(), report.abandoned.len()), (0, 0));
    let [(item, failure)] = &report.exhausted[..] else { panic!("one fell out") };
    assert_eq!((*item, failure.number, failure.delivery, failure.panicked), (0, 0, 3, true));
}

#[tokio::test(start_paused = true)]
async fn waits_are_bounded_and_can_be_told() {
    let queue = filled(1).await;
    let began = Instant::now();
    let pool = WorkerPool::builder().max_deliveries(40).redelivery_wait(SECOND, SECOND * 4).spawn(
        queue.clone(),
        1,
        async |lease: &mut Lease<u32>| match lease.deliveries() {
            1..=39 => Err("not yet".into()),
            _ => Ok(()),
        },
    );
    queue.join().await;
    assert_eq!(began.elapsed(), SECOND * (1 + 2 + 4 * 37));
    assert_eq!(pool.shutdown(SECOND).await.errors, 39);
}

#[tokio::test(start_paused = true)]
async fn a_handler_says_how_long_its_own_item_waits() {
    let queue = filled(1).await;
    let began = Instant::now();
    let pool = WorkerPool::spawn(queue.clone(), 1, async |lease: &mut Lease<u32>| {
        lease.delay_next_delivery(SECOND * 30);
        if lease.deliveries() == 1 { Err("the server says: in half a minute".into()) } else { Ok(()) }
    });
    queue.join().await;
    assert_eq!(began.elapsed(), SECOND * 30);
    assert_eq!(pool.shutdown(SECOND).await.done, 1);
}

#[tokio::test(start_paused = true)]
async fn a_report_names_the_item_and_the_message_of_a_failure() {
    let pool =
        WorkerPool::builder().max_deliveries(1).spawn(filled(4).await, 1, async |lease: &mut Lease<u32>| {
            match **lease {
                1 => fail(),
                2 => Err(io::Error::other(io::Error::other("the cause")))?,
                3 => panic::resume_unwind(Box::new(format!("number {}", **lease))),
                _ => {}
            }
            Ok(())
        });
    let report = pool.shutdown(SECOND).await;
    let shown: Vec<_> = report.failures.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "item 1, delivery 1 panicked: as if the handler had panicked",
            "item 2, delivery 1 failed: the cause",
            "item 3, delivery 1 panicked: number 3",
        ]
    );
    assert_eq!((report.done, report.errors, report.panics), (1, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn failures_of_a_long_run_are_counted_and_the_last_are_kept() {
    let pool =
        WorkerPool::builder()
            .max_deliveries(1)
            .spawn(filled(1000).await, 1, async |_: &mut Lease<u32>| Err("no".into()));
    let report = pool.shutdown(SECOND).await;
    assert_eq!((report.errors, report.failures.len(), report.exhausted.len()), (1000, 64, 1000));
    assert_eq!((report.failures[0].number, report.failures[63].number), (936, 999));
}

#[tokio::test(start_paused = true)]
async fn what_falls_out_can_be_had_before_the_end_and_ends_a_join() {
    let queue = filled(3).await;
    let pool = WorkerPool::builder()
        .max_deliveries(1)
        .spawn(queue.clone(), 2, async |_: &mut Lease<u32>| Err("no".into()));
    queue.join().await;
    let mut exhausted: Vec<_> = pool.take_exhausted().into_iter().map(|(item, _)| item).collect();
    exhausted.sort_unstable();
    assert_eq!(exhausted, [0, 1, 2]);
    let report = pool.shutdown(SECOND).await;
    assert_eq!((report.done, report.errors, report.exhausted.len()), (0, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_aborted_as_often_as_it_may_be_delivered_falls_out_at_the_next_pool() {
    let queue = filled(1).await;
    for _ in 0..3 {
        let pool = WorkerPool::spawn(queue.clone(), 1, async |_: &mut Lease<u32>| future::pending().await);
        sleep(SECOND).await;
        drop(pool);
        sleep(SECOND).await;
    }
    let pool = WorkerPool::spawn(queue.clone(), 1, async |_: &mut Lease<u32>| Ok(()));
    let report = pool.shutdown(SECOND).await;
    assert_eq!((report.done, report.exhausted.len(), report.exhausted[0].1.delivery), (0, 1, 4));
}

#[tokio::test(start_paused = true)]
async fn an_item_that_waits_for_its_next_delivery_holds_its_place_and_is_drained() {
    let queue = Queue::bounded(1);
    queue.push(1).await.expect("it is open");
    let pool = WorkerPool::spawn(queue.clone(), 1, async |lease: &mut Lease<u32>| {
        if lease.deliveries() < 3 { Err("not yet".into()) } else { Ok(()) }
    });
    sleep(SECOND / 2).await;
    assert_eq!((queue.delayed(), queue.is_full(), queue.leased()), (1, true, 0));
    let report = pool.shutdown(SECOND * 60).await;
    assert_eq!((report.done, report.errors), (1, 2), "the wait is part of the grace");
}

#[tokio::test(start_paused = true)]
async fn an_item_whose_wait_is_cut_off_is_abandoned() {
    let pool = WorkerPool::spawn(filled(2).await, 1, async |_: &mut Lease<u32>| Err("no".into()));
    let report = pool.shutdown(SECOND / 2).await;
    assert_eq!((report.returned.len(), report.abandoned), (0, vec![0, 1]));
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
    assert_eq!(queue.take_all(), [0, 1, 2], "in front again, as they stood");
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
async fn a_lease_that_somebody_else_has_is_reported() {
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
    assert_eq!((pool.workers(), queue.leased()), (4, 4), "what is begun is finished");
    sleep(SECOND).await;
    assert_eq!((pool.workers(), queue.leased()), (2, 2));
    let report = pool.shutdown(SECOND * 60).await;
    assert_eq!((report.done, report.abandoned.len()), (12, 0));
}

#[tokio::test(start_paused = true)]
async fn idle_workers_that_are_too_many_leave_and_no_item_is_left_lying() {
    let queue: Queue<u32> = Queue::unbounded();
    let mut pool = WorkerPool::spawn(queue.clone(), 8, async |_: &mut Lease<u32>| Ok(()));
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
    let mut pool = WorkerPool::spawn(queue.clone(), 2, async |_: &mut Lease<u32>| Ok(()));
    queue.close();
    sleep(SECOND).await;
    assert_eq!(pool.workers(), 0);
    pool.resize(4);
    assert_eq!(pool.workers(), 0);
    assert_eq!(pool.shutdown(SECOND).await.done, 2);
}

/// A pool of two that doubles each item into `results`, each a second long.
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
async fn results_that_nobody_takes_hold_the_pool_back_and_are_not_lost() {
    let (queue, results) = (filled(6).await, Queue::bounded(1));
    let pool = doubling(queue.clone(), results.clone());
    sleep(SECOND * 10).await;
    assert_eq!((results.len(), queue.len()), (1, 3), "one in the queue, one in the hands of each worker");
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
async fn results_find_a_closed_queue_and_stay_there() {
    let (queue, results) = (filled(2).await, Queue::bounded(1));
    let pool = doubling(queue.clone(), results.clone());
    sleep(SECOND / 2).await;
    results.close();
    assert_eq!(pool.shutdown(SECOND * 10).await.done, 2);
    assert_eq!(results.take_all(), [0, 2]);
}
