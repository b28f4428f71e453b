use std::time::Duration;

use tokio::time::Instant;

use crate::{Attempt, Budget, Report, Retry, StopReason, Verdict, nested::in_attempt, timing::Timing};

/// How far one run of attempts has come. Deciding is here and waits for nothing.
///
/// What a success and a retry at once need is eight bytes and a tag; the rest is made where it is first needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    // Attempts that failed. Stops short of `u32::MAX`: the number of the next attempt stays in range, and as many
    // attempts as that are never used up.
    failed: u32,
    stopped: Option<StopReason>,
    // A retry taken out of the budget for which the attempt has not begun.
    owes: bool,
    // The time of `Retry::within` has started.
    anchored: bool,
    // Something has been delivered.
    pub(crate) committed: bool,
    timing: Option<Timing>,
}

impl Run {
    // Not a constant: copying one would also copy the room for what is not there.
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self { failed: 0, stopped: None, owes: false, anchored: false, committed: false, timing: None }
    }

    /// Made where it is first asked for.
    #[inline]
    pub(crate) fn timing(&mut self) -> &mut Timing {
        self.timing.get_or_insert(Timing::NEW)
    }

    /// Starts the time of `Retry::within`, once.
    #[inline]
    pub(crate) fn anchor(&mut self, retry: &Retry) {
        if let (Some(within), false) = (retry.within, self.anchored) {
            self.start(within);
        }
    }

    #[cold]
    fn start(&mut self, within: Duration) {
        self.anchored = true;
        self.timing().set_until(Instant::now().checked_add(within));
    }

    /// The attempt that is about to begin or under way.
    #[inline]
    pub(crate) fn attempt(&self, retry: &Retry) -> Attempt {
        Attempt {
            number: self.failed + 1,
            until: self.timing.as_ref().and_then(Timing::until),
            within: if self.anchored { None } else { retry.within },
            timeout: retry.attempt_timeout,
        }
    }

    /// Records a failure that is not to be retried.
    pub(crate) fn refused(&mut self, verdict: Verdict, reason: StopReason) -> StopReason {
        self.count(verdict);
        self.stopped = Some(reason);
        reason
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
            Ok(Duration::ZERO) if self.timing.is_none() => {}
            Ok(wait) => self.timing().waits(wait),
            Err(reason) => self.stopped = Some(reason),
        }
        decision
    }

    /// What the verdict and the number of attempts say.
    #[inline(always)]
    fn allowed(&mut self, retry: &Retry, verdict: Verdict) -> Result<Duration, StopReason> {
        self.count(verdict);
        if verdict == Verdict::Stop {
            return Err(StopReason::NotRetryable);
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
            _ if self.charged() >= retry.attempts => Err(StopReason::Attempts),
            Verdict::RetryAfter(hint) if hint > retry.give_up_beyond => Err(StopReason::HintTooLong),
            Verdict::RetryAfter(hint) => Ok(retry.hint.apply(hint, self.policy_wait(retry))),
            Verdict::Retry | Verdict::Stop => Ok(self.policy_wait(retry)),
        }
    }

    #[inline(always)]
    fn count(&mut self, verdict: Verdict) {
        if self.failed < u32::MAX - 1 {
            self.failed += 1;
            if let Verdict::RetryFree(_) = verdict {
                self.timing().free += 1;
            }
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
        if (self.timing.is_some() || retry.within.is_some()) && !self.in_time(retry, wait) {
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

    #[inline(never)]
    fn in_time(&mut self, retry: &Retry, wait: Duration) -> bool {
        self.anchor(retry);
        self.timing().allows(wait)
    }

    #[inline]
    fn policy_wait(&mut self, retry: &Retry) -> Duration {
        if retry.wait.is_none() { Duration::ZERO } else { self.wait(retry) }
    }

    #[inline(never)]
    fn wait(&mut self, retry: &Retry) -> Duration {
        let charged = self.charged();
        self.timing().wait(retry, charged)
    }

    /// The failures that count against the number of attempts.
    #[inline]
    fn charged(&self) -> u32 {
        self.failed.saturating_sub(self.free())
    }

    #[inline]
    fn free(&self) -> u32 {
        self.timing.as_ref().map_or(0, |timing| timing.free)
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
            free: self.free(),
            slept: self.timing.as_ref().map_or(Duration::ZERO, Timing::slept),
            stopped: self.stopped,
        }
    }
}
