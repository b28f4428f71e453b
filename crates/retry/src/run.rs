//! The decisions of one run of attempts: retry or give up, and how long to wait.

use std::{cell::Cell, num::NonZeroU64, time::Duration};

use tokio::time::Instant;

use crate::{
    Attempt, Budget, Ended, Report, StopReason, Verdict,
    nested::in_attempt,
    policy::{Judge, Part},
    settings::Settings,
    timing::Timing,
};

/// The state of one run of attempts. All decisions are made here, and nothing here waits.
///
/// A success or a retry without a wait needs only the first fields. `timing` is made where it is first needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    // Attempts that failed. The count stops below `u32::MAX`. So the number of the next attempt stays in range, and
    // a policy with `u32::MAX` attempts never uses them up.
    failed: u32,
    stopped: Option<StopReason>,
    // A retry was taken out of the budget, and its attempt has not begun.
    withdrawn: bool,
    // The start of the run has been recorded.
    start_known: bool,
    // Something has been delivered, so nothing is retried any more.
    pub(crate) committed: bool,
    timing: Option<Timing>,
}

impl Run {
    // A function and not a constant: copying a constant would also copy the empty `timing`.
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self {
            failed: 0,
            stopped: None,
            withdrawn: false,
            start_known: false,
            committed: false,
            timing: None,
        }
    }

    /// The timing, which is made where it is first asked for.
    #[inline]
    fn timing(&mut self) -> &mut Timing {
        self.timing.get_or_insert(Timing::NEW)
    }

    /// An attempt begins. The first attempt pays into the budget. A retry has been paid for before.
    #[inline(always)]
    pub(crate) fn begin<P: Part>(&mut self, settings: &Settings, policy: &P) -> Attempt {
        if let Some(budget) = policy.budget()
            && self.failed == 0
        {
            budget.deposit();
        }
        self.begin_after(settings, policy, Duration::ZERO)
    }

    /// The attempt that begins after this wait.
    #[inline(always)]
    pub(crate) fn begin_after<P: Part>(
        &mut self,
        settings: &Settings,
        policy: &P,
        wait: Duration,
    ) -> Attempt {
        if policy.budget().is_some() {
            self.withdrawn = false;
        }
        let timeout = policy.attempt_timeout();
        let timed = timeout.is_some() || settings.is_bounded();
        let deadline = if timed { self.attempt_deadline(settings, timeout, wait) } else { None };
        Attempt { number: self.failed + 1, deadline }
    }

    #[cold]
    fn attempt_deadline(
        &mut self,
        settings: &Settings,
        timeout: Option<Duration>,
        wait: Duration,
    ) -> Option<Instant> {
        let now = Instant::now();
        self.start(settings, now);
        self.timing().attempt_deadline(timeout, now.checked_add(wait)?)
    }

    #[cold]
    fn start(&mut self, settings: &Settings, now: Instant) {
        self.start_known = true;
        self.timing().start(settings, now);
    }

    /// Records the start of the run, unless it is known. It is called where the run has to wait, because from then on a
    /// hook may ask for the elapsed time.
    #[inline]
    pub(crate) fn note_start(&mut self, settings: &Settings) {
        if !self.start_known {
            self.start(settings, Instant::now());
        }
    }

    /// An attempt has ended with this result. Returns how long to wait for the next one, or `None` where there is none.
    #[inline(always)]
    pub(crate) fn judge<T, E, P: Judge<T, E> + Part>(
        &mut self,
        settings: &Settings,
        policy: &mut P,
        result: &Result<T, E>,
    ) -> Option<Duration> {
        let verdict = policy.verdict(result);
        if result.is_ok() && verdict == Verdict::Stop {
            self.with_ended(settings, result, |ended| policy.after_attempt(ended));
            return None;
        }
        self.failed(settings, policy, result, verdict)
    }

    /// As [`judge`](Self::judge), where the verdict is known.
    #[inline(always)]
    pub(crate) fn failed<T, E, P: Judge<T, E> + Part>(
        &mut self,
        settings: &Settings,
        policy: &mut P,
        result: &Result<T, E>,
        verdict: Verdict,
    ) -> Option<Duration> {
        self.with_ended(settings, result, |ended| policy.after_attempt(ended));
        let number = self.failed + 1;
        let decision = self.allowed(settings, verdict).and_then(|wait| {
            self.with_ended_number(settings, result, number, |ended| {
                if policy.stop(ended) { None } else { Some(policy.wait(ended, wait)) }
            })
            .ok_or(StopReason::Condition)
        });
        let decision = decision.and_then(|wait| self.affordable(settings, policy.budget(), verdict, wait));
        if let Ok(wait) = decision {
            self.with_ended_number(settings, result, number, |ended| policy.before_sleep(ended, wait));
        }
        self.record(decision).ok()
    }

    /// As [`failed`](Self::failed), without asking the hooks.
    pub(crate) fn decide(
        &mut self,
        settings: &Settings,
        budget: Option<&Budget>,
        verdict: Verdict,
    ) -> Result<Duration, StopReason> {
        let decision =
            self.allowed(settings, verdict).and_then(|wait| self.affordable(settings, budget, verdict, wait));
        self.record(decision)
    }

    #[inline(always)]
    fn record(&mut self, decision: Result<Duration, StopReason>) -> Result<Duration, StopReason> {
        match decision {
            Ok(Duration::ZERO) if self.timing.is_none() => {}
            Ok(wait) => self.timing().record_wait(wait),
            Err(reason) => self.stopped = Some(reason),
        }
        decision
    }

    #[inline(always)]
    fn with_ended<T, E, R>(
        &mut self,
        settings: &Settings,
        result: &Result<T, E>,
        ask: impl FnOnce(&Ended<'_, T, E>) -> R,
    ) -> R {
        self.with_ended_number(settings, result, self.failed + 1, ask)
    }

    /// Asks a hook about the attempt with this number. If the hook is the first to draw, its draw fixes the seed of the
    /// run.
    #[inline(always)]
    fn with_ended_number<T, E, R>(
        &mut self,
        settings: &Settings,
        result: &Result<T, E>,
        number: u32,
        ask: impl FnOnce(&Ended<'_, T, E>) -> R,
    ) -> R {
        let known: Option<NonZeroU64> = self.timing.as_ref().and_then(|timing| timing.seed).or(settings.seed);
        let started = self.timing.as_ref().and_then(|timing| timing.started);
        let seed = Cell::new(known);
        let answer = ask(&Ended { number, result, started, seed: &seed });
        if seed.get() != known {
            self.timing().seed = seed.get();
        }
        answer
    }

    /// Decides by the verdict and by the number of attempts.
    #[inline(always)]
    fn allowed(&mut self, settings: &Settings, verdict: Verdict) -> Result<Duration, StopReason> {
        self.count(verdict);
        if verdict == Verdict::Retry && settings.is_plain() && self.timing.is_none() && !self.committed {
            return if self.failed < settings.attempts {
                Ok(Duration::ZERO)
            } else {
                Err(StopReason::Attempts)
            };
        }
        self.allowed_by_all(settings, verdict)
    }

    #[inline(never)]
    fn allowed_by_all(&mut self, settings: &Settings, verdict: Verdict) -> Result<Duration, StopReason> {
        if verdict == Verdict::Stop {
            return Err(StopReason::NotRetryable);
        }
        if self.committed {
            return Err(StopReason::Committed);
        }
        if !settings.is_enabled() {
            return Err(StopReason::Disabled);
        }
        // No attempt of this layer is being polled now, so a mark is that of an outer layer.
        if settings.is_outermost() && in_attempt() {
            return Err(StopReason::Nested);
        }
        match verdict {
            Verdict::RetryFree(wait) if wait > settings.give_up_beyond.get() => Err(StopReason::HintTooLong),
            Verdict::RetryFree(wait) => Ok(wait),
            _ if self.charged() >= settings.attempts => Err(StopReason::Attempts),
            Verdict::RetryAfter(hint) if hint > settings.give_up_beyond.get() => Err(StopReason::HintTooLong),
            Verdict::RetryAfter(hint) => Ok(settings.hint.apply(hint, self.policy_wait(settings))),
            Verdict::Retry | Verdict::Stop => Ok(self.policy_wait(settings)),
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

    /// Decides by the deadline and by the budget.
    #[inline(always)]
    fn affordable(
        &mut self,
        settings: &Settings,
        budget: Option<&Budget>,
        verdict: Verdict,
        wait: Duration,
    ) -> Result<Duration, StopReason> {
        if settings.is_bounded() {
            if !self.in_time(settings, wait) {
                return Err(StopReason::Deadline);
            }
        } else if !wait.is_zero() {
            self.note_start(settings);
        }
        // The budget is asked last, so that a retry that is refused for another reason costs nothing.
        if let (false, Some(budget)) = (matches!(verdict, Verdict::RetryFree(_)), budget) {
            if !budget.try_withdraw() {
                return Err(StopReason::Budget);
            }
            self.withdrawn = true;
        }
        Ok(wait)
    }

    #[inline(never)]
    fn in_time(&mut self, settings: &Settings, wait: Duration) -> bool {
        let now = Instant::now();
        self.start(settings, now);
        self.timing().allows(wait, now)
    }

    #[inline]
    fn policy_wait(&mut self, settings: &Settings) -> Duration {
        if settings.waits() { self.wait(settings) } else { Duration::ZERO }
    }

    #[inline(never)]
    fn wait(&mut self, settings: &Settings) -> Duration {
        let charged = self.charged();
        self.timing().wait(settings, charged)
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

    /// The run is dropped: a retry that was paid for and not made goes back into the budget.
    #[inline]
    pub(crate) fn abandoned(&mut self, budget: Option<&Budget>) {
        if let (true, Some(budget)) = (self.withdrawn, budget) {
            self.withdrawn = false;
            budget.refund();
        }
    }

    /// Whether a retry without a wait should let other tasks run first. Without this, an operation that always fails at
    /// once would keep its thread busy.
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
