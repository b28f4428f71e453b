//! Quotas: requests, tokens and whatever else is counted, reserved together before a call and settled after it.
//!
//! ```sh
//! cargo run --example quotas
//! ```
//!
//! It runs on tokio's paused clock: where every task waits, time jumps to the next timer. So the waits are exact, and
//! minutes take no time.

use std::time::Duration;

use futures::future::try_join_all;
use outbound::limiter::{
    Aimd, AutoConcurrency, Bottleneck, ConcurrencyLimiter, Cost, End, Observation, QuotaDimension,
    QuotaError, QuotaLimiter, Reading,
};
use outbound_examples::{Result, heading};
use tokio::time::{Instant, sleep};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result {
    println!("(on the paused clock)");
    quota().await?;
    anything_else_that_is_counted().await?;
    a_share_of_another_quota().await?;
    what_the_server_says().await?;
    quota_and_the_server().await?;
    give_way_to_overload().await?;
    find_out_how_many().await
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

    // Nobody knows how long the answer will be, so the estimate is high.
    let reservation = quota.reserve(Cost::request().input_tokens(800).output_tokens(4_000)).await?;
    println!("reserved:          {}", left(&quota));
    let charge = reservation.sent();
    sleep(Duration::from_millis(10)).await;
    // What it did not use is free for others.
    charge.settle(Cost::request().input_tokens(790).output_tokens(310));
    println!("settled:           {}", left(&quota));

    // A reservation that is dropped unsent costs nothing, and one that can never be granted fails at once.
    drop(quota.reserve(Cost::request().input_tokens(1_000)).await?);
    let error = quota.reserve(Cost::request().input_tokens(70_000)).await.err().ok_or("it is too large")?;
    println!("too large:         {error}");
    assert!(matches!(error, QuotaError::Impossible { dimension: QuotaDimension::Tokens, .. }));

    // Of several limits the tightest one counts: tokens, here.
    let begun = Instant::now();
    let calls = (0..20).map(async |_| -> Result {
        let charge = quota.reserve(Cost::request().input_tokens(1_000)).await?.sent();
        sleep(Duration::from_millis(100)).await;
        // The real cost is not known, so the estimate counts. Dropping the charge does the same.
        charge.keep_estimate();
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

async fn anything_else_that_is_counted() -> Result {
    heading("Anything else that is counted: images, per second and per hour");
    const IMAGES: QuotaDimension = QuotaDimension::named(0, "images");
    let quota = QuotaLimiter::builder()
        .requests_per_minute(600)
        .limit(IMAGES, Duration::from_secs(1), 4)
        .limit(IMAGES, Duration::from_secs(3600), 10)
        .build()?;
    let begun = Instant::now();
    println!("to be had at once: {}", left(&quota));
    for _ in 0..2 {
        let charge = quota.reserve(Cost::request().with(IMAGES, 4)).await?.sent();
        println!("four images sent after {:?}", begun.elapsed());
        // One of the four was not made, and is given back.
        charge.settle(Cost::request().with(IMAGES, 3));
    }
    assert_eq!(begun.elapsed().as_millis(), 750);
    // Five are more than one second allows, so they never fit. What is refused takes nothing from any limit.
    let refused = quota.try_reserve_at(Cost::request().with(IMAGES, 5), Instant::now());
    println!("five at once:      {}", refused.err().ok_or("a second has four")?);
    sleep(Duration::from_secs(1)).await;
    quota.reserve(Cost::request().with(IMAGES, 4)).await?.sent().keep_estimate();
    sleep(Duration::from_secs(1)).await;
    let error = quota.try_reserve_at(Cost::request().with(IMAGES, 1), Instant::now());
    let error = error.err().ok_or("the hour is used up")?;
    println!("one more:          {error}");
    let bottleneck = Bottleneck::Dimension(IMAGES);
    assert!(matches!(error, QuotaError::MustWait { wait: Some(wait), bottleneck: b, .. }
        if b == bottleneck && wait > Duration::from_secs(3500)));
    // What needs no images does not wait for them.
    drop(quota.try_reserve_at(Cost::request(), Instant::now())?);
    Ok(())
}

async fn a_share_of_another_quota() -> Result {
    heading("A share of another quota: the nightly job gets half of the key's tokens at most");
    let key = QuotaLimiter::builder().tokens_per_minute(60_000).build()?;
    let nightly = QuotaLimiter::builder().tokens_per_minute(30_000).under(&key).build()?;
    // What the share lets through, it takes from the whole as well.
    nightly.reserve(Cost::request().input_tokens(500)).await?.sent().keep_estimate();
    println!("the share: {}; the whole: {}", left(&nightly), left(&key));
    // The whole is used up. The share waits for it, although it has some left of its own.
    let all = key.snapshot().dimensions[0].available;
    key.reserve(Cost::request().input_tokens(all)).await?.sent().keep_estimate();
    let error = nightly.try_reserve(Cost::request().input_tokens(400)).err().ok_or("nothing is left")?;
    println!("then: {error}");
    assert!(matches!(error, QuotaError::MustWait { .. }));
    Ok(())
}

async fn what_the_server_says() -> Result {
    heading("What the server says of its limits is taken over");
    let quota = QuotaLimiter::builder().build()?;
    let charge = quota.reserve(Cost::request()).await?.sent();
    println!("told nothing:      {:?}", left(&quota));
    // The reply's headers: 600 a minute, of which 20 are left.
    let reading = Reading::per_minute().limit(600).remaining(20).reset(Duration::from_secs(58));
    let observation = Observation::new(Instant::now()).reading(QuotaDimension::Requests, reading);
    quota.observe(Instant::now(), &observation);
    charge.settle(Cost::request());
    println!("told by the reply: {:?}", left(&quota));
    // Less the request itself, which may not have been counted yet, and less what 0.15 s bring, for others on the key.
    assert_eq!(left(&quota), "17 requests");
    Ok(())
}

async fn quota_and_the_server() -> Result {
    heading("A refusal: one call is refused, and all wait");
    let quota = QuotaLimiter::builder().requests_per_minute(600).build()?;
    let begun = Instant::now();
    let charge = quota.reserve(Cost::request()).await?.sent();
    // The reply was a 429 with `Retry-After: 20`.
    quota.observe(Instant::now(), &Observation::new(begun).refused(Some(Duration::from_secs(20))));
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

async fn give_way_to_overload() -> Result {
    heading("Overload: half as many at once, and back one by one");
    let (limiter, mut aimd) = (ConcurrencyLimiter::new(16), Aimd::new(16));
    let sent_at = Instant::now();
    sleep(Duration::from_millis(1)).await;
    // Three of one batch meet a 503: that is one overload, and not three.
    for _ in 0..3 {
        aimd.overloaded(sent_at, Instant::now());
    }
    limiter.resize(aimd.limit());
    print!("after an overload: {}", limiter.limit());
    for _ in 0..8 {
        aimd.succeeded(8);
    }
    limiter.resize(aimd.limit());
    println!(", after eight successes: {}", limiter.limit());
    assert_eq!(limiter.limit(), 9);
    Ok(())
}

async fn find_out_how_many() -> Result {
    heading("Nobody tells how many at once: the rate of finished work does");
    // This server does up to 24 calls at once in a second each. More at once take longer, and get no more done.
    let took = |at_once: usize| Duration::from_secs(1).mul_f64((at_once as f64 / 24.0).max(1.0));
    let mut auto = AutoConcurrency::new(1, 128);
    let begun = Instant::now();
    let mut seen = vec![auto.limit()];
    while begun.elapsed() < Duration::from_secs(60) {
        let (sent_at, at_once) = (Instant::now(), auto.limit());
        for in_flight in 0..at_once {
            auto.started(sent_at, in_flight);
        }
        sleep(took(at_once)).await;
        for _ in 0..at_once {
            auto.ended(Instant::now(), sent_at, End::Done { work: 1 });
        }
        if seen.last() != Some(&auto.limit()) {
            seen.push(auto.limit());
        }
    }
    println!("limits tried in a minute: {seen:?}");
    assert!(auto.limit() >= 24);
    Ok(())
}
