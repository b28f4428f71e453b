//! The lock: a byte, since it is held for some nanoseconds, and over no code of others but the order of keys.

use std::{
    cell::UnsafeCell,
    hint,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// A mutex that parks nobody.
///
/// A mutex that can park a thread asks when it is released whether one is parked, with an atomic instruction that costs
/// as much as taking the lock does. This one is released by a store. Whoever finds it held spins, which is enough unless
/// its holder is not running; then it yields; then it sleeps, so that a holder of a lower priority comes to run.
// The byte is beside what it guards, so that both come from another processor at once.
#[repr(C)]
pub(crate) struct Mutex<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

/// Not `Send`, so that no future that holds one over an await is.
pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    not_send: PhantomData<*const ()>,
}

/// The rounds of spinning, of 1, 2, 4 and so on pauses.
const SPINS: u32 = 5;

/// How often it yields before it sleeps.
const YIELDS: u32 = 50;

const SLEEP: Duration = Duration::from_micros(50);

// SAFETY: the value is reached only through a guard, and there is one guard at a time. It may be another thread that has
// it each time, so the value has to be `Send`.
unsafe impl<T: Send> Send for Mutex<T> {}
// SAFETY: as above. No two threads have the value at once, so that it need not be `Sync`.
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
            // No guard may exist here, since its drop would release what another thread holds.
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

#[expect(
    clippy::disallowed_methods,
    reason = "it is the processor that is waited for, and no time that means anything"
)]
fn sleep() {
    thread::sleep(SLEEP);
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard is the only one.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard is the only one, and borrowed mutably.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.held.store(false, Ordering::Release);
    }
}
