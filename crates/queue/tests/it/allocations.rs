//! Memory: none taken for an operation, waiting or not, and a burst's given back.

use allocation_counter::measure;
use outbound_queue::Queue;

use crate::support::{Spawned, flavours};

#[test]
fn an_operation_that_need_not_wait_allocates_nothing() {
    for (name, queue) in flavours(64) {
        for item in 0..64 {
            queue.try_push(item).expect(name);
        }
        queue.take_all();
        // What the items lie in is taken once.
        for round in 0..3 {
            let taken = measure(|| {
                for item in 0..32 {
                    queue.try_push(item).expect(name);
                }
                for _ in 0..16 {
                    queue.try_pop().expect(name);
                    queue.try_lease().expect(name).done();
                }
            });
            assert!(round == 0 || taken.count_total == 0, "{name}: {taken:?}");
        }
    }
}

#[test]
fn an_operation_that_waits_allocates_nothing() {
    for (name, queue) in flavours(1) {
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
    }
}

#[test]
fn the_memory_of_a_burst_is_given_back() {
    for (name, queue) in flavours(usize::MAX) {
        let taken = measure(|| {
            for item in 0..100_000 {
                queue.try_push(item).expect(name);
            }
            for _ in 0..100_000 {
                queue.try_pop().expect(name);
            }
        });
        assert!(taken.bytes_current < 64 * 1024, "{name}: {taken:?}");
    }
}

#[test]
fn waits_that_are_given_up_leave_nothing_behind() {
    let queue: Queue<u64> = Queue::bounded(1);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let taken = measure(|| {
        for _ in 0..100_000 {
            let mut pop = std::pin::pin!(queue.pop());
            assert!(pop.as_mut().poll(&mut cx).is_pending());
        }
    });
    assert_eq!((taken.count_total, queue.waiting_to_pop()), (0, 0));
}
