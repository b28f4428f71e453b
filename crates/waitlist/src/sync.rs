//! The few primitives that differ between a normal build and a loom model.

use std::sync::PoisonError;

#[cfg(outbound_loom)]
use loom::sync as primitives;
#[cfg(not(outbound_loom))]
use std::sync as primitives;

#[cfg(outbound_loom)]
pub(crate) use loom::cell::UnsafeCell;

pub(crate) use primitives::{Arc, MutexGuard};

/// A mutex that a panic of its holder does not poison: the links are never left half-written.
pub(crate) struct Mutex<T>(primitives::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(primitives::Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `std::cell::UnsafeCell` with loom's interface, so that loom sees every access.
#[cfg(not(outbound_loom))]
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(outbound_loom))]
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    #[inline]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
