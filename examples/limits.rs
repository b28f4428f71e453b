//! Limits: so many at once, and so many per minute. (Quotas that count several things together are the example `quotas`.)
//!
//! ```sh
//! cargo run --example limits
//! ```
//!
//! It runs on tokio's paused clock: where every task waits, time jumps to the next timer. So the waits are exact, and
//! minutes take no time.

use std::{cell::Cell, time::Duration};

use futures::future::{join, join_all, try_join, try_join_all};
use outbound::{
    limiter::{ConcurrencyLimiter, Keyed, MustWait, Rate, RateLimiter},
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
    close().await?;
    without_waiting().await?;
    rate().await?;
    strict_window().await?;
    not_before_or_not_at_all().await?;
    one_for_each_key().await?;
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
    // `run` calls the closure when it has a permit, and gives the permit back however the future ends.
    let calls = (0..10).map(|_| limiter.run(|| service.call(Duration::from_secs(1))));
    join_all(calls).await;
    println!("10 calls of 1 s, {} at most at once, in {:?}", service.peak.get(), begun.elapsed());
    assert_eq!((service.peak.get(), begun.elapsed().as_secs()), (3, 4));

    // To cover more than one future, hold the permit. It is given back when it is dropped.
    let permit = limiter.acquire().await;
    service.call(Duration::from_secs(1)).await;
    println!("holding {} permit, {} are free", permit.count(), limiter.available());
    drop(permit);
    assert_eq!(limiter.available(), 3);
    Ok(())
}

async fn weighted() -> Result {
    heading("Weighted: a large job takes more permits, and small jobs do not starve it");
    let limiter = ConcurrencyLimiter::new(10);
    let begun = Instant::now();
    let jobs = [("small", 2), ("small", 2), ("large", 8), ("small", 2), ("small", 2)];
    // First come, first served: the small ones behind the large one begin no sooner than it does.
    let ends = try_join_all(jobs.map(async |(name, weight)| -> Result<u64> {
        let _permit = limiter.acquire_many(weight).await;
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
    let calls = join_all((0..18).map(|_| limiter.run(|| service.call(Duration::from_secs(1)))));
    let operator = async {
        sleep(Duration::from_millis(2500)).await;
        println!("after {:?}: {} waiting, from 2 to 6", begun.elapsed(), limiter.waiting());
        limiter.resize(6);
    };
    join(calls, operator).await;
    println!(
        "18 calls of 1 s in {:?} instead of 9 s, {} at most at once",
        begun.elapsed(),
        service.peak.get()
    );
    assert_eq!((service.peak.get(), begun.elapsed()), (6, Duration::from_secs(5)));
    Ok(())
}

async fn close() -> Result {
    heading("A shutdown: calls under way finish, and waiting calls learn that it is over");
    let (limiter, stopped) = (ConcurrencyLimiter::new(1), Cell::new(false));
    let permit = limiter.acquire().await;
    let waiting = async {
        let _permit = limiter.acquire().await;
        if stopped.get() { Err("shut down") } else { Ok(()) }
    };
    let (answer, ()) = join(waiting, async {
        stopped.set(true);
        limiter.resize(ConcurrencyLimiter::MAX_PERMITS);
    })
    .await;
    println!("the one who waited: {answer:?}");
    assert_eq!((answer, permit.count()), (Err("shut down"), 1));
    Ok(())
}

async fn without_waiting() -> Result {
    heading("Without waiting, and into a task");
    let limiter = ConcurrencyLimiter::new(1);
    // An owned permit borrows nothing, so that a task can have it.
    let permit = limiter.acquire_owned().await;
    println!("free while the task has it: {}", limiter.try_acquire().is_some());
    tokio::spawn(async move { drop(permit) }).await?;
    println!("free after it: {}", limiter.try_acquire().is_some());

    let rate = RateLimiter::new(Rate::per_second(1).burst(1));
    println!("now: {:?}, once more: {}", rate.try_acquire(1), rate.try_acquire(1).is_ok());
    Ok(())
}

async fn rate() -> Result {
    heading("Rate: 120 per minute, five of them at once");
    let limiter = RateLimiter::new(Rate::per_minute(120).burst(5));
    let begun = Instant::now();
    let mut starts = Vec::new();
    for _ in 0..9 {
        limiter.acquire(1).await;
        starts.push(begun.elapsed().as_millis());
    }
    println!("starts, in ms: {starts:?}");
    assert_eq!(starts, [0, 0, 0, 0, 0, 500, 1000, 1500, 2000]);

    // A rate can be changed. A request can be for more than one unit.
    limiter.set_rate(Rate::per_second(10).burst(1));
    limiter.acquire(20).await;
    limiter.acquire(1).await;
    println!("20 units at 10 per second, then another: after {:?}", begun.elapsed());
    assert_eq!(begun.elapsed().as_millis(), 2000 + 2100);
    Ok(())
}

async fn strict_window() -> Result {
    heading("Strict: never more than three in any second, for a server that keeps a sliding log");
    let limiter = RateLimiter::new(Rate::per(3, Duration::from_secs(1)).strict());
    let begun = Instant::now();
    let mut starts = Vec::new();
    for pause in [0, 300, 300, 0, 0] {
        sleep(Duration::from_millis(pause)).await;
        limiter.acquire(1).await;
        starts.push(begun.elapsed().as_millis());
    }
    println!("starts, in ms: {starts:?}");
    assert_eq!(starts, [0, 300, 600, 1000, 1300]);
    Ok(())
}

async fn not_before_or_not_at_all() -> Result {
    heading("Too late is said at once");
    let limiter = RateLimiter::new(Rate::per_minute(1).burst(1));
    limiter.acquire(1).await;
    let begun = Instant::now();
    // Its turn would come in a minute. So it would wait ten seconds for nothing.
    let late = limiter.acquire(1).before(begun + Duration::from_secs(10)).await;
    let error = late.err().ok_or("a minute is more than ten seconds")?;
    println!("{error} (said after {:?})", begun.elapsed());
    assert_eq!(error, MustWait { until: Some(begun + Duration::from_secs(60)) });
    Ok(())
}

async fn one_for_each_key() -> Result {
    heading("One for each key: every host has a rate of its own");
    let hosts = Keyed::new(|host: &String| {
        RateLimiter::new(Rate::per_second(if host == "slow.example" { 1 } else { 10 }).burst(1))
    });
    let begun = Instant::now();
    let calls = |host: &'static str| {
        let limiter = hosts.get(host);
        async move {
            for _ in 0..4 {
                limiter.acquire(1).await;
            }
            begun.elapsed().as_millis()
        }
    };
    let (slow, fast) = join(calls("slow.example"), calls("fast.example")).await;
    println!("four calls each: the slow host's after {slow} ms, the fast one's after {fast} ms");
    assert_eq!((slow, fast), (3000, 300));
    // Those at rest are forgotten; what is owed is not.
    sleep(Duration::from_millis(500)).await;
    assert_eq!((hosts.forget_idle(), hosts.len()), (1, 1));
    Ok(())
}

async fn with_retries() -> Result {
    heading("With retries: nothing is held between two attempts");
    const POLICY: Retry = Retry::attempts(3).wait(Wait::fixed(Duration::from_secs(10)));
    let (service, limiter) = (Service::default(), ConcurrencyLimiter::new(1));
    let begun = Instant::now();
    // The limit is inside the retries: each attempt takes a permit of its own, and the wait takes none.
    let unlucky = POLICY.call(async |attempt| -> Result<Duration> {
        limiter.run(|| service.call(Duration::from_secs(1))).await;
        if attempt.is_retry() { Ok(begun.elapsed()) } else { Err("overloaded".into()) }
    });
    let others = try_join_all((0..5).map(async |_| -> Result<Duration> {
        limiter.run(|| service.call(Duration::from_secs(1))).await;
        Ok(begun.elapsed())
    }));
    let (unlucky, others) = try_join(unlucky, others).await?;
    println!("the others were done after {others:?}, the retried one after {unlucky:?}");
    assert_eq!((others[4].as_secs(), unlucky.as_secs()), (6, 12));
    Ok(())
}
