//! Wakers that are collected under a lock and woken after it is released.

use std::{fmt, task::Waker};

/// How many wakers one batch holds. More waiters than this are let go in several batches, and the lock is released in
/// between.
const CAPACITY: usize = 16;

/// A small batch of wakers, woken when it is dropped.
///
/// Declare it *before* taking the lock. Locals are dropped in reverse order, so the wakers are then woken after the lock
/// is released, also where the function returns early.
///
/// ```
/// # use outbound_waitlist::{Scan, WaitList, Wakers};
/// # let waiting: WaitList<bool, ()> = WaitList::new(false);
/// loop {
///     let mut wakers = Wakers::new();
///     let mut list = waiting.lock();
///     *list = true; // closed
///     if list.scan(&mut wakers, |_closed, _waiter| Scan::Wake) { break } // all were let go
/// }
/// ```
pub struct Wakers {
    wakers: [Option<Waker>; CAPACITY],
    len: usize,
}

impl Wakers {
    /// An empty batch.
    pub const fn new() -> Self {
        Self { wakers: [const { None }; CAPACITY], len: 0 }
    }

    /// Whether there is no room for one more.
    pub fn is_full(&self) -> bool {
        self.len == CAPACITY
    }

    /// How many wakers it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds no waker.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a waker. `None` adds nothing: a waiter whose waker was taken before has been woken already.
    ///
    /// # Panics
    ///
    /// If the batch is full.
    pub fn push(&mut self, waker: Option<Waker>) {
        let Some(waker) = waker else { return };
        assert!(!self.is_full(), "a batch of wakers holds no more than {CAPACITY}");
        self.wakers[self.len] = Some(waker);
        self.len += 1;
    }
}

impl Default for Wakers {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Wakers {
    fn drop(&mut self) {
        for waker in self.wakers[..self.len].iter_mut().filter_map(Option::take) {
            waker.wake();
        }
    }
}

impl fmt::Debug for Wakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakers").field("len", &self.len).finish()
    }
}
