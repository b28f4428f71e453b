//! Limits on futures: when they start, when they fire, and what is left after that.

use std::{
    cell::Cell,
    future::{Future, pending, poll_fn, ready},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use outbound_timeout::{Deadline, Limit, Timeout, TimeoutExt, timeout, timeout_at};
use tokio::time::{Instant, advance, sleep};

use crate::ms;

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_ready_future_needs_no_time_and_no_runtime() {
    assert_eq!(poll_once(timeout(Duration::ZERO, ready(1))), Poll::Ready(Ok(1)));
    assert_eq!(poll_once(timeout(Duration::MAX, ready(1))), Poll::Ready(Ok(1)));
    assert_eq!(poll_once(timeout_at(Instant::now() - ms(5), ready(1))), Poll::Ready(Ok(1)));
    assert_eq!(poll_once(timeout_at(None, ready(1))), Poll::Ready(Ok(1)));
    drop(timeout(ms(1), pending::<()>()));
}

#[tokio::test(start_paused = true)]
async fn zero_and_past_limits_poll_the_future_once() {
    let started = Instant::now();
    for future in [timeout(Duration::ZERO, pending()), timeout_at(started - ms(1), pending())] {
        let future: Timeout<std::future::Pending<()>> = future;
        assert!(future.await.is_err());
    }
    let polls = Cell::new(0);
    let count = poll_fn(|_| {
        polls.set(polls.get() + 1);
        Poll::<()>::Pending
    });
    assert_eq!(count.deadline(started).await.unwrap_err().limit(), Limit::Deadline);
    assert_eq!(polls.get(), 1);
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_longest_limits_never_fire_and_do_not_panic() {
    for limit in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_secs(u64::MAX / 4)] {
        assert_eq!(timeout(limit, sleep(ms(50))).await, Ok(()));
    }
    assert_eq!(sleep(ms(50)).deadline(Deadline::NEVER).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_duration_starts_at_the_first_pending() {
    let limited = timeout(ms(10), sleep(ms(105)));
    advance(ms(100)).await;
    let started = Instant::now();
    assert_eq!(limited.await, Ok(()), "the 100 ms before the first poll do not count");
    assert_eq!(started.elapsed(), ms(5));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_fixed_when_made() {
    let started = Instant::now();
    let deadline = Deadline::after(ms(30));
    advance(ms(20)).await;
    assert_eq!(sleep(ms(5)).deadline(deadline).await, Ok(()));
    assert!(sleep(ms(6)).deadline(deadline).await.is_err());
    assert_eq!(started.elapsed(), ms(30));
}

#[tokio::test(start_paused = true)]
async fn limits_in_a_row_are_one_timeout_under_the_tightest() {
    let started = Instant::now();
    let late = pending::<()>().timeout(ms(40)).timeout(ms(20)).timeout(ms(30)).deadline(started + ms(25));
    let size = size_of_val(&late);
    let elapsed = late.await.unwrap_err();
    assert_eq!((elapsed.limit(), elapsed.after()), (Limit::Duration, Some(ms(20))));
    assert_eq!(started.elapsed(), ms(20));
    assert_eq!(size, size_of_val(&pending::<()>().timeout(ms(40))), "two limits are one timer");

    let late = pending::<()>().timeout(ms(20)).deadline(started + ms(33)).deadline(started + ms(44));
    assert_eq!(late.await.unwrap_err().limit(), Limit::Deadline);
    assert_eq!(started.elapsed(), ms(33));
}

#[tokio::test(start_paused = true)]
async fn nested_limits_are_told_apart_and_the_inner_wins_a_tie() {
    let nested = |outer, inner| async move { timeout(outer, timeout(inner, pending::<()>())).await };
    assert_eq!(nested(ms(10), ms(20)).await.unwrap_err().after(), Some(ms(10)));
    assert_eq!(nested(ms(20), ms(10)).await.unwrap().unwrap_err().after(), Some(ms(10)));
    assert!(nested(ms(10), ms(10)).await.unwrap().is_err());

    let started = Instant::now();
    let deep = timeout(ms(80), timeout(ms(70), timeout(ms(60), timeout(ms(50), pending::<()>()))));
    assert_eq!(deep.await.unwrap().unwrap().unwrap().unwrap_err().after(), Some(ms(50)));
    assert_eq!(started.elapsed(), ms(50));
}

#[tokio::test(start_paused = true)]
async fn rescheduled_while_it_runs_and_asked_afterwards() {
    let started = Instant::now();
    let mut late = pin!(timeout(ms(10), sleep(ms(100))));
    assert_eq!(late.expires(), Deadline::NEVER, "the duration has not started");
    assert!(poll_fn(|cx| Poll::Ready(late.as_mut().poll(cx))).await.is_pending());
    assert_eq!(late.expires(), Deadline::at(started + ms(10)));

    late.as_mut().reset(started + ms(50));
    assert_eq!(late.expires(), Deadline::at(started + ms(50)));
    assert!(!late.is_elapsed());
    let elapsed = late.as_mut().await.unwrap_err();
    assert_eq!(elapsed.limit(), Limit::Deadline);
    assert_eq!(started.elapsed(), ms(50));
    assert!(late.is_elapsed());

    // The limited future is still there, and can be awaited further.
    late.as_mut().reset(None);
    assert!(!late.is_elapsed());
    assert_eq!(late.expires(), Deadline::NEVER);
    assert_eq!(late.as_mut().await, Ok(()));
    assert_eq!(started.elapsed(), ms(100));
    assert!(!late.is_elapsed());
}

#[tokio::test(start_paused = true)]
async fn reset_before_the_first_poll_and_to_sooner() {
    let started = Instant::now();
    let mut late = pin!(timeout(ms(100), pending::<()>()));
    late.as_mut().reset(Deadline::after(ms(30)));
    assert!(poll_fn(|cx| Poll::Ready(late.as_mut().poll(cx))).await.is_pending());
    late.as_mut().reset(Deadline::after(ms(10)));
    assert!(late.await.is_err());
    assert_eq!(started.elapsed(), ms(10));
}

#[tokio::test(start_paused = true)]
async fn a_late_result_is_still_there_after_the_limit() {
    let mut late = pin!(timeout(ms(10), sleep(ms(15))));
    assert!(late.as_mut().await.is_err());
    assert!(late.as_mut().await.is_err(), "a second poll gives the error again");
    sleep(ms(5)).await;
    assert_eq!(late.as_mut().await, Ok(()), "a result that is ready wins");
    assert!(late.is_elapsed(), "the limit has passed all the same");
}

#[tokio::test(start_paused = true)]
async fn a_future_outlives_its_limit_when_lent() {
    let mut work = pin!(sleep(ms(100)));
    assert!(timeout(ms(10), work.as_mut()).await.is_err());
    assert_eq!(timeout(ms(95), work.as_mut()).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn the_inner_future_is_reachable() {
    let mut limited = timeout(ms(10), ready(3));
    assert_eq!(limited.get_mut().clone().into_inner(), 3);
    assert_eq!(limited.get_ref().clone().into_inner(), 3);
    assert_eq!(limited.into_inner().await, 3);
    let mut limited = pin!(timeout(ms(10), ready(3)));
    assert_eq!(limited.as_mut().get_pin_mut().await, 3);
}

/// Lets real time pass while the runtime is idle, as when it waits for another thread. An idle paused clock moves to the
/// next wake-up that is registered.
async fn idle_in_real_time() {
    let (done, waiting) = tokio::sync::oneshot::channel();
    let worker = std::thread::spawn(move || {
        std::thread::park_timeout(Duration::from_millis(20));
        done.send(())
    });
    waiting.await.expect("the worker answers");
    worker.join().expect("the worker ends").expect("the receiver is still there");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_limit_leaves_no_wake_up() {
    let started = Instant::now();
    let mut limited = Box::pin(timeout(ms(10), pending::<()>()));
    assert!(poll_fn(|cx| Poll::Ready(limited.as_mut().poll(cx))).await.is_pending());
    drop(limited);
    idle_in_real_time().await;
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[test]
fn dropped_on_another_thread_and_after_its_runtime() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let started = |runtime: &tokio::runtime::Runtime| {
        let mut limited = Box::pin(timeout(Duration::from_secs(60), pending::<()>()));
        runtime.block_on(poll_fn(|cx| {
            assert!(limited.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        }));
        limited
    };
    let (one, other) = (runtime(), runtime());
    let limited = started(&one);
    std::thread::spawn(move || drop(limited)).join().unwrap();
    let limited = started(&one);
    other.block_on(async move { drop(limited) });
    let limited = started(&one);
    drop(one);
    drop(limited);
}

#[tokio::test]
async fn never_early_in_real_time() {
    for micros in [1, 100, 999, 1_001, 2_500] {
        let limit = Duration::from_micros(micros);
        let started = Instant::now();
        assert!(timeout(limit, pending::<()>()).await.is_err());
        assert!(started.elapsed() >= limit, "{micros} us");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_inside_passes_through_and_leaves_the_limit_usable() {
    let mut first = true;
    let mut limited = pin!(timeout(
        ms(10),
        poll_fn(|_| {
            assert!(!std::mem::take(&mut first), "inner panic");
            Poll::<()>::Pending
        })
    ));
    let poll = std::panic::AssertUnwindSafe(|| poll_once(limited.as_mut()));
    assert!(std::panic::catch_unwind(poll).is_err());
    assert!(limited.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_duration_is_kept_to_the_nanosecond_and_the_shortest_counts() {
    for nanos in [1, 999_999_999, 1_000_000_000, 1_000_000_001, 86_400_123_456_789] {
        let limit = Duration::from_nanos(nanos);
        let late = pending::<()>().timeout(Duration::MAX).timeout(limit).timeout(limit + ms(1));
        let started = Instant::now();
        assert_eq!(late.await.unwrap_err().after(), Some(limit));
        assert!(started.elapsed() >= limit && started.elapsed() < limit + ms(2));
    }
    // A duration that never fires does not change a deadline, in either order of the calls.
    let started = Instant::now();
    let late = pending::<()>().deadline(started + ms(5)).timeout(Duration::from_secs(1 << 31));
    assert_eq!(late.await.unwrap_err().limit(), Limit::Deadline);
    assert_eq!(started.elapsed(), ms(5));
}
