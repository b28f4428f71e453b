//! Who is woken, how often, and who comes first.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use outbound_queue::{Queue, TryPopError, TryPushError};

use crate::support::{Spawned, flavours};

/// More than this many newcomers never go ahead of a task that was woken.
const MAX_PASSES: usize = 32;

#[test]
fn one_item_wakes_one_of_a_hundred() {
    for (name, queue) in flavours(200) {
        let pops: Vec<_> = (0..100).map(|_| Spawned::parked(queue.pop())).collect();
        queue.try_push(1).expect(name);
        assert_eq!(pops.iter().map(Spawned::wakes).sum::<usize>(), 1, "{name}");
        assert_eq!(pops[0].wakes(), 1, "the first to come: {name}");
    }
}

#[test]
fn one_place_wakes_one_of_a_hundred() {
    for (name, queue) in flavours(1) {
        queue.try_push(1).expect(name);
        let pushes: Vec<_> = (0..100).map(|_| Spawned::parked(queue.push(1))).collect();
        assert_eq!(queue.try_pop(), Ok(1), "{name}");
        assert_eq!(pushes.iter().map(Spawned::wakes).sum::<usize>(), 1, "{name}");
        assert_eq!(pushes[0].wakes(), 1, "the first to come: {name}");
    }
}

#[test]
fn a_burst_wakes_a_few_who_wake_the_rest() {
    for (name, queue) in flavours(200) {
        let mut pops: Vec<_> = (0..100).map(|_| Spawned::parked(queue.pop())).collect();
        for _ in 0..100 {
            queue.try_push(1).expect(name);
        }
        let at_once = pops.iter().map(Spawned::wakes).sum::<usize>();
        assert!((1..=7).contains(&at_once), "{at_once} woken at once: {name}");
        // Only those that were woken are polled, as an executor does.
        let mut polled = vec![0; pops.len()];
        while let Some(i) = (0..pops.len()).find(|&i| pops[i].wakes() > polled[i]) {
            polled[i] = pops[i].wakes();
            assert_eq!(pops[i].poll(), Poll::Ready(Some(1)), "{name}");
        }
        assert_eq!(polled, vec![1; 100], "one wake for an item: {name}");
    }
}

#[test]
fn two_items_and_two_waiters_leave_nobody_asleep() {
    for (name, queue) in flavours(2) {
        let mut pops = [Spawned::parked(queue.pop()), Spawned::parked(queue.pop())];
        queue.try_push(1).expect(name);
        queue.try_push(2).expect(name);
        assert_eq!(pops.each_ref().map(Spawned::wakes), [1, 1], "{name}");
        assert!(pops.iter_mut().all(|pop| pop.poll().is_ready()), "{name}");
    }
}

#[test]
fn those_who_wait_are_served_in_their_order() {
    for (name, queue) in flavours(1) {
        let mut pops: Vec<_> = (0..4).map(|_| Spawned::parked(queue.pop())).collect();
        for item in 0..4 {
            queue.try_push(item).expect(name);
            let woken: Vec<_> = pops.iter().map(Spawned::wakes).collect();
            assert_eq!(woken.iter().sum::<usize>(), item as usize + 1, "{name}");
            assert_eq!(pops[item as usize].poll(), Poll::Ready(Some(item)), "{name}");
        }

        queue.try_push(9).expect(name);
        let mut pushes: Vec<_> = (0..4).map(|_| Spawned::parked(queue.push(9))).collect();
        for push in &mut pushes {
            assert_eq!(queue.try_pop(), Ok(9), "{name}");
            assert_eq!(push.wakes(), 1, "{name}");
            assert_eq!(push.poll(), Poll::Ready(Ok(())), "{name}");
        }
    }
}

#[test]
fn the_try_forms_go_ahead_of_nobody() {
    for (name, queue) in flavours(1) {
        let mut pop = Spawned::parked(queue.pop());
        queue.try_push(1).expect(name);
        assert_eq!(queue.try_pop(), Err(TryPopError::Empty), "{name}");
        assert_eq!(pop.poll(), Poll::Ready(Some(1)), "{name}");
        queue.try_push(2).expect(name);
        let mut push = Spawned::parked(queue.push(3));
        assert_eq!(queue.try_pop(), Ok(2), "{name}");
        assert_eq!(queue.try_push(4), Err(TryPushError::Full(4)), "{name}");
        assert_eq!(push.poll(), Poll::Ready(Ok(())), "{name}");
    }
}

#[test]
fn a_pop_that_was_woken_makes_room_and_a_lease_does_not() {
    for (name, queue) in flavours(1) {
        let mut pop = Spawned::parked(queue.pop());
        queue.try_push(1).expect(name);
        // One place more, and not two.
        queue.try_push(1).expect(name);
        let mut push = Spawned::parked(queue.push(1));
        assert_eq!(pop.poll(), Poll::Ready(Some(1)), "{name}");
        assert_eq!(push.wakes(), 0, "{name}");
        assert_eq!(queue.try_pop(), Ok(1), "{name}");
        assert_eq!(push.poll(), Poll::Ready(Ok(())), "{name}");
        assert_eq!(queue.try_pop(), Ok(1), "{name}");

        let _lease = Spawned::parked(queue.lease());
        queue.try_push(1).expect(name);
        assert_eq!(queue.try_push(1), Err(TryPushError::Full(1)), "{name}");
    }
}

#[test]
fn a_pop_that_made_room_and_goes_away_takes_its_place_along() {
    for (name, queue) in flavours(1) {
        let pop = Spawned::parked(queue.pop());
        queue.try_push(1).expect(name);
        queue.try_push(1).expect(name);
        drop(pop);
        // Nothing is lost, so there is one too many, until one has been taken.
        assert_eq!((queue.len(), queue.capacity()), (2, 1), "{name}");
        assert_eq!(queue.try_pop(), Ok(1), "{name}");
        assert_eq!(queue.try_push(1), Err(TryPushError::Full(1)), "{name}");
        assert_eq!(queue.try_pop(), Ok(1), "{name}");
        queue.try_push(1).expect(name);
    }
}

#[test]
fn newcomers_pass_a_woken_pop_so_often_and_no_more() {
    for (name, queue) in flavours(1) {
        let mut waiting = Spawned::parked(queue.pop());
        for _ in 0..MAX_PASSES {
            queue.try_push(1).expect(name);
            assert!(Spawned::new(queue.pop()).poll().is_ready(), "{name}");
        }
        queue.try_push(1).expect(name);
        let behind = Spawned::parked(queue.pop());
        assert_eq!(waiting.poll(), Poll::Ready(Some(1)), "{name}");
        assert_eq!(behind.wakes(), 0, "{name}");
        assert_eq!(waiting.wakes(), 1, "{name}");
    }
}

#[test]
fn newcomers_pass_a_woken_push_so_often_and_no_more() {
    let queue = Queue::bounded(1);
    queue.try_push(0).expect("there is room");
    let mut waiting = Spawned::parked(queue.push(1));
    for _ in 0..MAX_PASSES {
        queue.try_pop().expect("there is an item");
        assert!(Spawned::new(queue.push(2)).poll().is_ready());
    }
    queue.try_pop().expect("there is an item");
    let _behind = Spawned::parked(queue.push(3));
    assert_eq!(waiting.poll(), Poll::Ready(Ok(())));
}

#[test]
fn a_woken_waiter_that_came_too_late_keeps_its_place() {
    for (name, queue) in flavours(2) {
        let mut first = Spawned::parked(queue.pop());
        let mut second = Spawned::parked(queue.pop());
        queue.try_push(1).expect(name);
        assert!(Spawned::new(queue.pop()).poll().is_ready(), "a newcomer was quicker: {name}");
        assert!(first.poll().is_pending(), "{name}");
        queue.try_push(2).expect(name);
        assert_eq!((first.wakes(), second.wakes()), (2, 0), "{name}");
        assert!(first.poll().is_ready(), "{name}");
        assert!(second.poll().is_pending(), "{name}");
    }
}

#[test]
fn a_poll_for_another_reason_does_not_take_what_the_woken_are_owed() {
    for (name, queue) in flavours(1) {
        let mut first = Spawned::parked(queue.pop());
        let mut second = Spawned::parked(queue.pop());
        for _ in 0..MAX_PASSES {
            queue.try_push(1).expect(name);
            assert!(Spawned::new(queue.pop()).poll().is_ready(), "{name}");
        }
        queue.try_push(1).expect(name);
        assert!(second.poll().is_pending(), "{name}");
        assert!(first.poll().is_ready(), "{name}");
    }
}

#[tokio::test]
async fn an_always_ready_consumer_gives_way_to_others() {
    let queue = Queue::unbounded();
    for item in 0..10_000 {
        queue.push(item).await.expect("it is open");
    }
    let popped = Arc::new(AtomicUsize::new(0));
    let consumer = tokio::spawn({
        let (queue, popped) = (queue.clone(), Arc::clone(&popped));
        async move {
            while popped.load(Ordering::Relaxed) < 10_000 {
                queue.pop().await.expect("it is open");
                popped.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let other = tokio::spawn(async move { popped.load(Ordering::Relaxed) });
    let popped_before = other.await.expect("it does not panic");
    assert!((1..=256).contains(&popped_before), "{popped_before} items before anybody else ran");
    consumer.await.expect("it does not panic");
}
