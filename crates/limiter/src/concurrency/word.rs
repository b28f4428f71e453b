//! The number of free permits and a flag in one atomic word. While no request waits, taking and giving back are one atomic
//! step each.

use crate::sync::atomic::{
    AtomicIsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// The most permits that a limiter can have. The word can count this many beside its flag, and as many again as debt.
pub(super) const MAX_PERMITS: usize = (isize::MAX >> 3) as usize;

/// The flag: requests wait, so permits are taken only under the lock, in the order of the queue.
const WAITERS: isize = 1;
const SHIFT: u32 = 1;
/// One permit.
const ONE: isize = 1 << SHIFT;

/// `permits << 1 | WAITERS`. The permits are negative while more is in use than the limit allows.
///
/// Invariants: while `WAITERS` is set, only code that holds the lock of the queue takes permits. The flag is set and
/// cleared only under that lock. Whenever the lock is free and requests wait, the flag is set.
#[derive(Debug)]
pub(super) struct Word(AtomicIsize);

impl Word {
    pub(super) fn new(permits: usize) -> Self {
        Self(AtomicIsize::new(signed(permits) * ONE))
    }

    /// Takes permits without the lock, if no request waits and enough are free.
    #[inline]
    pub(super) fn take_unlocked(&self, count: usize) -> bool {
        let wanted = signed(count) * ONE;
        let mut word = self.0.load(Relaxed);
        // Without the flag the word is a plain multiple of `ONE`.
        while word & WAITERS == 0 && word >= wanted {
            match self.0.compare_exchange_weak(word, word - wanted, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Takes permits for the first waiter, under the lock: if enough are free, or if nothing is in use.
    ///
    /// The second case lets a request that is larger than the limit run alone. Otherwise it would wait for ever.
    pub(super) fn take_locked(&self, count: usize, limit: usize) -> bool {
        let mut word = self.0.load(Relaxed);
        loop {
            let permits = word >> SHIFT;
            let alone = limit > 0 && permits == signed(limit);
            if permits < signed(count) && !alone {
                return false;
            }
            match self.0.compare_exchange_weak(word, word - signed(count) * ONE, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// Whether the flag was set a moment ago.
    #[inline]
    pub(super) fn has_waiters(&self) -> bool {
        self.0.load(Relaxed) & WAITERS != 0
    }

    /// Gives permits back. `true` means that requests wait, and have to be served.
    #[inline]
    pub(super) fn give(&self, count: usize) -> bool {
        self.0.fetch_add(signed(count) * ONE, Release) & WAITERS != 0
    }

    /// Changes the permits by the difference between two limits, under the lock.
    pub(super) fn resize(&self, from: usize, to: usize) {
        self.0.fetch_add((signed(to) - signed(from)) * ONE, AcqRel);
    }

    /// Sets the flag, under the lock, before a request joins the queue. Permits that were given back before were not handed
    /// to the queue, so the caller has to check for them again.
    pub(super) fn set_waiters(&self) {
        self.0.fetch_or(WAITERS, AcqRel);
    }

    /// Clears the flag, under the lock, when no request waits.
    pub(super) fn clear_waiters(&self) {
        self.0.fetch_and(!WAITERS, AcqRel);
    }

    /// The permits that are free. Negative while more are in use than the limit.
    pub(super) fn permits(&self) -> isize {
        self.0.load(Acquire) >> SHIFT
    }
}

/// Counts never exceed [`MAX_PERMITS`], so the conversion is exact.
#[inline]
fn signed(count: usize) -> isize {
    debug_assert!(count <= MAX_PERMITS);
    count.cast_signed()
}
