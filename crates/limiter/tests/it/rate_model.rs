//! Random schedules, compared with a model: a queue, and a level that is counted step by step in parts of a nanosecond.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use outbound_limiter::{Rate, RateLimiter};
use proptest::prelude::*;
use tokio::time::{Instant, sleep, sleep_until};

#[derive(Debug, Clone, Copy)]
struct Ask {
    /// Milliseconds after the request before.
    after: u64,
    cost: u64,
    /// The request is dropped this many milliseconds after it came, if it still waits.
    patience: Option<u64>,
}

fn ask() -> impl Strategy<Value = Ask> {
    let patience = prop::option::weighted(0.3, 1_u64..3_000);
    (0_u64..400, 0_u64..30, patience).prop_map(|(after, cost, patience)| Ask { after, cost, patience })
}

/// What should happen: for each request the millisecond at which it is admitted, or `None`. Time goes in steps of 1 ms, as in
/// tokio's timer. Within one step an admission comes before a drop.
fn model(per_second: u64, burst: u64, asks: &[Ask], rates: &[(u64, u64)]) -> Vec<Option<u64>> {
    let unit = 1_000_i64;
    let full = burst.cast_signed() * unit;
    let mut level = full;
    let mut granted = vec![None; asks.len()];
    let mut arrivals = Vec::new();
    let mut time = 0;
    for ask in asks {
        time += ask.after;
        arrivals.push(time);
    }
    let mut waiting: Vec<usize> = Vec::new();
    let mut next = 0;
    for now in 0.. {
        while next < asks.len() && arrivals[next] == now {
            waiting.push(next);
            next += 1;
        }
        let mut serve = |waiting: &mut Vec<usize>| {
            while let Some(&id) = waiting.first() {
                let cost = asks[id].cost.cast_signed() * unit;
                if level < cost.min(full) {
                    break;
                }
                level -= cost;
                granted[id] = Some(now);
                waiting.remove(0);
            }
        };
        serve(&mut waiting);
        waiting.retain(|&id| asks[id].patience.is_none_or(|patience| now < arrivals[id] + patience));
        serve(&mut waiting);
        if next == asks.len() && waiting.is_empty() {
            return granted;
        }
        // A new rate holds from its millisecond on. Units that came in before do not change.
        let rate = rates.iter().rfind(|(from, _)| *from <= now).map_or(per_second, |(_, rate)| *rate);
        level = full.min(level + rate.cast_signed());
    }
    unreachable!("the loop has no end");
}

async fn real(per_second: u64, burst: u64, asks: &[Ask], rates: &[(u64, u64)]) -> Vec<Option<u64>> {
    let limiter = RateLimiter::new(Rate::per_second(per_second).burst(burst));
    let granted = Arc::new(Mutex::new(vec![None; asks.len()]));
    let start = Instant::now();
    let mut tasks = Vec::new();
    for &(at, rate) in rates {
        let limiter = limiter.clone();
        tasks.push(tokio::spawn(async move {
            sleep_until(start + Duration::from_millis(at)).await;
            limiter.set_rate(Rate::per_second(rate).burst(burst));
        }));
    }
    for (id, &ask) in asks.iter().enumerate() {
        sleep(Duration::from_millis(ask.after)).await;
        let (limiter, granted) = (limiter.clone(), Arc::clone(&granted));
        tasks.push(tokio::spawn(async move {
            let patience = async {
                match ask.patience {
                    Some(patience) => sleep(Duration::from_millis(patience)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = limiter.acquire(ask.cost) => {
                    granted.lock().unwrap()[id] = Some(u64::try_from(start.elapsed().as_millis()).unwrap());
                }
                () = patience => {}
            }
        }));
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(limiter.waiting(), 0);
    Arc::into_inner(granted).unwrap().into_inner().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No request is dropped: each is admitted in exactly the millisecond of the model.
    #[test]
    fn grants_come_when_the_model_says(
        per_second in 1_u64..300,
        burst in 0_u64..40,
        asks in prop::collection::vec(ask(), 1..25),
    ) {
        let asks: Vec<_> = asks.into_iter().map(|ask| Ask { patience: None, ..ask }).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        prop_assert_eq!(runtime.block_on(real(per_second, burst, &asks, &[])), model(per_second, burst, &asks, &[]));
    }

    /// The rate changes while requests wait: the rest of the schedule is computed anew each time.
    #[test]
    fn re_rating_equals_the_schedule_worked_out_anew(
        per_second in 1_u64..300,
        burst in 0_u64..40,
        asks in prop::collection::vec(ask(), 1..25),
        changes in prop::collection::vec((1_u64..2_000, 1_u64..300), 1..6),
    ) {
        let asks: Vec<_> = asks.into_iter().map(|ask| Ask { patience: None, ..ask }).collect();
        let mut at = 0;
        let rates: Vec<_> = changes.into_iter().map(|(after, rate)| { at += after; (at, rate) }).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let real = runtime.block_on(real(per_second, burst, &asks, &rates));
        prop_assert_eq!(real, model(per_second, burst, &asks, &rates));
    }

    /// Some requests are dropped: from then on the others are admitted as if the dropped ones had never come.
    #[test]
    fn cancelling_is_as_if_never_asked(
        per_second in 1_u64..300,
        burst in 0_u64..40,
        mut asks in prop::collection::vec(ask(), 1..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let mut ends = BTreeSet::new();
        let mut arrival = 0;
        for ask in &mut asks {
            arrival += ask.after;
            // No two requests are dropped in the same millisecond, because then their order would matter.
            if let Some(patience) = &mut ask.patience {
                while !ends.insert(arrival + *patience) {
                    *patience += 1;
                }
            }
        }
        prop_assert_eq!(runtime.block_on(real(per_second, burst, &asks, &[])), model(per_second, burst, &asks, &[]));
    }
}
