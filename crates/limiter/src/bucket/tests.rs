//! The arithmetic of buckets: exact over years, without overflow, and never faster than the rate.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::Bucket;

const SECOND: Duration = Duration::from_secs(1);

fn empty(amount: u64, period: Duration, capacity: u64, now: Instant) -> Bucket {
    let mut bucket = Bucket::full(amount, period, capacity, now);
    bucket.take(capacity);
    bucket
}

/// Thirty years of awkward rates. After any number of uneven steps the bucket has exactly the whole units that the rate has
/// brought, and the next unit comes in exactly the nanosecond in which it is due.
#[test]
fn no_error_adds_up_in_a_billion_seconds() {
    let start = Instant::now();
    for (amount, period) in [(1, 86_400), (7, 60), (333, 3_600), (450_000_000, 60), (999_999_999, 86_400)] {
        let mut bucket = empty(amount, Duration::from_secs(period), u64::MAX, start);
        let mut now = start;
        for step in 0..10_000_u64 {
            now += Duration::new(100_000, u32::try_from(step * 7_919 % 1_000_000_000).unwrap());
            bucket.refill(now);
        }
        let elapsed = now.duration_since(start).as_nanos();
        let brought = elapsed * u128::from(amount) / (u128::from(period) * 1_000_000_000);
        assert_eq!(bucket.units(), i128::try_from(brought).unwrap(), "{amount} per {period} s");
        let next = u64::try_from(brought + 1).unwrap();
        let due = bucket.covers_at(next, 0).unwrap();
        bucket.refill(due - Duration::from_nanos(1));
        assert!(!bucket.covers(next, 0));
        bucket.refill(due);
        assert!(bucket.covers(next, 0));
    }
}

#[test]
fn an_idle_bucket_does_not_overflow() {
    let now = Instant::now();
    let mut bucket = Bucket::full(1_000, SECOND, 5, now);
    bucket.refill(now + Duration::from_secs(86_400 * 365));
    assert_eq!(bucket.units(), 5);
    bucket.put(u64::MAX);
    assert_eq!(bucket.units(), 5);
}

#[test]
fn a_clock_that_goes_back_brings_nothing() {
    let start = Instant::now() + Duration::from_secs(7_200);
    let mut bucket = empty(10, SECOND, 10, start);
    bucket.refill(start - Duration::from_secs(3_600));
    assert_eq!(bucket.units(), 0);
    bucket.refill(start);
    assert_eq!(bucket.units(), 0);
    bucket.refill(start + SECOND);
    assert_eq!(bucket.units(), 10);
}

#[test]
fn a_rate_of_zero_never_covers_more_than_the_bucket_holds() {
    let now = Instant::now();
    let mut bucket = Bucket::full(0, SECOND, 1, now);
    assert_eq!(bucket.covers_at(1, 0), Some(now));
    bucket.take(1);
    assert_eq!(bucket.covers_at(1, 0), None);
}

#[test]
fn reshaping_keeps_the_units() {
    let now = Instant::now();
    let mut bucket = Bucket::full(7, SECOND, 1_000, now);
    bucket.take(900);
    bucket.reshape(3, Duration::from_secs(86_400), 50);
    assert_eq!(bucket.units(), 50, "what does not fit is lost");
    bucket.take(60);
    bucket.reshape(u64::MAX, Duration::from_secs(60), u64::MAX);
    assert_eq!(bucket.units(), -10, "debt is kept");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// With any numbers there is no panic and no overflow that adds units, and `covers_at` gives the first nanosecond.
    #[test]
    fn all_of_u64_is_safe(
        amount in any::<u64>(),
        period in 1_u64..=86_400,
        capacity in any::<u64>(),
        steps in prop::collection::vec((any::<u64>(), 0_u64..=1 << 62, any::<bool>()), 1..20),
    ) {
        let start = Instant::now();
        let mut now = start;
        let mut bucket = Bucket::full(amount, Duration::from_secs(period), capacity, start);
        for (cost, nanos, put) in steps {
            now = now.checked_add(Duration::from_nanos(nanos)).unwrap_or(now);
            bucket.refill(now);
            prop_assert!(bucket.units() <= i128::from(capacity));
            match bucket.covers_at(cost, 0) {
                Some(at) if at > now => {
                    prop_assert!(!bucket.covers(cost, 0));
                    let mut then = bucket.clone();
                    then.refill(at - Duration::from_nanos(1));
                    prop_assert!(!then.covers(cost, 0));
                    then.refill(at);
                    prop_assert!(then.covers(cost, 0));
                }
                Some(_) => {
                    prop_assert!(bucket.covers(cost, 0));
                    bucket.take(cost);
                }
                None => prop_assert!(!bucket.covers(cost, 0)),
            }
            if put {
                bucket.put(cost);
            }
        }
    }

    /// In any stretch of time no more is taken than the capacity plus what the rate brings.
    #[test]
    fn no_window_sees_more_than_burst_and_rate(
        amount in 1_u64..=1_000,
        capacity in 1_u64..=50,
        asks in prop::collection::vec((0_u64..=50, 0_u64..=200_000_000), 1..60),
    ) {
        let start = Instant::now();
        let mut now = start;
        let mut bucket = Bucket::full(amount, SECOND, capacity, start);
        let mut taken: Vec<(Instant, u64)> = Vec::new();
        for (cost, nanos) in asks {
            let cost = cost.min(capacity);
            now += Duration::from_nanos(nanos);
            bucket.refill(now);
            if bucket.covers(cost, 0) {
                bucket.take(cost);
                taken.push((now, cost));
            }
        }
        for (first, (from, _)) in taken.iter().enumerate() {
            let mut sum = 0;
            for (to, cost) in &taken[first..] {
                sum += u128::from(*cost);
                let nanos = to.duration_since(*from).as_nanos();
                let allowed = u128::from(capacity) * 1_000_000_000 + u128::from(amount) * nanos;
                prop_assert!(sum * 1_000_000_000 <= allowed);
            }
        }
    }

    /// It behaves as a single level that counts parts and never rounds.
    #[test]
    fn equals_a_single_level(
        amount in 0_u64..=2_000_000_000,
        period in 1_u64..=90_000,
        capacity in 0_u64..=3_000,
        steps in prop::collection::vec((0_u8..6, 0_u64..=4_000, 0_u64..=3_000_000_000), 1..60),
    ) {
        let start = Instant::now() + Duration::from_secs(7_200);
        let nanos = period * 1_000_000;
        let mut bucket = Bucket::full(amount, Duration::from_nanos(nanos), capacity, start);
        let parts = |units: u64| i128::from(units) * i128::from(nanos);
        let (mut level, mut seen, mut now) = (parts(capacity), start, start);
        for (step, units, elapsed) in steps {
            let needed = parts(units.min(capacity));
            match step {
                0 | 1 => {
                    now += Duration::from_nanos(elapsed);
                    if now > seen {
                        let passed = i128::try_from((now - seen).as_nanos()).unwrap();
                        level = (level + passed * i128::from(amount)).min(parts(capacity));
                        seen = now;
                    }
                    bucket.refill(now);
                }
                // The clock goes back by up to an hour. Nothing comes in until it is where it was.
                2 => now -= Duration::from_micros(elapsed / 1_000),
                3 => {
                    prop_assert_eq!(bucket.covers(units, 0), level >= needed);
                    bucket.take(units);
                    level -= parts(units);
                }
                4 => {
                    let there = level >= 0 && level / parts(1) >= i128::from(units);
                    prop_assert!(level < 0 || bucket.clone().take_if_there(units) == there);
                }
                _ => {
                    bucket.put(units);
                    level = (level + parts(units)).min(parts(capacity));
                }
            }
            prop_assert_eq!(bucket.level(), level);
            prop_assert_eq!(bucket.units(), level.div_euclid(parts(1)));
            prop_assert_eq!(bucket.is_full(), level == parts(capacity));
        }
    }
}
