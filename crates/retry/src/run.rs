use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;

use crate::{Attempt, Budget, Report, Retry, StopReason, Verdict, nested::in_attempt};

/// How far one run of attempts has come. Deciding is here and waits for nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    // When everything must be done. Without `Retry::within` until `anchored`.
    until: Option<Instant>,
    // Chosen at the first draw where none was given.
    seed: Option<NonZeroU64>,
    // In nanoseconds, as `previous` is: half the size of a `Duration`, and long enough for 584 years.
    slept: u64,
    previous: u64,
    // Attempts that failed, and those among them that were charged. Both stop short of `u32::MAX`: the number of the
    // next attempt stays in range, and as many attempts as that are never used up.
    failed: u32,
    charged: u32,
    anchored: bool,
    pub(crate) committed: bool,
    // A retry taken out of the budget for which the attempt has not begun.
    owes: bool,
    stopped: Option<StopReason>,
}

impl Run {
    pub(crate) const NEW: Self = Self {
        until: None,
        seed: None,
        slept: 0,
        previous: 0,
        failed: 0,
        charged: 0,
        anchored: false,
        committed: false,
        owes: false,
        stopped: None,
    };

    /// Where the same seed gives the same waits. Zero is as good a seed as any.
    pub(crate) fn set_seed(&mut self, seed: u64) {
        self.seed = NonZeroU64::new(seed).or(Some(NonZeroU64::MAX));
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

    /// The attempt that is about to begin or under way.
    #[inline]
    pub(crate) fn attempt(&self, retry: &Retry) -> Attempt {
        Attempt {
            number: self.failed + 1,
            until: self.until,
            within: if self.anchored { None } else { retry.within },
            timeout: retry.attempt_timeout,
        }
    }

    /// Records a failure and decides: how long to wait and try again, or why not. `hooks` may change the wait, or stop.
    #[inline(always)]
    pub(crate) fn failed(
        &mut self,
        retry: &Retry,
        budget: Option<&Budget>,
        verdict: Verdict,
        hooks: impl FnOnce(Duration) -> Option<Duration>,
    ) -> Result<Duration, StopReason> {
        let decision = self
            .allowed(retry, verdict)
            .and_then(|wait| hooks(wait).ok_or(StopReason::Condition))
            .and_then(|wait| self.affordable(retry, budget, verdict, wait));
        match decision {
            Ok(Duration::ZERO) => self.previous = 0,
            Ok(wait) => {
                self.previous = nanos(wait);
                self.slept = self.slept.saturating_add(self.previous);
            }
            Err(reason) => self.stopped = Some(reason),
        }
        decision
    }

    /// What the verdict and the number of attempts say.
    #[inline(always)]
    fn allowed(&mut self, retry: &Retry, verdict: Verdict) -> Result<Duration, StopReason> {
        self.failed += u32::from(self.failed < u32::MAX - 1);
        if !matches!(verdict, Verdict::RetryFree(_)) {
            self.charged += u32::from(self.charged < u32::MAX - 1);
        }

        if verdict == Verdict::Stop {
            return Err(StopReason::NotRetryable);
        }
        if self.committed {
            return Err(StopReason::Committed);
        }
        if !retry.enabled {
            return Err(StopReason::Disabled);
        }
        // An attempt of this layer is not being polled now, so any mark is an outer layer's.
        if retry.outermost && in_attempt() {
            return Err(StopReason::Nested);
        }
        match verdict {
            Verdict::RetryFree(wait) if wait > retry.give_up_beyond => Err(StopReason::HintTooLong),
            Verdict::RetryFree(wait) => Ok(wait),
            _ if self.charged >= retry.attempts => Err(StopReason::Attempts),
            Verdict::RetryAfter(hint) if hint > retry.give_up_beyond => Err(StopReason::HintTooLong),
            Verdict::RetryAfter(hint) => Ok(retry.hint.apply(hint, self.policy_wait(retry))),
            Verdict::Retry | Verdict::Stop => Ok(self.policy_wait(retry)),
        }
    }

    /// What time and the budget say.
    #[inline(always)]
    fn affordable(
        &mut self,
        retry: &Retry,
        budget: Option<&Budget>,
        verdict: Verdict,
        wait: Duration,
    ) -> Result<Duration, StopReason> {
        if (self.until.is_some() || retry.within.is_some()) && !self.in_time(retry, wait) {
            return Err(StopReason::Deadline);
        }
        // The last to be asked, so that a retry that is not made for another reason costs nothing.
        if let (false, Some(budget)) = (matches!(verdict, Verdict::RetryFree(_)), budget) {
            if !budget.try_withdraw() {
                return Err(StopReason::Budget);
            }
            self.owes = true;
        }
        Ok(wait)
    }

    /// Whether the wait ends before everything must be done. At its very end there would be no time for the attempt.
    #[inline(never)]
    fn in_time(&mut self, retry: &Retry, wait: Duration) -> bool {
        self.anchor(retry);
        let wake = Instant::now().checked_add(wait);
        self.until.is_none_or(|until| wake.is_some_and(|wake| wake < until))
    }

    #[inline]
    fn policy_wait(&mut self, retry: &Retry) -> Duration {
        let seed = &mut self.seed;
        retry.wait.before(self.charged, Duration::from_nanos(self.previous), || {
            seed.get_or_insert_with(rand::random::<NonZeroU64>).get()
        })
    }

    /// An attempt begins: the first pays into the budget, a retry has been paid for.
    #[inline]
    pub(crate) fn begin(&mut self, budget: Option<&Budget>) {
        let Some(budget) = budget else { return };
        if self.failed == 0 {
            budget.deposit();
        }
        self.begun();
    }

    /// The retry that was paid for is being made.
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
        self.failed.is_multiple_of(32)
    }

    #[inline]
    pub(crate) fn report(&self) -> Report {
        Report {
            attempts: self.failed + u32::from(self.stopped.is_none()),
            free: self.failed.saturating_sub(self.charged),
            slept: Duration::from_nanos(self.slept),
            stopped: self.stopped,
        }
    }
}

fn nanos(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)
}
