//! The primitives that differ between a normal build and a loom model.

#[cfg(outbound_loom)]
pub(crate) use loom::{
    cell::UnsafeCell,
    sync::{Arc, MutexGuard},
};
#[cfg(not(outbound_loom))]
pub(crate) use std::sync::Arc;

#[cfg(not(outbound_loom))]
pub(crate) use crate::lock::{Mutex, MutexGuard};

/// Loom's mutex, with the interface of `lock::Mutex`.
#[cfg(outbound_loom)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

#[cfg(outbound_loom)]
impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok()
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
