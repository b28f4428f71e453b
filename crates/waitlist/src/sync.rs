//! The few primitives that differ between a normal build and a loom model.

#[cfg(not(outbound_loom))]
pub(crate) use std::sync::{Arc, Mutex, MutexGuard};

#[cfg(outbound_loom)]
pub(crate) use loom::{
    cell::UnsafeCell,
    sync::{Arc, Mutex, MutexGuard},
};

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
