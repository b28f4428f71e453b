//! A future dropped at any moment loses nothing, delivers nothing, and leaves nobody asleep.

use std::{mem, task::Poll};

use outbound_queue::{Queue, TryPopError};

use crate::support::{Counter, Spawned, Task, flavours};

#[test]
fn a_dropped_pending_pop_keeps_the_item() {
    for (name, queue) in flavours(1) {
        let pop = Spawned::parked(queue.pop());
        queue.try_push(1).expect(name);
        assert_eq!(pop.wakes(), 1, "{name}");
        drop(pop);
        assert_eq!(queue.try_pop(), Ok(1), "{name}");
    }
}

#[test]
fn a_dropped_pending_lease_keeps_the_item() {
    for (name, queue) in flavours(1) {
        let lease = Spawned::parked(queue.lease());
        queue.try_push(1).expect(name);
        drop(lease);
        assert_eq!(queue.unfinished(), 1, "{name}");
        assert_eq!(queue.try_lease().expect(name).deliveries(), 1, "it was not delivered before: {name}");
    }
}

#[test]
fn a_dropped_pending_push_never_delivers() {
    for (name, queue) in flavours(1) {
        queue.try_push(1).expect(name);
        let push = Spawned::parked(queue.push(2));
        assert_eq!(queue.try_pop(), Ok(1), "{name}");
        assert_eq!(push.wakes(), 1, "{name}");
        drop(push);
        assert_eq!(queue.try_pop(), Err(TryPopError::Empty), "{name}");
    }
}

#[test]
fn a_dropped_woken_pop_passes_the_wake_on() {
    for (name, queue) in flavours(4) {
        let first = Spawned::parked(queue.pop());
        let mut second = Spawned::parked(queue.pop());
        queue.try_push(1).expect(name);
        assert_eq!((first.wakes(), second.wakes()), (1, 0), "{name}");
        drop(first);
        assert_eq!(second.wakes(), 1, "{name}");
        assert_eq!(second.poll(), Poll::Ready(Some(1)), "{name}");
    }
}

#[test]
fn a_dropped_woken_push_passes_the_wake_on() {
    for (name, queue) in flavours(1) {
        queue.try_push(1).expect(name);
        let first = Spawned::parked(queue.push(2));
        let mut second = Spawned::parked(queue.push(3));
        assert_eq!(queue.try_pop(), Ok(1), "{name}");
        assert_eq!((first.wakes(), second.wakes()), (1, 0), "{name}");
        drop(first);
        assert_eq!(second.wakes(), 1, "{name}");
        assert_eq!(second.poll(), Poll::Ready(Ok(())), "{name}");
        assert_eq!(queue.try_pop(), Ok(3), "{name}");
    }
}

#[test]
fn a_waiter_dropped_in_the_middle_of_the_line_is_passed_over() {
    for (name, queue) in flavours(4) {
        let mut first = Spawned::parked(queue.pop());
        let second = Spawned::parked(queue.pop());
        let mut third = Spawned::parked(queue.pop());
        drop(second);
        queue.try_push(1).expect(name);
        queue.try_push(1).expect(name);
        assert!(first.poll().is_ready(), "{name}");
        assert_eq!(third.wakes(), 1, "{name}");
        assert!(third.poll().is_ready(), "{name}");
    }
}

#[test]
fn a_future_moved_to_another_task_wakes_the_right_one() {
    for (name, queue) in flavours(1) {
        let mut pop = Spawned::parked(queue.pop());
        let other = Task::default();
        assert!(other.poll(&mut pop.future).is_pending(), "{name}");
        queue.try_push(1).expect(name);
        assert_eq!((pop.wakes(), other.wakes()), (0, 1), "{name}");

        assert!(pop.poll().is_ready(), "{name}");
        queue.try_push(2).expect(name);
        let mut push = Spawned::parked(queue.push(3));
        let other = Task::default();
        assert!(other.poll(&mut push.future).is_pending(), "{name}");
        queue.try_pop().expect(name);
        assert_eq!((push.wakes(), other.wakes()), (0, 1), "{name}");
    }
}

#[test]
fn a_future_dropped_before_its_first_poll_drops_its_item_once() {
    let counter = Counter::new();
    let queue = Queue::bounded(1);
    let push = queue.push(counter.item());
    assert_eq!(counter.alive(), 1);
    drop(push);
    assert_eq!(counter.alive(), 0);
    drop((queue.pop(), queue.lease(), queue.join()));
    assert_eq!((queue.waiting_to_push(), queue.waiting_to_pop(), queue.waiting_to_join()), (0, 0, 0));
}

#[test]
fn every_item_is_dropped_once_on_every_way_out() {
    let counter = Counter::new();
    let queue = Queue::bounded(3);
    for _ in 0..3 {
        queue.try_push(counter.item()).expect("there is room");
    }
    let waiting = Spawned::parked(queue.push(counter.item()));
    let lease = queue.try_lease().expect("there are items");
    queue.try_lease().expect("there are items").done();
    assert_eq!(counter.alive(), 3);
    drop(waiting);
    drop(lease);
    assert_eq!(counter.alive(), 2);
    drop(queue.close_now());
    assert_eq!(counter.alive(), 0);

    let queue = Queue::unbounded();
    queue.try_push(counter.item()).expect("there is room");
    let lease = queue.try_lease().expect("there is an item");
    drop(queue);
    assert_eq!(counter.alive(), 1, "a lease keeps its queue");
    drop(lease);
    assert_eq!(counter.alive(), 0);
}

#[test]
fn a_waiter_that_is_never_polled_again_keeps_one_item_from_the_others_at_most() {
    for (name, queue) in flavours(8) {
        let deaf = Spawned::parked(queue.pop());
        let mut other = Spawned::parked(queue.pop());
        queue.try_push(1).expect(name);
        queue.try_push(2).expect(name);
        assert_eq!((deaf.wakes(), other.wakes()), (1, 1), "{name}");
        assert!(other.poll().is_ready(), "{name}");
        mem::forget(deaf);
        assert!(Spawned::new(queue.pop()).poll().is_ready(), "a newcomer gets what it left lying: {name}");
    }
}
