//! The record of the deliveries that failed, and of the items that have used up their deliveries.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::report::Failure;

/// How many of the latest failures are kept.
const LATEST: usize = 64;

/// The failures that the workers of a pool have recorded.
pub(super) struct Failures<T>(Mutex<FailureLog<T>>);

pub(super) struct FailureLog<T> {
    pub(super) errors: u64,
    pub(super) panics: u64,
    pub(super) latest: VecDeque<Failure>,
    pub(super) exhausted: Vec<(T, Failure)>,
}

impl<T> Failures<T> {
    pub(super) fn read(&self) -> MutexGuard<'_, FailureLog<T>> {
        // No code under this lock can leave the record half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, failure: &Failure) {
        let mut log = self.read();
        match failure.panicked {
            true => log.panics += 1,
            false => log.errors += 1,
        }
        if log.latest.len() == LATEST {
            log.latest.pop_front();
        }
        log.latest.push_back(failure.clone());
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
        Self(Mutex::new(FailureLog { errors: 0, panics: 0, latest: VecDeque::new(), exhausted: Vec::new() }))
    }
}
