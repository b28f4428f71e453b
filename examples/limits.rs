//! Limits: so many at once, so many per minute, and quotas that count several things together.
//!
//! ```sh
//! cargo run --example limits
//! ```
//!
//! It runs on tokio's paused clock: where every task waits, time jumps to the next timer. So the waits are exact, and
//! minutes take no time.

use std::{cell::Cell, time::Duration};

use futures::future::{join, try_join, try_join_all};
use outbound::{
    limiter::{
        ConcurrencyLimiter, Cost, Dimension, QuotaError, QuotaLimiter, Rate, RateError, RateLimiter, Signals,
    },
    retry::{Retry, Wait},
};
use outbound_examples::{Result, heading};
use tokio::time::{Instant, sleep};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result {
    println!("(on the paused clock)");
    semaphore().await?;
    weighted().await?;
    resize_while_running().await?;
    rate().await?;
    not_before_or_not_at_all().await?;
    quota().await?;
    quota_and_the_server().await?;
    with_retries().await
}

/// A service that notes how many calls it had at once.
#[derive(Default)]
struct Service {
    now: Cell<u32>,
    peak: Cell<u32>,
}

impl Service {
    async fn call(&self, takes: Duration) {
        self.now.set(self.now.get() + 1);
        self.peak.set(self.peak.get().max(self.now.get()));
        sleep(takes).await;
        self.now.set(self.now.get() - 1);
    }
}

async fn semaphore() -> Result {
    heading("A semaphore around any call: three at once");
    let (service, limiter) = (Service::default(), ConcurrencyLimiter::new(3));
    let begun = Instant::now();
    // `run` holds a permit while the future runs, and gives it back however that ends.
    let calls = (0..10).map(|_| limiter.run(service.call(Duration::from_secs(1))));
    try_join_all(calls).await?;
    println!("10 calls of 1 s, {} at most at once, in {:?}", service.peak.get(), begun.elapsed());
    assert_eq!((service.peak.get(), begun.elapsed().as_secs()), (3, 4));

    // Where one future is not all that is to be covered, hold the permit. It is given back when it is dropped.
    let permit = limiter.acquire().await?;
    service.call(Duration::from_secs(1)).await;
    println!("holding {} permit, {} are free", permit.count(), limiter.available());
    drop(permit);
    assert_eq!(limiter.available(), 3);
    Ok(())
}

async fn weighted() -> Result {
    heading("Weighted: what is larger takes more of the room, and is not starved by what is small");
    let limiter = ConcurrencyLimiter::new(10);
    let begun = Instant::now();
    let jobs = [("small", 2), ("small", 2), ("large", 8), ("small", 2), ("small", 2)];
    // First come, first served: the small ones behind the large one begin no sooner than it does.
    let ends = try_join_all(jobs.map(async |(name, weight)| -> Result<u64> {
        let _permit = limiter.acquire_many(weight).await?;
        println!("{name} ({weight}) begins after {:?}", begun.elapsed());
        sleep(Duration::from_secs(1)).await;
        Ok(begun.elapsed().as_secs())
    }));
    assert_eq!(ends.await?, [1, 1, 2, 2, 3]);
    Ok(())
}

async fn resize_while_running() -> Result {
    heading("Resize while running");
    let (service, limiter) = (Service::default(), ConcurrencyLimiter::new(2));
    let begun = Instant::now();
    let calls = try_join_all((0..18).map(|_| limiter.run(service.call(Duration::from_secs(1)))));
    let operator = async {
        sleep(Duration::from_millis(2500)).await;
        println!("after {:?}: {} waiting, from 2 to 6", begun.elapsed(), limiter.waiting());
        limiter.resize(6);
    };
    join(calls, operator).await.0?;
    println!(
        "18 calls of 1 s in {:?} instead of 9 s, {} at most at once",
        begun.elapsed(),
        service.peak.get()
    );
    assert_eq!((service.peak.get(), begun.elapsed()), (6, Duration::from_secs(5)));
    Ok(())
}

async fn rate() -> Result {
    heading("Rate: 120 per minute, five of them at once");
    let limiter = RateLimiter::new(Rate::per_minute(120).burst(5));
    let begun = Instant::now();
    let mut starts = Vec::new();
    for _ in 0..9 {
        limiter.acquire(1).await?;
        starts.push(begun.elapsed().as_millis());
    }
    println!("starts, in ms: {starts:?}");
    assert_eq!(starts, [0, 0, 0, 0, 0, 500, 1000, 1500, 2000]);

    // A rate can be changed, too, and a request can be for more than one unit.
    limiter.set_rate(Rate::per_second(10).burst(1));
    limiter.acquire(20).await?;
    limiter.acquire(1).await?;
    println!("20 units at 10 per second, then another: after {:?}", begun.elapsed());
    assert_eq!(begun.elapsed().as_millis(), 2000 + 2100);
    Ok(())
}

async fn not_before_or_not_at_all() -> Result {
    heading("Too late is said at once");
    let limiter = RateLimiter::new(Rate::per_minute(1).burst(1));
    limiter.acquire(1).await?;
    let begun = Instant::now();
    // Its turn would come in a minute. To wait ten seconds and then give up would help nobody.
    let late = limiter.acquire(1).before(begun + Duration::from_secs(10)).await;
    let error = late.err().ok_or("a minute is more than ten seconds")?;
    println!("{error} (said after {:?})", begun.elapsed());
    assert_eq!(error, RateError::MustWait { until: Some(begun + Duration::from_secs(60)) });
    Ok(())
}

async fn quota() -> Result {
    heading("A quota in three dimensions: requests, tokens, concurrency");
    let quota = QuotaLimiter::builder()
        .requests_per_minute(600)
        .tokens_per_minute(60_000)
        .max_concurrent(8)
        .burst(Duration::from_secs(6))
        .build()?;
    println!("to be had at once: {}", left(&quota));

    // The estimate is high on purpose: nobody knows how long the answer will be.
    let reservation = quota.reserve(Cost::request().input_tokens(800).output_tokens(4_000)).await?;
    println!("reserved:          {}", left(&quota));
    let charge = reservation.sent();
    sleep(Duration::from_millis(10)).await;
    // What it did not use is there for the others.
    charge.settle(Cost::request().input_tokens(790).output_tokens(310));
    println!("settled:           {}", left(&quota));

    // A reservation that is dropped unsent costs nothing, and one that can never be granted fails at once.
    drop(quota.reserve(Cost::request().input_tokens(1_000)).await?);
    let error = quota.reserve(Cost::request().input_tokens(70_000)).await.err().ok_or("it is too large")?;
    println!("too large:         {error}");
    assert!(matches!(error, QuotaError::Impossible { dimension: Dimension::Tokens, .. }));

    // Of several limits the tightest one counts: tokens, here.
    let begun = Instant::now();
    let calls = (0..20).map(async |_| -> Result {
        let charge = quota.reserve(Cost::request().input_tokens(1_000)).await?.sent();
        sleep(Duration::from_millis(100)).await;
        // Not settled, it costs what was estimated.
        drop(charge);
        Ok(())
    });
    try_join_all(calls).await?;
    println!("20 requests of 1,000 tokens took {:.1?}", begun.elapsed());
    // 20,000 tokens, less the 5,000 or so that could be had at once, at 1,000 a second.
    assert!((14..=16).contains(&begun.elapsed().as_secs()));
    Ok(())
}

/// What a quota could let through now.
fn left(quota: &QuotaLimiter) -> String {
    let snapshot = quota.snapshot();
    let left: Vec<_> =
        snapshot.dimensions.iter().map(|d| format!("{} {}", d.available, d.dimension)).collect();
    left.join(", ")
}

async fn quota_and_the_server() -> Result {
    heading("A refusal: one is told, all wait");
    let quota = QuotaLimiter::builder().requests_per_minute(600).build()?;
    let begun = Instant::now();
    let charge = quota.reserve(Cost::request()).await?.sent();
    // The reply was a 429 with `Retry-After: 20`.
    quota.observe(Instant::now(), &Signals::new(begun).refused(Some(Duration::from_secs(20))));
    drop(charge);
    let others = (0..4).map(async |_| -> Result<Duration> {
        drop(quota.reserve(Cost::request()).await?.sent());
        Ok(begun.elapsed())
    });
    let starts = try_join_all(others).await?;
    println!("the others go after {starts:.2?}: not all at once");
    assert!(starts[0] >= Duration::from_secs(20) && starts.windows(2).all(|pair| pair[0] < pair[1]));
    Ok(())
}

async fn with_retries() -> Result {
    heading("With retries: nothing is held between two attempts");
    const POLICY: Retry = Retry::attempts(3).wait(Wait::fixed(Duration::from_secs(10)));
    let (service, limiter) = (Service::default(), ConcurrencyLimiter::new(1));
    let begun = Instant::now();
    // The limit is inside the retries: each attempt takes a permit of its own, and the wait takes none.
    let unlucky = POLICY.call(async |attempt| -> Result<Duration> {
        limiter.run(service.call(Duration::from_secs(1))).await?;
        if attempt.is_retry() { Ok(begun.elapsed()) } else { Err("overloaded".into()) }
    });
    let others = try_join_all((0..5).map(async |_| -> Result<Duration> {
        limiter.run(service.call(Duration::from_secs(1))).await?;
        Ok(begun.elapsed())
    }));
    let (unlucky, others) = try_join(unlucky, others).await?;
    println!("the others were done after {others:?}, the retried one after {unlucky:?}");
    assert_eq!((others[4].as_secs(), unlucky.as_secs()), (6, 12));
    Ok(())
}
