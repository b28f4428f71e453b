//! Many tasks on two threads and the real clock: no task hangs, no permit is lost, and no rate is exceeded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use outbound_limiter::{ConcurrencyLimiter, Cost, Observation, QuotaLimiter, Rate, RateLimiter};
use tokio::{
    task::{JoinSet, unconstrained},
    time::{Instant, timeout},
};

use crate::support::{counted, ms, s};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_under_contention_with_dropped_requests() {
    let limiter = RateLimiter::new(Rate::per_second(4_000).burst(5));
    let taken = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for id in 0..60_u64 {
        let (limiter, taken) = (limiter.clone(), Arc::clone(&taken));
        tasks.spawn(async move {
            for turn in 0..20 {
                let patience = if (id + turn) % 4 == 0 { ms((id + turn) % 9) } else { s(60) };
                if timeout(patience, limiter.acquire(1 + id % 3)).await.is_ok() {
                    taken.fetch_add(1 + id % 3, SeqCst);
                }
                if id == 0 {
                    limiter.set_rate(Rate::per_second(4_000).burst(5 + turn % 2));
                }
            }
        });
    }
    let all = async { while tasks.join_next().await.transpose().unwrap().is_some() {} };
    timeout(s(30), all).await.expect("no task is forgotten");
    let (taken, elapsed) = (u128::from(taken.load(SeqCst)), start.elapsed().as_nanos());
    assert!(taken * 1_000_000_000 <= 4_000 * elapsed + 6_000_000_000);
    assert_eq!(limiter.waiting(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_under_contention_with_refusals_and_every_end_of_a_charge() {
    let builder = QuotaLimiter::builder().requests_per_minute(600_000).output_tokens_per_minute(6_000_000);
    let quota = builder.max_concurrent(7).build().unwrap();
    let mut tasks = JoinSet::new();
    for id in 0..40_u64 {
        let quota = quota.clone();
        tasks.spawn(async move {
            for turn in 0..20 {
                let cost = Cost::request().output_tokens((id * turn) % 300);
                let patience = if (id + turn) % 5 == 0 { ms(turn % 7) } else { s(60) };
                let Ok(reservation) = timeout(patience, quota.reserve(cost)).await else { continue };
                let (reservation, sent_at) = (reservation.unwrap(), Instant::now());
                assert!(quota.snapshot().in_flight <= 7);
                tokio::task::yield_now().await;
                match (id + turn) % 6 {
                    0 => drop(reservation),
                    1 => drop(reservation.sent()),
                    2 => reservation.sent().refund(),
                    3 => reservation.sent().settle(cost.output_tokens(700)),
                    _ => reservation.sent().settle(cost),
                }
                if id == 3 && turn % 8 == 0 {
                    let refused = Observation::new(sent_at).refused(Some(Duration::from_millis(4)));
                    quota.observe(Instant::now(), &refused);
                }
            }
        });
    }
    let all = async { while tasks.join_next().await.transpose().unwrap().is_some() {} };
    timeout(s(30), all).await.expect("no task is forgotten");
    let snapshot = quota.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.waiting), (0, 0));
}

/// A task that is woken has a permit. So a request is polled at most twice: when it comes and when it has its permit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_without_a_permit() {
    const TURNS: usize = 200;
    let (limiter, polls) = (ConcurrencyLimiter::new(3), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..32 {
        let (limiter, polls) = (limiter.clone(), Arc::clone(&polls));
        tasks.spawn(async move {
            for _ in 0..TURNS {
                let mine = Arc::new(AtomicUsize::new(0));
                // The exception is a task whose cooperative budget is spent: tokio wakes it once more.
                let permit = unconstrained(counted(Arc::clone(&mine), limiter.acquire())).await;
                polls.fetch_max(mine.load(SeqCst), SeqCst);
                tokio::task::yield_now().await;
                drop(permit);
            }
        });
    }
    let all = async { while tasks.join_next().await.transpose().unwrap().is_some() {} };
    timeout(s(30), all).await.expect("no task is forgotten");
    assert_eq!(polls.load(SeqCst), 2);
}

/// Charges end while the number of slots changes and the limiter is closed. No slot is lost or counted twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settling_races_resizing_and_closing() {
    for round in 0..40_usize {
        let quota = QuotaLimiter::builder().max_concurrent(3).build().unwrap();
        let mut tasks = JoinSet::new();
        for id in 0..12_u64 {
            let quota = quota.clone();
            tasks.spawn(async move {
                while let Ok(reservation) = quota.reserve(Cost::request().output_tokens(id)).await {
                    let charge = reservation.sent();
                    tokio::task::yield_now().await;
                    charge.settle(Cost::request().output_tokens(6));
                }
            });
        }
        for turn in 0..20 {
            quota.set_max_concurrent(Some((turn + round) % 5));
            tokio::task::yield_now().await;
        }
        quota.close();
        let all = async { while tasks.join_next().await.transpose().unwrap().is_some() {} };
        timeout(s(30), all).await.expect("closing ends all waits");
        assert_eq!((quota.snapshot().in_flight, quota.snapshot().waiting), (0, 0));
    }
}
