//! Items one after the other, and many at once.

use std::task::Poll;

use futures::StreamExt;
use outbound_queue::Queue;

use crate::support::{Spawned, flavours};

#[test]
fn many_are_taken_at_once_in_their_order() {
    let queue = Queue::unbounded();
    for item in 0..10 {
        queue.try_push(item).expect("there is room");
    }
    let mut items = Vec::new();
    assert_eq!(Spawned::new(queue.pop_many(&mut items, 4)).poll(), Poll::Ready(4));
    assert_eq!(Spawned::new(queue.pop_many(&mut items, 100)).poll(), Poll::Ready(6));
    assert_eq!(items, (0..10).collect::<Vec<_>>());
    queue.close();
    assert_eq!(Spawned::new(queue.pop_many(&mut items, 4)).poll(), Poll::Ready(0));
}

#[test]
fn a_limit_of_none_is_one() {
    let queue = Queue::unbounded();
    queue.try_push(1).expect("there is room");
    assert_eq!(Spawned::new(queue.pop_many(&mut Vec::new(), 0)).poll(), Poll::Ready(1));
}

#[test]
fn many_waits_for_one_and_leaves_those_of_others_who_were_woken() {
    for (name, queue) in flavours(8) {
        let mut items = Vec::new();
        let mut many = Spawned::parked(queue.pop_many(&mut items, 100));
        let mut other = Spawned::parked(queue.pop());
        for _ in 0..4 {
            queue.try_push(1).expect(name);
        }
        assert_eq!((many.wakes(), other.wakes()), (1, 1), "{name}");
        assert_eq!(many.poll(), Poll::Ready(3), "{name}");
        assert_eq!(other.poll(), Poll::Ready(Some(1)), "{name}");
        drop(many);
        assert_eq!(items, [1, 1, 1], "{name}");
    }
}

#[test]
fn many_that_is_dropped_takes_nothing_and_passes_its_wake_on() {
    for (name, queue) in flavours(8) {
        let mut items = Vec::new();
        let many = Spawned::parked(queue.pop_many(&mut items, 100));
        let other = Spawned::parked(queue.pop());
        queue.try_push(1).expect(name);
        drop(many);
        assert_eq!((other.wakes(), queue.len(), items.len()), (1, 1, 0), "{name}");
    }
}

#[test]
fn many_places_taken_at_once_wake_the_pushers() {
    for (name, queue) in flavours(4) {
        for _ in 0..4 {
            queue.try_push(1).expect(name);
        }
        let mut pushes: Vec<_> = (0..4).map(|_| Spawned::parked(queue.push(1))).collect();
        assert_eq!(Spawned::new(queue.pop_many(&mut Vec::new(), 4)).poll(), Poll::Ready(4), "{name}");
        for push in &mut pushes {
            assert_eq!(push.wakes(), 1, "{name}");
            assert!(push.poll().is_ready(), "{name}");
        }
    }
}

#[tokio::test]
async fn a_stream_gives_all_and_ends_when_the_queue_does() {
    let queue = Queue::bounded(2);
    let producer = tokio::spawn({
        let queue = queue.clone();
        async move {
            for item in 0..10 {
                queue.push(item).await.expect("it is open");
            }
            queue.close();
        }
    });
    assert_eq!(queue.items().collect::<Vec<_>>().await, (0..10).collect::<Vec<_>>());
    producer.await.expect("it does not panic");
}
