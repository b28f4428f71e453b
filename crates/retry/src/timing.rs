//! What a run of attempts knows of time.

use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;

use crate::{draw::fresh_seed, settings::Settings};

/// The start, the deadline and the waits of a run. A run without waits and without a limit in time never has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    // When the first attempt began. `None` until somebody needs it.
    pub(crate) started: Option<Instant>,
    // The instant by which everything must be done. Set together with `started`.
    deadline: Option<Instant>,
    // Chosen at the first draw, where the policy has none.
    pub(crate) seed: Option<NonZeroU64>,
    // The sum of the waits, in nanoseconds: half the size of a `Duration`, and enough for 584 years.
    slept: u64,
    // The latest wait, in nanoseconds.
    previous: u64,
    // Failures that were not charged. They are rare and come with a wait, so they are counted here.
    pub(crate) free: u32,
}

impl Timing {
    pub(crate) const NEW: Self =
        Self { started: None, deadline: None, seed: None, slept: 0, previous: 0, free: 0 };

    /// The time of the run starts, unless it has started.
    pub(crate) fn start(&mut self, settings: &Settings, now: Instant) {
        if self.started.is_none() {
            self.started = Some(now);
            self.deadline = settings.deadline(now);
        }
    }

    /// The deadline of an attempt that begins at this instant.
    pub(crate) fn attempt_deadline(&self, timeout: Option<Duration>, begins: Instant) -> Option<Instant> {
        let timeout = timeout.and_then(|timeout| begins.checked_add(timeout));
        [self.deadline, timeout].into_iter().flatten().min()
    }

    /// Whether a wait that starts now ends before the deadline. A wait that ends exactly at the deadline leaves no time
    /// for the attempt.
    pub(crate) fn allows(&self, wait: Duration, now: Instant) -> bool {
        self.deadline.is_none_or(|deadline| now.checked_add(wait).is_some_and(|wake| wake < deadline))
    }

    /// The policy's wait before retry `retry` (from 1).
    pub(crate) fn wait(&mut self, settings: &Settings, retry: u32) -> Duration {
        let seed = &mut self.seed;
        settings.wait().before(retry, Duration::from_nanos(self.previous), || {
            seed.or(settings.seed).unwrap_or_else(|| *seed.insert(fresh_seed())).get()
        })
    }

    /// A wait begins.
    pub(crate) fn record_wait(&mut self, wait: Duration) {
        self.previous = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        self.slept = self.slept.saturating_add(self.previous);
    }

    pub(crate) const fn slept(&self) -> Duration {
        Duration::from_nanos(self.slept)
    }
}
