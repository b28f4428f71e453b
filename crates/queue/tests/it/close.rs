//! Closing ends all waits and loses no item.

use std::task::Poll;

use outbound_queue::{PushError, Queue, TryPopError};

use crate::support::{Spawned, flavours};

#[test]
fn a_closed_queue_is_drained_and_then_ends() {
    for (name, queue) in flavours(4) {
        queue.try_push(1).expect(name);
        queue.try_push(1).expect(name);
        queue.close();
        queue.close();
        assert!(queue.is_closed(), "{name}");
        assert_eq!(Spawned::new(queue.pop()).poll(), Poll::Ready(Some(1)), "{name}");
        assert_eq!(queue.try_pop(), Ok(1), "{name}");
        assert_eq!(queue.try_pop(), Err(TryPopError::Closed), "{name}");
        assert_eq!(Spawned::new(queue.pop()).poll(), Poll::Ready(None), "{name}");
    }
}

#[test]
fn a_consumer_woken_for_an_item_gets_it_even_if_the_queue_is_closed_before_it_runs() {
    for (name, queue) in flavours(4) {
        let mut first = Spawned::parked(queue.pop());
        let mut second = Spawned::parked(queue.pop());
        queue.try_push(1).expect(name);
        queue.close();
        assert_eq!(first.poll(), Poll::Ready(Some(1)), "{name}");
        assert_eq!(second.poll(), Poll::Ready(None), "{name}");
    }
}

#[test]
fn a_pusher_woken_for_a_slot_gets_its_item_back_if_the_queue_is_closed_before_it_runs() {
    for (name, queue) in flavours(1) {
        queue.try_push(1).expect(name);
        let mut push = Spawned::parked(queue.push(2));
        assert_eq!(queue.try_pop(), Ok(1), "{name}");
        queue.close();
        assert_eq!(push.poll(), Poll::Ready(Err(PushError(2))), "{name}");
        assert_eq!(queue.len(), 0, "{name}");
    }
}

#[test]
fn closing_now_takes_what_is_left_and_ends_the_consumers() {
    for (name, queue) in flavours(4) {
        for item in [30, 10, 20] {
            queue.try_push(item).expect(name);
        }
        let lease = queue.try_lease().expect(name);
        let leased = *lease;
        let mut left = queue.close_now();
        left.push(leased);
        left.sort_unstable();
        assert_eq!(left, [10, 20, 30], "{name}");
        assert_eq!(Spawned::new(queue.pop()).poll(), Poll::Ready(None), "{name}");
        assert!(queue.close_now().is_empty(), "the second call takes nothing: {name}");
        drop(lease);
        assert_eq!(queue.take_all(), [leased], "the leased item comes back: {name}");
    }
}

#[test]
fn taking_all_of_an_open_queue_lets_waiting_pushes_go_on() {
    for (name, queue) in flavours(2) {
        queue.try_push(1).expect(name);
        queue.try_push(1).expect(name);
        let mut pushes = [Spawned::parked(queue.push(2)), Spawned::parked(queue.push(2))];
        assert_eq!(queue.take_all(), [1, 1], "{name}");
        assert!(pushes.iter_mut().all(|push| push.wakes() == 1 && push.poll().is_ready()), "{name}");
        assert_eq!(queue.len(), 2, "{name}");
    }
}

#[test]
fn a_waiter_dropped_after_closing_has_no_effect() {
    for (name, queue) in flavours(1) {
        let lease = Spawned::parked(queue.lease());
        queue.try_push(1).expect(name);
        let push = Spawned::parked(queue.push(2));
        queue.close();
        drop((lease, push));
        assert_eq!(queue.take_all(), [1], "{name}");
    }
}

#[test]
fn errors_say_what_happened_and_show_no_item() {
    let queue = Queue::bounded(1);
    queue.try_push("canary").expect("there is room");
    let full = queue.try_push("canary").expect_err("it is full");
    assert_eq!((full.to_string(), format!("{full:?}")), ("the queue is full".into(), "Full(..)".into()));
    assert_eq!(full.into_inner(), "canary");
    queue.close();
    let closed = queue.try_push("canary").expect_err("it is closed");
    assert_eq!(
        (closed.to_string(), format!("{closed:?}")),
        ("the queue is closed".into(), "Closed(..)".into())
    );
    let push = PushError("canary");
    assert_eq!(
        (push.to_string(), format!("{push:?}")),
        ("the queue is closed".into(), "PushError(..)".into())
    );
    assert_eq!(push.into_inner(), "canary");
    assert!(!format!("{queue:?} {:?} {:?}", queue.push("canary"), queue.try_lease()).contains("canary"));
    assert_eq!(TryPopError::Empty.to_string(), "the queue is empty");
    assert_eq!(TryPopError::Closed.to_string(), "the queue is closed and empty");
}
