//! Leases: an item belongs to its queue until it is done, and goes back if its lease is dropped.

use std::{panic, task::Poll, time::Duration};

use outbound_queue::{Queue, TryPushError};
use tokio::time::Instant;

use crate::support::{Spawned, flavours};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_lease_keeps_its_slot_until_it_is_done() {
    for (name, queue) in flavours(1) {
        queue.try_push(1).expect(name);
        let lease = queue.try_lease().expect(name);
        assert_eq!((queue.len(), queue.leased(), queue.unfinished()), (0, 1, 1), "{name}");
        assert_eq!(queue.try_push(2), Err(TryPushError::Full(2)), "{name}");
        let mut push = Spawned::parked(queue.push(2));
        lease.done();
        assert_eq!(push.poll(), Poll::Ready(Ok(())), "{name}");
    }
}

#[test]
fn a_dropped_lease_puts_its_item_back_in_front() {
    for (name, queue) in flavours(8) {
        for item in [1, 2, 3] {
            queue.try_push(item).expect(name);
        }
        let lease = queue.try_lease().expect(name);
        let item = *lease;
        assert_eq!(lease.deliveries(), 1, "{name}");
        queue.try_push(4).expect(name);
        drop(lease);
        let again = queue.try_lease().expect(name);
        assert_eq!((*again, again.deliveries()), (item, 2), "{name}");
        assert_eq!(again.into_inner(), item, "{name}");
        assert_eq!(queue.unfinished(), 3, "{name}");
    }
}

#[test]
fn several_items_come_back_in_their_order_however_their_leases_are_dropped() {
    for (name, queue) in flavours(8) {
        for item in [1, 2, 3, 4] {
            queue.try_push(item).expect(name);
        }
        let leases: Vec<_> = (0..3).map(|_| queue.try_lease().expect(name)).collect();
        let order: Vec<u32> = leases.iter().map(|lease| **lease).collect();
        let [a, b, c] = <[_; 3]>::try_from(leases).expect("three leases");
        drop(b);
        drop(a);
        drop(c);
        let again: Vec<u32> = (0..3).map(|_| queue.try_pop().expect(name)).collect();
        assert_eq!(again, order, "{name}");
    }
}

#[test]
fn an_item_that_comes_back_goes_ahead_of_its_equals_only() {
    let queue: Queue<u32> = Queue::priority(8, |item| item / 10);
    queue.try_push(10).expect("there is room");
    let lease = queue.try_lease().expect("there is an item");
    queue.try_push(11).expect("there is room");
    queue.try_push(1).expect("there is room");
    drop(lease);
    assert_eq!(queue.take_all(), [1, 10, 11]);
}

#[test]
fn an_item_that_comes_back_wakes_a_waiting_task() {
    for (name, queue) in flavours(4) {
        queue.try_push(1).expect(name);
        let lease = queue.try_lease().expect(name);
        let mut pop = Spawned::parked(queue.pop());
        drop(lease);
        assert_eq!(pop.wakes(), 1, "{name}");
        assert_eq!(pop.poll(), Poll::Ready(Some(1)), "{name}");
    }
}

#[test]
fn a_panic_puts_the_item_back_with_what_was_changed_in_it() {
    let queue = Queue::bounded(1);
    queue.try_push(1).expect("there is room");
    let lease = queue.try_lease().expect("there is an item");
    let result = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let mut lease = lease;
        *lease += 10;
        panic::resume_unwind(Box::new("a panic of the work"));
    }));
    assert!(result.is_err());
    assert_eq!(*queue.try_lease().expect("it is back"), 11);
}

#[test]
fn a_rank_function_that_panics_in_a_push_loses_that_item_only() {
    let queue: Queue<u32> =
        Queue::priority(4, |item| if *item == 9 { panic::resume_unwind(Box::new(())) } else { *item });
    queue.try_push(2).expect("there is room");
    let pushed = |item| panic::catch_unwind(panic::AssertUnwindSafe(|| queue.try_push(item)));
    assert!(pushed(9).is_err());
    assert!(panic::catch_unwind(panic::AssertUnwindSafe(|| Spawned::new(queue.push(9)).poll())).is_err());
    assert!(pushed(1).is_ok());
    assert_eq!((queue.unfinished(), queue.take_all()), (2, vec![1, 2]));
}

#[test]
fn a_lease_goes_back_with_the_rank_of_its_push_even_if_the_item_has_changed() {
    let queue: Queue<u32> =
        Queue::priority(4, |item| if *item == 9 { panic::resume_unwind(Box::new(())) } else { *item });
    queue.try_push(1).expect("there is room");
    queue.try_push(2).expect("there is room");
    // The rank function is not called again, so a panic in it cannot lose the item.
    *queue.try_lease().expect("there is an item") = 9;
    assert_eq!((queue.len(), queue.leased()), (2, 0));
    drop(queue.try_lease().expect("there is an item"));
    assert_eq!(queue.take_all(), [9, 2]);
}

#[test]
fn a_lease_that_ends_after_closing_is_found_by_take_all() {
    for (name, queue) in flavours(4) {
        queue.try_push(1).expect(name);
        let lease = queue.try_lease().expect(name);
        queue.close();
        assert_eq!(Spawned::new(queue.pop()).poll(), Poll::Ready(None), "{name}");
        drop(lease);
        assert_eq!(queue.unfinished(), 1, "{name}");
        assert_eq!(queue.take_all(), [1], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_item_waits_for_its_next_delivery_and_keeps_its_number_and_its_slot() {
    for (name, queue) in flavours(2) {
        queue.push(1).await.expect(name);
        queue.push(2).await.expect(name);
        let begun = Instant::now();
        let (mut first, second) = (queue.lease().await.expect(name), queue.lease().await.expect(name));
        let item = *first;
        assert_eq!((first.number(), second.number()), (0, 1), "{name}");
        first.delay_next_delivery(SECOND);
        drop((first, second));
        assert_eq!((queue.len(), queue.delayed(), queue.is_full()), (1, 1, true), "{name}");
        assert_ne!(queue.pop().await, Some(item), "{name}");
        let again = queue.lease().await.expect(name);
        assert_eq!((*again, again.deliveries(), again.number()), (item, 2, 0), "{name}");
        assert_eq!(begun.elapsed(), SECOND, "{name}");
        drop(again);
        assert_eq!(queue.len(), 1, "{name}: the delay holds for one delivery only");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_already_gets_a_delayed_item_in_time() {
    for (name, queue) in flavours(4) {
        queue.push(1).await.expect(name);
        let mut lease = queue.lease().await.expect(name);
        let pop = tokio::spawn({
            let queue = queue.clone();
            async move { (queue.pop().await, Instant::now()) }
        });
        tokio::task::yield_now().await;
        let begun = Instant::now();
        lease.delay_next_delivery(SECOND);
        drop(lease);
        assert_eq!(pop.await.expect(name), (Some(1), begun + SECOND), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_queue_ends_after_an_item_that_waits_for_its_next_delivery() {
    for (name, queue) in flavours(4) {
        queue.push(1).await.expect(name);
        let mut lease = queue.lease().await.expect(name);
        queue.close();
        lease.delay_next_delivery(SECOND);
        drop(lease);
        assert_eq!((queue.pop().await, queue.pop().await), (Some(1), None), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn take_all_also_takes_items_that_wait_for_their_next_delivery() {
    for (name, queue) in flavours(4) {
        queue.push(1).await.expect(name);
        let mut lease = queue.lease().await.expect(name);
        lease.delay_next_delivery(Duration::MAX);
        drop(lease);
        assert_eq!((queue.take_all(), queue.unfinished()), (vec![1], 0), "{name}");
    }
}
