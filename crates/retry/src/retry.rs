use std::{future::Future, time::Duration};

use crate::{
    Attempt, Attempts, Call, Hint, Retrying, Verdict, Wait,
    policy::{AnyError, OnError, OnResult},
};

/// A retry policy: plain `Copy` data, usable in a `const` and shared by reference.
///
/// | setter | default |
/// |---|---|
/// | [`wait`](Self::wait) | exponential from 500 ms, doubling, at most 30 s, full jitter |
/// | [`within`](Self::within) | no limit |
/// | [`attempt_timeout`](Self::attempt_timeout) | none |
/// | [`hint`](Self::hint) | [`Hint::Floor`] |
/// | [`give_up_beyond`](Self::give_up_beyond) | none: a hint is bounded by `within` alone |
/// | [`enabled`](Self::enabled) | yes |
/// | [`outermost`](Self::outermost) | no |
///
/// ```
/// use std::time::Duration;
/// use outbound_retry::{Retry, Wait};
///
/// const POLICY: Retry = Retry::attempts(5)
///     .within(Duration::from_secs(600))
///     .wait(Wait::exponential(Duration::from_secs(1)).max(Duration::from_secs(30)).full_jitter());
/// // It is `Copy`, so a setter makes a variant for one call and leaves the policy as it is:
/// const PATIENT: Retry = POLICY.max_attempts(9).within(Duration::from_secs(3_600));
/// assert_ne!(POLICY, PATIENT);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "a policy does nothing until something is called under it"]
pub struct Retry {
    // At least one: an operation is always tried once.
    pub(crate) attempts: u32,
    pub(crate) within: Option<Duration>,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) wait: Wait,
    pub(crate) hint: Hint,
    pub(crate) give_up_beyond: Duration,
    pub(crate) enabled: bool,
    pub(crate) outermost: bool,
}

impl Retry {
    /// So many attempts, the first one included. Zero counts as one: the operation is always tried.
    pub const fn attempts(attempts: u32) -> Self {
        const WAIT: Wait =
            Wait::exponential(Duration::from_millis(500)).max(Duration::from_secs(30)).full_jitter();
        Self {
            attempts: 1,
            within: None,
            attempt_timeout: None,
            wait: WAIT,
            hint: Hint::Floor,
            give_up_beyond: Duration::MAX,
            enabled: true,
            outermost: false,
        }
        .max_attempts(attempts)
    }

    /// Another number of attempts for a policy that has one. Zero counts as one.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// Any number of attempts. Bound it by [`within`](Self::within), a budget or a verdict.
    pub const fn forever() -> Self {
        Self::attempts(u32::MAX)
    }

    /// The time for everything, attempts and waits. A wait that would not end before it is not begun.
    ///
    /// Under [`call`](Self::call) it starts with the first `Pending` or the first failure, under
    /// [`start`](Self::start) at once. An attempt under way is not cut by it, unless the operation puts
    /// [`Attempt::deadline`] on it.
    pub const fn within(mut self, total: Duration) -> Self {
        self.within = Some(total);
        self
    }

    /// The time for one attempt. It is not enforced here, but [`Attempt::deadline`] is the earlier of its end and that
    /// of everything, for the operation to put on what it does.
    pub const fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.attempt_timeout = Some(limit);
        self
    }

    /// How long to wait between attempts.
    pub const fn wait(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// What a wait named by the server is worth.
    pub const fn hint(mut self, hint: Hint) -> Self {
        self.hint = hint;
        self
    }

    /// Stop where the server asks for a wait longer than this.
    pub const fn give_up_beyond(mut self, longest: Duration) -> Self {
        self.give_up_beyond = longest;
        self
    }

    /// `false` makes one attempt and no retry, whatever else is set: for tests, and for switching retries off in
    /// production.
    pub const fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Retries only where no other layer does: inside an attempt of an outer [`Call`], this policy makes one attempt and
    /// leaves the rest to the outer one, so that layers do not multiply.
    ///
    /// "Inside" means polled by it. A task spawned by the attempt is outside.
    pub const fn outermost(mut self) -> Self {
        self.outermost = true;
        self
    }

    /// Retries the errors for which `when` says so: it returns a `bool` or a [`Verdict`].
    pub fn when<E, V, F>(&self, when: F) -> Retrying<'_, OnError<E, F>>
    where
        F: FnMut(&E) -> V,
        V: Into<Verdict>,
    {
        Retrying::new(self, OnError::new(when))
    }

    /// Retries the results for which `when` says so, successes among them: it returns a `bool` or a [`Verdict`].
    ///
    /// When it gives up, the last result is returned as it was, a success that was not good enough too.
    pub fn when_result<T, E, V, F>(&self, when: F) -> Retrying<'_, OnResult<T, E, F>>
    where
        F: FnMut(&Result<T, E>) -> V,
        V: Into<Verdict>,
    {
        Retrying::new(self, OnResult::new(when))
    }

    /// Retries every error.
    pub const fn any_error(&self) -> Retrying<'_, AnyError> {
        Retrying::new(self, AnyError)
    }

    /// Calls `operation` until it succeeds or the policy gives up, and retries every error. See [`Call`].
    pub fn call<F, Fut, T, E>(&self, operation: F) -> Call<'_, AnyError, F, Fut>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.any_error().call(operation)
    }

    /// Starts a loop of attempts written out by the caller. See [`Attempts`].
    pub fn start(&self) -> Attempts {
        Attempts::new(*self)
    }
}
