use std::{cell::Cell, num::NonZeroU64, time::Duration};

use tokio::time::Instant;

use crate::{
    Attempt, Budget, Ended, Report, StopReason, Verdict,
    nested::in_attempt,
    policy::{Judge, Part},
    settings::Settings,
    timing::Timing,
};

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
    // The start of the run is known, or nobody needs it.
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
    fn timing(&mut self) -> &mut Timing {
        self.timing.get_or_insert(Timing::NEW)
    }

    /// An attempt begins: the first pays into the budget, a retry has been paid for.
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
            self.owes = false;
        }
        let timeout = policy.attempt_timeout();
        let timed = timeout.is_some() || settings.is_bounded();
        let deadline = if timed { self.attempt_ends(settings, timeout, wait) } else { None };
        Attempt { number: self.failed + 1, deadline }
    }

    #[cold]
    fn attempt_ends(
        &mut self,
        settings: &Settings,
        timeout: Option<Duration>,
        wait: Duration,
    ) -> Option<Instant> {
        let now = Instant::now();
        self.start(settings, now);
        self.timing().attempt_ends(timeout, now.checked_add(wait)?)
    }

    #[cold]
    fn start(&mut self, settings: &Settings, now: Instant) {
        self.anchored = true;
        self.timing().start(settings, now);
    }

    /// The run has to wait: from here on somebody may ask how long it has taken.
    #[inline]
    pub(crate) fn anchor(&mut self, settings: &Settings) {
        if !self.anchored {
            self.start(settings, Instant::now());
        }
    }

    /// An attempt has ended with this result: how long to wait for the next one, or `None` where the result stands.
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
        self.note(decision).ok()
    }

    /// A failure about which no code is asked.
    pub(crate) fn decide(
        &mut self,
        settings: &Settings,
        budget: Option<&Budget>,
        verdict: Verdict,
    ) -> Result<Duration, StopReason> {
        let decision =
            self.allowed(settings, verdict).and_then(|wait| self.affordable(settings, budget, verdict, wait));
        self.note(decision)
    }

    #[inline(always)]
    fn note(&mut self, decision: Result<Duration, StopReason>) -> Result<Duration, StopReason> {
        match decision {
            Ok(Duration::ZERO) if self.timing.is_none() => {}
            Ok(wait) => self.timing().waits(wait),
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

    /// Asks a hook about the attempt with this number. What it draws, if it is the first to draw, is the run's seed.
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

    /// What the verdict and the number of attempts say.
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
        // An attempt of this layer is not being polled now, so any mark is an outer layer's.
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

    /// What time and the budget say.
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
            self.anchor(settings);
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
