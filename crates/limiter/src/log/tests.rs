//! Sliding logs: no window ever has more than the limit, and the number of entries is bounded.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::Log;

#[derive(Debug, Clone, Copy)]
enum Step {
    Wait(u64),
    Take(u64),
    Put(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..400_u64).prop_map(Step::Wait),
        (0..30_u64).prop_map(Step::Take),
        (0..10_u64).prop_map(Step::Put),
    ]
}

proptest! {
    /// Whatever is taken and put back, no window has more than the limit.
    #[test]
    fn no_window_sees_more_than_the_limit(limit in 1..60_u64, steps in prop::collection::vec(step(), 1..200)) {
        let start = Instant::now();
        let window = Duration::from_secs(1);
        let mut log = Log::new(limit, window, start);
        let mut now = start;
        let mut taken: Vec<(Instant, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(ms) => now += Duration::from_millis(ms),
                Step::Take(units) => {
                    log.refill(now);
                    let foreseen = log.covers_at(units, 0);
                    if log.has(units) {
                        prop_assert_eq!(foreseen, Some(now));
                        log.take(units);
                        taken.push((now, units));
                    } else if let Some(at) = foreseen {
                        prop_assert!(at > now && at <= now + window);
                        let mut later = log.clone();
                        later.refill(at);
                        prop_assert!(later.has(units));
                        prop_assert!(log.covers_by(at, units, 0));
                    } else {
                        prop_assert!(units > limit);
                    }
                }
                Step::Put(units) => {
                    log.refill(now);
                    // Units are taken off the latest entries, which is the hardest case for the count.
                    let mut left = units.min(taken.iter().filter(|(at, _)| now - *at < window).map(|(_, units)| units).sum());
                    log.put(left);
                    for (_, units) in taken.iter_mut().rev() {
                        let part = left.min(*units);
                        *units -= part;
                        left -= part;
                    }
                }
            }
            let in_window: u64 = taken.iter().filter(|(at, _)| now - *at < window).map(|(_, units)| units).sum();
            prop_assert!(in_window <= limit, "{} in a window of {}", in_window, limit);
        }
    }

    #[test]
    fn all_of_u64_is_safe(limit: u64, cost: u64, again: u64, ahead: u128, nanos in 0..u64::MAX / 4) {
        let now = Instant::now();
        let mut log = Log::new(limit, Duration::from_secs(60), now);
        log.take(cost);
        log.take(again);
        log.covers_at(again, ahead);
        log.put(again);
        log.refill(now + Duration::from_nanos(nanos));
        log.covers_by(now, cost, ahead);
        prop_assert!(log.available() <= limit);
    }
}

#[test]
fn a_log_has_no_more_entries_than_grains() {
    let start = Instant::now();
    let mut log = Log::new(u64::MAX, Duration::from_secs(1), start);
    for us in 0..2_000_000_u64 {
        log.refill(start + Duration::from_micros(us));
        log.take(1);
    }
    assert!(log.entries.len() <= 1_026, "{}", log.entries.len());
    // Units come back at most one grain late.
    assert!((1_000_000..=1_001_000).contains(&(u64::MAX - log.available())));
}
