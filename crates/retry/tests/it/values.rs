//! Policies are values: they are stored, returned, shared and moved into tasks.

use std::{cell::Cell, future::ready, rc::Rc};

use outbound_retry::{
    Budget, Judged, Retry, StopReason, Verdict, Wait, bail,
    policy::{AttemptTimeout, When, WhenOk, WhenResult},
};

use crate::ms;

/// It is not `Clone`, as many error types are not.
#[derive(Debug, PartialEq)]
struct ApiError(u16);

impl ApiError {
    fn is_transient(&self) -> bool {
        self.0 >= 500
    }
}

impl From<outbound_retry::Elapsed> for ApiError {
    fn from(_: outbound_retry::Elapsed) -> Self {
        Self(598)
    }
}

const NO_WAIT: Retry = Retry::attempts(3).wait(Wait::none());

static SHARED: Retry<When<ApiError>> = NO_WAIT.when(ApiError::is_transient);
static LIMITED: Retry<AttemptTimeout<When<ApiError>>> = SHARED_CONST.attempt_timeout(ms(10));
const SHARED_CONST: Retry<When<ApiError>> = NO_WAIT.when(ApiError::is_transient);
static UNTIL_THREE: Retry<WhenResult<Result<u32, ApiError>>> =
    Retry::forever().wait(Wait::none()).when_result(not_three);

fn not_three(result: &Result<u32, ApiError>) -> bool {
    *result != Ok(3)
}

fn factory(attempts: u32) -> Retry<When<ApiError>> {
    Retry::attempts(attempts).wait(Wait::none()).when(ApiError::is_transient)
}

#[tokio::test(start_paused = true)]
async fn from_a_static_a_factory_a_variable_and_in_a_task() {
    let fail = |_| ready(Err::<(), _>(ApiError(503)));
    assert_eq!(SHARED.call(fail).await, Err(ApiError(503)));
    assert_eq!(UNTIL_THREE.call(|attempt| ready(Ok(attempt.number()))).await, Ok(3));

    let policy = Retry::attempts(2).wait(Wait::none()).when(|error: &ApiError| error.is_transient());
    assert_eq!(policy.call(fail).await, Err(ApiError(503)));
    assert_eq!(policy.call(fail).await, Err(ApiError(503)), "it is `Copy`");

    let spawned = tokio::spawn(factory(4).call(fail));
    assert_eq!(spawned.await.unwrap(), Err(ApiError(503)));

    let budget = Budget::percent(100).reserve(0);
    let spawned = tokio::spawn(factory(4).budget(budget.clone()).call(fail));
    assert_eq!(spawned.await.unwrap(), Err(ApiError(503)));
    assert_eq!((budget.available(), budget.denied()), (0, 1));

    let started = tokio::time::Instant::now();
    let stuck = LIMITED.call(|_| std::future::pending::<Result<(), _>>()).await;
    assert_eq!(stuck, Err(ApiError(598)));
    assert_eq!(started.elapsed(), ms(30), "an attempt that took too long is judged as any error");
}

#[tokio::test]
async fn a_policy_is_clone_and_copy_whatever_it_judges() {
    fn copy<T: Copy>(_: &T) {}
    fn clone<T: Clone>(value: &T) -> T {
        value.clone()
    }
    copy(&SHARED);
    copy(&UNTIL_THREE);
    copy(&LIMITED);
    copy(
        &SHARED
            .after_attempt(|_: &outbound_retry::Ended<'_, (), _>| ())
            .before_sleep(|_, _| ())
            .wait_with(|_, wait| wait)
            .stop_when(|_| false),
    );
    copy(&SHARED.budget(&Budget::percent(1)));
    // This closure is `Clone` and not `Copy`.
    let seen = Rc::new(Cell::new(0));
    let counting = SHARED.before_sleep({
        let seen = seen.clone();
        move |_: &outbound_retry::Ended<'_, (), _>, _| seen.set(seen.get() + 1)
    });
    let call = clone(&counting).call(|_| ready(Err(ApiError(500))));
    call.await.unwrap_err();
    assert_eq!(seen.get(), 2);
    drop(clone(&SHARED.budget(Budget::percent(1))));
}

#[tokio::test]
async fn a_success_can_be_refused_and_errors_are_judged_separately() {
    type Small = WhenOk<u32, When<ApiError>>;
    static POLL: Retry<Small> = SHARED_CONST.max_attempts(9).when_ok(is_small);
    fn is_small(value: &u32) -> bool {
        *value < 4
    }
    fn copy<T: Copy>(_: &T) {}
    copy(&POLL);
    assert_eq!(POLL.call(|attempt| ready(Ok(attempt.number()))).await, Ok(4));
    let mixed = |attempt: outbound_retry::Attempt| {
        ready(match attempt.number() {
            1 => Err(ApiError(503)),
            2 => Ok(1),
            _ => Err(ApiError(404)),
        })
    };
    assert_eq!(POLL.call(mixed).await, Err(ApiError(404)));
    assert_eq!(
        POLL.max_attempts(2).call(|attempt| ready(Ok(attempt.number()))).await,
        Ok(2),
        "it is the last result"
    );
}

#[tokio::test]
async fn an_operation_can_bail() {
    let calls = Cell::new(0);
    let call = NO_WAIT.when(Judged::verdict).call(|attempt| {
        calls.set(calls.get() + 1);
        ready(Err::<(), _>(if attempt.is_retry() { bail("forbidden") } else { "busy".into() }))
    });
    let mut call = std::pin::pin!(call);
    assert_eq!(call.as_mut().await.map_err(Judged::into_error), Err("forbidden"));
    assert_eq!(calls.get(), 2);
    assert_eq!(call.report().stopped(), Some(StopReason::NotRetryable));
    let judged = Judged::new(Verdict::RetryAfter(ms(5)), "busy");
    assert_eq!(
        (judged.verdict(), judged.error(), judged.to_string()),
        (Verdict::RetryAfter(ms(5)), &"busy", "busy".to_owned())
    );
}
