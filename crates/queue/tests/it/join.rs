//! Waiting until all items are done.

use crate::support::{Spawned, flavours};

#[test]
fn the_join_of_an_empty_queue_is_ready() {
    for (name, queue) in flavours(4) {
        assert!(Spawned::new(queue.join()).poll().is_ready(), "{name}");
    }
}

#[test]
fn join_waits_for_items_that_are_pushed_while_it_waits() {
    for (name, queue) in flavours(4) {
        queue.try_push(1).expect(name);
        let mut join = Spawned::parked(queue.join());
        queue.try_push(2).expect(name);
        queue.try_pop().expect(name);
        assert!(join.poll().is_pending(), "{name}");
        queue.try_pop().expect(name);
        assert_eq!(join.wakes(), 1, "{name}");
        assert!(join.poll().is_ready(), "{name}");
    }
}

#[test]
fn join_ends_even_if_more_is_pushed_before_it_is_polled() {
    for (name, queue) in flavours(4) {
        queue.try_push(1).expect(name);
        let mut joins = [Spawned::parked(queue.join()), Spawned::parked(queue.join())];
        queue.try_pop().expect(name);
        queue.try_push(2).expect(name);
        assert!(joins.iter_mut().all(|join| join.poll().is_ready()), "{name}");
        assert!(Spawned::new(queue.join()).poll().is_pending(), "{name}");
    }
}

#[test]
fn join_waits_for_leases() {
    for (name, queue) in flavours(4) {
        queue.try_push(1).expect(name);
        let lease = queue.try_lease().expect(name);
        let mut join = Spawned::parked(queue.join());
        drop(lease);
        assert!(join.poll().is_pending(), "the item went back: {name}");
        queue.try_lease().expect(name).done();
        assert_eq!(join.wakes(), 1, "{name}");
        assert!(join.poll().is_ready(), "{name}");
    }
}

#[test]
fn join_ends_when_closing_now_takes_the_last() {
    for (name, queue) in flavours(4) {
        queue.try_push(1).expect(name);
        queue.try_push(1).expect(name);
        let lease = queue.try_lease().expect(name);
        let mut join = Spawned::parked(queue.join());
        assert_eq!(queue.close_now().len(), 1, "{name}");
        assert!(join.poll().is_pending(), "one item is still leased: {name}");
        lease.done();
        assert!(join.poll().is_ready(), "{name}");
    }
}

#[test]
fn a_dropped_join_has_no_effect() {
    for (name, queue) in flavours(4) {
        queue.try_push(1).expect(name);
        let first = Spawned::parked(queue.join());
        let mut second = Spawned::parked(queue.join());
        drop(first);
        assert_eq!(queue.waiting_to_join(), 1, "{name}");
        queue.try_pop().expect(name);
        assert!(second.poll().is_ready(), "{name}");
    }
}
