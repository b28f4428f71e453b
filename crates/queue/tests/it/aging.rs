//! Queues with aging: a handicap is a time, and no item waits for ever.

use std::{task::Poll, time::Duration};

use outbound_queue::Queue;
use proptest::prelude::*;
use tokio::time::{Instant, advance};

use crate::support::Spawned;

const SECOND: Duration = Duration::from_secs(1);

/// The resolution of the ranks.
const RESOLUTION: Duration = Duration::from_millis(63);

/// A handicap in milliseconds, and the arrival of the job.
type Job = (u64, Instant);

fn queue() -> Queue<Job> {
    Queue::aging(usize::MAX, |job: &Job| Duration::from_millis(job.0))
}

#[tokio::test(start_paused = true)]
async fn a_handicap_lets_later_items_go_first_for_that_time() {
    let queue = queue();
    let start = Instant::now();
    queue.try_push((10_000, start)).expect("there is room");
    let mut order = Vec::new();
    for _ in 0..30 {
        advance(SECOND).await;
        queue.try_push((0, Instant::now())).expect("there is room");
        order.push(queue.try_pop().expect("there are two").0);
    }
    assert_eq!(order.iter().position(|handicap| *handicap > 0), Some(9), "after ten seconds they are equal");
}

#[tokio::test(start_paused = true)]
async fn equals_come_out_in_their_order() {
    let queue: Queue<u32> = Queue::aging(8, |_| SECOND);
    for item in [3, 1, 2] {
        queue.try_push(item).expect("there is room");
    }
    assert_eq!(queue.take_all(), [3, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_leased_item_that_comes_back_keeps_its_arrival() {
    let queue = queue();
    let old = (0, Instant::now());
    queue.try_push(old).expect("there is room");
    let lease = queue.try_lease().expect("there is an item");
    advance(SECOND * 5).await;
    queue.try_push((0, Instant::now())).expect("there is room");
    drop(lease);
    let lease = queue.try_lease().expect("there are two");
    advance(SECOND * 5).await;
    drop(lease);
    assert_eq!(queue.try_pop(), Ok(old));
}

#[tokio::test(start_paused = true)]
async fn a_push_that_waits_ages() {
    let queue = Queue::aging(1, |job: &(u64, u32)| Duration::from_secs(job.0));
    queue.try_push((0, 0)).expect("there is room");
    let mut early = Spawned::parked(queue.push((5, 1)));
    advance(SECOND * 10).await;
    let _late = Spawned::parked(queue.push((0, 2)));
    queue.try_pop().expect("there is an item");
    assert_eq!(early.wakes(), 1, "it came earlier by more than its handicap");
    assert_eq!(early.poll(), Poll::Ready(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn the_longest_handicap_is_the_last() {
    let queue: Queue<u32> = Queue::aging(8, |item| if *item == 0 { Duration::MAX } else { Duration::ZERO });
    queue.try_push(0).expect("there is room");
    queue.try_push(1).expect("there is room");
    assert_eq!(queue.take_all(), [1, 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// An item that goes ahead of another came before the handicap of the other was over.
    #[test]
    fn nothing_goes_ahead_for_longer_than_the_handicap(
        steps in prop::collection::vec((0..5_000u64, prop::option::of(0..20_000u64)), 1..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let queue = queue();
            let mut waiting: Vec<Job> = Vec::new();
            for (passes, handicap) in steps {
                advance(Duration::from_millis(passes)).await;
                if let Some(handicap) = handicap {
                    let job = (handicap, Instant::now());
                    queue.try_push(job).expect("there is room");
                    waiting.push(job);
                } else if let Ok(taken) = queue.try_pop() {
                    waiting.remove(waiting.iter().position(|job| *job == taken).expect("it was pushed"));
                    let due = |job: &Job| job.1 + Duration::from_millis(job.0);
                    for job in &waiting {
                        assert!(due(&taken) < due(job) + RESOLUTION);
                        assert!(taken.1 < job.1 + Duration::from_millis(job.0) + RESOLUTION);
                    }
                }
            }
            assert_eq!(queue.len(), waiting.len());
        });
    }
}
