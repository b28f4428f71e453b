//! Rates: schedules, order, cancelling, changes of the rate, deadlines, and the polls of a wait.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};

use futures::future::join_all;
use outbound_limiter::{MustWait, Rate, RateLimiter};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{at, counted, ms, poll_once, s, settle};

#[test]
fn the_default_burst_is_one_second_and_at_least_one() {
    let now = Instant::now();
    for (rate, burst) in [
        (Rate::per_second(7), 7),
        (Rate::per_minute(500), 8),
        (Rate::per_minute(30), 1),
        (Rate::per_hour(3_600), 1),
        (Rate::per_day(1), 1),
        (Rate::per_second(0), 1),
        (Rate::per_minute(500).burst(10), 10),
        (Rate::per(70, ms(350)), 200),
        (Rate::per(1, ms(350)), 2),
        (Rate::per(u64::MAX, ms(0)), u64::MAX),
        (Rate::per(1, Duration::MAX), 1),
    ] {
        let limiter = RateLimiter::new(rate);
        assert_eq!(limiter.available(), burst, "{rate:?}");
        assert!(limiter.try_acquire_at(burst, now).is_ok());
        assert!(limiter.try_acquire_at(1, now).is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn the_burst_comes_at_once_and_the_rest_at_the_rate() {
    let limiter = RateLimiter::new(Rate::per_second(10).burst(3));
    let start = Instant::now();
    let mut times = Vec::new();
    for _ in 0..6 {
        limiter.acquire(1).await;
        times.push(at(start));
    }
    assert_eq!(times, [0, 0, 0, 100, 200, 300]);
}

#[tokio::test(start_paused = true)]
async fn a_period_may_be_of_any_length() {
    let limiter = RateLimiter::new(Rate::per(1, ms(350)).burst(1));
    let start = Instant::now();
    let mut times = Vec::new();
    for _ in 0..4 {
        limiter.acquire(1).await;
        times.push(at(start));
    }
    assert_eq!(times, [0, 350, 700, 1_050]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_try_says_when_to_try_again_and_then_it_works() {
    let limiter = RateLimiter::new(Rate::per_second(3).burst(1));
    let now = Instant::now();
    limiter.try_acquire_at(1, now).unwrap();
    let Err(MustWait { until: Some(until) }) = limiter.try_acquire_at(1, now) else { panic!() };
    assert_eq!(until - now, Duration::from_nanos(333_333_334), "rounded up");
    assert!(limiter.try_acquire_at(1, until - Duration::from_nanos(1)).is_err());
    assert!(limiter.try_acquire_at(1, until).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_cost_larger_than_the_burst_waits_for_a_full_bucket_and_goes_into_debt() {
    let limiter = RateLimiter::new(Rate::per_second(10).burst(5));
    let start = Instant::now();
    limiter.acquire(2).await;
    limiter.acquire(25).await;
    assert_eq!(at(start), 200, "when the bucket was full again");
    assert_eq!(limiter.available(), 0);
    limiter.acquire(1).await;
    assert_eq!(at(start), 200 + 2_100, "20 of debt, and then 1");
}

#[tokio::test(start_paused = true)]
async fn with_a_burst_of_zero_each_waits_for_the_one_before() {
    let limiter = RateLimiter::new(Rate::per_second(10).burst(0));
    let start = Instant::now();
    let mut times = Vec::new();
    for cost in [1, 5, 1, 1] {
        limiter.acquire(cost).await;
        times.push(at(start));
    }
    assert_eq!(times, [0, 100, 600, 700]);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_waiters_cost_two_polls_each_and_one_timer() {
    let limiter = RateLimiter::new(Rate::per_second(100).burst(1));
    limiter.acquire(1).await;
    let (polls, order) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let start = Instant::now();
    let tasks: Vec<_> = (0..100)
        .map(|id| {
            let (limiter, polls, order) = (limiter.clone(), Arc::clone(&polls), Arc::clone(&order));
            tokio::spawn(async move {
                counted(polls, limiter.acquire(1)).await;
                order.lock().unwrap().push((id, at(start)));
            })
        })
        .collect();
    settle().await;
    assert_eq!(limiter.waiting(), 100);
    for task in tasks {
        task.await.unwrap();
    }
    let expected: Vec<_> = (0..100).map(|id| (id, 10 * (id + 1))).collect();
    let order: Vec<_> = order.lock().unwrap().iter().map(|&(id, at)| (id, at)).collect();
    assert_eq!(order, expected, "they are in order, and none is late");
    assert_eq!(polls.load(SeqCst), 200);
}

#[tokio::test(start_paused = true)]
async fn a_large_request_beside_small_traffic_waits_no_longer_than_alone() {
    let limiter = RateLimiter::new(Rate::per_second(200).burst(50));
    limiter.acquire(50).await;
    let start = Instant::now();
    let small = async {
        for _ in 0..100 {
            while limiter.try_acquire_at(1, Instant::now()).is_err() {
                sleep(ms(1)).await;
            }
        }
    };
    let large = async {
        limiter.acquire(50).await;
        at(start)
    };
    let (waited, ()) = tokio::join!(large, small);
    assert_eq!(waited, 250, "50 units at 200 per second");
}

#[tokio::test(start_paused = true)]
async fn cancelling_leaves_no_gap_in_the_schedule() {
    for gone in 0..5_usize {
        let limiter = RateLimiter::new(Rate::per_second(10).burst(1));
        limiter.acquire(1).await;
        let start = Instant::now();
        let times = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let (limiter, times) = (limiter.clone(), Arc::clone(&times));
                tokio::spawn(async move {
                    limiter.acquire(1).await;
                    times.lock().unwrap().push(at(start));
                })
            })
            .collect();
        sleep(ms(50)).await;
        tasks[gone].abort();
        for task in tasks {
            let _ = task.await;
        }
        assert_eq!(*times.lock().unwrap(), [100, 200, 300, 400], "without the {gone}th");
    }
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_is_dropped_goes_back() {
    let limiter = RateLimiter::new(Rate::per_second(10).burst(1));
    limiter.acquire(1).await;
    let mut first = Box::pin(limiter.acquire(1));
    let mut second = pin!(limiter.acquire(1));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    sleep(ms(101)).await;
    assert_eq!(limiter.waiting(), 1, "the first was admitted, and was not polled since");
    drop(first);
    assert!(poll_once(second.as_mut()).is_ready());
}

/// The first request is in a task that does not poll it. The requests behind it are admitted all the same.
#[tokio::test(start_paused = true)]
async fn a_first_request_that_is_not_polled_delays_no_other() {
    let limiter = RateLimiter::new(Rate::per_second(10).burst(1));
    limiter.acquire(1).await;
    let start = Instant::now();
    let mut unpolled = pin!(limiter.acquire(1));
    assert!(poll_once(unpolled.as_mut()).is_pending());
    for turn in 2..6 {
        limiter.acquire(1).await;
        assert_eq!(at(start), 100 * turn);
    }
    assert!(poll_once(unpolled).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_new_rate_changes_the_wait_of_waiting_requests() {
    let limiter = RateLimiter::new(Rate::per_second(1).burst(1));
    limiter.acquire(1).await;
    let start = Instant::now();
    let waiting = join_all((0..3).map(|_| async {
        limiter.acquire(1).await;
        at(start)
    }));
    let (times, ()) = tokio::join!(waiting, async {
        sleep(ms(500)).await;
        limiter.set_rate(Rate::per_second(10).burst(1));
        sleep(ms(100)).await;
        limiter.set_rate(Rate::per_second(2).burst(1));
    });
    // Half a unit at 500 ms, one and a half at 600 ms, then two per second.
    assert_eq!(times, [550, 850, 1_350]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_of_zero_waits_until_it_is_raised() {
    let limiter = RateLimiter::new(Rate::per_day(0));
    limiter.acquire(1).await;
    assert_eq!(limiter.try_acquire_at(1, Instant::now()), Err(MustWait { until: None }));
    let deadline = Instant::now() + s(1_000_000);
    assert_eq!(limiter.acquire(1).before(deadline).await, Err(MustWait { until: None }));
    let start = Instant::now();
    let (_, ()) = tokio::join!(limiter.acquire(1), async {
        sleep(s(100_000)).await;
        limiter.set_rate(Rate::per_second(1));
    });
    assert_eq!(start.elapsed(), s(100_001));
}

#[tokio::test(start_paused = true)]
async fn a_new_rate_set_outside_of_a_runtime_reaches_waiting_requests() {
    let limiter = RateLimiter::new(Rate::per_second(0));
    limiter.acquire(1).await;
    let task = tokio::spawn({
        let limiter = limiter.clone();
        async move { limiter.acquire(1).await }
    });
    settle().await;
    let outside = limiter.clone();
    let now = Instant::now();
    std::thread::spawn(move || outside.set_rate_at(Rate::per_second(10), now)).join().unwrap();
    task.await.unwrap();
    assert_eq!(now.elapsed(), ms(100));
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_deadline_fails_at_once() {
    let limiter = RateLimiter::new(Rate::per_second(1).burst(1));
    limiter.acquire(1).await;
    let start = Instant::now();
    let mut ahead = pin!(limiter.acquire(2));
    assert!(poll_once(ahead.as_mut()).is_pending());
    let refused = limiter.acquire(1).before(start + ms(2_999)).await;
    assert_eq!(refused, Err(MustWait { until: Some(start + s(3)) }), "the 2 units ahead are counted");
    assert_eq!(at(start), 0);
    limiter.acquire(1).before(start + s(3)).await.unwrap();
    assert_eq!(at(start), 3_000);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_grows_ends_at_the_deadline() {
    let limiter = RateLimiter::new(Rate::per_second(1).burst(1));
    limiter.acquire(1).await;
    let start = Instant::now();
    let (refused, behind, ()) = tokio::join!(
        limiter.acquire(1).before(start + s(2)),
        async {
            limiter.acquire(1).await;
            at(start)
        },
        async {
            sleep(ms(100)).await;
            limiter.set_rate(Rate::per_minute(10).burst(1));
        },
    );
    assert!(matches!(refused, Err(MustWait { until: Some(_) })));
    assert_eq!(behind, 5_500, "a tenth of it at one per second, and nine tenths at one in six seconds");
    let past = Instant::now() - ms(1);
    assert!(limiter.acquire(1).before(past).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn extreme_numbers_do_no_harm() {
    let now = Instant::now();
    for rate in [Rate::per_second(u64::MAX), Rate::per_day(u64::MAX), Rate::per_day(1), Rate::per_hour(0)] {
        for burst in [0, 1, u64::MAX] {
            let limiter = RateLimiter::new(rate.burst(burst));
            for cost in [0, 1, u64::MAX, u64::MAX] {
                let _ = limiter.try_acquire_at(cost, now);
                let _ = limiter.acquire(cost).before(now + s(1)).await;
            }
        }
    }
    // A debt of `u64::MAX` is not admitted twice.
    let limiter = RateLimiter::new(Rate::per_hour(1).burst(2));
    assert!(limiter.try_acquire_at(u64::MAX, now).is_ok());
    assert!(limiter.try_acquire_at(1, now + s(1 << 30)).is_err());
}

#[tokio::test(start_paused = true)]
async fn an_acquire_that_loses_a_race_costs_nothing() {
    let limiter = RateLimiter::new(Rate::per_second(1).burst(1));
    limiter.acquire(1).await;
    let start = Instant::now();
    for _ in 0..5 {
        assert!(timeout(ms(10), limiter.acquire(1)).await.is_err());
    }
    assert_eq!(limiter.waiting(), 0);
    limiter.acquire(1).await;
    assert_eq!(at(start), 1_000);
}

/// The runtime that has the timer of the queue ends while a task of another runtime waits. The other runtime takes over.
#[test]
fn a_queue_survives_the_end_of_the_runtime_of_its_timer() {
    let build = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let limiter = RateLimiter::new(Rate::per_second(20).burst(1));
    let (one, other) = (build(), build());
    one.block_on(async { limiter.acquire(1).await });
    let first = limiter.clone();
    one.spawn(async move { first.acquire(1).await });
    one.block_on(settle());
    assert_eq!(limiter.waiting(), 1);
    let mut second = Box::pin(limiter.acquire(1));
    other.block_on(async { assert!(poll_once(second.as_mut()).is_pending()) });
    drop(one);
    other.block_on(second);
    assert_eq!(limiter.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_in_a_task_whose_budget_is_spent_still_sets_the_timer() {
    let limiter = RateLimiter::new(Rate::per_second(10).burst(1_000));
    limiter.acquire(1_000).await;
    let start = Instant::now();
    let mut left = 3;
    while left > 0 {
        // Many ready polls before the one that waits.
        limiter.acquire(0).await;
        if tokio::task::coop::has_budget_remaining() {
            continue;
        }
        limiter.acquire(1).await;
        left -= 1;
    }
    assert_eq!(at(start), 300);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "polled after it was ready")]
async fn polling_again_after_ready_panics() {
    let limiter = RateLimiter::new(Rate::per_second(1));
    let mut acquire = pin!(limiter.acquire(1));
    assert!(matches!(poll_once(acquire.as_mut()), Poll::Ready(())));
    let _ = poll_once(acquire.as_mut());
}

/// A waiting request costs nothing: each of a hundred is counted once, when it is admitted.
#[tokio::test(start_paused = true)]
async fn a_hundred_waiters_are_counted_once_in_each_window() {
    let limiter = RateLimiter::new(Rate::per_second(10).burst(5));
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let limiter = limiter.clone();
        tasks.spawn(async move {
            limiter.acquire(1).await;
            at(start)
        });
    }
    let mut times = tasks.join_all().await;
    times.sort_unstable();
    for (index, from) in times.iter().enumerate() {
        let in_second = times[index..].iter().filter(|at| **at < from + 1_000).count();
        assert!(in_second <= 15, "{times:?}");
    }
    assert_eq!(times[99], 9_500);
}
