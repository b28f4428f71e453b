//! The waits of one run as an iterator.

use std::{iter::FusedIterator, time::Duration};

use super::Wait;

/// The waits of one run, one after the other. It has no end. Made by [`Wait::iter`].
#[derive(Clone, Copy, Debug)]
#[must_use = "iterators do nothing unless asked for items"]
pub struct Waits {
    wait: Wait,
    seed: u64,
    retry: u32,
    previous: Duration,
}

impl Waits {
    pub(super) const fn new(wait: Wait, seed: u64) -> Self {
        Self { wait, seed, retry: 0, previous: Duration::ZERO }
    }
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.retry = self.retry.saturating_add(1);
        self.previous = self.wait.before(self.retry, self.previous, || self.seed);
        Some(self.previous)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

impl FusedIterator for Waits {}
