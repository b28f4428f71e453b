//! The order of a quota: which requests may overtake others.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
};

use outbound_limiter::{Cost, QuotaLimiter};
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use crate::support::{at, ms, poll_once};

fn cost(input: u64, output: u64) -> Cost {
    Cost::request().input_tokens(input).output_tokens(output)
}

/// 10 requests, 100 tokens of input and 10 of output a second.
fn quota() -> QuotaLimiter {
    let builder = QuotaLimiter::builder().requests_per_minute(600);
    builder.input_tokens_per_minute(6_000).output_tokens_per_minute(600).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_later_request_overtakes_where_it_delays_no_other() {
    let quota = quota();
    let start = Instant::now();
    drop(quota.reserve(cost(0, 130)).await.unwrap().sent());
    let mut head = pin!(quota.reserve(cost(10, 10)));
    assert!(poll_once(head.as_mut()).is_pending());
    // The first request waits for output until 13 s. This one uses no output, and leaves enough of the rest.
    drop(quota.reserve(cost(50, 0)).await.unwrap().sent());
    assert_eq!(at(start), 0);
    // A request that uses output stays behind it.
    let mut behind = pin!(quota.reserve(cost(0, 1)));
    assert!(poll_once(behind.as_mut()).is_pending());
    drop(head.await.unwrap().sent());
    assert_eq!(at(start), 13_000);
    drop(behind.await.unwrap().sent());
    assert_eq!(at(start), 13_100);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_overtaking_requests_does_not_delay_a_large_one() {
    let quota = quota();
    let start = Instant::now();
    drop(quota.reserve(cost(0, 60)).await.unwrap().sent());
    let large = tokio::spawn({
        let quota = quota.clone();
        async move {
            drop(quota.reserve(cost(3_000, 10)).await.unwrap().sent());
            at(start)
        }
    });
    let small = tokio::spawn({
        let quota = quota.clone();
        async move {
            for _ in 0..400 {
                drop(quota.reserve(cost(10, 0)).await.unwrap().sent());
            }
        }
    });
    // There is enough output at 6 s. At that time the large request needs a full bucket of input, and finds it.
    assert_eq!(large.await.unwrap(), 6_000);
    small.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn slots_are_kept_for_the_requests_ahead() {
    let builder = QuotaLimiter::builder().output_tokens_per_minute(600).max_concurrent(2);
    let quota = builder.build().unwrap();
    drop(quota.reserve(cost(0, 130)).await.unwrap().sent());
    let mut head = pin!(quota.reserve(cost(0, 10)));
    assert!(poll_once(head.as_mut()).is_pending());
    let passer = quota.try_reserve_at(cost(0, 0), Instant::now());
    assert!(passer.is_err(), "the `try_` form never overtakes");
    let mut one = pin!(quota.reserve(cost(0, 0)));
    let mut two = pin!(quota.reserve(cost(0, 0)));
    let _one = match poll_once(one.as_mut()) {
        std::task::Poll::Ready(reservation) => reservation.unwrap(),
        std::task::Poll::Pending => panic!("there is a slot for it and one for the head"),
    };
    assert!(poll_once(two.as_mut()).is_pending(), "the last slot is kept for the first request");
}

#[derive(Debug, Clone, Copy)]
struct Ask {
    after: u64,
    input: u64,
    output: u64,
}

fn ask() -> impl Strategy<Value = Ask> {
    let output = prop_oneof![Just(0), 0_u64..40];
    let input = prop_oneof![Just(0), 0_u64..400];
    (0_u64..300, input, output).prop_map(|(after, input, output)| Ask { after, input, output })
}

/// The times of strict first in, first out, in steps of 1 ms. No request may be later than these.
fn fifo(asks: &[Ask]) -> Vec<u128> {
    const UNIT: i64 = 1_000;
    let (rates, full) = ([10, 100, 10], [10 * UNIT, 100 * UNIT, 10 * UNIT]);
    let mut levels = full;
    let (mut granted, mut arrival, mut now) = (Vec::new(), 0, 0);
    for ask in asks {
        arrival += ask.after;
        let cost = [1, ask.input.cast_signed(), ask.output.cast_signed()].map(|units| units * UNIT);
        let mut wait = |until: &dyn Fn(u64, &[i64; 3]) -> bool| {
            while !until(now, &levels) {
                now += 1;
                for (level, (rate, full)) in levels.iter_mut().zip(rates.iter().zip(full)) {
                    *level = full.min(*level + rate);
                }
            }
        };
        wait(&|now, _| now >= arrival);
        wait(&|_, levels| (0..3).all(|one| levels[one] >= cost[one].min(full[one])));
        levels.iter_mut().zip(cost).for_each(|(level, cost)| *level -= cost);
        granted.push(u128::from(now));
    }
    granted
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Overtaking makes no request later than strict first in, first out would, and all requests are admitted.
    #[test]
    fn passing_delays_nobody(asks in prop::collection::vec(ask(), 1..25)) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let real = runtime.block_on(async {
            let (quota, start) = (quota(), Instant::now());
            let granted = Arc::new(Mutex::new(vec![0; asks.len()]));
            let mut tasks = Vec::new();
            for (id, &ask) in asks.iter().enumerate() {
                sleep(ms(ask.after)).await;
                let (quota, granted) = (quota.clone(), Arc::clone(&granted));
                tasks.push(tokio::spawn(async move {
                    drop(quota.reserve(cost(ask.input, ask.output)).await.unwrap().sent());
                    granted.lock().unwrap()[id] = at(start);
                }));
                tokio::task::yield_now().await;
            }
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!((quota.snapshot().waiting, quota.snapshot().in_flight), (0, 0));
            granted.lock().unwrap().clone()
        });
        for (id, (real, fifo)) in real.iter().zip(fifo(&asks)).enumerate() {
            prop_assert!(*real <= fifo, "request {id} at {real}, without overtaking at {fifo}");
        }
    }
}
