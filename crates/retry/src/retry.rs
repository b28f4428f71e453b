//! The policy: its data, and the methods that add code to it.

use std::{borrow::Borrow, future::Future, marker::PhantomData, time::Duration};

use futures_core::Stream;
use tokio::time::Instant;

use crate::{
    Attempt, Attempts, Budget, Call, Ended, Hint, Operation, RetryStream, Verdict, Wait, draw,
    nanos::Nanos,
    policy::{
        AfterAttempt, AnyError, AttemptTimeout, BeforeSleep, Budgeted, Judge, Own, Part, Rules, StopWhen,
        WaitWith, When, WhenOk, WhenResult,
    },
    settings::Settings,
};

/// A retry policy: plain data, and code in `P`. It is usable in a `const` and in a `static`.
///
/// | setter | default |
/// |---|---|
/// | [`wait`](Self::wait) | exponential from 500 ms, doubling, at most 30 s, full jitter |
/// | [`within`](Self::within), [`until`](Self::until) | no limit |
/// | [`attempt_timeout`](Self::attempt_timeout) | none |
/// | [`hint`](Self::hint) | [`Hint::Floor`] |
/// | [`give_up_beyond`](Self::give_up_beyond) | none: only `within` and `until` bound a hint |
/// | [`enabled`](Self::enabled) | yes |
/// | [`outermost`](Self::outermost) | no |
/// | [`seed`](Self::seed) | each call draws its own |
/// | [`when`](Self::when), [`when_ok`](Self::when_ok), [`when_result`](Self::when_result), [`judge`](Self::judge) | every error is retried |
/// | [`budget`](Self::budget) | none |
/// | [`after_attempt`](Self::after_attempt), [`before_sleep`](Self::before_sleep), [`wait_with`](Self::wait_with), [`stop_when`](Self::stop_when) | none |
///
/// ```
/// use std::time::Duration;
/// use outbound_retry::{Retry, Wait};
///
/// const POLICY: Retry = Retry::attempts(5)
///     .within(Duration::from_secs(600))
///     .wait(Wait::exponential(Duration::from_secs(1)).max(Duration::from_secs(30)).full_jitter());
/// // It is `Copy`, so a setter makes a variant for one call and does not change the policy:
/// const PATIENT: Retry = POLICY.max_attempts(9).within(Duration::from_secs(3_600));
/// assert_ne!(POLICY, PATIENT);
/// ```
///
/// A policy with closures is `Copy` and `Clone` where the closures are. A call owns its policy, so it can be spawned.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "a policy does nothing until something is called under it"]
pub struct Retry<P = AnyError> {
    pub(crate) settings: Settings,
    pub(crate) policy: P,
}

impl Retry {
    /// At most this many attempts, including the first. Zero counts as one: the operation is always called once.
    pub const fn attempts(attempts: u32) -> Self {
        Self { settings: Settings::new(attempts), policy: AnyError }
    }

    /// Any number of attempts. Limit them by [`within`](Self::within), a budget or a verdict.
    pub const fn forever() -> Self {
        Self::attempts(u32::MAX)
    }

    /// Lets a [`Judge`] of your own decide: one type that has several hooks.
    pub const fn judge<J>(self, judge: J) -> Retry<Own<J>> {
        Retry { settings: self.settings, policy: Own { policy: judge } }
    }
}

impl<P> Retry<P> {
    /// Changes the number of attempts. Zero counts as one.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.settings.attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// The time for all attempts and waits together, from the beginning of the first attempt. A wait that would not end
    /// within this time is not begun.
    ///
    /// An attempt under way runs on after this time, unless there is an [`attempt_timeout`](Self::attempt_timeout) or the
    /// operation puts [`Attempt::deadline`] on what it does.
    pub const fn within(mut self, total: Duration) -> Self {
        self.settings.set_within(total);
        self
    }

    /// The instant by which everything must be done. It works as [`within`](Self::within), which is a duration. Where both
    /// are set, or two instants, the earliest counts.
    pub fn until(mut self, instant: impl Into<Option<Instant>>) -> Self {
        self.settings.set_until(instant.into());
        self
    }

    /// How long to wait between attempts.
    pub const fn wait(mut self, wait: Wait) -> Self {
        self.settings.set_wait(wait);
        self
    }

    /// How a wait that the server asks for changes the policy's own wait.
    pub const fn hint(mut self, hint: Hint) -> Self {
        self.settings.hint = hint;
        self
    }

    /// Gives up where the server asks for a wait longer than this.
    pub const fn give_up_beyond(mut self, longest: Duration) -> Self {
        self.settings.give_up_beyond = Nanos::new(longest);
        self
    }

    /// `false` makes one attempt and no retry, whatever else is set: for tests, and for switching retries off in
    /// production.
    pub const fn enabled(mut self, enabled: bool) -> Self {
        self.settings.set_enabled(enabled);
        self
    }

    /// Retries only where no other layer does. Inside an attempt of an outer [`Call`] this policy makes one attempt and
    /// leaves the retries to the outer call, so that layers do not multiply.
    ///
    /// "Inside" means that the outer attempt polls this call. A task that the attempt spawned is outside.
    pub const fn outermost(mut self) -> Self {
        self.settings.set_outermost();
        self
    }

    /// Makes the jitter repeatable: the same seed gives the same waits. By default each call draws its own.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(draw::seed(seed));
        self
    }

    /// Pays for retries out of a shared budget, given by reference or as a clone of its handle. Each call pays in, and
    /// each retry that is charged takes one out. Dropping the call while it waits puts that one back.
    pub fn budget<B: Borrow<Budget>>(self, budget: B) -> Retry<Budgeted<P, B>> {
        self.map(|policy| Budgeted { policy, budget })
    }

    /// Calls `after` after each attempt, also after the last one and after a success.
    ///
    /// Where the compiler cannot infer the types, the closure names them: `|ended: &Ended<'_, Page, ApiError>| ..`.
    pub fn after_attempt<T, E, F>(self, after: F) -> Retry<AfterAttempt<P, F, Result<T, E>>>
    where
        P: Judge<T, E>,
        F: FnMut(&Ended<'_, T, E>),
    {
        self.map(|policy| AfterAttempt { policy, hook: after, result: PhantomData })
    }

    /// Calls `before_sleep` before each retry, with the attempt that failed (its number, its error, the elapsed time) and
    /// the wait that follows. It is meant for logs and metrics.
    ///
    /// ```
    /// use std::time::Duration;
    /// use outbound_retry::{Retry, Wait};
    ///
    /// # #[derive(Debug, PartialEq)]
    /// # struct ApiError(u16);
    /// # impl ApiError { fn is_transient(&self) -> bool { self.0 >= 500 } }
    /// # async fn fetch(number: u32) -> Result<(), ApiError> { if number < 2 { Err(ApiError(503)) } else { Ok(()) } }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let policy = Retry::attempts(3).when(ApiError::is_transient).before_sleep(|failed, wait| {
    ///     let (number, elapsed) = (failed.number(), failed.elapsed());
    ///     eprintln!("attempt {number} failed after {elapsed:?}: {:?}; next in {wait:?}", failed.error());
    /// });
    /// assert_eq!(policy.call(|attempt| fetch(attempt.number())).await, Ok(()));
    /// # }
    /// ```
    pub fn before_sleep<T, E, F>(self, before_sleep: F) -> Retry<BeforeSleep<P, F, Result<T, E>>>
    where
        P: Judge<T, E>,
        F: FnMut(&Ended<'_, T, E>, Duration),
    {
        self.map(|policy| BeforeSleep { policy, hook: before_sleep, result: PhantomData })
    }

    /// Lets `wait` change each wait. It is given the attempt that failed and the wait by the policy's data.
    /// [`Ended::uniform`] draws from the seed of the run.
    pub fn wait_with<T, E, F>(self, wait: F) -> Retry<WaitWith<P, F, Result<T, E>>>
    where
        P: Judge<T, E>,
        F: FnMut(&Ended<'_, T, E>, Duration) -> Duration,
    {
        self.map(|policy| WaitWith { policy, hook: wait, result: PhantomData })
    }

    /// Gives up once `stop` returns `true`. It is asked after each attempt that would be retried.
    pub fn stop_when<T, E, F>(self, stop: F) -> Retry<StopWhen<P, F, Result<T, E>>>
    where
        P: Judge<T, E>,
        F: FnMut(&Ended<'_, T, E>) -> bool,
    {
        self.map(|policy| StopWhen { policy, hook: stop, result: PhantomData })
    }

    fn map<Q>(self, policy: impl FnOnce(P) -> Q) -> Retry<Q> {
        Retry { settings: self.settings, policy: policy(self.policy) }
    }
}

// These are `const`, so they need policies without a destructor: `P: Copy`.
impl<P: Copy> Retry<P> {
    /// Retries the errors for which `when` says so, by a `bool` or a [`Verdict`]. Where it is called twice, the later one
    /// counts.
    pub const fn when<E, V, F>(self, when: F) -> Retry<When<E, P, F>>
    where
        F: FnMut(&E) -> V,
        V: Into<Verdict>,
    {
        let policy = When { policy: self.policy, when, error: PhantomData };
        Retry { settings: self.settings, policy }
    }

    /// Also retries the successes for which `when` says so, by a `bool` or a [`Verdict`]. Which errors are retried does
    /// not change. When it gives up, the last success is returned, even if `when` did not accept it.
    ///
    /// ```
    /// use outbound_retry::{Retry, Wait};
    ///
    /// # async fn state(attempt: u32) -> std::io::Result<&'static str> { Ok(if attempt < 3 { "running" } else { "done" }) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let poll = Retry::forever().wait(Wait::none()).when_ok(|state: &&str| *state == "running");
    /// assert_eq!(poll.call(|attempt| state(attempt.number())).await.unwrap(), "done");
    /// # }
    /// ```
    pub const fn when_ok<T, V, F>(self, when: F) -> Retry<WhenOk<T, P, F>>
    where
        F: FnMut(&T) -> V,
        V: Into<Verdict>,
    {
        let policy = WhenOk { policy: self.policy, when, value: PhantomData };
        Retry { settings: self.settings, policy }
    }

    /// Retries the results for which `when` says so, successes as well as errors, by a `bool` or a [`Verdict`].
    ///
    /// When it gives up, the last result is returned unchanged, even if it is a success that `when` did not accept.
    pub const fn when_result<T, E, V, F>(self, when: F) -> Retry<WhenResult<Result<T, E>, P, F>>
    where
        F: FnMut(&Result<T, E>) -> V,
        V: Into<Verdict>,
    {
        let policy = WhenResult { policy: self.policy, when, result: PhantomData };
        Retry { settings: self.settings, policy }
    }

    /// The time for one attempt, from its beginning. An attempt is dropped if it is not done within this time, or by the
    /// end of [`within`](Self::within) where that comes first. It has then failed with the error that
    /// [`From<Elapsed>`](crate::Elapsed) makes. The attempt of a stream is done with its first item. Where it is called
    /// twice, the later one counts.
    ///
    /// A loop of [`start`](Self::start) makes the attempts itself. So the loop has to put
    /// [`Attempts::attempt`]`().deadline()` on them.
    ///
    /// ```compile_fail,E0277
    /// # use std::time::Duration;
    /// # use outbound_retry::Retry;
    /// // The error type `()` cannot be made from `Elapsed`.
    /// let policy = Retry::attempts(3).attempt_timeout(Duration::from_secs(20));
    /// let call = policy.call(|_| std::future::pending::<Result<(), ()>>());
    /// ```
    pub const fn attempt_timeout(self, timeout: Duration) -> Retry<AttemptTimeout<P>> {
        Retry { settings: self.settings, policy: AttemptTimeout { policy: self.policy, timeout } }
    }
}

impl<P: Part> Retry<P> {
    /// Calls `operation` until it succeeds or the policy gives up. See [`Call`].
    #[inline]
    pub fn call<F, Fut, T, E>(self, operation: F) -> Call<P, F, Fut>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        P: Rules<T, E>,
    {
        Call::new(self, operation)
    }

    /// As [`call`](Self::call), for an [`Operation`] of a named type.
    #[inline]
    pub fn operate<O, Fut, T, E>(self, operation: O) -> Call<P, O, Fut>
    where
        O: Operation<Future = Fut>,
        Fut: Future<Output = Result<T, E>>,
        P: Rules<T, E>,
    {
        Call::new(self, operation)
    }

    /// Opens a stream, and opens it again while it fails before its first item. See [`RetryStream`].
    pub fn stream<F, S, T, E>(self, open: F) -> RetryStream<P, F, S>
    where
        F: FnMut(Attempt) -> S,
        S: Stream<Item = Result<T, E>>,
        P: Rules<T, E>,
    {
        RetryStream::new(self, open)
    }

    /// Starts a loop that the caller writes. See [`Attempts`].
    pub fn start(self) -> Attempts<P> {
        Attempts::new(self)
    }
}
