//! Many items at once, and items as a stream.

use std::{collections::VecDeque, task::Poll};

use futures::StreamExt;
use outbound_queue::{PushError, Queue};

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
fn a_limit_of_zero_counts_as_one() {
    let queue = Queue::unbounded();
    queue.try_push(1).expect("there is room");
    assert_eq!(Spawned::new(queue.pop_many(&mut Vec::new(), 0)).poll(), Poll::Ready(1));
}

#[test]
fn pop_many_waits_for_one_item_and_leaves_the_items_of_woken_tasks() {
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
fn a_dropped_pop_many_takes_nothing_and_passes_its_wake_up_on() {
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
fn pop_many_wakes_the_waiting_pushers() {
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

#[test]
fn push_many_pushes_in_order_as_slots_become_free() {
    let queue = Queue::bounded(4);
    let mut items: VecDeque<u32> = (0..10).collect();
    let mut push = Spawned::parked(queue.push_many(&mut items));
    let mut taken = Vec::new();
    while taken.len() < 8 {
        assert_eq!(Spawned::new(queue.pop_many(&mut taken, 3)).poll(), Poll::Ready(3.min(queue.capacity())));
        let _ = push.poll();
    }
    assert_eq!(push.poll(), Poll::Ready(Ok(())));
    drop(push);
    taken.extend(queue.take_all());
    assert_eq!((taken, items.len()), ((0..10).collect(), 0));
}

#[test]
fn push_many_wakes_a_few_tasks_and_those_wake_the_rest() {
    for (name, queue) in flavours(100) {
        let mut pops: Vec<_> = (0..50).map(|_| Spawned::parked(queue.pop())).collect();
        let mut items: VecDeque<u32> = std::iter::repeat_n(1, 50).collect();
        assert_eq!(Spawned::new(queue.push_many(&mut items)).poll(), Poll::Ready(Ok(())), "{name}");
        let at_once = pops.iter().map(Spawned::wakes).sum::<usize>();
        assert!((1..=6).contains(&at_once), "{at_once} woken at once: {name}");
        let mut polled = 0;
        while let Some(i) = pops.iter().position(|pop| pop.wakes() > 0) {
            assert_eq!(pops.remove(i).poll(), Poll::Ready(Some(1)), "{name}");
            polled += 1;
        }
        assert_eq!(polled, 50, "{name}");
    }
}

#[test]
fn push_many_leaves_the_slots_of_woken_tasks() {
    for (name, queue) in flavours(4) {
        for _ in 0..4 {
            queue.try_push(1).expect(name);
        }
        let mut other = Spawned::parked(queue.push(2));
        let mut items: VecDeque<u32> = [3; 8].into();
        let mut many = Spawned::parked(queue.push_many(&mut items));
        queue.take_all();
        assert_eq!((other.wakes(), many.wakes()), (1, 0), "only the first waiter is woken: {name}");
        assert!(many.poll().is_pending(), "{name}");
        assert_eq!(queue.len(), 3, "{name}");
        assert_eq!(other.poll(), Poll::Ready(Ok(())), "{name}");
        drop(many);
        assert_eq!(items.len(), 5, "{name}");
    }
}

#[test]
fn items_that_push_many_did_not_push_are_still_with_the_caller() {
    for (name, queue) in flavours(2) {
        let mut items: VecDeque<u32> = [1, 1, 1, 1].into();
        let push = Spawned::parked(queue.push_many(&mut items));
        drop(push);
        assert_eq!((items.len(), queue.len(), queue.waiting_to_push()), (2, 2, 0), "{name}");
        let mut push = Spawned::parked(queue.push_many(&mut items));
        queue.close();
        assert_eq!(push.poll(), Poll::Ready(Err(PushError(()))), "{name}");
        drop(push);
        assert_eq!((items.len(), queue.len()), (2, 2), "{name}");
    }
}

#[test]
fn push_many_sorts_items_by_their_ranks() {
    let queue: Queue<u32> = Queue::priority(8, |item| item / 10);
    let mut items: VecDeque<u32> = [30, 10, 31, 20].into();
    assert_eq!(Spawned::new(queue.push_many(&mut items)).poll(), Poll::Ready(Ok(())));
    assert_eq!(queue.take_all(), [10, 20, 30, 31]);
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
