//! A simulation of a service where a few calls are very slow: what hedging gains there, and what it costs. It is seeded
//! and runs on the paused clock.

use std::{cell::Cell, time::Duration};

use futures::{StreamExt, stream};
use outbound_retry::{Budget, Hedge, Latencies};
use tokio::time::{Instant, sleep};

use super::HEDGE;

const CALLS: u64 = 60_000;
const IN_FLIGHT: usize = 50;

/// A number in (0, 1] that depends only on the call and its attempt.
fn draw(call: u64, attempt: u32) -> f64 {
    let z = (call * 2 + u64::from(attempt)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (((z ^ (z >> 31)) >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

/// At least 10 ms, and longer than *t* in 10 ms / *t* of the cases. This is Pareto's distribution with an infinite mean,
/// cut at one minute.
fn heavy(call: u64, attempt: u32) -> Duration {
    Duration::from_secs_f64((0.010 / draw(call, attempt)).min(60.0))
}

struct Outcome {
    /// The time each call took, in ascending order.
    took: Vec<Duration>,
    hedges: u64,
    denied: u64,
}

impl Outcome {
    fn per_mille(&self, n: usize) -> Duration {
        self.took[self.took.len() * n / 1_000]
    }
}

/// Makes all calls, and checks at each hedge that it is within the budget.
async fn simulate(hedge: Hedge, percent: u32, latency: impl Fn(u64, u32) -> Duration) -> Outcome {
    let (latencies, budget) = (Latencies::new(), Budget::percent(percent).reserve(0));
    let (calls, hedges) = (Cell::new(0), Cell::new(0));
    let (latency, latencies, budget, calls, hedges) = (&latency, &latencies, &budget, &calls, &hedges);
    let took = stream::iter(0..CALLS).map(|call| async move {
        let begun = Instant::now();
        let hedged = hedge.call_idempotent(latencies, budget, |attempt| {
            if attempt.is_retry() {
                hedges.set(hedges.get() + 1);
                assert!(hedges.get() * 100 <= calls.get() * u64::from(percent), "a hedge beyond the budget");
            } else {
                calls.set(calls.get() + 1);
            }
            async move {
                sleep(latency(call, attempt.number())).await;
                Ok::<_, ()>(())
            }
        });
        hedged.await.unwrap();
        begun.elapsed()
    });
    let mut took: Vec<_> = took.buffer_unordered(IN_FLIGHT).collect().await;
    took.sort_unstable();
    assert_eq!(took.len() as u64, CALLS);
    Outcome { took, hedges: hedges.get(), denied: budget.denied() }
}

#[tokio::test(start_paused = true)]
async fn the_slowest_calls_are_ten_times_faster_for_one_hedge_in_twenty_calls() {
    let plain = simulate(Hedge::at_percentile(100), 5, heavy).await;
    assert_eq!(plain.hedges, 0);
    let hedged = simulate(HEDGE, 5, heavy).await;
    let [before, after] = [&plain, &hedged].map(|outcome| [500, 990, 999].map(|n| outcome.per_mille(n)));
    println!(
        "median, p99, p99.9: {before:?} without, {after:?} with {} hedges of {CALLS} calls, {} denied",
        hedged.hedges, hedged.denied
    );
    assert!(after[2] * 10 <= before[2], "{before:?} {after:?}");
    assert!(hedged.hedges * 100 <= CALLS * 5, "{}", hedged.hedges);
    // The percentile alone keeps the hedges to their share. The budget hardly ever refuses.
    assert!(hedged.denied * 20 <= hedged.hedges, "{} denied", hedged.denied);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_turns_slow_is_not_asked_for_more_than_the_budget() {
    // The server is suddenly fifty times slower. All calls look slow until the latencies have followed.
    let slows_down = |call, attempt| heavy(call, attempt) * if call < CALLS / 2 { 1 } else { 50 };
    let hedged = simulate(HEDGE, 5, slows_down).await;
    assert!(hedged.hedges * 100 <= CALLS * 5, "{}", hedged.hedges);
    assert!(hedged.denied * 10 <= hedged.hedges, "the latencies follow the server: {} denied", hedged.denied);
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_pays_for_no_hedge() {
    let hedged = simulate(HEDGE, 0, heavy).await;
    assert_eq!(hedged.hedges, 0);
    assert!(
        hedged.denied * 100 <= CALLS * 5,
        "the percentile alone would keep to a twentieth: {}",
        hedged.denied
    );
}
