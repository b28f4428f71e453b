//! How a retry layer knows that another layer retries around it.

use std::cell::Cell;

thread_local! {
    // Whether an attempt of some retry layer is being polled on this thread.
    static IN_ATTEMPT: Cell<bool> = const { Cell::new(false) };
}

/// Whether this code runs inside an attempt of a retry layer.
pub(crate) fn in_attempt() -> bool {
    IN_ATTEMPT.get()
}

/// Marks the poll of an attempt until it is dropped. A panic drops it too.
pub(crate) struct Mark {
    before: bool,
}

impl Mark {
    #[inline]
    pub(crate) fn attempt() -> Self {
        Self { before: IN_ATTEMPT.replace(true) }
    }
}

impl Drop for Mark {
    #[inline]
    fn drop(&mut self) {
        IN_ATTEMPT.set(self.before);
    }
}
