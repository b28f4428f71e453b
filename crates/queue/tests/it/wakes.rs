//! What a wake-up is worth to a waiting task, and what happens if it runs too late.

use std::task::Poll;

use outbound_queue::TryPushError;

use crate::support::{Spawned, flavours};

/// At most this many newcomers overtake a task that was woken.
const MAX_OVERTAKES: usize = 32;

#[test]
fn a_pop_that_was_woken_makes_room_and_a_lease_does_not() {
    for (name, queue) in flavours(1) {
        let mut pop = Spawned::parked(queue.pop());
        queue.try_push(1).expect(name);
        // One slot more, and not two.
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
fn a_woken_pop_that_is_dropped_takes_its_extra_slot_back() {
    for (name, queue) in flavours(1) {
        let pop = Spawned::parked(queue.pop());
        queue.try_push(1).expect(name);
        queue.try_push(1).expect(name);
        drop(pop);
        // No item is lost, so there is one too many until one has been taken.
        assert_eq!((queue.len(), queue.capacity()), (2, 1), "{name}");
        assert_eq!(queue.try_pop(), Ok(1), "{name}");
        assert_eq!(queue.try_push(1), Err(TryPushError::Full(1)), "{name}");
        assert_eq!(queue.try_pop(), Ok(1), "{name}");
        queue.try_push(1).expect(name);
    }
}

#[test]
fn a_woken_waiter_that_runs_too_late_keeps_its_position() {
    for (name, queue) in flavours(2) {
        let mut first = Spawned::parked(queue.pop());
        let mut second = Spawned::parked(queue.pop());
        queue.try_push(1).expect(name);
        assert!(Spawned::new(queue.pop()).poll().is_ready(), "a newcomer overtakes: {name}");
        assert!(first.poll().is_pending(), "{name}");
        queue.try_push(2).expect(name);
        assert_eq!((first.wakes(), second.wakes()), (2, 0), "{name}");
        assert!(first.poll().is_ready(), "{name}");
        assert!(second.poll().is_pending(), "{name}");
    }
}

#[test]
fn a_waiter_dropped_in_the_middle_of_the_line_is_skipped() {
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
fn a_poll_without_a_wake_up_does_not_take_what_woken_tasks_will_take() {
    for (name, queue) in flavours(1) {
        let mut first = Spawned::parked(queue.pop());
        let mut second = Spawned::parked(queue.pop());
        for _ in 0..MAX_OVERTAKES {
            queue.try_push(1).expect(name);
            assert!(Spawned::new(queue.pop()).poll().is_ready(), "{name}");
        }
        queue.try_push(1).expect(name);
        assert!(second.poll().is_pending(), "{name}");
        assert!(first.poll().is_ready(), "{name}");
    }
}
