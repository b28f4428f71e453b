//! Limits in time: of the whole, of one attempt, and of streams and loops.

use std::{
    cell::RefCell,
    future::{pending, ready},
    io,
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
    assert_eq!(started.elapsed(), ms(30), "the error comes at once");
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
    assert_eq!(retry.until(started + ms(25)).call(fail).await, Err(()));
    assert_eq!(started.elapsed(), ms(20));
    assert_eq!(FIXED.within(ms(15)).until(started + ms(500)).call(fail).await, Err(()));
    assert_eq!(started.elapsed(), ms(30));
    assert_eq!(FIXED.max_attempts(2).until(None).call(fail).await, Err(()));
    assert_eq!(started.elapsed(), ms(40));

    let mut attempts = FIXED.within(ms(100)).until(started + ms(55)).until(None).start();
    assert_eq!(attempts.failed(()).await, Ok(()));
    assert_eq!(attempts.failed(()).await, Err(()));
}

#[tokio::test(start_paused = true)]
async fn after_the_deadline_no_retry_is_made_even_without_a_wait() {
    let retry = Retry::forever().wait(Wait::none());
    let call = retry.until(Instant::now()).call(|attempt| ready(Err::<(), _>(attempt.number())));
    assert_eq!(call.await, Err(1), "the first attempt is made all the same");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_s_limit_shrinks_to_the_time_that_remains() {
    let started = Instant::now();
    let limits = RefCell::new(Vec::new());
    let retry = Retry::forever().wait(Wait::fixed(ms(10))).within(ms(100)).attempt_timeout(ms(40));
    let call = retry.call(|attempt| {
        let deadline = attempt.deadline().unwrap();
        limits.borrow_mut().push(deadline - Instant::now());
        async move { timeout_at(deadline, pending::<io::Result<()>>()).await? }
    });
    assert!(call.await.is_err());
    assert_eq!(*limits.borrow(), [ms(40), ms(40)]);
    assert_eq!(started.elapsed(), ms(90), "40 + 10 + 40 ms; the next wait would end at the deadline");

    let retry = retry.wait(Wait::fixed(ms(5))).within(ms(100));
    limits.borrow_mut().clear();
    let call = retry.call(|attempt| {
        let deadline = attempt.deadline().unwrap();
        limits.borrow_mut().push(deadline - Instant::now());
        async move { timeout_at(deadline, pending::<io::Result<()>>()).await? }
    });
    assert!(call.await.is_err());
    assert_eq!(*limits.borrow(), [ms(40), ms(40), ms(10)]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_s_deadline_from_each_source() {
    let now = Instant::now();
    assert_eq!(Retry::attempts(3).start().attempt().deadline(), None);
    assert_eq!(Retry::attempts(3).until(now + ms(3)).start().attempt().deadline(), Some(now + ms(3)));
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
    assert_eq!(bounded, Err(1), "a wait beyond the range of the clock ends after any deadline");
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

#[tokio::test(start_paused = true)]
async fn a_deadline_is_fixed_when_the_attempt_begins_the_first_as_any_other() {
    // It waits eight seconds for a permit, and then works under the deadline of the attempt.
    async fn work(attempt: outbound_retry::Attempt) -> io::Result<()> {
        sleep(ms(8_000)).await;
        timeout_at(attempt.deadline().unwrap(), pending::<io::Result<()>>()).await?
    }
    let within = Retry::attempts(3).within(ms(10_000)).wait(Wait::none());
    let started = Instant::now();
    assert!(within.call(work).await.is_err());
    assert_eq!(started.elapsed(), ms(10_000));

    let started = Instant::now();
    let mut attempts = within.start();
    while let Err(error) = work(attempts.attempt()).await {
        if attempts.failed(error).await.is_err() {
            break;
        }
    }
    assert_eq!(started.elapsed(), ms(10_000));

    let started = Instant::now();
    let until = within.max_attempts(1).until(started + ms(9_000));
    assert!(until.call(work).await.is_err());
    assert_eq!(started.elapsed(), ms(9_000));

    // A later call returns the same instant.
    let late = Retry::attempts(1).within(ms(50)).call(|attempt| async move {
        let early = attempt.deadline();
        sleep(ms(20)).await;
        assert_eq!(attempt.deadline(), early);
        Ok::<_, ()>(early)
    });
    let started = Instant::now();
    assert_eq!(late.await, Ok(Some(started + ms(50))));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_dropped_at_its_timeout() {
    let started = Instant::now();
    let retry = Retry::attempts(2).wait(Wait::fixed(ms(10))).attempt_timeout(ms(40));
    let begun = RefCell::new(Vec::new());
    let mut call = pin!(retry.call(|_| {
        begun.borrow_mut().push(started.elapsed());
        pending::<io::Result<()>>()
    }));
    assert_eq!(call.as_mut().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(*begun.borrow(), [ms(0), ms(50)]);
    assert_eq!(started.elapsed(), ms(90));
    assert_eq!(call.report().stopped(), Some(StopReason::Attempts));

    // The limit of everything ends an attempt too. The time of the first attempt counts from its beginning.
    let started = Instant::now();
    let all = retry.max_attempts(9).within(ms(60));
    assert!(all.call(|_| pending::<io::Result<()>>()).await.is_err());
    assert_eq!(started.elapsed(), ms(60));

    // A result that is ready wins over the limit.
    let started = Instant::now();
    let tie = retry.call(|_| async {
        sleep(ms(40)).await;
        Ok::<_, io::Error>(())
    });
    assert!(tie.await.is_ok());
    assert_eq!(started.elapsed(), ms(40));
    assert!(retry.attempt_timeout(Duration::MAX).call(|_| ready(Ok::<_, io::Error>(()))).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_timeout_of_a_stream_applies_before_its_first_item_and_never_after() {
    use futures::StreamExt;
    let started = Instant::now();
    let retry = Retry::attempts(2).wait(Wait::none()).attempt_timeout(ms(40));
    let stuck = retry.stream(|_| futures::stream::pending::<io::Result<()>>());
    let items: Vec<_> = stuck.map(|item| item.unwrap_err().kind()).collect().await;
    assert_eq!(items, [io::ErrorKind::TimedOut]);
    assert_eq!(started.elapsed(), ms(80));

    let slow = retry.stream(|_| {
        futures::stream::iter([30, 500]).then(|wait| async move {
            sleep(ms(wait)).await;
            Ok::<_, io::Error>(wait)
        })
    });
    assert_eq!(slow.map(Result::unwrap).collect::<Vec<_>>().await, [30, 500]);
}

#[tokio::test(start_paused = true)]
async fn a_loop_s_deadlines_follow_its_waits() {
    let started = Instant::now();
    let mut attempts = Retry::attempts(5).wait(Wait::fixed(ms(10))).attempt_timeout(ms(40)).start();
    assert_eq!(attempts.attempt().deadline(), Some(started + ms(40)));
    assert!(attempts.failed(()).await.is_ok());
    assert_eq!(attempts.attempt().deadline(), Some(started + ms(50)));
    // The caller does the waiting.
    assert_eq!(attempts.decide(true), Ok(ms(10)));
    assert_eq!((attempts.attempt().number(), attempts.attempt().deadline()), (3, Some(started + ms(60))));
    assert_eq!(attempts.judge(&Err::<(), _>(())), Some(ms(10)));
    assert_eq!(attempts.judge(&Ok::<_, ()>(())), None, "a success is not retried");
    assert_eq!(attempts.report().stopped(), None);
}
