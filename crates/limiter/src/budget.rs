//! Tokio's cooperative budget: only one in 16 requests that are ready at once spends a unit of it.

use std::cell::Cell;

/// One in this many requests that are ready at once spends a unit of the budget.
const PART: u8 = 16;

thread_local! {
    static READY: Cell<u8> = const { Cell::new(0) };
}

/// Whether a request that is ready at once may go on without a unit of its task's cooperative budget.
///
/// Taking a unit costs more than taking a permit. So only one in 16 requests on a thread takes one. This is enough: a poll
/// of a task runs on one thread without interruption, so a loop that is always ready takes a unit in every 16th round, and
/// yields after 2,048 rounds. With a unit in every round it would yield after 128.
#[inline]
pub(crate) fn is_free() -> bool {
    // A loom model has to take the same path in each run.
    if cfg!(outbound_loom) {
        return true;
    }
    READY.with(|ready| {
        let turn = ready.get().wrapping_add(1);
        ready.set(turn);
        turn % PART != 0
    })
}
