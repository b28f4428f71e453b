//! The lock under a list: one atomic exchange to take it, one store to release it.
//!
//! The standard library's takes an exchange to release as well, to learn whether a thread sleeps for it, and looks
//! twice for a panic; that is most of what a push or a pop without waiting would cost. What is done under this lock
//! takes some tens of nanoseconds and never runs other people's code beyond cloning a waker, so nobody sleeps *in*
//! it: who finds it taken tries again, gives its time slice away, and at last sleeps a little and tries again. Within
//! a runtime of one thread it is never found taken.

use std::{
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
};
#[cfg(not(outbound_loom))]
use std::{thread, time::Duration};

use crate::sync::{AtomicBool, Ordering, UnsafeCell, spin_loop, yield_now};

/// Rounds of looking again and again, each twice as long as the one before: about a microsecond in all.
const SPINS: u32 = if cfg!(outbound_loom) { 0 } else { 6 };

/// Rounds of giving the time slice away: the holder was interrupted.
const YIELDS: u32 = 16;

/// What a thread sleeps after that: the holder may be of a lower priority, or be moving a large queue.
#[cfg(not(outbound_loom))]
const NAP: Duration = Duration::from_micros(50);

/// Mutual exclusion for a short time. A panic of its holder releases it.
pub(crate) struct Mutex<T> {
    locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by one thread at a time, which may be any.
unsafe impl<T: Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Mutex<T> {}

/// The lock, held.
pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    // Not `Send`: a lock that is held over an await is a mistake, and this makes it one for the compiler.
    _not_send: PhantomData<*mut ()>,
}

// SAFETY: a shared guard gives shared access to the value, and nothing else.
unsafe impl<T: Sync> Sync for MutexGuard<'_, T> {}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { locked: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        if self.locked.swap(true, Ordering::Acquire) {
            self.lock_contended();
        }
        MutexGuard { mutex: self, _not_send: PhantomData }
    }

    #[cold]
    #[inline(never)]
    fn lock_contended(&self) {
        let mut round = 0;
        loop {
            // A look leaves the cache line where it is. A model could see the same old value for ever.
            let free = cfg!(outbound_loom) || !self.locked.load(Ordering::Relaxed);
            if free && !self.locked.swap(true, Ordering::Acquire) {
                return;
            }
            if round < SPINS {
                (0..1 << round).for_each(|_| spin_loop());
            } else if round < SPINS + YIELDS {
                yield_now();
            } else {
                nap();
            }
            round = round.saturating_add(1);
        }
    }
}

#[cfg(outbound_loom)]
fn nap() {
    yield_now();
}

#[cfg(not(outbound_loom))]
#[expect(clippy::disallowed_methods, reason = "it is the thread that has to wait, not a task")]
fn nap() {
    thread::sleep(NAP);
}

impl<T> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.locked.store(false, Ordering::Release);
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held for as long as the guard lives, and with it the borrow.
        self.mutex.value.with_mut(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, and the guard is borrowed mutably.
        self.mutex.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}
