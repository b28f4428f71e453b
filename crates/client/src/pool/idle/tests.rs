//! Tests of how a server's idle limit is learned and forgotten.

use super::*;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Closings at these ages, ten seconds apart. Also returns when the next one would be.
fn closings(ages: &[u64]) -> (IdleAges, Instant) {
    let mut seen = IdleAges::default();
    let mut now = Instant::now();
    for age in ages {
        seen.closed(Duration::from_millis(*age), now);
        now += secs(10);
    }
    (seen, now)
}

fn learned(ages: &[u64]) -> Option<u128> {
    let (seen, now) = closings(ages);
    seen.limit(now).map(|limit| limit.as_millis())
}

#[test]
fn three_that_agree_are_a_limit() {
    assert_eq!(learned(&[]), None);
    assert_eq!(learned(&[5_000, 5_000]), None);
    assert_eq!(learned(&[5_000, 5_000, 5_000]), Some(4_000));
    assert_eq!(learned(&[5_400, 5_000, 6_000]), Some(4_000), "a second apart");
    assert_eq!(learned(&[5_000, 5_000, 6_300]), None, "further");
    assert_eq!(learned(&[75_000, 60_000, 65_000]), Some(59_000), "a quarter apart");
    assert_eq!(learned(&[76_000, 60_000, 65_000]), None, "further");
    assert_eq!(learned(&[5_000, 60_000, 5_000, 2_000, 5_000]), Some(4_000), "others between them");
    assert_eq!(learned(&[60_000, 60_000, 60_000, 5_000, 5_000, 5_000]), Some(4_000), "the shorter of two");
}

#[test]
fn it_is_never_below_a_second() {
    assert_eq!(learned(&[999, 999, 999, 999]), None);
    assert_eq!(learned(&[1_000, 1_000, 1_000]), Some(1_000));
    assert_eq!(learned(&[1_900, 1_900, 1_900]), Some(1_000));
    assert_eq!(learned(&[3_000, 3_000, 3_000]), Some(2_000));
}

#[test]
fn closings_at_one_time_are_one() {
    let start = Instant::now();
    let mut ages = IdleAges::default();
    for _ in 0..2 {
        for age in (2..50).rev() {
            ages.closed(secs(age), start + Duration::from_millis(999));
        }
    }
    assert_eq!(ages.limit(start), None);
    ages.closed(secs(2), start + secs(2));
    assert_eq!(ages.limit(start), None, "two events");
    ages.closed(secs(2), start + secs(3));
    assert_eq!(ages.limit(start), Some(secs(1)), "the youngest of the first event counts");
}

#[test]
fn it_is_forgotten_in_time() {
    let (ages, now) = closings(&[5_000, 5_000, 5_000, 5_000]);
    // The third newest came 30 s ago.
    assert_eq!(ages.limit(now + secs(569)), Some(secs(4)));
    assert_eq!(ages.limit(now + secs(570)), None);
    let (mut ages, now) = closings(&[5_000, 5_000]);
    ages.closed(secs(5), now + secs(599));
    assert_eq!(ages.limit(now + secs(599)), None, "the first two are too old by then");
}

#[test]
fn one_that_lived_longer_overrules_it() {
    let (mut ages, now) = closings(&[5_000, 5_000, 5_500]);
    ages.outlasted(|| secs(5), now);
    assert_eq!(ages.limit(now), Some(secs(4)), "not longer");
    ages.outlasted(|| Duration::from_millis(5_400), now);
    assert_eq!(ages.limit(now), None);
    ages.closed(Duration::from_millis(5_500), now + secs(10));
    assert_eq!(ages.limit(now), None);
    ages.closed(Duration::from_millis(5_500), now + secs(20));
    assert_eq!(ages.limit(now), Some(Duration::from_millis(4_500)), "those that still hold count");
}

#[test]
fn what_is_kept_is_bounded() {
    let (ages, _) = closings(&[5_000; 100]);
    assert_eq!(ages.seen.len(), IdleAges::MAX_SEEN);
    let many: Vec<_> =
        [5_000, 5_000, 5_000].into_iter().chain((0..8).map(|n| 100_000 + n * 50_000)).collect();
    assert_eq!(learned(&many), None, "eight others came since");
}
