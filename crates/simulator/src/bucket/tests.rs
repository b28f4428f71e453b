//! Buckets: their arithmetic, and a property against integers of any size.

use proptest::prelude::*;

use super::*;

const S1: Duration = Duration::from_secs(1);

#[test]
fn starts_full_and_refills_all_the_time() {
    let mut bucket = Bucket::new(600, S1);
    for _ in 0..10 {
        assert_eq!(bucket.wait(Duration::ZERO, 1), Ok(()));
        bucket.take(1);
    }
    assert_eq!(bucket.wait(Duration::ZERO, 1), Err(Some(Duration::from_millis(100))));
    assert_eq!(bucket.remaining(Duration::from_millis(99)), 0);
    assert_eq!(bucket.wait(Duration::from_millis(100), 1), Ok(()));
    assert_eq!(bucket.remaining(S1 * 5), 10);
    assert_eq!(bucket.full_in(S1 * 5), Duration::ZERO);
}

#[test]
fn a_limit_of_zero_lets_nothing_through_and_tells_no_wait() {
    let mut bucket = Bucket::new(0, S1);
    assert_eq!(bucket.wait(S1, 1), Err(None));
    assert_eq!(bucket.full_in(S1), Duration::MAX);
}

#[test]
fn a_burst_shorter_than_one_unit_still_holds_one() {
    let mut bucket = Bucket::new(6, Duration::ZERO);
    assert_eq!(bucket.wait(Duration::ZERO, 1), Ok(()));
    bucket.take(1);
    assert_eq!(bucket.wait(Duration::ZERO, 1), Err(Some(S1 * 10)));
}

#[test]
fn an_oversized_amount_waits_for_a_full_bucket_and_leaves_a_debt() {
    let mut bucket = Bucket::new(600, S1);
    bucket.take(1);
    assert_eq!(bucket.wait(Duration::ZERO, 50), Err(Some(Duration::from_millis(100))));
    assert_eq!(bucket.wait(Duration::from_millis(100), 50), Ok(()));
    bucket.take(50);
    assert_eq!(bucket.remaining(Duration::from_millis(100)), 0);
    assert_eq!(bucket.wait(Duration::from_millis(100), 1), Err(Some(Duration::from_millis(4_100))));
    assert_eq!(bucket.wait(S1 * 60, 601), Err(None));
}

#[test]
fn settling_gives_back_at_most_a_full_bucket() {
    let mut bucket = Bucket::new(600, S1);
    bucket.take(10);
    bucket.settle(Duration::ZERO, 10, 4);
    assert_eq!(bucket.remaining(Duration::ZERO), 6);
    bucket.settle(Duration::ZERO, 100, 0);
    assert_eq!(bucket.remaining(Duration::ZERO), 10);
    bucket.settle(Duration::ZERO, 0, 15);
    assert_eq!(bucket.remaining(Duration::ZERO), 0);
}

#[test]
fn the_extremes_do_not_overflow() {
    let mut bucket = Bucket::new(u64::MAX, Duration::MAX);
    bucket.take(u64::MAX);
    bucket.settle(Duration::MAX, 0, u64::MAX);
    bucket.settle(Duration::MAX, u64::MAX, 0);
    bucket.remaining(Duration::MAX);
    bucket.full_in(Duration::MAX);
}

proptest! {
    /// For any amounts at any times: what was let through by time t is at most the burst plus the refill up to t. A refused
    /// amount is let through exactly when the wait said, and not a nanosecond sooner.
    #[test]
    fn never_more_than_burst_plus_refill(
        limit in 1_u64..100_000,
        burst_ms in 0_u64..120_000,
        asks in prop::collection::vec((0_u64..2_000, 1_u64..50), 1..60),
    ) {
        let burst = Duration::from_millis(burst_ms);
        let mut bucket = Bucket::new(limit, burst);
        let capacity = bucket.capacity;
        let (mut now, mut taken) = (Duration::ZERO, 0_i128);
        for (gap, amount) in asks {
            now += Duration::from_millis(gap);
            match bucket.wait(now, amount) {
                Ok(()) => {
                    bucket.take(amount);
                    taken += i128::from(amount) * UNIT;
                    let oversized = (i128::from(amount) * UNIT - capacity).max(0);
                    prop_assert!(taken <= capacity + i128::from(limit) * nanos(now) + oversized);
                }
                Err(Some(wait)) => {
                    prop_assert!(bucket.clone().wait(now + wait, amount).is_ok());
                    prop_assert!(bucket.clone().wait(now + wait - Duration::from_nanos(1), amount).is_err());
                }
                Err(None) => prop_assert!(amount > limit),
            }
        }
    }
}
