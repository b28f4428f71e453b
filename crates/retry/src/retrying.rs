use std::{future::Future, time::Duration};

use futures_core::Stream;
use tokio::time::Instant;

use crate::{
    Attempt, Budget, Call, Retry, RetryStream,
    policy::{BeforeSleep, Policy, StopWhen, WaitWith},
    run::Run,
};

/// A [`Retry`] with the code that goes with it, ready to call something; made by [`Retry::when`] and its like.
///
/// Nothing here is set by default.
#[derive(Clone, Copy, Debug)]
#[must_use = "it does nothing until something is called under it"]
pub struct Retrying<'a, P> {
    retry: &'a Retry,
    policy: P,
    budget: Option<&'a Budget>,
    run: Run,
}

impl<'a, P> Retrying<'a, P> {
    pub(crate) const fn new(retry: &'a Retry, policy: P) -> Self {
        Self { retry, policy, budget: None, run: Run::new() }
    }

    /// Pays for retries out of a shared budget: each call is a deposit, each retry that is charged a withdrawal.
    /// Dropping the call while it waits puts the withdrawal back.
    pub const fn budget(mut self, budget: &'a Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// The instant by which everything must be done, as [`Retry::within`] is a length; the earlier of the two counts.
    pub fn until(mut self, instant: impl Into<Option<Instant>>) -> Self {
        self.run.timing().set_until(instant.into());
        self
    }

    /// Makes the jitter repeatable: the same seed gives the same waits. By default each call draws its own.
    pub fn seed(mut self, seed: u64) -> Self {
        self.run.timing().set_seed(seed);
        self
    }

    /// Lets `wait` change each wait: it is given the failed attempt and what the data says.
    pub fn wait_with<F: FnMut(&Attempt, Duration) -> Duration>(
        self,
        wait: F,
    ) -> Retrying<'a, WaitWith<P, F>> {
        self.map(|policy| WaitWith { policy, wait })
    }

    /// Gives up once `stop` says so; it is asked after each attempt that would be retried.
    pub fn stop_when<F: FnMut(&Attempt) -> bool>(self, stop: F) -> Retrying<'a, StopWhen<P, F>> {
        self.map(|policy| StopWhen { policy, stop })
    }

    /// Calls `before_sleep` before each retry with the failed attempt and the wait: for logs and metrics.
    pub fn before_sleep<F: FnMut(&Attempt, Duration)>(
        self,
        before_sleep: F,
    ) -> Retrying<'a, BeforeSleep<P, F>> {
        self.map(|policy| BeforeSleep { policy, before_sleep })
    }

    /// Replaces the code by a [`Policy`] of one's own.
    pub fn policy<Q>(self, policy: Q) -> Retrying<'a, Q> {
        self.map(|_| policy)
    }

    /// Calls `operation` until it succeeds or the policy gives up. See [`Call`].
    pub fn call<F, Fut, T, E>(self, operation: F) -> Call<'a, P, F, Fut>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        P: Policy<T, E>,
    {
        Call::new(self.retry, self.budget, self.run, self.policy, operation)
    }

    /// Opens a stream, and opens it again while it fails before its first item. See [`RetryStream`].
    pub fn stream<F, S, T, E>(self, open: F) -> RetryStream<'a, P, F, S>
    where
        F: FnMut(Attempt) -> S,
        S: Stream<Item = Result<T, E>>,
        P: Policy<T, E>,
    {
        RetryStream::new(self.retry, self.budget, self.run, self.policy, open)
    }

    fn map<Q>(self, policy: impl FnOnce(P) -> Q) -> Retrying<'a, Q> {
        let Self { retry, budget, run, .. } = self;
        Retrying { retry, policy: policy(self.policy), budget, run }
    }
}
