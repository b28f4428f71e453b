//! The lock. It is one byte, because it is held for some nanoseconds only. The only foreign code that runs under it is
//! the comparison of a queue's keys.

use std::{
    cell::UnsafeCell,
    hint,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// A mutex that never parks a thread.
///
/// A mutex that can park has to check on release whether a thread is parked. That takes an atomic instruction that costs
/// as much as taking the lock. This mutex is released by a plain store.
///
/// A thread that finds it held spins. Spinning is enough while the holder runs. If the holder does not run, the thread
/// yields, and later it sleeps, so that a holder of lower priority gets to run.
// The byte is beside the value, so that both are in the same cache line.
#[repr(C)]
pub(crate) struct Mutex<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

/// It is not `Send`. So a future that holds one over an await is not `Send` either, and cannot be spawned.
pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    not_send: PhantomData<*const ()>,
}

/// How many rounds a thread spins. The rounds have 1, 2, 4 and so on pauses.
const SPINS: u32 = 5;

/// The round after which a thread sleeps instead of yielding.
const YIELDS: u32 = 50;

const SLEEP: Duration = Duration::from_micros(50);

// SAFETY: the value is reached only through a guard, and there is one guard at a time. Each guard may be in another
// thread, so the value has to be `Send`.
unsafe impl<T: Send> Send for Mutex<T> {}
// SAFETY: as above. No two threads reach the value at once, so it does not have to be `Sync`.
unsafe impl<T: Send> Sync for Mutex<T> {}
// SAFETY: a shared guard gives a shared value.
unsafe impl<T: Sync> Sync for MutexGuard<'_, T> {}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { held: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.try_lock() {
            Some(guard) => guard,
            None => self.lock_contended(),
        }
    }

    #[inline]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.held.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Some(MutexGuard { mutex: self, not_send: PhantomData }),
            // No guard may be made here: its drop would release the lock that another thread holds.
            Err(_) => None,
        }
    }

    #[cold]
    #[inline(never)]
    fn lock_contended(&self) -> MutexGuard<'_, T> {
        let mut round = 0;
        loop {
            if !self.held.load(Ordering::Relaxed)
                && let Some(guard) = self.try_lock()
            {
                return guard;
            }
            match round {
                0..SPINS => (0..1 << round).for_each(|_| hint::spin_loop()),
                SPINS..YIELDS => thread::yield_now(),
                _ => sleep(),
            }
            round = (round + 1).min(YIELDS);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this waits for the processor, not for a point in time")]
fn sleep() {
    thread::sleep(SLEEP);
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this is the only guard.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this is the only guard, and it is borrowed mutably.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.held.store(false, Ordering::Release);
    }
}
