//! The permits and a flag in one atomic word, so that taking and giving back without a queue are one step each.

use crate::sync::atomic::{
    AtomicIsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// The most permits a limiter has: what the word can count beside its flag, with as much again for debt.
pub(super) const MAX_PERMITS: usize = (isize::MAX >> 3) as usize;

/// Somebody is in line, so permits change hands under the lock only, in the order of the line.
const WAITERS: isize = 1;
const SHIFT: u32 = 1;
/// One permit.
const ONE: isize = 1 << SHIFT;

/// `permits << 1 | WAITERS`. The permits are negative while more is in use than the limit allows.
///
/// Invariants: while `WAITERS` is set, only the holder of the line's lock takes permits. It is set and cleared only
/// under that lock, and is set whenever the lock is free and somebody is in line.
#[derive(Debug)]
pub(super) struct Word(AtomicIsize);

impl Word {
    pub(super) fn new(permits: usize) -> Self {
        Self(AtomicIsize::new(signed(permits) * ONE))
    }

    /// Takes permits without the lock, if nobody is in line and there are enough.
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

    /// Takes permits for the head of the line, under the lock: if there are enough, or if nothing is in use at all.
    ///
    /// The second case lets a request that is larger than the limit run alone instead of waiting for ever.
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

    /// Whether somebody was in line just now.
    #[inline]
    pub(super) fn has_waiters(&self) -> bool {
        self.0.load(Relaxed) & WAITERS != 0
    }

    /// Gives permits back. `true`: somebody is in line, and must be served.
    #[inline]
    pub(super) fn give(&self, count: usize) -> bool {
        self.0.fetch_add(signed(count) * ONE, Release) & WAITERS != 0
    }

    /// Changes the permits by the difference between two limits, under the lock.
    pub(super) fn resize(&self, from: usize, to: usize) {
        self.0.fetch_add((signed(to) - signed(from)) * ONE, AcqRel);
    }

    /// Under the lock, before somebody joins the line. Permits given back before this went unnoticed: look again.
    pub(super) fn set_waiters(&self) {
        self.0.fetch_or(WAITERS, AcqRel);
    }

    /// Under the lock, when nobody is in line.
    pub(super) fn clear_waiters(&self) {
        self.0.fetch_and(!WAITERS, AcqRel);
    }

    /// The permits that are free; negative while there is debt.
    pub(super) fn permits(&self) -> isize {
        self.0.load(Acquire) >> SHIFT
    }
}

/// Counts never exceed [`MAX_PERMITS`], so this loses nothing.
#[inline]
fn signed(count: usize) -> isize {
    debug_assert!(count <= MAX_PERMITS);
    count.cast_signed()
}
