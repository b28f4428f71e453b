//! Tokio's cooperative budget, spent by the sixteenth.

use std::cell::Cell;

/// Of so many that are ready at once, one asks for a unit of the budget.
const PART: u8 = 16;

thread_local! {
    static READY: Cell<u8> = const { Cell::new(0) };
}

/// Whether one that is ready at once may go ahead without asking for a unit of its task's cooperative budget.
///
/// Asking costs more than a permit does. One in 16 on a thread has to ask, which is enough: a task's poll runs on one
/// thread without interruption, so a loop that is always ready asks at every 16th turn, and has to yield after 2,048,
/// or some 20 us, where tokio's own would after 128.
#[inline]
pub(crate) fn is_free() -> bool {
    // A model has to take the same way each time it is run.
    if cfg!(outbound_loom) {
        return true;
    }
    READY.with(|ready| {
        let turn = ready.get().wrapping_add(1);
        ready.set(turn);
        turn % PART != 0
    })
}
