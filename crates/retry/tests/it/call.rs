//! Calls: verdicts, hooks, panics, and what comes back in the end.

use std::{
    cell::{Cell, RefCell},
    future::{Future, ready},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use outbound_retry::{Retry, StopReason, Verdict, Wait, policy::Judge};
use tokio::time::Instant;

use crate::ms;

const NO_WAIT: Retry = Retry::attempts(3).wait(Wait::none());

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn success_and_retries_without_a_wait_need_no_runtime() {
    assert_eq!(poll_once(Retry::attempts(3).call(|_| ready(Ok::<_, ()>(1)))), Poll::Ready(Ok(1)));
    let third = NO_WAIT.call(|attempt| ready(if attempt.number() == 3 { Ok(3) } else { Err(()) }));
    assert_eq!(poll_once(third), Poll::Ready(Ok(3)));
}

#[test]
fn the_last_error_comes_back_unchanged() {
    let calls = Cell::new(0);
    let mut call = pin!(NO_WAIT.call(|attempt| {
        calls.set(calls.get() + 1);
        ready(Err::<(), _>(attempt.number()))
    }));
    assert_eq!(poll_once(call.as_mut()), Poll::Ready(Err(3)));
    assert_eq!(calls.get(), 3);
    let report = call.report();
    assert_eq!((report.attempts(), report.free(), report.slept()), (3, 0, Duration::ZERO));
    assert_eq!(report.stopped(), Some(StopReason::Attempts));
}

#[test]
fn zero_attempts_still_call_once() {
    assert_eq!(poll_once(Retry::attempts(0).call(|_| ready(Ok::<_, ()>(1)))), Poll::Ready(Ok(1)));
    assert_eq!(poll_once(Retry::attempts(0).call(|_| ready(Err::<(), _>(1)))), Poll::Ready(Err(1)));
}

#[test]
fn the_operation_is_not_called_before_the_first_poll() {
    let calls = Cell::new(0);
    drop(NO_WAIT.call(|_| {
        calls.set(calls.get() + 1);
        ready(Ok::<_, ()>(()))
    }));
    assert_eq!(calls.get(), 0);
}

/// An attempt that fails and records its drop. A future that is ready need not be dropped at once.
struct Failing<'a>(&'a Cell<bool>);

impl Future for Failing<'_> {
    type Output = Result<(), ()>;

    fn poll(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Err(()))
    }
}

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

#[tokio::test(start_paused = true)]
async fn the_failed_attempt_is_dropped_before_the_wait_and_the_next_made_after_it() {
    let (alive, started, begun) = (Cell::new(false), Instant::now(), RefCell::new(Vec::new()));
    let retry = Retry::attempts(3).wait(Wait::incrementing(ms(5), ms(2)));
    let mut call = pin!(retry.call(|_| {
        begun.borrow_mut().push(started.elapsed());
        assert!(!alive.replace(true));
        Failing(&alive)
    }));
    assert!(poll_once(call.as_mut()).is_pending());
    assert!(!alive.get(), "it is dropped during the wait");
    assert_eq!(begun.borrow().len(), 1, "the next attempt is made after the wait");
    assert_eq!(call.as_mut().await, Err(()));
    assert!(!alive.get());
    assert_eq!(*begun.borrow(), [ms(0), ms(5), ms(12)]);
    assert_eq!(call.report().slept(), ms(12));
    assert_eq!(started.elapsed(), ms(12), "there is no wait after the last attempt");
}

#[test]
fn verdicts_per_error() {
    let run = |verdict: Verdict| {
        let calls = Cell::new(0);
        let mut call = pin!(NO_WAIT.when(|_: &i32| verdict).call(|_| {
            calls.set(calls.get() + 1);
            ready(Err::<(), _>(7))
        }));
        assert_eq!(poll_once(call.as_mut()), Poll::Ready(Err(7)));
        (calls.get(), call.report().stopped())
    };
    assert_eq!(run(Verdict::Stop), (1, Some(StopReason::NotRetryable)));
    assert_eq!(run(Verdict::Retry), (3, Some(StopReason::Attempts)));
    assert_eq!(run(Verdict::RetryAfter(Duration::ZERO)), (3, Some(StopReason::Attempts)));
}

#[test]
fn closures_that_say_yes_or_no() {
    #[derive(Debug, PartialEq)]
    struct ApiError(u16);
    impl ApiError {
        fn is_transient(&self) -> bool {
            self.0 >= 500
        }
    }
    let calls = Cell::new(0);
    let call = NO_WAIT.when(ApiError::is_transient).call(|attempt| {
        calls.set(calls.get() + 1);
        ready(Err::<(), _>(ApiError(if attempt.is_retry() { 404 } else { 503 })))
    });
    assert_eq!(poll_once(call), Poll::Ready(Err(ApiError(404))));
    assert_eq!(calls.get(), 2);
    // The compiler infers the error type of a closure from the operation.
    assert_eq!(poll_once(NO_WAIT.when(|_| false).call(|_| ready(Err::<(), _>(1)))), Poll::Ready(Err(1)));
}

#[test]
fn free_attempts_are_not_charged() {
    let mut call = pin!(
        NO_WAIT
            .when(|&n: &u32| if n <= 4 { Verdict::RetryFree(Duration::ZERO) } else { Verdict::Retry })
            .call(|attempt| ready(Err::<(), _>(attempt.number())))
    );
    assert_eq!(poll_once(call.as_mut()), Poll::Ready(Err(7)));
    let report = call.report();
    assert_eq!((report.attempts(), report.free(), report.stopped()), (7, 4, Some(StopReason::Attempts)));
}

#[test]
fn results_can_be_judged_and_the_last_one_is_returned() {
    let good = NO_WAIT
        .when_result(|result: &Result<u32, ()>| *result != Ok(2))
        .call(|attempt| ready(Ok(attempt.number())));
    assert_eq!(poll_once(good), Poll::Ready(Ok(2)));

    let mut bad = pin!(NO_WAIT.when_result(|_| true).call(|attempt| ready(Ok::<_, ()>(attempt.number()))));
    assert_eq!(poll_once(bad.as_mut()), Poll::Ready(Ok(3)), "it is not accepted, but it is the last result");
    assert_eq!(bad.report().stopped(), Some(StopReason::Attempts));
}

#[tokio::test(start_paused = true)]
async fn hooks_see_the_attempt_and_change_what_the_data_says() {
    let started = Instant::now();
    let sleeps = RefCell::new(Vec::new());
    let retry = Retry::forever().wait(Wait::fixed(ms(10)));
    let mut call = pin!(
        retry
            .when(|_| true)
            .wait_with(|failed, wait| wait + ms(failed.number().into()))
            .stop_when(|failed| failed.number() == 3)
            .before_sleep(|failed, wait| sleeps.borrow_mut().push((failed.number(), wait)))
            .call(|_| ready(Err::<(), _>(())))
    );
    assert_eq!(call.as_mut().await, Err(()));
    assert_eq!(*sleeps.borrow(), [(1, ms(11)), (2, ms(12))]);
    assert_eq!(started.elapsed(), ms(23));
    assert_eq!(call.report().stopped(), Some(StopReason::Condition));
}

#[tokio::test(start_paused = true)]
async fn hooks_see_error_number_time_and_wait_and_every_attempt() {
    let (sleeps, ends) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let retry = Retry::attempts(3).wait(Wait::fixed(ms(10)));
    let call = retry
        .when(|error: &&str| *error != "fatal")
        .before_sleep(|failed, wait| {
            sleeps.borrow_mut().push((failed.number(), *failed.error().unwrap(), failed.elapsed(), wait));
        })
        .after_attempt(|ended| ends.borrow_mut().push((ended.number(), *ended.result())));
    let succeeds = call.call(|attempt| async move {
        tokio::time::sleep(ms(5)).await;
        if attempt.number() < 3 { Err("busy") } else { Ok(attempt.number()) }
    });
    assert_eq!(succeeds.await, Ok(3));
    assert_eq!(*sleeps.borrow(), [(1, "busy", ms(5), ms(10)), (2, "busy", ms(20), ms(10))]);
    assert_eq!(*ends.borrow(), [(1, Err("busy")), (2, Err("busy")), (3, Ok(3))]);

    // It stops by the time and by the result, which plain data cannot express.
    let stops =
        retry.max_attempts(99).stop_when(|failed| failed.elapsed() >= ms(30) && failed.error() == Some(&"a"));
    assert_eq!(stops.call(|_| ready(Err::<(), _>("a"))).await, Err("a"));
}

#[tokio::test(start_paused = true)]
async fn a_hook_draws_from_the_seed() {
    async fn waits(seed: Option<u64>) -> Vec<Duration> {
        let mut waits = Vec::new();
        let retry = Retry::attempts(5).wait(Wait::fixed(ms(100)));
        let retry = seed.map_or(retry, |seed| retry.seed(seed));
        let call = retry
            .wait_with(|failed, wait| wait + failed.uniform(Duration::ZERO, ms(50)))
            .before_sleep(|_, wait| waits.push(wait));
        assert_eq!(call.call(|_| ready(Err::<(), _>(()))).await, Err(()));
        waits
    }
    let one = waits(Some(1)).await;
    assert_eq!(one, waits(Some(1)).await);
    assert_ne!(one, waits(Some(2)).await);
    assert_ne!(waits(None).await, waits(None).await);
    assert!(one.iter().all(|wait| (ms(100)..=ms(150)).contains(wait)));
    assert_ne!(one[0], one[1]);
}

#[tokio::test(start_paused = true)]
async fn a_loop_has_the_same_rules_and_hooks() {
    let mut seen = Vec::new();
    let mut attempts = Retry::attempts(9)
        .wait(Wait::fixed(ms(1)))
        .when(|error: &&str| *error == "again")
        .before_sleep(|failed, _| seen.push(failed.number()))
        .start();
    assert_eq!(attempts.failed("again").await, Ok(()));
    assert_eq!(attempts.failed_as(true, "whatever").await, Ok(()));
    assert_eq!(attempts.failed("no").await, Err("no"));
    drop(attempts);
    assert_eq!(seen, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn hooks_nest_in_any_order() {
    let started = Instant::now();
    let hooked = Retry::forever().wait(Wait::fixed(ms(1)));
    let call = hooked
        .before_sleep(|_, _| ())
        .stop_when(|attempt| attempt.number() == 9)
        .wait_with(|_, wait| wait * 2)
        .stop_when(|attempt| attempt.number() == 4)
        .wait_with(|_, wait| wait + ms(1));
    assert_eq!(call.call(|_| ready(Err::<(), _>(()))).await, Err(()));
    assert_eq!(started.elapsed(), ms(9));
}

#[test]
fn a_judge_of_the_caller_decides() {
    struct Twice(u32);
    impl<T> Judge<T, &'static str> for Twice {
        fn verdict(&mut self, result: &Result<T, &'static str>) -> Verdict {
            self.0 += 1;
            (self.0 < 2 && matches!(result, Err("again"))).into()
        }
    }
    let calls = Cell::new(0);
    let call = NO_WAIT.judge(Twice(0)).call(|_| {
        calls.set(calls.get() + 1);
        ready(Err::<(), _>("again"))
    });
    assert_eq!(poll_once(call), Poll::Ready(Err("again")));
    assert_eq!(calls.get(), 2);
}

#[test]
fn switched_off_makes_one_attempt() {
    let retry = NO_WAIT.enabled(false);
    let mut call = pin!(retry.call(|attempt| ready(Err::<(), _>(attempt.number()))));
    assert_eq!(poll_once(call.as_mut()), Poll::Ready(Err(1)));
    assert_eq!(call.report().stopped(), Some(StopReason::Disabled));
}

#[tokio::test]
async fn retries_without_a_wait_let_other_tasks_run() {
    let turns = Cell::new(0);
    let retry = Retry::attempts(1_000).wait(Wait::none());
    let busy = retry.call(|_| ready(Err::<(), _>(())));
    let other = async {
        loop {
            turns.set(turns.get() + 1);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        result = busy => assert_eq!(result, Err(())),
        () = other => unreachable!(),
    }
    assert!(turns.get() >= 1_000 / 32 - 1, "{}", turns.get());
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_waits_the_same() {
    async fn waits(seed: u64) -> Vec<Duration> {
        let mut waits = Vec::new();
        let retry = Retry::attempts(6);
        let call = retry.seed(seed).before_sleep(|_, wait| waits.push(wait));
        assert_eq!(call.call(|_| ready(Err::<(), _>(()))).await, Err(()));
        waits
    }
    let zero = waits(0).await;
    assert_eq!(zero, waits(0).await);
    assert_ne!(zero, waits(1).await);
    assert_eq!(zero.len(), 5);
}

#[test]
fn a_panic_in_the_operation_passes_through_and_poisons_nothing() {
    let budget = outbound_retry::Budget::percent(100).reserve(1);
    let panics = NO_WAIT.budget(&budget).call(|_| async { panic!("operation") as Result<(), ()> });
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll_once(panics))).is_err());
    let predicate = NO_WAIT
        .when(|_: &()| -> bool { panic!("predicate") })
        .budget(&budget)
        .call(|_| ready(Err::<(), _>(())));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll_once(predicate))).is_err());
    assert_eq!(budget.available(), 3);
    assert_eq!(
        poll_once(NO_WAIT.outermost().call(|n| ready(Err::<(), _>(n.number())))),
        Poll::Ready(Err(3)),
        "no mark is left"
    );
}

#[test]
#[should_panic(expected = "polled after it had finished")]
fn a_poll_after_the_end_panics_with_a_clear_message() {
    let mut call = pin!(NO_WAIT.call(|_| ready(Ok::<_, ()>(()))));
    assert!(poll_once(call.as_mut()).is_ready());
    let _ = poll_once(call);
}
