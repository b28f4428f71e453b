//! The deliveries that failed, and the items that are given up.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::report::Failure;

/// How many failures are kept.
const LATEST: usize = 64;

/// What the workers of a pool write down.
pub(super) struct Failures<T>(Mutex<Written<T>>);

pub(super) struct Written<T> {
    pub(super) errors: u64,
    pub(super) panics: u64,
    pub(super) latest: VecDeque<Failure>,
    pub(super) exhausted: Vec<(T, Failure)>,
}

impl<T> Failures<T> {
    pub(super) fn read(&self) -> MutexGuard<'_, Written<T>> {
        // Nothing under the lock can leave it half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, failure: &Failure) {
        let mut written = self.read();
        match failure.panicked {
            true => written.panics += 1,
            false => written.errors += 1,
        }
        if written.latest.len() == LATEST {
            written.latest.pop_front();
        }
        written.latest.push_back(failure.clone());
    }

    pub(super) fn give_up(&self, item: T, failure: Failure) {
        self.read().exhausted.push((item, failure));
    }

    pub(super) fn take_exhausted(&self) -> Vec<(T, Failure)> {
        std::mem::take(&mut self.read().exhausted)
    }
}

impl<T> Default for Failures<T> {
    fn default() -> Self {
        Self(Mutex::new(Written { errors: 0, panics: 0, latest: VecDeque::new(), exhausted: Vec::new() }))
    }
}
