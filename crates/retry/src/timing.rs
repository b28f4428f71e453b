use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;

use crate::{draw::fresh_seed, settings::Settings};

/// What a run knows of time: its end, its waits. A run of attempts made at once under no limit never has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    // When the first attempt began, as far as anybody needs to know.
    pub(crate) started: Option<Instant>,
    // When everything must be done, once that has started.
    until: Option<Instant>,
    // Chosen at the first draw where none was given.
    pub(crate) seed: Option<NonZeroU64>,
    // In nanoseconds, as `previous` is: half the size of a `Duration`, and long enough for 584 years.
    slept: u64,
    previous: u64,
    // Failures that were not charged. They are rare and come with a wait, so that they are counted here.
    pub(crate) free: u32,
}

impl Timing {
    pub(crate) const NEW: Self =
        Self { started: None, until: None, seed: None, slept: 0, previous: 0, free: 0 };

    /// The time of the run starts, unless it has.
    pub(crate) fn start(&mut self, settings: &Settings, now: Instant) {
        if self.started.is_none() {
            self.started = Some(now);
            self.until = settings.ends(now);
        }
    }

    /// When an attempt that begins then should be done.
    pub(crate) fn attempt_ends(&self, timeout: Option<Duration>, begins: Instant) -> Option<Instant> {
        let timeout = timeout.and_then(|timeout| begins.checked_add(timeout));
        [self.until, timeout].into_iter().flatten().min()
    }

    /// Whether a wait that starts now ends before everything must be done. At its very end there would be no time for
    /// the attempt.
    pub(crate) fn allows(&self, wait: Duration, now: Instant) -> bool {
        self.until.is_none_or(|until| now.checked_add(wait).is_some_and(|wake| wake < until))
    }

    /// The policy's wait before retry `retry` (from 1).
    pub(crate) fn wait(&mut self, settings: &Settings, retry: u32) -> Duration {
        let seed = &mut self.seed;
        settings.wait().before(retry, Duration::from_nanos(self.previous), || {
            seed.or(settings.seed).unwrap_or_else(|| *seed.insert(fresh_seed())).get()
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
