//! Strict rates: never more than the amount in any stretch of time as long as the period.

use outbound_limiter::{MustWait, Rate, RateLimiter};
use proptest::prelude::*;
use tokio::time::{Instant, advance};

use crate::support::{at, ms, s, settle};

#[tokio::test(start_paused = true)]
async fn room_comes_back_one_period_after_each_request() {
    let limiter = RateLimiter::new(Rate::per_second(3).strict());
    let start = Instant::now();
    let mut times = Vec::new();
    for pause in [0, 100, 100, 0, 0, 0, 0] {
        advance(ms(pause)).await;
        limiter.acquire(1).await;
        times.push(at(start));
    }
    assert_eq!(times, [0, 100, 200, 1_000, 1_100, 1_200, 2_000]);
}

#[tokio::test(start_paused = true)]
async fn a_request_for_more_than_the_amount_is_never_admitted() {
    let limiter = RateLimiter::new(Rate::per_minute(10).strict());
    let never = Err(MustWait { until: None });
    assert_eq!(limiter.try_acquire_at(11, Instant::now()), never);
    assert_eq!(limiter.acquire(11).before(Instant::now() + s(1_000_000)).await, never);
    assert_eq!(limiter.try_acquire_at(10, Instant::now()), Ok(()));
    let until = Some(Instant::now() + s(60));
    assert_eq!(limiter.try_acquire_at(1, Instant::now()), Err(MustWait { until }));
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_is_dropped_goes_back() {
    let limiter = RateLimiter::new(Rate::per_second(4).strict());
    limiter.acquire(4).await;
    let mut waiting = Box::pin(limiter.acquire(4));
    assert!(crate::support::poll_once(waiting.as_mut()).is_pending());
    advance(s(1)).await;
    settle().await;
    assert_eq!(limiter.available(), 0, "it was admitted, and was not polled since");
    drop(waiting);
    assert_eq!(limiter.available(), 4);
}

#[tokio::test(start_paused = true)]
async fn changing_between_bucket_and_window_is_never_faster() {
    let limiter = RateLimiter::new(Rate::per_second(10));
    limiter.acquire(8).await;
    limiter.set_rate(Rate::per_second(10).strict());
    assert_eq!(limiter.available(), 2);
    advance(ms(999)).await;
    assert_eq!(limiter.available(), 2);
    advance(ms(1)).await;
    assert_eq!(limiter.available(), 10);
    limiter.acquire(7).await;
    limiter.set_rate(Rate::per_second(5));
    assert_eq!(limiter.available(), 3);
}

proptest! {
    /// Across the edge of a window there is the amount, and not twice the amount.
    #[test]
    fn no_window_sees_more_than_the_amount(
        asks in prop::collection::vec((0..900_u64, 1..8_u64), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let taken = runtime.unwrap().block_on(async {
            let limiter = RateLimiter::new(Rate::per_second(7).strict());
            let start = Instant::now();
            let mut taken = Vec::new();
            for (pause, units) in asks {
                advance(ms(pause)).await;
                limiter.acquire(units).await;
                taken.push((at(start), units));
            }
            taken
        });
        for (from, _) in &taken {
            let window = taken.iter().filter(|(at, _)| (*from..from + 1_000).contains(at));
            prop_assert!(window.map(|(_, units)| units).sum::<u64>() <= 7, "{:?}", taken);
        }
    }
}
