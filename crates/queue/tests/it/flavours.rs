//! The kinds of queue: what each gives out first.

use std::{
    cmp::Reverse,
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use outbound_queue::{Queue, TryPushError};

use crate::support::{Spawned, flavours};

fn drain(queue: &Queue<u32>) -> Vec<u32> {
    std::iter::from_fn(|| queue.try_pop().ok()).collect()
}

#[test]
fn the_order_of_each() {
    let expected = |name| match name {
        "lifo" => [1, 22, 3, 15, 12, 30],
        "priority" | "priority, heap" | "aging" => [3, 1, 12, 15, 22, 30],
        _ => [30, 12, 15, 3, 22, 1],
    };
    for (name, queue) in flavours(8) {
        for item in [30, 12, 15, 3, 22, 1] {
            queue.try_push(item).expect(name);
        }
        assert_eq!(drain(&queue), expected(name), "{name}");
        for item in [30, 12, 15, 3, 22, 1] {
            queue.try_push(item).expect(name);
        }
        assert_eq!(queue.take_all(), expected(name), "all at once: {name}");
    }
}

#[test]
fn ranks_with_a_fifo_of_their_own_and_ranks_in_the_heap_are_one_order() {
    let queue: Queue<u32> = Queue::priority(usize::MAX, |item| *item);
    let items = [64, 63, u32::MAX, 0, 65, u32::MAX - 1, 1];
    for item in items {
        queue.try_push(item).expect("there is room");
    }
    // The two highest count as one rank, so these come out in the order of arrival.
    assert_eq!(drain(&queue), [0, 1, 63, 64, 65, u32::MAX, u32::MAX - 1]);
}

#[test]
fn items_of_size_zero_work_too() {
    fn passes<K: Ord>(queue: &Queue<(), K>) {
        for _ in 0..3 {
            queue.try_push(()).expect("there is room");
        }
        assert_eq!((queue.len(), queue.try_push(())), (3, Err(TryPushError::Full(()))));
        queue.try_lease().expect("there is an item").done();
        assert_eq!(queue.try_pop(), Ok(()));
        assert_eq!(Spawned::new(queue.pop()).poll(), Poll::Ready(Some(())));
        assert!(Spawned::new(queue.join()).poll().is_ready());
    }
    passes::<Infallible>(&Queue::bounded(3));
    passes::<Infallible>(&Queue::lifo(3));
    passes::<Infallible>(&Queue::priority(3, |()| 1));
    passes::<Infallible>(&Queue::priority(3, |()| 100));
    passes::<Infallible>(&Queue::aging(3, |()| Duration::ZERO));
    passes(&Queue::by_key(3, |()| "key"));
}

#[test]
fn a_key_can_be_of_any_type_that_has_an_order() {
    let queue: Queue<_, _> = Queue::by_key(8, |item: &(String, u32)| Reverse(item.0.clone()));
    for (key, arrival) in [("b", 1), ("a", 2), ("c", 3), ("b", 4), ("c", 5)] {
        queue.try_push((key.to_owned(), arrival)).expect("there is room");
    }
    let lease = queue.try_lease().expect("there is an item");
    assert_eq!((lease.0.as_str(), lease.1), ("c", 3));
    drop(lease);
    let order: Vec<u32> = std::iter::from_fn(|| queue.try_pop().ok()).map(|item| item.1).collect();
    assert_eq!(
        order,
        [3, 5, 1, 4, 2],
        "equals in the order of arrival, and the item that came back before them"
    );
}

#[test]
fn a_rank_function_can_capture_and_is_dropped_with_the_queue() {
    let ranks = Arc::new(Mutex::new(HashMap::from([("a", 2), ("b", 0)])));
    let told = Arc::clone(&ranks);
    let rank = move |name: &&str| told.lock().expect("nobody panics here").get(name).copied().unwrap_or(1);
    let queue = Queue::priority(8, rank);
    let another_handle = queue.clone();
    for name in ["a", "unknown", "b"] {
        another_handle.try_push(name).expect("there is room");
    }
    ranks.lock().expect("nobody panics here").insert("late", 0);
    queue.try_push("late").expect("there is room");
    assert_eq!(queue.take_all(), ["b", "late", "unknown", "a"]);
    drop((queue, another_handle));
    assert_eq!(Arc::strong_count(&ranks), 1);
}

#[test]
fn waiting_pushers_are_ordered_by_key_too() {
    let queue = Queue::by_key(1, |item: &&'static str| *item);
    queue.try_push("m").expect("there is room");
    let mut pushes: Vec<_> =
        ["z", "b", "y", "a"].into_iter().map(|item| Spawned::new(queue.push(item))).collect();
    assert!(pushes.iter_mut().all(|push| push.poll().is_pending()));
    let order: Vec<_> = (0..5)
        .map(|_| {
            let item = queue.try_pop().expect("there is an item");
            pushes.retain_mut(|push| push.poll().is_pending());
            item
        })
        .collect();
    assert_eq!(order, ["m", "a", "b", "y", "z"]);
}

#[test]
fn equals_come_out_in_the_order_of_arrival_however_many_wait() {
    for base in [0, 1000] {
        let queue = Queue::priority(usize::MAX, move |item: &(u32, u32)| base + item.0);
        for arrival in 0..20_000 {
            queue.try_push((arrival * 7 % 5, arrival)).expect("there is room");
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.try_pop().ok()).collect();
        assert_eq!(order.len(), 20_000);
        assert!(order.is_sorted());
    }
}

#[test]
fn waiting_pushers_are_ordered_by_rank_too() {
    let queue: Queue<u32> = Queue::priority(1, |item| item / 10);
    queue.try_push(0).expect("there is room");
    let mut pushes: Vec<_> =
        [51, 31, 52, 11].into_iter().map(|item| (item, Spawned::parked(queue.push(item)))).collect();
    let mut order = Vec::new();
    for _ in 0..4 {
        queue.try_pop().expect("there is an item");
        let (item, push) = pushes.iter_mut().find(|(_, push)| push.wakes() > 0).expect("one was woken");
        order.push(*item);
        assert_eq!(push.poll(), Poll::Ready(Ok(())));
        pushes.retain(|(item, _)| !order.contains(item));
    }
    assert_eq!(order, [11, 31, 51, 52]);
}

#[test]
fn a_newcomer_of_equal_rank_does_not_overtake_a_waiting_pusher() {
    let queue: Queue<u32> = Queue::priority(1, |item| item / 10);
    queue.try_push(0).expect("there is room");
    let mut waiting = Spawned::parked(queue.push(20));
    queue.try_pop().expect("there is an item");
    let _equal = Spawned::parked(queue.push(21));
    let _worse = Spawned::parked(queue.push(30));
    assert_eq!(Spawned::new(queue.push(10)).poll(), Poll::Ready(Ok(())), "one of a lower rank may overtake");
    assert!(waiting.poll().is_pending());
    queue.try_pop().expect("there is an item");
    assert_eq!(waiting.poll(), Poll::Ready(Ok(())));
}

#[test]
fn an_unbounded_queue_is_never_full() {
    let queue = Queue::unbounded();
    for item in 0..5_000 {
        queue.try_push(item).expect("there is room");
    }
    assert_eq!((queue.len(), queue.capacity()), (5_000, usize::MAX));
}

#[test]
#[should_panic(expected = "at least one item")]
fn a_capacity_of_zero_panics() {
    let _ = Queue::<u8>::bounded(0);
}
