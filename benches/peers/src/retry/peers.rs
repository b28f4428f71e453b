//! Three attempts and no delay between them, as each crate says it.

use std::{
    future::{Future, Ready, ready},
    sync::LazyLock,
    time::Duration,
};

use again::RetryPolicy;
use backon::{ConstantBuilder, Retryable};
use execution_policy::{Attempt, DefaultCore, ExecutionError, ExecutionPolicy, ExecutionPolicyBuilder};
use outbound_retry::{Retry, Wait};
use relentless::{AsyncClock, Clock, RetryError, RetryState, clock::TokioClock, stop, wait};
use tower::{Service, util::service_fn};

use super::operation::Operation;

type Outcome = Result<u32, ()>;

pub(super) const OURS: Retry = Retry::attempts(3).wait(Wait::none());

pub(super) fn ours<O: Operation>() -> impl Future<Output = Outcome> {
    OURS.call(|attempt| O::attempt(attempt.number(), ()))
}

pub(super) fn ours_by<O: Operation>(policy: &'static Retry) -> impl Future<Output = Outcome> {
    policy.call(|attempt| O::attempt(attempt.number(), ()))
}

const BACKON: ConstantBuilder = ConstantBuilder::new().with_delay(Duration::ZERO).with_max_times(2);

pub(super) fn backon<O: Operation>() -> impl Future<Output = Outcome> {
    counted::<O, _>(|| ()).retry(BACKON)
}

pub(super) fn backon_no_timer<O: Operation>() -> impl Future<Output = Outcome> {
    counted::<O, _>(|| ()).retry(BACKON).sleep(|_| ready(()))
}

pub(super) fn tokio_retry<O: Operation>() -> impl Future<Output = Outcome> {
    tokio_retry::Retry::start([Duration::ZERO; 2], counted::<O, _>(|| ()))
}

pub(super) fn tokio_retry2<O: Operation>() -> impl Future<Output = Outcome> {
    let operation = counted::<O, _>(|| tokio_retry2::RetryError::transient(()));
    tokio_retry2::Retry::spawn([Duration::ZERO; 2], operation)
}

pub(super) fn backoff<O: Operation>() -> impl Future<Output = Outcome> {
    backoff::future::retry(Twice(2), counted::<O, _>(|| backoff::Error::transient(())))
}

pub(super) fn backoff_no_timer<O: Operation>() -> impl Future<Output = Outcome> {
    let operation = counted::<O, _>(|| backoff::Error::transient(()));
    backoff::future::Retry::new(NoTimer, Twice(2), |(), _| (), operation)
}

pub(super) static AGAIN: LazyLock<RetryPolicy> =
    LazyLock::new(|| RetryPolicy::fixed(Duration::ZERO).with_max_retries(2));

pub(super) fn again<O: Operation>(policy: &'static RetryPolicy) -> impl Future<Output = Outcome> {
    policy.retry(counted::<O, _>(|| ()))
}

/// The request is the number of the attempt.
pub(super) fn tower<O: Operation>() -> impl Future<Output = Outcome> {
    tower::retry::Retry::new(Twice(2), service_fn(|number| O::attempt(number, ()))).call(1)
}

pub(super) fn relentless<O: Operation>() -> impl Future<Output = Result<u32, RetryError<(), Outcome>>> {
    relentless_by::<O, _>(TokioClock::new())
}

pub(super) fn relentless_no_timer<O: Operation>() -> impl Future<Output = Result<u32, RetryError<(), Outcome>>>
{
    relentless_by::<O, _>(NoTimer)
}

fn relentless_by<O: Operation, C: AsyncClock>(
    clock: C,
) -> impl Future<Output = Result<u32, RetryError<(), Outcome>>> {
    relentless::retry_async(|state: RetryState| O::attempt(state.attempt, ()))
        .stop(stop::attempts(3))
        .wait(wait::fixed(Duration::ZERO))
        .clock(clock)
        .call()
}

pub(super) static EXECUTION: LazyLock<ExecutionPolicy<DefaultCore, u32, ()>> = LazyLock::new(|| {
    let retry = execution_policy::Retry::fixed(Duration::ZERO).max_attempts(3);
    ExecutionPolicyBuilder::new().retry(retry).build()
});

pub(super) fn execution_policy<O: Operation>(
    policy: &'static ExecutionPolicy<DefaultCore, u32, ()>,
) -> impl Future<Output = Result<u32, ExecutionError<()>>> {
    policy.execute(|attempt: Attempt| O::attempt(attempt.number(), ()))
}

/// What a user would write by hand.
pub(super) async fn bare_loop<O: Operation>() -> Outcome {
    let mut number = 1;
    loop {
        match O::attempt(number, ()).await {
            Err(()) if number < 3 => number += 1,
            result => break result,
        }
    }
}

/// The operation for crates that do not tell it the number of its attempt.
fn counted<O: Operation, E: 'static>(error: impl Fn() -> E) -> impl FnMut() -> O::Attempt<E> {
    let mut number = 0;
    move || {
        number += 1;
        O::attempt(number, error())
    }
}

/// So many retries, for crates that leave the counting to their users.
#[derive(Clone)]
struct Twice(u32);

impl backoff::backoff::Backoff for Twice {
    fn next_backoff(&mut self) -> Option<Duration> {
        self.0 = self.0.checked_sub(1)?;
        Some(Duration::ZERO)
    }
}

impl<T, E> tower::retry::Policy<u32, T, E> for Twice {
    type Future = Ready<()>;

    fn retry(&mut self, number: &mut u32, result: &mut Result<T, E>) -> Option<Ready<()>> {
        result.as_ref().err()?;
        self.0 = self.0.checked_sub(1)?;
        *number += 1;
        Some(ready(()))
    }

    fn clone_request(&mut self, number: &u32) -> Option<u32> {
        Some(*number)
    }
}

/// A sleep that is over at once.
struct NoTimer;

impl backoff::future::Sleeper for NoTimer {
    type Sleep = Ready<()>;

    fn sleep(&self, _: Duration) -> Ready<()> {
        ready(())
    }
}

impl Clock for NoTimer {
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl AsyncClock for NoTimer {
    type Wait = Ready<()>;

    fn wait_async(&self, _: Duration) -> Ready<()> {
        ready(())
    }
}
