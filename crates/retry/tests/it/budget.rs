//! Budgets: defaults, exact shares, threads, and the share of extra calls.

use std::{
    future::ready,
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use outbound_retry::{Budget, Retry, StopReason, Wait};

#[test]
fn defaults_are_as_documented() {
    let budget = Budget::percent(10);
    assert_eq!(budget.available(), 10, "the reserve");
    for _ in 0..10_000 {
        budget.deposit();
    }
    assert_eq!(budget.available(), 100, "the most that it holds");
    assert_eq!(budget.denied(), 0);
    assert_eq!(format!("{budget:?}"), "Budget { available: 100, denied: 0 }");
}

#[test]
fn shares_are_exact() {
    for (percent, granted) in
        [(0, 0), (10, 100), (30, 300), (33, 330), (70, 700), (100, 1_000), (1_000, 1_000)]
    {
        let budget = Budget::percent(percent).reserve(0).max(u32::MAX);
        let made = (0..1_000).filter(|_| {
            budget.deposit();
            budget.try_withdraw()
        });
        assert_eq!(made.count(), granted, "{percent} %");
    }
}

#[test]
fn deposits_do_not_overflow() {
    let budget = Budget::percent(u32::MAX).max(u32::MAX).reserve(u32::MAX);
    budget.deposit();
    budget.refund();
    assert_eq!(budget.available(), u64::from(u32::MAX));
    assert_eq!(Budget::percent(1).max(3).available(), 3, "the reserve is limited by the maximum");
    assert_eq!(Budget::percent(1).max(3).reserve(9).available(), 3);
}

#[test]
fn clones_share_one_balance() {
    let budget = Budget::percent(10).reserve(1);
    let clone = budget.clone();
    assert!(clone.try_withdraw());
    assert!(!budget.try_withdraw());
    assert_eq!(clone.denied(), 1);
}

#[test]
fn threads_never_get_more_than_was_paid_in() {
    const THREADS: u64 = 4;
    const CALLS: u64 = 20_000;
    let budget = Budget::percent(30).reserve(7).max(u32::MAX);
    let granted = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..CALLS {
                    budget.deposit();
                    granted.fetch_add(budget.try_withdraw().into(), Ordering::Relaxed);
                }
            });
        }
    });
    let paid_in = 7 + THREADS * CALLS * 30 / 100;
    assert_eq!(granted.into_inner() + budget.available(), paid_in);
}

#[tokio::test(start_paused = true)]
async fn extra_calls_stay_within_the_share() {
    let budget = Budget::percent(10).reserve(5);
    let retry = Retry::attempts(4).wait(Wait::none());
    let (mut sent, mut stopped) = (0, 0);
    for _ in 0..1_000 {
        let mut call = pin!(retry.budget(&budget).call(|_| {
            sent += 1;
            ready(Err::<(), _>(()))
        }));
        assert_eq!(call.as_mut().await, Err(()));
        stopped += u32::from(call.report().stopped() == Some(StopReason::Budget));
    }
    assert_eq!(sent, 1_000 + 100 + 5);
    assert!(stopped > 900);
}
