//! Memory: an operation that does not wait allocates nothing, and the memory of a burst is given back.

use allocation_counter::measure;

use crate::support::flavours;

#[test]
fn an_operation_that_does_not_wait_allocates_nothing() {
    for (name, queue) in flavours(64) {
        for item in 0..64 {
            queue.try_push(item).expect(name);
        }
        queue.take_all();
        // The memory for the items is allocated in the first round.
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
