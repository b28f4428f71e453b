use std::{
    cell::RefCell,
    future::{pending, ready},
    pin::pin,
    time::Duration,
};

use outbound_retry::{Retry, StopReason, Wait};
use tokio::time::{Instant, sleep, timeout_at};

use crate::ms;

const FIXED: Retry = Retry::forever().wait(Wait::fixed(ms(10)));

#[tokio::test(start_paused = true)]
async fn a_wait_that_would_overrun_is_not_begun() {
    let started = Instant::now();
    let retry = FIXED.within(ms(35));
    let mut call = pin!(retry.call(|attempt| ready(Err::<(), _>(attempt.number()))));
    assert_eq!(call.as_mut().await, Err(4));
    assert_eq!(started.elapsed(), ms(30), "and the error comes at once");
    assert_eq!(call.report().stopped(), Some(StopReason::Deadline));
    assert_eq!(call.report().slept(), ms(30));
}

#[tokio::test(start_paused = true)]
async fn a_wait_exactly_to_the_deadline_is_not_begun_either() {
    let started = Instant::now();
    assert_eq!(FIXED.within(ms(30)).call(|attempt| ready(Err::<(), _>(attempt.number()))).await, Err(3));
    assert_eq!(started.elapsed(), ms(20));
}

#[tokio::test(start_paused = true)]
async fn the_total_counts_the_attempts_too() {
    let started = Instant::now();
    let retry = FIXED.within(ms(100));
    let slow = retry.call(|attempt| async move {
        sleep(ms(40)).await;
        Err::<(), _>(attempt.number())
    });
    assert_eq!(slow.await, Err(2));
    assert_eq!(started.elapsed(), ms(90));
}

#[tokio::test(start_paused = true)]
async fn the_total_starts_at_the_first_pending() {
    let retry = FIXED.within(ms(15));
    let call = retry.call(|attempt| async move {
        sleep(ms(1)).await;
        Err::<(), _>(attempt.number())
    });
    tokio::time::advance(ms(50)).await;
    assert_eq!(call.await, Err(2));
}

#[tokio::test(start_paused = true)]
async fn a_loop_s_total_starts_at_once() {
    let mut attempts = FIXED.within(ms(15)).start();
    tokio::time::advance(ms(5)).await;
    assert_eq!(attempts.failed(()).await, Err(()));
    assert_eq!(attempts.report().stopped(), Some(StopReason::Deadline));
}

#[tokio::test(start_paused = true)]
async fn until_is_an_instant_and_the_earlier_bound_counts() {
    let started = Instant::now();
    let fail = |_| ready(Err::<(), _>(()));
    let retry = FIXED.within(ms(100));
    assert_eq!(retry.any_error().until(started + ms(25)).call(fail).await, Err(()));
    assert_eq!(started.elapsed(), ms(20));
    assert_eq!(FIXED.within(ms(15)).any_error().until(started + ms(500)).call(fail).await, Err(()));
    assert_eq!(started.elapsed(), ms(30));
    assert_eq!(FIXED.max_attempts(2).any_error().until(None).call(fail).await, Err(()));
    assert_eq!(started.elapsed(), ms(40));

    let mut attempts = FIXED.within(ms(100)).start().until(started + ms(55)).until(None);
    assert_eq!(attempts.failed(()).await, Ok(()));
    assert_eq!(attempts.failed(()).await, Err(()));
}

#[tokio::test(start_paused = true)]
async fn past_the_deadline_not_even_a_retry_at_once_is_made() {
    let retry = Retry::forever().wait(Wait::none());
    let call = retry.any_error().until(Instant::now()).call(|attempt| ready(Err::<(), _>(attempt.number())));
    assert_eq!(call.await, Err(1), "but the first attempt is");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_s_limit_shrinks_to_the_time_that_remains() {
    let started = Instant::now();
    let limits = RefCell::new(Vec::new());
    let retry = Retry::forever().wait(Wait::fixed(ms(10))).within(ms(100)).attempt_timeout(ms(40));
    let call = retry.call(|attempt| {
        let deadline = attempt.deadline().unwrap();
        limits.borrow_mut().push(deadline - Instant::now());
        async move { timeout_at(deadline, pending::<()>()).await }
    });
    assert!(call.await.is_err());
    assert_eq!(*limits.borrow(), [ms(40), ms(40)]);
    assert_eq!(started.elapsed(), ms(90), "40 + 10 + 40, and the next wait would end at the deadline");

    let retry = retry.wait(Wait::fixed(ms(5))).within(ms(100));
    limits.borrow_mut().clear();
    let call = retry.call(|attempt| {
        let deadline = attempt.deadline().unwrap();
        limits.borrow_mut().push(deadline - Instant::now());
        async move { timeout_at(deadline, pending::<()>()).await }
    });
    assert!(call.await.is_err());
    assert_eq!(*limits.borrow(), [ms(40), ms(40), ms(10)]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_s_deadline_from_each_source() {
    let now = Instant::now();
    assert_eq!(Retry::attempts(3).start().attempt().deadline(), None);
    assert_eq!(Retry::attempts(3).start().until(now + ms(3)).attempt().deadline(), Some(now + ms(3)));
    assert_eq!(Retry::attempts(3).within(ms(5)).start().attempt().deadline(), Some(now + ms(5)));
    assert_eq!(Retry::attempts(3).attempt_timeout(ms(7)).start().attempt().deadline(), Some(now + ms(7)));
    assert_eq!(Retry::attempts(3).attempt_timeout(Duration::MAX).start().attempt().deadline(), None);
}

#[tokio::test(start_paused = true)]
async fn the_longest_wait_does_not_panic() {
    let retry = Retry::attempts(2).wait(Wait::fixed(Duration::MAX));
    let forever = retry.call(|_| ready(Err::<(), _>(())));
    assert!(tokio::time::timeout(ms(100), forever).await.is_err());
    let bounded = retry.within(ms(1_000_000)).call(|attempt| ready(Err::<(), _>(attempt.number()))).await;
    assert_eq!(bounded, Err(1), "no clock reaches that far, so it is past any deadline");
    let unbounded = Retry::attempts(2).wait(Wait::none()).within(Duration::MAX);
    assert_eq!(unbounded.call(|attempt| ready(Err::<(), _>(attempt.number()))).await, Err(2));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_waits_do_not_drift_and_none_is_early() {
    let mut last = Instant::now();
    let retry = Retry::attempts(10_001).wait(Wait::fixed(Duration::from_micros(1_500)));
    let call = retry.call(|attempt| {
        let waited = last.elapsed();
        last = Instant::now();
        assert!(
            !attempt.is_retry() || (Duration::from_micros(1_500)..=ms(3)).contains(&waited),
            "{waited:?}"
        );
        ready(Err::<(), _>(()))
    });
    assert_eq!(call.await, Err(()));
}
