use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;

use crate::Retry;

/// What a run knows of time: its end, its waits. A run of attempts made at once under no limit never has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    // When everything must be done. Without `Retry::within` until that has started.
    until: Option<Instant>,
    // Chosen at the first draw where none was given.
    seed: Option<NonZeroU64>,
    // In nanoseconds, as `previous` is: half the size of a `Duration`, and long enough for 584 years.
    slept: u64,
    previous: u64,
    // Failures that were not charged. They are rare and come with a wait, so that they are counted here.
    pub(crate) free: u32,
}

impl Timing {
    pub(crate) const NEW: Self = Self { until: None, seed: None, slept: 0, previous: 0, free: 0 };

    /// Where the same seed gives the same waits. Zero is as good a seed as any.
    pub(crate) fn set_seed(&mut self, seed: u64) {
        self.seed = NonZeroU64::new(seed).or(Some(NonZeroU64::MAX));
    }

    pub(crate) fn set_until(&mut self, until: Option<Instant>) {
        self.until = [self.until, until].into_iter().flatten().min();
    }

    pub(crate) const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether a wait that starts now ends before everything must be done. At its very end there would be no time for
    /// the attempt.
    pub(crate) fn allows(&self, wait: Duration) -> bool {
        self.until.is_none_or(|until| Instant::now().checked_add(wait).is_some_and(|wake| wake < until))
    }

    /// The policy's wait before retry `retry` (from 1).
    pub(crate) fn wait(&mut self, policy: &Retry, retry: u32) -> Duration {
        let seed = &mut self.seed;
        policy.wait.before(retry, Duration::from_nanos(self.previous), || {
            seed.get_or_insert_with(rand::random::<NonZeroU64>).get()
        })
    }

    /// A wait begins.
    pub(crate) fn waits(&mut self, wait: Duration) {
        self.previous = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        self.slept = self.slept.saturating_add(self.previous);
    }

    pub(crate) const fn slept(&self) -> Duration {
        Duration::from_nanos(self.slept)
    }
}
