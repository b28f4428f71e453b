//! Loom models: no interleaving loses an item, delivers one twice, or leaves a task asleep although there is work.

use std::{
    pin::pin,
    task::{Context, Waker},
};

use loom::{future::block_on, model::Builder, thread};

use crate::Queue;

/// Runs all interleavings with at most three preemptions. Nearly all bugs need fewer.
fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

#[test]
fn an_item_passes_between_threads() {
    model(|| {
        let queue = Queue::bounded(1);
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || {
                block_on(queue.push(1)).unwrap();
                block_on(queue.push(2)).unwrap();
            })
        };
        assert_eq!(block_on(queue.pop()), Some(1));
        assert_eq!(block_on(queue.pop()), Some(2));
        producer.join().unwrap();
        assert_eq!(queue.unfinished(), 0);
    });
}

#[test]
fn two_items_reach_two_waiting_tasks() {
    model(|| {
        let queue = Queue::bounded(2);
        let consumer = || {
            let queue = queue.clone();
            thread::spawn(move || block_on(queue.pop()).unwrap())
        };
        let (first, second) = (consumer(), consumer());
        queue.try_push(1).unwrap();
        queue.try_push(2).unwrap();
        assert_eq!(first.join().unwrap() + second.join().unwrap(), 3);
    });
}

#[test]
fn two_pushers_share_one_slot() {
    model(|| {
        let queue = Queue::bounded(1);
        let producer = |item| {
            let queue = queue.clone();
            thread::spawn(move || block_on(queue.push(item)).unwrap())
        };
        let (first, second) = (producer(1), producer(2));
        let sum = block_on(queue.pop()).unwrap() + block_on(queue.pop()).unwrap();
        assert_eq!(sum, 3);
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn what_is_accepted_before_closing_comes_out_and_what_is_not_comes_back() {
    model(|| {
        let queue = Queue::bounded(1);
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || (1..=2).filter(|&item| block_on(queue.push(item)).is_ok()).sum::<u32>())
        };
        let closer = {
            let queue = queue.clone();
            thread::spawn(move || queue.close())
        };
        let mut received = 0;
        while let Some(item) = block_on(queue.pop()) {
            received += item;
        }
        let accepted = producer.join().unwrap();
        closer.join().unwrap();
        assert_eq!(received, accepted);
        assert_eq!(queue.unfinished(), 0);
    });
}

#[test]
fn closing_ends_two_waiting_tasks() {
    model(|| {
        let queue: Queue<u32> = Queue::bounded(1);
        let consumer = || {
            let queue = queue.clone();
            thread::spawn(move || block_on(queue.pop()))
        };
        let (first, second) = (consumer(), consumer());
        queue.close();
        assert_eq!((first.join().unwrap(), second.join().unwrap()), (None, None));
    });
}

#[test]
fn a_pop_dropped_after_its_wake_passes_it_on() {
    model(|| {
        let queue = Queue::bounded(1);
        let mut quitter = Box::pin(queue.pop());
        assert!(quitter.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let stayer = {
            let queue = queue.clone();
            thread::spawn(move || assert_eq!(block_on(queue.pop()), Some(1)))
        };
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || queue.try_push(1).unwrap())
        };
        drop(quitter);
        producer.join().unwrap();
        stayer.join().unwrap();
    });
}

#[test]
fn a_push_dropped_after_its_wake_passes_it_on() {
    model(|| {
        let queue = Queue::bounded(1);
        queue.try_push(0).unwrap();
        let mut quitter = Box::pin(queue.push(1));
        assert!(quitter.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let stayer = {
            let queue = queue.clone();
            thread::spawn(move || block_on(queue.push(2)).unwrap())
        };
        let consumer = {
            let queue = queue.clone();
            thread::spawn(move || queue.try_pop().unwrap())
        };
        drop(quitter);
        assert_eq!(consumer.join().unwrap(), 0);
        stayer.join().unwrap();
        assert_eq!(queue.take_all(), [2]);
    });
}

#[test]
fn a_lease_put_back_reaches_a_waiting_task_and_a_join_ends() {
    model(|| {
        let queue = Queue::bounded(1);
        queue.try_push(1).unwrap();
        let lease = queue.try_lease().unwrap();
        let consumer = {
            let queue = queue.clone();
            thread::spawn(move || block_on(queue.lease()).unwrap().done())
        };
        drop(lease);
        let mut join = pin!(queue.join());
        block_on(join.as_mut());
        consumer.join().unwrap();
        assert_eq!(queue.unfinished(), 0);
    });
}

#[test]
fn a_slot_that_a_woken_pop_has_freed_is_taken_back_when_it_is_dropped() {
    model(|| {
        let queue = Queue::bounded(1);
        let mut quitter = Box::pin(queue.pop());
        assert!(quitter.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let producer = {
            let queue = queue.clone();
            // The second item may be pushed while the quitter is woken. Otherwise it waits for a slot.
            thread::spawn(move || (1..=2).for_each(|item| block_on(queue.push(item)).unwrap()))
        };
        let consumer = {
            let queue = queue.clone();
            thread::spawn(move || [block_on(queue.pop()), block_on(queue.pop())])
        };
        drop(quitter);
        producer.join().unwrap();
        assert_eq!(consumer.join().unwrap(), [Some(1), Some(2)]);
        assert_has_room_for_one(&queue);
    });
}

#[test]
fn a_woken_lease_frees_no_slot_before_it_is_done() {
    model(|| {
        let queue: Queue<i32> = Queue::bounded(1);
        let leaser = {
            let queue = queue.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    let lease = block_on(queue.lease()).unwrap();
                    assert_eq!(queue.unfinished(), 1);
                    lease.done();
                }
            })
        };
        block_on(queue.push(1)).unwrap();
        block_on(queue.push(2)).unwrap();
        leaser.join().unwrap();
        assert_has_room_for_one(&queue);
    });
}

/// Dropped waiters have left nothing behind: the queue has exactly one free slot.
fn assert_has_room_for_one(queue: &Queue<i32>) {
    assert_eq!(queue.unfinished(), 0);
    queue.try_push(0).unwrap();
    assert!(queue.try_push(0).is_err());
}
