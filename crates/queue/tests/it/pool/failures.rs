//! Deliveries that fail: errors and panics, the waits before the next delivery, and items that have used up all.

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
};

use outbound_queue::{Lease, Queue, WorkerPool};
use tokio::time::{Instant, sleep};

use super::{SECOND, fail, filled};

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
    // A plain function that returns a future works too.
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
struct PanicsOnDrop;

impl Future for PanicsOnDrop {
    type Output = Result<(), Box<dyn Error + Send + Sync>>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        fail();
    }
}

#[tokio::test(start_paused = true)]
async fn a_future_that_panics_when_dropped_costs_no_worker() {
    let queue = filled(3).await;
    let pool = WorkerPool::spawn(queue.clone(), 1, |_: &mut Lease<u32>| PanicsOnDrop);
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
    assert_eq!(report.failures[0].message, "a panic of the handler");
}

#[tokio::test(start_paused = true)]
async fn an_item_is_done_when_the_handler_returns_ok() {
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
    assert_eq!(seconds, [(0, 0), (1, 0), (0, 1), (0, 3)], "the other item goes ahead");
    let report = pool.shutdown(SECOND).await;
    assert_eq!((report.done, report.panics, report.errors), (1, 3, 0));
    assert_eq!((report.returned.len(), report.abandoned.len()), (0, 0));
    let [(item, failure)] = &report.exhausted[..] else { panic!("one item has used up its deliveries") };
    assert_eq!((*item, failure.number, failure.delivery, failure.panicked), (0, 0, 3, true));
}

#[tokio::test(start_paused = true)]
async fn the_waits_can_be_set_and_are_bounded() {
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
async fn a_handler_can_set_the_wait_of_its_item() {
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
            "item 1, delivery 1 panicked: a panic of the handler",
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
async fn exhausted_items_can_be_taken_before_the_end_and_do_not_block_a_join() {
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
async fn an_item_whose_deliveries_were_all_aborted_is_exhausted_at_the_next_pool() {
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
async fn an_item_that_waits_for_its_next_delivery_keeps_its_slot_and_is_finished_in_a_shutdown() {
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
async fn an_item_whose_wait_is_longer_than_the_grace_is_abandoned() {
    let pool = WorkerPool::spawn(filled(2).await, 1, async |_: &mut Lease<u32>| Err("no".into()));
    let report = pool.shutdown(SECOND / 2).await;
    assert_eq!((report.returned.len(), report.abandoned), (0, vec![0, 1]));
}
