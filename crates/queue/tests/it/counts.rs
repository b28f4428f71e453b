//! The counts of a queue, and its `Debug` output.

use std::task::Poll;

use outbound_queue::{Queue, TryPushError};

use crate::support::{Spawned, flavours, on_every_flavour};

#[test]
fn it_is_full_exactly_when_try_push_is_refused() {
    on_every_flavour!(2, |name, queue| {
        assert!(!queue.is_full(), "{name}");
        queue.try_push(1).expect(name);
        assert!(!queue.is_full(), "{name}");
        queue.try_push(2).expect(name);
        assert!(queue.is_full(), "{name}");
        let lease = queue.try_lease().expect(name);
        assert!(queue.is_full(), "a leased item keeps its slot: {name}");
        lease.done();
        assert!(!queue.is_full(), "{name}");
    });
    assert!(!Queue::<u32>::unbounded().is_full());
}

#[test]
fn a_slot_that_a_task_waits_for_is_not_free() {
    for (name, queue) in flavours(1) {
        queue.try_push(1).expect(name);
        let mut push = Spawned::parked(queue.push(2));
        assert_eq!(queue.try_pop(), Ok(1), "{name}");
        assert_eq!((queue.is_full(), queue.len()), (true, 0), "{name}");
        assert_eq!(queue.try_push(3), Err(TryPushError::Full(3)), "{name}");
        assert_eq!(push.poll(), Poll::Ready(Ok(())), "{name}");
        assert_eq!(queue.try_pop(), Ok(2), "{name}");
        assert!(!queue.is_full(), "{name}");
    }
}

#[test]
fn debug_shows_counts_and_no_item() {
    let queue = Queue::bounded(8);
    for _ in 0..3 {
        queue.try_push("canary").expect("there is room");
    }
    let lease = queue.try_lease().expect("there are three");
    let push = queue.push("canary");
    let shown = format!("{queue:?} {lease:?} {push:?} {:?}", queue.pop());
    for count in ["len: 2", "delayed: 0", "leased: 1", "capacity: 8", "closed: false"] {
        assert!(shown.contains(count), "{count} in {shown}");
    }
    assert!(!shown.contains("canary"), "{shown}");
}
