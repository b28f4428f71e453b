//! Items that cannot be taken before an instant.

use std::{task::Poll, time::Duration};

use outbound_queue::{Lease, Queue, TryPopError, TryPushError, WorkerPool};
use tokio::time::{Instant, advance, sleep, timeout};

use crate::support::{Spawned, flavours};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_item_is_taken_when_it_is_due_and_not_before() {
    for (name, queue) in flavours(8) {
        let start = Instant::now();
        queue.push_after(1, SECOND * 2).await.expect(name);
        queue.push_at(2, start + SECOND).await.expect(name);
        assert_eq!(queue.try_pop(), Err(TryPopError::Empty), "{name}");
        assert!(queue.try_lease().is_err(), "{name}");
        assert_eq!((queue.len(), queue.delayed(), queue.unfinished()), (0, 2, 2), "{name}");
        assert_eq!((queue.pop().await, start.elapsed()), (Some(2), SECOND), "{name}");
        assert_eq!(*queue.lease().await.expect(name), 1, "{name}");
        assert_eq!(start.elapsed(), SECOND * 2, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_item_that_becomes_due_takes_its_position_among_others() {
    for (name, queue) in flavours(100) {
        queue.push_after(1, SECOND).await.expect(name);
        for _ in 0..3 {
            queue.push(2).await.expect(name);
        }
        sleep(SECOND).await;
        let mut taken = Vec::new();
        assert_eq!(queue.pop_many(&mut taken, 100).await, 4, "{name}");
        taken.sort_unstable();
        assert_eq!(taken, [1, 2, 2, 2], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_not_due_keeps_its_slot_and_a_join_waits_for_it() {
    for (name, queue) in flavours(1) {
        queue.push_after(1, SECOND).await.expect(name);
        assert_eq!(queue.try_push(2), Err(TryPushError::Full(2)), "{name}");
        let mut push = Spawned::parked(queue.push(2));
        let mut join = Spawned::parked(queue.join());
        assert_eq!(queue.pop().await, Some(1), "{name}");
        assert_eq!((push.poll(), join.poll()), (Poll::Ready(Ok(())), Poll::Ready(())), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_push_that_waits_is_delayed_as_well() {
    let queue = Queue::bounded(1);
    queue.push(1).await.expect("it is open");
    let start = Instant::now();
    let mut push = Spawned::parked(queue.push_after(2, SECOND));
    assert_eq!(queue.pop().await, Some(1));
    assert_eq!(push.poll(), Poll::Ready(Ok(())));
    assert_eq!((queue.pop().await, start.elapsed()), (Some(2), SECOND));
    let given_up = queue.push_after(3, SECOND);
    drop(given_up);
    sleep(SECOND * 2).await;
    assert_eq!(queue.unfinished(), 0);
}

#[tokio::test(start_paused = true)]
async fn tasks_that_wait_for_a_later_item_notice_an_earlier_one() {
    let queue: Queue<u32> = Queue::unbounded();
    let start = Instant::now();
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { (queue.pop().await, Instant::now()) }
    });
    sleep(Duration::from_millis(1)).await;
    queue.push_after(1, SECOND * 60).await.expect("it is open");
    tokio::task::yield_now().await;
    queue.push_at(2, start + SECOND).await.expect("it is open");
    assert_eq!(waiting.await.expect("it does not panic"), (Some(2), start + SECOND));
}

#[tokio::test(start_paused = true)]
async fn each_waiting_task_gets_an_item_when_it_is_due_although_others_leave() {
    for (name, queue) in flavours(100) {
        let start = Instant::now();
        let waiting: Vec<_> = (0..10)
            .map(|i| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    // Every second task gives up before an item is due, also the one that has set the timer.
                    let patience = if i % 2 == 0 { SECOND * 60 } else { Duration::from_millis(100 * i) };
                    timeout(patience, queue.pop()).await.ok().flatten().map(|_| start.elapsed())
                })
            })
            .collect();
        for delay in 1..=5 {
            queue.push_after(1, SECOND * delay).await.expect(name);
        }
        let mut times = Vec::new();
        for task in waiting {
            times.extend(task.await.expect(name));
        }
        times.sort_unstable();
        assert_eq!(times, [1, 2, 3, 4, 5].map(|delay| SECOND * delay), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_wake_up_to_set_the_timer_and_one_for_the_item() {
    let queue: Queue<u32> = Queue::unbounded();
    let mut pops: Vec<_> = (0..100).map(|_| Spawned::parked(queue.pop())).collect();
    queue.push_after(1, SECOND).await.expect("it is open");
    assert_eq!(pops.iter().map(Spawned::wakes).sum::<usize>(), 1, "one task is woken to set the timer");
    assert!(pops[0].poll().is_pending());
    advance(SECOND + Duration::from_millis(1)).await;
    tokio::task::yield_now().await;
    assert_eq!(pops.iter().map(Spawned::wakes).sum::<usize>(), 2);
    assert_eq!(pops[0].poll(), Poll::Ready(Some(1)));
    assert_eq!(pops.iter().map(Spawned::wakes).sum::<usize>(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_closed_queue_ends_after_its_last_delayed_item() {
    for (name, queue) in flavours(8) {
        queue.push_after(1, SECOND).await.expect(name);
        let spawn = || {
            let queue = queue.clone();
            tokio::spawn(async move { queue.pop().await })
        };
        let consumers = [spawn(), spawn(), spawn()];
        sleep(SECOND / 2).await;
        queue.close();
        assert_eq!(queue.try_pop(), Err(TryPopError::Empty), "a delayed item will come: {name}");
        let mut taken = Vec::new();
        for consumer in consumers {
            taken.extend(consumer.await.expect(name));
        }
        assert_eq!(taken, [1], "{name}");
        assert_eq!(queue.try_pop(), Err(TryPopError::Closed), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn taking_all_gives_items_that_are_not_due_last_and_ends_the_waits() {
    for (name, queue) in flavours(8) {
        queue.push_after(22, SECOND * 2).await.expect(name);
        queue.push_after(21, SECOND).await.expect(name);
        queue.push(23).await.expect(name);
        assert_eq!(queue.take_all(), [23, 21, 22], "{name}");
        queue.push_after(1, SECOND).await.expect(name);
        let mut pop = Spawned::parked(queue.pop());
        assert_eq!(queue.close_now(), [1], "{name}");
        assert_eq!(pop.poll(), Poll::Ready(None), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_items_due_within_its_grace_and_hands_back_the_rest() {
    let queue: Queue<u32> = Queue::unbounded();
    queue.push_after(1, SECOND).await.expect("it is open");
    queue.push_after(2, SECOND * 60).await.expect("it is open");
    let pool = WorkerPool::spawn(queue, 4, async |_: &mut Lease<u32>| Ok(()));
    let report = pool.shutdown(SECOND * 10).await;
    assert_eq!((report.done, report.returned, report.abandoned.len()), (1, vec![2], 0));
}

#[tokio::test(start_paused = true)]
async fn the_longest_delay_never_ends() {
    let queue = Queue::unbounded();
    queue.push_after(1, Duration::MAX).await.expect("it is open");
    assert!(timeout(SECOND * 1_000_000, queue.pop()).await.is_err());
    assert_eq!(queue.take_all(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_pop_that_was_woken_to_set_the_timer_frees_no_slot() {
    let queue: Queue<u32> = Queue::bounded(1);
    queue.push_after(1, Duration::from_secs(60)).await.expect("it is open");
    let (first, second) = (Spawned::parked(queue.pop()), Spawned::parked(queue.pop()));
    drop(first);
    assert_eq!(second.wakes(), 1);
    assert_eq!(queue.try_push(2), Err(TryPushError::Full(2)), "no item is ready, so no slot is free");
}
