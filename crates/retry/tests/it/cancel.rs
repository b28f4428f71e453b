//! What dropping a call does in each of its states, above all to the budget.

use std::{
    future::{Future, poll_fn, ready},
    task::Poll,
    time::Duration,
};

use outbound_retry::{Budget, Retry, Wait};
use tokio::time::Instant;

use crate::{idle_in_real_time, ms};

const SLOW: Retry = Retry::attempts(5).wait(Wait::fixed(ms(1_000)));

async fn poll_pending(future: std::pin::Pin<&mut impl Future>) {
    let mut future = future;
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_in_its_wait_leaves_no_wake_up_and_pays_nothing() {
    let started = Instant::now();
    let budget = Budget::percent(0).reserve(2);
    let mut call = Box::pin(SLOW.budget(&budget).call(|_| ready(Err::<(), _>(()))));
    poll_pending(call.as_mut()).await;
    assert_eq!(budget.available(), 1);
    drop(call);
    assert_eq!(budget.available(), 2, "the retry was not made, so it is not paid for");
    idle_in_real_time().await;
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_in_a_retry_has_paid() {
    let budget = Budget::percent(0).reserve(2);
    let call = SLOW.budget(&budget).call(|attempt| async move {
        if attempt.is_retry() {
            std::future::pending::<()>().await;
        }
        Err::<(), _>(())
    });
    assert!(tokio::time::timeout(ms(1_500), call).await.is_err());
    assert_eq!(budget.available(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_of_the_loop_pays_nothing_and_stays_recorded() {
    let budget = Budget::percent(0).reserve(2);
    let mut attempts = SLOW.budget(budget.clone()).start();
    let mut failed = Box::pin(attempts.failed(()));
    poll_pending(failed.as_mut()).await;
    assert_eq!(budget.available(), 1);
    drop(failed);
    assert_eq!(budget.available(), 2);
    drop(attempts.failed(()));
    assert_eq!(budget.available(), 2, "a retry that was never polled is not made");
    assert_eq!(attempts.report().attempts(), 3);
    assert_eq!(attempts.failed(()).await, Ok(()));
    assert_eq!(budget.available(), 1);
    drop(attempts);
    assert_eq!(budget.available(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_between_attempts_without_a_wait() {
    let budget = Budget::percent(0).reserve(100);
    let retry = Retry::forever().wait(Wait::none());
    let mut sent = 0;
    let mut call = Box::pin(retry.budget(&budget).call(|_| {
        sent += 1;
        ready(Err::<(), _>(()))
    }));
    poll_pending(call.as_mut()).await;
    drop(call);
    assert_eq!(budget.available(), 100 - (sent - 1), "exactly the retries that were made are paid for");
}

#[test]
fn dropped_on_another_thread_and_after_its_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let waiting = || {
        let mut call = Box::pin(SLOW.call(|_| ready(Err::<(), _>(()))));
        runtime.block_on(poll_pending(call.as_mut()));
        call
    };
    let call = waiting();
    std::thread::spawn(move || drop(call)).join().unwrap();
    let call = waiting();
    drop(runtime);
    drop(call);
}

#[tokio::test(start_paused = true)]
async fn a_retry_by_decide_stays_paid() {
    let budget = Budget::percent(0).reserve(2);
    let mut attempts = SLOW.budget(budget.clone()).start();
    assert_eq!(attempts.decide(true), Ok(ms(1_000)));
    assert_eq!(attempts.failed_as(false, ()).await, Err(()));
    assert_eq!(budget.available(), 1);
}
