use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;

use crate::{Attempt, Budget, Report, Retry, StopReason, Verdict};

/// How far one run of attempts has come. Deciding is here and waits for nothing.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    // When everything must be done. Without `Retry::within` until `anchored`.
    until: Option<Instant>,
    // Chosen at the first draw where none was given.
    seed: Option<NonZeroU64>,
    // In nanoseconds, as `previous` is: half the size of a `Duration`, and long enough for 584 years.
    slept: u64,
    previous: u64,
    // Failed attempts.
    charged: u32,
    free: u32,
    anchored: bool,
    pub(crate) committed: bool,
    pub(crate) nested: bool,
    // A retry taken out of the budget for which the attempt has not begun.
    owes: bool,
    stopped: Option<StopReason>,
}

impl Run {
    pub(crate) const fn new(until: Option<Instant>, seed: Option<NonZeroU64>) -> Self {
        Self {
            until,
            seed,
            slept: 0,
            previous: 0,
            charged: 0,
            free: 0,
            anchored: false,
            committed: false,
            nested: false,
            owes: false,
            stopped: None,
        }
    }

    /// Where the same seed gives the same waits. Zero is as good a seed as any.
    pub(crate) const fn seeded(seed: u64) -> Option<NonZeroU64> {
        Some(match NonZeroU64::new(seed) {
            Some(seed) => seed,
            None => NonZeroU64::MAX,
        })
    }

    pub(crate) fn set_seed(&mut self, seed: u64) {
        self.seed = Self::seeded(seed);
    }

    pub(crate) fn set_until(&mut self, until: Option<Instant>) {
        self.until = [self.until, until].into_iter().flatten().min();
    }

    /// Starts the time of `Retry::within`, once.
    #[inline]
    pub(crate) fn anchor(&mut self, retry: &Retry) {
        if let (false, Some(within)) = (self.anchored, retry.within) {
            self.anchored = true;
            self.set_until(Instant::now().checked_add(within));
        }
    }

    #[inline]
    pub(crate) const fn is_first(&self) -> bool {
        self.charged == 0 && self.free == 0
    }

    /// The attempt that is about to begin or under way.
    #[inline]
    pub(crate) fn attempt(&self, retry: &Retry) -> Attempt {
        Attempt {
            number: self.charged.saturating_add(self.free).saturating_add(1),
            until: self.until,
            within: if self.anchored { None } else { retry.within },
            timeout: retry.attempt_timeout,
        }
    }

    /// Records a failure and decides: how long to wait and try again, or why not. `hooks` may change the wait, or stop.
    #[inline]
    pub(crate) fn failed(
        &mut self,
        retry: &Retry,
        budget: Option<&Budget>,
        verdict: Verdict,
        hooks: impl FnOnce(&Attempt, Duration) -> Option<Duration>,
    ) -> Result<Duration, StopReason> {
        let attempt = self.attempt(retry);
        let decision = self.decide(retry, budget, verdict, |wait| hooks(&attempt, wait));
        match decision {
            Ok(wait) => {
                self.previous = nanos(wait);
                self.slept = self.slept.saturating_add(self.previous);
            }
            Err(reason) => self.stopped = Some(reason),
        }
        decision
    }

    #[inline]
    fn decide(
        &mut self,
        retry: &Retry,
        budget: Option<&Budget>,
        verdict: Verdict,
        hooks: impl FnOnce(Duration) -> Option<Duration>,
    ) -> Result<Duration, StopReason> {
        let free = matches!(verdict, Verdict::RetryFree(_));
        let count = if free { &mut self.free } else { &mut self.charged };
        *count = count.saturating_add(1);

        if verdict == Verdict::Stop {
            return Err(StopReason::NotRetryable);
        }
        if self.committed {
            return Err(StopReason::Committed);
        }
        if !retry.enabled {
            return Err(StopReason::Disabled);
        }
        if self.nested {
            return Err(StopReason::Nested);
        }
        if !free && self.charged >= retry.attempts && retry.attempts != u32::MAX {
            return Err(StopReason::Attempts);
        }
        let wait = match verdict {
            Verdict::RetryAfter(hint) | Verdict::RetryFree(hint) if hint > retry.give_up_beyond => {
                return Err(StopReason::HintTooLong);
            }
            Verdict::RetryFree(wait) => wait,
            Verdict::RetryAfter(hint) => retry.hint.apply(hint, self.policy_wait(retry)),
            Verdict::Retry | Verdict::Stop => self.policy_wait(retry),
        };
        let wait = hooks(wait).ok_or(StopReason::Condition)?;
        self.anchor(retry);
        if let Some(until) = self.until {
            // At its very end there would be no time for the attempt.
            if Instant::now().checked_add(wait).is_none_or(|wake| wake >= until) {
                return Err(StopReason::Deadline);
            }
        }
        // The last to be asked, so that a retry that is not made for another reason costs nothing.
        if let (false, Some(budget)) = (free, budget) {
            if !budget.try_withdraw() {
                return Err(StopReason::Budget);
            }
            self.owes = true;
        }
        Ok(wait)
    }

    #[inline]
    fn policy_wait(&mut self, retry: &Retry) -> Duration {
        let seed = &mut self.seed;
        retry.wait.before(self.charged, Duration::from_nanos(self.previous), || {
            seed.get_or_insert_with(rand::random::<NonZeroU64>).get()
        })
    }

    /// The retry that was paid for begins.
    #[inline]
    pub(crate) fn begun(&mut self) {
        self.owes = false;
    }

    /// The retry that was paid for will not be made.
    #[inline]
    pub(crate) fn abandoned(&mut self, budget: Option<&Budget>) {
        if let (true, Some(budget)) = (self.owes, budget) {
            self.owes = false;
            budget.refund();
        }
    }

    /// Whether a retry without a wait should let other tasks run first: an operation that fails at once, retried at
    /// once, would otherwise hold its thread for as long as that goes on.
    #[inline]
    pub(crate) const fn should_yield(&self) -> bool {
        self.charged.wrapping_add(self.free).is_multiple_of(32)
    }

    pub(crate) fn report(&self) -> Report {
        let failed = self.charged.saturating_add(self.free);
        let under_way = u32::from(self.stopped.is_none());
        Report {
            attempts: failed.saturating_add(under_way),
            free: self.free,
            slept: Duration::from_nanos(self.slept),
            stopped: self.stopped,
        }
    }
}

fn nanos(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)
}
