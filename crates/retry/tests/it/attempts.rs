//! The loop written out by the caller.

use std::time::Duration;

use outbound_retry::{Budget, Retry, StopReason, Verdict, Wait};
use tokio::time::Instant;

use crate::ms;

#[tokio::test(start_paused = true)]
async fn the_loop_can_borrow() {
    async fn operation(log: &mut Vec<u32>) -> Result<usize, String> {
        log.push(0);
        if log.len() < 3 { Err(format!("failure {}", log.len())) } else { Ok(log.len()) }
    }
    async fn run(retry: Retry, log: &mut Vec<u32>) -> Result<usize, String> {
        let mut attempts = retry.start();
        loop {
            match operation(log).await {
                Ok(done) => return Ok(done),
                Err(error) => attempts.failed(error).await?,
            }
        }
    }
    let started = Instant::now();
    assert_eq!(run(Retry::attempts(3).wait(Wait::fixed(ms(5))), &mut Vec::new()).await, Ok(3));
    assert_eq!(started.elapsed(), ms(10));
    let failed = run(Retry::attempts(2).wait(Wait::none()), &mut Vec::new()).await;
    assert_eq!(failed, Err("failure 2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn the_caller_can_give_the_verdict() {
    let mut attempts = Retry::attempts(2).wait(Wait::fixed(ms(10))).start();
    let started = Instant::now();
    assert_eq!(attempts.failed_as(Verdict::RetryFree(ms(3)), "not sent").await, Ok(()));
    assert_eq!(attempts.attempt().number(), 2);
    assert_eq!(attempts.failed_as(Verdict::RetryAfter(ms(20)), "busy").await, Ok(()));
    assert_eq!(started.elapsed(), ms(23));
    assert_eq!(attempts.failed_as(true, "busy").await, Err("busy"));
    let report = attempts.report();
    assert_eq!((report.attempts(), report.free(), report.slept()), (3, 1, ms(23)));
    assert_eq!(report.stopped(), Some(StopReason::Attempts));

    let mut attempts = Retry::attempts(2).start();
    assert_eq!(attempts.failed_as(false, "bad request").await, Err("bad request"));
    assert_eq!(attempts.report().stopped(), Some(StopReason::NotRetryable));
}

#[test]
fn decisions_without_waiting_need_no_runtime() {
    let mut attempts = Retry::attempts(3).wait(Wait::exponential(ms(100))).start();
    assert_eq!(attempts.report().attempts(), 1, "the first attempt is under way");
    assert_eq!(attempts.decide(true), Ok(ms(100)));
    assert_eq!(attempts.decide(Verdict::Retry), Ok(ms(200)));
    assert_eq!(attempts.decide(true), Err(StopReason::Attempts));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_retried_once_committed() {
    let mut attempts = Retry::attempts(9).wait(Wait::none()).start();
    assert_eq!(attempts.failed(1).await, Ok(()));
    attempts.commit();
    assert_eq!(attempts.failed(2).await, Err(2));
    assert_eq!(attempts.report().stopped(), Some(StopReason::Committed));
    assert_eq!(attempts.failed_as(Verdict::RetryFree(Duration::ZERO), 3).await, Err(3));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_waits_the_same() {
    let waits = |seed| {
        let mut attempts = Retry::attempts(9).seed(seed).start();
        [(); 8].map(|()| attempts.decide(true).unwrap())
    };
    assert_eq!(waits(7), waits(7));
    assert_ne!(waits(7), waits(8));
    let unseeded = || Retry::attempts(9).start().decide(true).unwrap();
    assert_ne!([unseeded(), unseeded()], [unseeded(), unseeded()]);
}

#[tokio::test(start_paused = true)]
async fn a_call_pays_in_once_and_each_charged_retry_takes_one_out() {
    let budget = Budget::percent(100).reserve(0);
    let mut attempts = Retry::attempts(9).wait(Wait::none()).budget(budget.clone()).start();
    assert_eq!(budget.available(), 1);
    assert_eq!(attempts.failed_as(Verdict::RetryFree(Duration::ZERO), ()).await, Ok(()));
    assert_eq!(budget.available(), 1);
    assert_eq!(attempts.failed(()).await, Ok(()));
    assert_eq!(budget.available(), 0);
    assert_eq!(attempts.failed(()).await, Err(()));
    assert_eq!(attempts.report().stopped(), Some(StopReason::Budget));
    assert_eq!(budget.denied(), 1);
}

#[tokio::test]
async fn a_loop_of_retries_without_a_wait_lets_other_tasks_run() {
    let counter = std::cell::Cell::new(0);
    let mut attempts = Retry::forever().wait(Wait::none()).start();
    let busy = async { while attempts.failed(()).await.is_ok() && counter.get() < 10 {} };
    let other = async {
        while counter.get() < 10 {
            counter.set(counter.get() + 1);
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(busy, other);
    assert!(attempts.report().attempts() <= 32 * 12);
}
