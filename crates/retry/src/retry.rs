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

/// A retry policy: plain data, and the code that goes with it in `P`. Usable in a `const` and in a `static`.
///
/// | setter | default |
/// |---|---|
/// | [`wait`](Self::wait) | exponential from 500 ms, doubling, at most 30 s, full jitter |
/// | [`within`](Self::within), [`until`](Self::until) | no limit |
/// | [`attempt_timeout`](Self::attempt_timeout) | none |
/// | [`hint`](Self::hint) | [`Hint::Floor`] |
/// | [`give_up_beyond`](Self::give_up_beyond) | none: a hint is bounded by `within` alone |
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
/// // It is `Copy`, so a setter makes a variant for one call and leaves the policy as it is:
/// const PATIENT: Retry = POLICY.max_attempts(9).within(Duration::from_secs(3_600));
/// assert_ne!(POLICY, PATIENT);
/// ```
///
/// With closures it is `Copy` and `Clone` where they are. A call takes the policy over, so that it can be spawned.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "a policy does nothing until something is called under it"]
pub struct Retry<P = AnyError> {
    pub(crate) settings: Settings,
    pub(crate) policy: P,
}

impl Retry {
    /// So many attempts, the first one included. Zero counts as one: the operation is always tried.
    pub const fn attempts(attempts: u32) -> Self {
        Self { settings: Settings::new(attempts), policy: AnyError }
    }

    /// Any number of attempts. Bound it by [`within`](Self::within), a budget or a verdict.
    pub const fn forever() -> Self {
        Self::attempts(u32::MAX)
    }

    /// Lets a [`Judge`] of one's own decide: a type with several hooks in one.
    pub const fn judge<J>(self, judge: J) -> Retry<Own<J>> {
        Retry { settings: self.settings, policy: Own { policy: judge } }
    }
}

impl<P> Retry<P> {
    /// Another number of attempts for a policy that has one. Zero counts as one.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.settings.attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// The time for everything, attempts and waits, from the beginning of the first attempt. A wait that would not end
    /// before it is not begun.
    ///
    /// An attempt under way is not cut by it, unless there is an [`attempt_timeout`](Self::attempt_timeout) or the
    /// operation puts [`Attempt::deadline`] on what it does.
    pub const fn within(mut self, total: Duration) -> Self {
        self.settings.set_within(total);
        self
    }

    /// The instant by which everything must be done, as [`within`](Self::within) is a length; the earlier of the two
    /// counts, and the earlier of two instants.
    pub fn until(mut self, instant: impl Into<Option<Instant>>) -> Self {
        self.settings.set_until(instant.into());
        self
    }

    /// How long to wait between attempts.
    pub const fn wait(mut self, wait: Wait) -> Self {
        self.settings.set_wait(wait);
        self
    }

    /// What a wait named by the server is worth.
    pub const fn hint(mut self, hint: Hint) -> Self {
        self.settings.hint = hint;
        self
    }

    /// Stop where the server asks for a wait longer than this.
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

    /// Retries only where no other layer does: inside an attempt of an outer [`Call`], this policy makes one attempt and
    /// leaves the rest to the outer one, so that layers do not multiply.
    ///
    /// "Inside" means polled by it. A task spawned by the attempt is outside.
    pub const fn outermost(mut self) -> Self {
        self.settings.set_outermost();
        self
    }

    /// Makes the jitter repeatable: the same seed gives the same waits. By default each call draws its own.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(draw::seed(seed));
        self
    }

    /// Pays for retries out of a shared budget, given by reference or as a clone of its handle. Each call is a deposit,
    /// each retry that is charged a withdrawal. Dropping the call while it waits puts the withdrawal back.
    pub fn budget<B: Borrow<Budget>>(self, budget: B) -> Retry<Budgeted<P, B>> {
        self.map(|policy| Budgeted { policy, budget })
    }

    /// Calls `after` after each attempt, the last and a successful one too.
    ///
    /// Where the types are not known yet, the closure says them: `|ended: &Ended<'_, Page, ApiError>| ..`.
    pub fn after_attempt<T, E, F>(self, after: F) -> Retry<AfterAttempt<P, F, Result<T, E>>>
    where
        P: Judge<T, E>,
        F: FnMut(&Ended<'_, T, E>),
    {
        self.map(|policy| AfterAttempt { policy, hook: after, result: PhantomData })
    }

    /// Calls `before_sleep` before each retry with the attempt that failed (its number, its error, the time gone by) and
    /// the wait that follows: for logs and metrics.
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

    /// Lets `wait` change each wait: it is given the attempt that failed and what the data says.
    /// [`Ended::uniform`] draws from the run's seed.
    pub fn wait_with<T, E, F>(self, wait: F) -> Retry<WaitWith<P, F, Result<T, E>>>
    where
        P: Judge<T, E>,
        F: FnMut(&Ended<'_, T, E>, Duration) -> Duration,
    {
        self.map(|policy| WaitWith { policy, hook: wait, result: PhantomData })
    }

    /// Gives up once `stop` says so; it is asked after each attempt that would be retried.
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

// `const`, which asks for policies without a destructor.
impl<P: Copy> Retry<P> {
    /// Retries the errors for which `when` says so: it returns a `bool` or a [`Verdict`]. Of two, the later one counts.
    pub const fn when<E, V, F>(self, when: F) -> Retry<When<E, P, F>>
    where
        F: FnMut(&E) -> V,
        V: Into<Verdict>,
    {
        let policy = When { policy: self.policy, when, error: PhantomData };
        Retry { settings: self.settings, policy }
    }

    /// Retries the successes for which `when` says so, beside the errors that are retried anyway: it returns a `bool` or a
    /// [`Verdict`]. When it gives up, the last success is returned, though it was not good enough.
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

    /// Retries the results for which `when` says so, successes among them: it returns a `bool` or a [`Verdict`].
    ///
    /// When it gives up, the last result is returned as it was, a success that was not good enough too.
    pub const fn when_result<T, E, V, F>(self, when: F) -> Retry<WhenResult<Result<T, E>, P, F>>
    where
        F: FnMut(&Result<T, E>) -> V,
        V: Into<Verdict>,
    {
        let policy = WhenResult { policy: self.policy, when, result: PhantomData };
        Retry { settings: self.settings, policy }
    }

    /// The time for one attempt, from its beginning. An attempt that is not done by then, or by the end of everything
    /// ([`within`](Self::within)) where that comes first, is dropped; it has failed with the error that
    /// [`From<Elapsed>`](crate::Elapsed) makes. A stream's attempt is done with its first item. Of two, the
    /// later one counts.
    ///
    /// The loop of [`start`](Self::start) makes the attempts itself: there it has to put
    /// [`Attempts::attempt`]`().deadline()` on them.
    ///
    /// ```compile_fail,E0277
    /// # use std::time::Duration;
    /// # use outbound_retry::Retry;
    /// // There is no error that says so: `()` cannot be made from `Elapsed`.
    /// let policy = Retry::attempts(3).attempt_timeout(Duration::from_secs(20));
    /// let call = policy.call(|_| std::future::pending::<Result<(), ()>>());
    /// ```
    pub const fn attempt_timeout(self, limit: Duration) -> Retry<AttemptTimeout<P>> {
        Retry { settings: self.settings, policy: AttemptTimeout { policy: self.policy, limit } }
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

    /// As [`call`](Self::call), for an [`Operation`] whose type has a name.
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

    /// Starts a loop of attempts written out by the caller. See [`Attempts`].
    pub fn start(self) -> Attempts<P> {
        Attempts::new(self)
    }
}
