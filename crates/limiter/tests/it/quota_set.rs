//! Limits that change while they are in use.

use std::time::Duration;

use outbound_limiter::{Cost, QuotaDimension, QuotaLimiter};
use tokio::time::Instant;

/// How long this many requests take, one after the other.
async fn time(quota: &QuotaLimiter, requests: u32) -> f64 {
    let began = Instant::now();
    for _ in 0..requests {
        drop(quota.reserve(Cost::request()).await.expect("it is open").sent());
    }
    began.elapsed().as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn a_limit_can_be_lowered_raised_and_removed() {
    let burst = Duration::from_secs(1);
    let quota = QuotaLimiter::builder().requests_per_minute(600).burst(burst).build().expect("a quota");
    time(&quota, 10).await;
    assert!((9.5..=10.5).contains(&time(&quota, 100).await));
    quota.set_limit(QuotaDimension::Requests, Some(60));
    assert!((9.0..=11.0).contains(&time(&quota, 10).await));
    quota.set_limit(QuotaDimension::Requests, Some(1_200));
    assert!((4.0..=5.5).contains(&time(&quota, 100).await));
    quota.set_limit(QuotaDimension::Requests, None);
    assert!(time(&quota, 1_000).await < 0.01);
    quota.set_limit(QuotaDimension::Requests, Some(0));
    time(&quota, 1).await;
    assert!((59.0..=61.0).contains(&time(&quota, 1).await), "0 counts as 1");
}

/// A waiting request that costs more than a lowered limit is admitted when that much has come in.
#[tokio::test(start_paused = true)]
async fn a_waiting_request_larger_than_a_lowered_limit_is_admitted_later() {
    let quota = QuotaLimiter::builder().tokens_per_minute(60).build().expect("a quota");
    drop(quota.reserve(Cost::request().input_tokens(60)).await.expect("all").sent());
    let began = Instant::now();
    let waiting = tokio::spawn({
        let quota = quota.clone();
        async move { quota.reserve(Cost::request().input_tokens(50)).await.map(drop) }
    });
    tokio::task::yield_now().await;
    quota.set_limit(QuotaDimension::Tokens, Some(10));
    assert!(waiting.await.expect("no panic").is_ok());
    let waited = began.elapsed().as_secs_f64();
    // It also waits for a part of the earlier debt.
    assert!((300.0..=370.0).contains(&waited), "50 at 10 per minute: {waited}");
}

/// A waiting request is admitted as soon as the new limit allows it.
#[tokio::test(start_paused = true)]
async fn a_raised_limit_admits_waiting_requests() {
    let quota = QuotaLimiter::builder().tokens_per_minute(60).build().expect("a quota");
    drop(quota.reserve(Cost::request().input_tokens(60)).await.expect("all").sent());
    let began = Instant::now();
    let waiting = tokio::spawn({
        let quota = quota.clone();
        async move { quota.reserve(Cost::request().input_tokens(50)).await.map(drop) }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    quota.set_limit(QuotaDimension::Tokens, Some(6_000));
    assert!(waiting.await.expect("no panic").is_ok());
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
}
