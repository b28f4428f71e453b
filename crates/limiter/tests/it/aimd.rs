//! `Aimd`: a bound on concurrency that learns from overloads.

use outbound_limiter::{Aimd, ConcurrencyLimiter, Observation, QuotaLimiter};
use tokio::time::{Instant, advance};

use crate::support::s;

#[tokio::test(start_paused = true)]
async fn one_overload_is_one_cut_however_many_report_it() {
    let mut aimd = Aimd::new(64);
    let sent_at = Instant::now();
    for _ in 0..40 {
        advance(s(1)).await;
        aimd.overloaded(sent_at, Instant::now());
    }
    assert_eq!(aimd.limit(), 32);
    aimd.overloaded(Instant::now(), Instant::now());
    assert_eq!(aimd.limit(), 16);
}

#[test]
fn it_stays_between_one_and_its_maximum() {
    let now = Instant::now();
    let mut aimd = Aimd::new(3);
    for second in 0..9 {
        aimd.overloaded(now + s(second), now + s(second));
    }
    assert_eq!(aimd.limit(), 1);
    for _ in 0..100 {
        aimd.succeeded(usize::MAX);
    }
    assert_eq!(aimd.limit(), 3);
    assert_eq!(Aimd::new(0).limit(), 1);
}

#[test]
fn a_full_round_of_successes_adds_one() {
    let now = Instant::now();
    let mut aimd = Aimd::new(100);
    aimd.overloaded(now, now);
    let mut limits = vec![aimd.limit()];
    for _ in 0..3 {
        (0..aimd.limit()).for_each(|_| aimd.succeeded(40));
        limits.push(aimd.limit());
    }
    assert_eq!(limits, [50, 51, 52, 53]);
}

#[test]
fn an_unused_limit_does_not_grow() {
    let now = Instant::now();
    let mut aimd = Aimd::new(100);
    aimd.overloaded(now, now);
    (0..1_000).for_each(|_| aimd.succeeded(24));
    assert_eq!(aimd.limit(), 50);
}

/// A server on which every call takes as long as the timeout has a steady latency, but is overloaded.
#[tokio::test(start_paused = true)]
async fn constant_timeouts_never_raise_it() {
    let mut aimd = Aimd::new(64);
    let mut before = aimd.limit();
    for _ in 0..50 {
        let sent_at = Instant::now();
        advance(s(5)).await;
        aimd.overloaded(sent_at, Instant::now());
        assert!(aimd.limit() <= before);
        before = aimd.limit();
    }
    assert_eq!(before, 1);
}

/// A hint has an effect on the gate, and none on `Aimd`.
#[tokio::test(start_paused = true)]
async fn a_constant_hint_does_not_freeze_it() {
    let quota = QuotaLimiter::builder().max_concurrent(8).build().unwrap();
    let mut aimd = Aimd::new(8);
    aimd.overloaded(Instant::now(), Instant::now());
    for _ in 0..30 {
        let charge = quota.reserve(outbound_limiter::Cost::request()).await.unwrap().sent();
        quota.observe(Instant::now(), &Observation::new(Instant::now()).refused(Some(s(1))));
        charge.refund();
        aimd.succeeded(aimd.limit());
    }
    assert_eq!(aimd.limit(), 8);
    let limiter = ConcurrencyLimiter::new(1);
    limiter.resize(aimd.limit());
    assert_eq!(limiter.limit(), 8);
}
