//! The conformance list, on every kind of queue: what happens to items and wake-ups when a waiting future is dropped,
//! moved or never polled again; which task is woken, how often and in which order; how a close ends all; and the cost.
//!
//! `benches/peers` runs the same list on other queues.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use allocation_counter::measure;
use outbound_queue::{PushError, TryPopError, TryPushError};

use crate::support::{Counted, Counter, Spawned, Task, on_every_flavour};

/// At most this many newcomers overtake a task that was woken.
const MAX_OVERTAKES: usize = 32;

#[test]
fn a_dropped_pending_pop_keeps_the_item() {
    on_every_flavour!(1, |name, queue| {
        let pop = Spawned::parked(queue.pop());
        queue.try_push(1).expect(name);
        assert_eq!(pop.wakes(), 1, "{name}");
        drop(pop);
        assert_eq!(queue.try_pop(), Ok(1), "{name}");
    });
}

#[test]
fn a_dropped_pending_lease_keeps_the_item() {
    on_every_flavour!(1, |name, queue| {
        let lease = Spawned::parked(queue.lease());
        queue.try_push(1).expect(name);
        drop(lease);
        assert_eq!(queue.unfinished(), 1, "{name}");
        assert_eq!(queue.try_lease().expect(name).deliveries(), 1, "this is its first delivery: {name}");
    });
}

#[test]
fn a_dropped_pending_push_never_delivers() {
    on_every_flavour!(1, |name, queue| {
        queue.try_push(1).expect(name);
        let push = Spawned::parked(queue.push(2));
        assert_eq!(queue.try_pop(), Ok(1), "{name}");
        assert_eq!(push.wakes(), 1, "{name}");
        drop(push);
        assert_eq!(queue.try_pop(), Err(TryPopError::Empty), "{name}");
    });
}

#[test]
fn a_dropped_woken_pop_passes_the_wake_on() {
    on_every_flavour!(4, |name, queue| {
        let first = Spawned::parked(queue.pop());
        let mut second = Spawned::parked(queue.pop());
        queue.try_push(1).expect(name);
        assert_eq!((first.wakes(), second.wakes()), (1, 0), "{name}");
        drop(first);
        assert_eq!(second.wakes(), 1, "{name}");
        assert_eq!(second.poll(), Poll::Ready(Some(1)), "{name}");
    });
}

#[test]
fn a_dropped_woken_lease_passes_the_wake_on() {
    on_every_flavour!(4, |name, queue| {
        let first = Spawned::parked(queue.lease());
        let mut second = Spawned::parked(queue.lease());
        queue.try_push(1).expect(name);
        assert_eq!((first.wakes(), second.wakes()), (1, 0), "{name}");
        drop(first);
        assert_eq!(second.wakes(), 1, "{name}");
        assert!(matches!(second.poll(), Poll::Ready(Some(lease)) if *lease == 1), "{name}");
    });
}

#[test]
fn a_dropped_woken_push_passes_the_wake_on() {
    on_every_flavour!(1, |name, queue| {
        queue.try_push(1).expect(name);
        let first = Spawned::parked(queue.push(2));
        let mut second = Spawned::parked(queue.push(3));
        assert_eq!(queue.try_pop(), Ok(1), "{name}");
        assert_eq!((first.wakes(), second.wakes()), (1, 0), "{name}");
        drop(first);
        assert_eq!(second.wakes(), 1, "{name}");
        assert_eq!(second.poll(), Poll::Ready(Ok(())), "{name}");
        assert_eq!(queue.try_pop(), Ok(3), "{name}");
    });
}

#[test]
fn a_future_moved_to_another_task_wakes_the_right_one() {
    on_every_flavour!(1, |name, queue| {
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
    });
}

#[test]
fn a_future_dropped_before_its_first_poll_drops_its_item_once() {
    on_every_flavour!(1, Counted, |name, queue| {
        let counter = Counter::new();
        let push = queue.push(counter.item());
        assert_eq!(counter.alive(), 1, "{name}");
        drop(push);
        assert_eq!(counter.alive(), 0, "{name}");
        drop((queue.pop(), queue.lease(), queue.join()));
        let waiting = (queue.waiting_to_push(), queue.waiting_to_pop(), queue.waiting_to_join());
        assert_eq!(waiting, (0, 0, 0), "{name}");
    });
}

#[test]
fn every_item_is_dropped_exactly_once() {
    on_every_flavour!(3, Counted, |name, queue| {
        let counter = Counter::new();
        for _ in 0..3 {
            queue.try_push(counter.item()).expect(name);
        }
        let waiting = Spawned::parked(queue.push(counter.item()));
        let lease = queue.try_lease().expect(name);
        queue.try_lease().expect(name).done();
        assert_eq!(counter.alive(), 3, "{name}");
        drop(waiting);
        drop(lease);
        assert_eq!(counter.alive(), 2, "{name}");
        drop(queue.close_now());
        assert_eq!(counter.alive(), 0, "{name}");
    });
    on_every_flavour!(3, Counted, |name, queue| {
        let counter = Counter::new();
        queue.try_push(counter.item()).expect(name);
        queue.try_push(counter.item()).expect(name);
        let lease = queue.try_lease().expect(name);
        drop(queue);
        assert_eq!(counter.alive(), 2, "a lease keeps its queue alive: {name}");
        drop(lease);
        assert_eq!(counter.alive(), 0, "{name}");
    });
}

#[test]
fn a_waiter_that_is_never_polled_again_keeps_at_most_one_item_from_the_others() {
    on_every_flavour!(8, |name, queue| {
        let deaf = Spawned::parked(queue.pop());
        let mut other = Spawned::parked(queue.pop());
        queue.try_push(1).expect(name);
        queue.try_push(2).expect(name);
        assert_eq!((deaf.wakes(), other.wakes()), (1, 1), "{name}");
        assert!(other.poll().is_ready(), "{name}");
        mem::forget(deaf);
        assert!(
            Spawned::new(queue.pop()).poll().is_ready(),
            "a newcomer gets the item that it did not take: {name}"
        );
    });
}

#[test]
fn one_item_wakes_one_of_a_hundred() {
    on_every_flavour!(200, |name, queue| {
        let pops: Vec<_> = (0..100).map(|_| Spawned::parked(queue.pop())).collect();
        queue.try_push(1).expect(name);
        assert_eq!(pops.iter().map(Spawned::wakes).sum::<usize>(), 1, "{name}");
        assert_eq!(pops[0].wakes(), 1, "the first one is woken: {name}");
    });
}

#[test]
fn one_free_slot_wakes_one_of_a_hundred() {
    on_every_flavour!(1, |name, queue| {
        queue.try_push(1).expect(name);
        let pushes: Vec<_> = (0..100).map(|_| Spawned::parked(queue.push(1))).collect();
        assert_eq!(queue.try_pop(), Ok(1), "{name}");
        assert_eq!(pushes.iter().map(Spawned::wakes).sum::<usize>(), 1, "{name}");
        assert_eq!(pushes[0].wakes(), 1, "the first one is woken: {name}");
    });
}

#[test]
fn a_burst_wakes_a_few_who_wake_the_rest() {
    on_every_flavour!(200, |name, queue| {
        let mut pops: Vec<_> = (0..100).map(|_| Spawned::parked(queue.pop())).collect();
        for _ in 0..100 {
            queue.try_push(1).expect(name);
        }
        let at_once = pops.iter().map(Spawned::wakes).sum::<usize>();
        assert!((1..=7).contains(&at_once), "{at_once} woken at once: {name}");
        // Only tasks that were woken are polled, as in an executor.
        let mut polled = vec![0; pops.len()];
        while let Some(i) = (0..pops.len()).find(|&i| pops[i].wakes() > polled[i]) {
            polled[i] = pops[i].wakes();
            assert_eq!(pops[i].poll(), Poll::Ready(Some(1)), "{name}");
        }
        assert_eq!(polled, vec![1; 100], "one wake-up for each item: {name}");
    });
}

#[test]
fn two_items_and_two_waiters_leave_nobody_asleep() {
    on_every_flavour!(2, |name, queue| {
        let mut pops = [Spawned::parked(queue.pop()), Spawned::parked(queue.pop())];
        queue.try_push(1).expect(name);
        queue.try_push(2).expect(name);
        assert_eq!(pops.each_ref().map(Spawned::wakes), [1, 1], "{name}");
        assert!(pops.iter_mut().all(|pop| pop.poll().is_ready()), "{name}");
    });
}

#[test]
fn waiting_tasks_are_served_in_their_order() {
    on_every_flavour!(1, |name, queue| {
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
    });
}

#[test]
fn the_try_forms_overtake_nobody() {
    on_every_flavour!(1, |name, queue| {
        let mut pop = Spawned::parked(queue.pop());
        queue.try_push(1).expect(name);
        assert_eq!(queue.try_pop(), Err(TryPopError::Empty), "{name}");
        assert_eq!(pop.poll(), Poll::Ready(Some(1)), "{name}");
        queue.try_push(2).expect(name);
        let mut push = Spawned::parked(queue.push(3));
        assert_eq!(queue.try_pop(), Ok(2), "{name}");
        assert_eq!(queue.try_push(4), Err(TryPushError::Full(4)), "{name}");
        assert_eq!(push.poll(), Poll::Ready(Ok(())), "{name}");
    });
}

#[test]
fn newcomers_overtake_a_woken_pop_at_most_so_often() {
    on_every_flavour!(1, |name, queue| {
        let mut waiting = Spawned::parked(queue.pop());
        for _ in 0..MAX_OVERTAKES {
            queue.try_push(1).expect(name);
            assert!(Spawned::new(queue.pop()).poll().is_ready(), "{name}");
        }
        queue.try_push(1).expect(name);
        let behind = Spawned::parked(queue.pop());
        assert_eq!(waiting.poll(), Poll::Ready(Some(1)), "{name}");
        assert_eq!(behind.wakes(), 0, "{name}");
        assert_eq!(waiting.wakes(), 1, "{name}");
    });
}

#[test]
fn newcomers_overtake_a_woken_push_at_most_so_often() {
    on_every_flavour!(1, |name, queue| {
        queue.try_push(0).expect(name);
        let mut waiting = Spawned::parked(queue.push(90));
        let mut passes = 0;
        loop {
            queue.try_pop().expect(name);
            // Where there are ranks, the newcomer has a lower one, because equals never overtake.
            let mut newcomer = Spawned::new(queue.push(0));
            if newcomer.poll().is_pending() {
                break;
            }
            passes += 1;
        }
        assert_eq!(passes, if name == "priority, all equal" { 0 } else { MAX_OVERTAKES }, "{name}");
        assert_eq!(waiting.poll(), Poll::Ready(Ok(())), "{name}");
    });
}

#[test]
fn closing_ends_every_consumer() {
    on_every_flavour!(4, |name, queue| {
        let mut pops: Vec<_> = (0..50).map(|_| Spawned::parked(queue.pop())).collect();
        let mut leases: Vec<_> = (0..50).map(|_| Spawned::parked(queue.lease())).collect();
        queue.close();
        for pop in &mut pops {
            assert_eq!(pop.wakes(), 1, "{name}");
            assert_eq!(pop.poll(), Poll::Ready(None), "{name}");
        }
        assert!(leases.iter_mut().all(|lease| matches!(lease.poll(), Poll::Ready(None))), "{name}");
        assert_eq!(queue.waiting_to_pop(), 0, "{name}");
    });
}

#[test]
fn closing_gives_every_waiting_pusher_its_item_back() {
    on_every_flavour!(1, |name, queue| {
        queue.try_push(0).expect(name);
        let mut pushes: Vec<_> = (1..50).map(|item| (item, Spawned::parked(queue.push(item)))).collect();
        queue.close();
        for (item, push) in &mut pushes {
            assert_eq!(push.wakes(), 1, "{name}");
            assert_eq!(push.poll(), Poll::Ready(Err(PushError(*item))), "{name}");
        }
        assert_eq!(queue.try_push(9), Err(TryPushError::Closed(9)), "{name}");
        assert_eq!(Spawned::new(queue.push(9)).poll(), Poll::Ready(Err(PushError(9))), "{name}");
        assert_eq!(queue.take_all(), [0], "{name}");
    });
}

#[test]
fn an_operation_that_waits_allocates_nothing() {
    on_every_flavour!(1, |name, queue| {
        queue.try_push(1).expect(name);
        queue.try_pop().expect(name);
        let mut pops: Vec<_> = (0..8).map(|_| Spawned::new(queue.pop())).collect();
        let mut pushes: Vec<_> = (0..8).map(|_| Spawned::new(queue.push(1))).collect();
        let taken = measure(|| {
            let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
            for pop in &mut pops {
                assert!(pop.future.as_mut().poll(cx).is_pending());
            }
            for pop in &mut pops {
                queue.try_push(1).expect(name);
                assert!(pop.future.as_mut().poll(cx).is_ready());
            }
            queue.try_push(1).expect(name);
            for push in &mut pushes {
                assert!(push.future.as_mut().poll(cx).is_pending());
            }
            for push in &mut pushes {
                queue.try_pop().expect(name);
                assert!(push.future.as_mut().poll(cx).is_ready());
            }
            queue.try_pop().expect(name);
        });
        assert_eq!(taken.count_total, 0, "{name}: {taken:?}");
    });
}

#[tokio::test]
async fn a_consumer_that_is_always_ready_lets_other_tasks_run() {
    on_every_flavour!(10_000, |name, queue| {
        for item in 0..10_000 {
            queue.try_push(item).expect(name);
        }
        let popped = Arc::new(AtomicUsize::new(0));
        let consumer = tokio::spawn({
            let popped = Arc::clone(&popped);
            async move {
                while popped.load(Ordering::Relaxed) < 10_000 {
                    queue.pop().await.expect(name);
                    popped.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let other = tokio::spawn(async move { popped.load(Ordering::Relaxed) });
        let popped_before = other.await.expect(name);
        assert!((1..=256).contains(&popped_before), "{popped_before} pops before another task ran: {name}");
        consumer.await.expect(name);
    });
}

#[test]
fn waits_that_are_given_up_leave_nothing_behind() {
    on_every_flavour!(1, |name, queue| {
        queue.try_push(0).expect(name);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let taken = measure(|| {
            for _ in 0..10_000 {
                assert!(std::pin::pin!(queue.push(1)).poll(&mut cx).is_pending());
            }
            assert_eq!(queue.try_pop(), Ok(0));
            for _ in 0..10_000 {
                assert!(std::pin::pin!(queue.pop()).poll(&mut cx).is_pending());
            }
        });
        assert_eq!((taken.count_total, queue.waiting_to_push(), queue.waiting_to_pop()), (0, 0, 0), "{name}");
    });
}
