//! The arithmetic of waits: shapes, jitters, bounds, sums and draws.

use std::time::Duration;

use proptest::prelude::*;

use super::{Wait, fibonacci};
use crate::draw::Draw;

const S: Duration = Duration::from_secs(1);
const RETRIES: [u32; 12] = [0, 1, 2, 31, 32, 63, 64, 1_024, 1_025, 1 << 20, u32::MAX - 1, u32::MAX];

fn plain(wait: &Wait, retry: u32) -> Duration {
    wait.before(retry, Duration::ZERO, || panic!("nothing is random here"))
}

fn jittered(wait: &Wait, retry: u32, seed: u64) -> Duration {
    wait.before(retry, Duration::ZERO, || seed)
}

#[test]
fn shapes() {
    let first = |wait: Wait| [1, 2, 3, 4, 5].map(|retry| plain(&wait, retry).as_secs());
    assert_eq!(first(Wait::none()), [0; 5]);
    assert_eq!(first(Wait::none().min(S).additive_jitter(S)), [0; 5]);
    assert_eq!(first(Wait::fixed(3 * S)), [3; 5]);
    assert_eq!(first(Wait::incrementing(S, 2 * S)), [1, 3, 5, 7, 9]);
    assert_eq!(first(Wait::exponential(S)), [1, 2, 4, 8, 16]);
    assert_eq!(first(Wait::exponential(S).factor(3.0).max(30 * S)), [1, 3, 9, 27, 30]);
    assert_eq!(first(Wait::exponential(S).min(3 * S)), [3, 3, 4, 8, 16]);
    assert_eq!(first(Wait::fibonacci(S)), [1, 1, 2, 3, 5]);
    const STEPS: Wait = Wait::steps(&[Duration::from_secs(7), Duration::from_secs(9)]);
    assert_eq!(first(STEPS), [7, 9, 9, 9, 9]);
    assert_eq!(first(Wait::steps(&[])), [0; 5]);
    assert_eq!(plain(&Wait::exponential(Duration::from_millis(100)), 4), Duration::from_millis(800));
}

#[test]
fn no_number_of_retries_overflows_or_shrinks_a_wait() {
    let max = Duration::from_secs(30);
    for wait in [
        Wait::exponential(S),
        Wait::exponential(Duration::from_nanos(1)).factor(1.000_001),
        Wait::exponential(Duration::MAX),
        Wait::exponential(S).factor(f64::MAX),
        Wait::incrementing(S, Duration::MAX),
        Wait::incrementing(Duration::MAX, S),
        Wait::fibonacci(Duration::MAX),
        Wait::fibonacci(S),
    ] {
        for bounded in [wait, wait.max(max)] {
            let waits = RETRIES.map(|retry| plain(&bounded, retry));
            assert!(waits.is_sorted(), "{bounded:?}: {waits:?}");
        }
        assert_eq!(plain(&wait.max(max), u32::MAX), max.min(plain(&wait, u32::MAX)));
    }
    assert_eq!(plain(&Wait::exponential(S), u32::MAX), Duration::MAX);
}

#[test]
fn strange_factors_count_as_one() {
    for factor in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -2.0, 0.999, 1.0] {
        assert_eq!(plain(&Wait::exponential(S).factor(factor), 50), S, "{factor}");
    }
    assert_eq!(plain(&Wait::exponential(Duration::ZERO), u32::MAX), Duration::ZERO);
    assert_eq!(Wait::fixed(S).factor(9.0), Wait::fixed(S), "only an exponential wait has a factor");
}

#[test]
fn inverted_bounds_are_defined() {
    assert_eq!(plain(&Wait::fixed(S).min(9 * S).max(2 * S), 1), 2 * S, "max counts");
    assert_eq!(jittered(&Wait::random(9 * S, 2 * S), 1, 1), 2 * S);
    assert_eq!(jittered(&Wait::fixed(S).min(5 * S).max(2 * S).full_jitter(), 1, 1), 2 * S);
    assert_eq!(jittered(&Wait::fixed(S).max(Duration::ZERO).additive_jitter(S), 1, 1), Duration::ZERO);
}

#[test]
fn jitter_stays_within_its_bounds_over_a_million_draws() {
    let wait = Wait::exponential(S).max(8 * S);
    let cases = [
        (Wait::random(2 * S, 6 * S), 2.0, 6.0),
        (wait.full_jitter(), 0.0, 8.0),
        (wait.equal_jitter(), 4.0, 8.0),
        (wait.additive_jitter(2 * S), 6.0, 8.0),
    ];
    for (wait, low, high) in cases {
        let mut sum = 0.0;
        for seed in 0..250_000 {
            let drawn = jittered(&wait, 10, seed).as_secs_f64();
            assert!((low..=high).contains(&drawn), "{wait:?}: {drawn}");
            sum += drawn;
        }
        let (mean, expected) = (sum / 250_000.0, f64::midpoint(low, high));
        assert!((mean - expected).abs() < 0.01 * expected, "{wait:?}: mean {mean}, expected {expected}");
    }
}

#[test]
fn no_bound_makes_many_waits_equal() {
    const TO_TWO: Wait = Wait::random(Duration::ZERO, Duration::from_secs(2));
    let second = |n: u64| Duration::from_secs(n);
    let waits = [
        Wait::exponential(S).min(S).full_jitter(),
        Wait::exponential(S).min(5 * S).max(60 * S).full_jitter(),
        Wait::exponential(S).min(5 * S).max(60 * S).equal_jitter(),
        Wait::exponential(S).min(5 * S).max(60 * S).decorrelated_jitter(),
        Wait::exponential(S).min(5 * S).max(60 * S).additive_jitter(S),
        Wait::exponential(S).min(5 * S).max(60 * S).jitter(0.1),
        Wait::random(Duration::ZERO, 9 * S).min(3 * S).max(6 * S),
        Wait::sum(const { &[Wait::fixed(Duration::from_secs(9)), TO_TWO] }).max(10 * S),
        Wait::sum(const { &[Wait::fixed(S), TO_TWO] }).min(2 * S),
    ];
    for wait in waits {
        for retry in [1, 2, 3, 10] {
            let drawn: Vec<_> = (0..1_000).map(|seed| wait.before(retry, 2 * S, || seed)).collect();
            let distinct: std::collections::BTreeSet<_> = drawn.iter().copied().collect();
            assert!(distinct.len() > 990, "{wait:?}, retry {retry}: {} of 1000 differ", distinct.len());
            assert!(drawn.iter().all(|drawn| *drawn >= S && *drawn <= second(1_024)), "{wait:?}");
        }
    }
    // As in tenacity, once the wait is above twice the minimum: U(min, t).
    let drawn = (0..10_000).map(|seed| jittered(&Wait::exponential(S).min(S).full_jitter(), 3, seed));
    let (low, high) = (drawn.clone().min().unwrap(), drawn.max().unwrap());
    assert!(low < S + S / 100 && low >= S && high > 4 * S - S / 100 && high <= 4 * S);
}

#[test]
fn sums_add_independent_draws() {
    const TWICE: Wait = Wait::sum(&[Wait::random(Duration::ZERO, S), Wait::random(Duration::ZERO, S)]);
    let drawn: Vec<_> = (0..10_000).map(|seed| jittered(&TWICE, 1, seed).as_secs_f64()).collect();
    let mean = drawn.iter().sum::<f64>() / 10_000.0;
    let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 10_000.0;
    assert!((mean - 1.0).abs() < 0.02, "{mean}");
    assert!((variance - 1.0 / 6.0).abs() < 0.02, "one draw used twice would give a third: {variance}");
    const PLAIN: Wait =
        Wait::sum(&[Wait::fixed(S), Wait::exponential(S).max(Duration::from_secs(3)), Wait::none()]);
    assert_eq!([1, 2, 3, 9].map(|retry| plain(&PLAIN, retry).as_secs()), [2, 3, 4, 4]);
    assert!(Wait::sum(&[]).is_none());
    assert_eq!(plain(&Wait::sum(const { &[Wait::fixed(Duration::MAX), Wait::fixed(S)] }), 1), Duration::MAX);
}

#[test]
fn proportional_jitter_adds_a_share() {
    let wait = Wait::exponential(S).max(22 * S).jitter(0.1);
    for (retry, low, high) in [(1, 1.0, 1.1), (3, 4.0, 4.4), (30, 20.0, 22.0)] {
        for seed in 0..2_000 {
            let drawn = jittered(&wait, retry, seed).as_secs_f64();
            assert!((low - 1e-6..=high + 1e-6).contains(&drawn), "{drawn}");
        }
    }
    for share in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(jittered(&Wait::fixed(S).jitter(share), 1, 7), S);
    }
}

#[test]
fn an_iterator_gives_the_waits_one_after_the_other() {
    assert!(Wait::fibonacci(S).iter(3).take(5).eq([1, 1, 2, 3, 5].map(Duration::from_secs)));
    let wait = Wait::exponential(S).decorrelated_jitter().max(60 * S);
    let waits: Vec<_> = wait.iter(9).take(20).collect();
    for pair in waits.windows(2) {
        assert!(pair[1] >= S && pair[1] <= (3 * pair[0]).min(60 * S), "{pair:?}");
    }
}

#[test]
fn decorrelated_jitter_follows_its_formula() {
    let wait = Wait::exponential(S).max(20 * S).decorrelated_jitter();
    for seed in 0..10_000 {
        let mut previous = Duration::ZERO;
        for retry in 1..8 {
            let drawn = wait.before(retry, previous, || seed);
            let high = if retry == 1 { 3 * S } else { (3 * previous).min(20 * S) };
            assert!((S..=high).contains(&drawn), "{drawn:?} after {previous:?}");
            previous = drawn;
        }
    }
    let huge = Wait::fixed(Duration::MAX).decorrelated_jitter();
    assert_eq!(huge.before(2, Duration::MAX, || 1), Duration::MAX);
}

#[test]
fn the_same_seed_draws_the_same_and_another_does_not() {
    let wait = Wait::fixed(100 * S).full_jitter();
    assert_eq!(jittered(&wait, 3, 42), jittered(&wait, 3, 42));
    assert_ne!(jittered(&wait, 3, 42), jittered(&wait, 4, 42));
    assert_ne!(jittered(&wait, 3, 42), jittered(&wait, 3, 43));
    // A random shape and its jitter are two independent draws.
    let twice = Wait::random(Duration::ZERO, 100 * S).full_jitter();
    let mean = (0..100_000).map(|seed| jittered(&twice, 1, seed).as_secs_f64()).sum::<f64>() / 100_000.0;
    assert!((mean - 25.0).abs() < 0.5, "the mean of a product of independent draws: {mean}");
}

#[test]
fn fibonacci_numbers_saturate() {
    assert_eq!([0, 1, 2, 3, 10, 47].map(fibonacci), [0, 1, 1, 2, 55, 2_971_215_073]);
    assert_eq!([48, 1_000, u32::MAX].map(fibonacci), [u32::MAX; 3]);
}

#[test]
fn a_draw_reaches_both_ends() {
    let (low, high) = (Duration::from_nanos(5), Duration::from_nanos(7));
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        seen.insert(Draw { seed, index: 0 }.between(low, high).as_nanos());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [5, 6, 7]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_draw_is_between_its_ends(
        seed: u64, index: u64, low: u64, low_nanos in 0..1_000_000_000u32, high: u64, high_nanos in 0..1_000_000_000u32,
    ) {
        let (low, high) = (Duration::new(low, low_nanos), Duration::new(high, high_nanos));
        let drawn = Draw { seed, index }.between(low, high);
        prop_assert!(drawn >= low.min(high) && drawn <= high);
    }

    #[test]
    fn any_wait_is_within_its_bounds(
        base: u64, extra: u64, factor: f64, min: u64, max: u64, retry: u32, previous: u64, seed: u64,
        shape in 0..5, jitter in 0..6,
    ) {
        let [base, extra, min, max, previous] = [base, extra, min, max, previous].map(Duration::from_nanos);
        let wait = match shape {
            0 => Wait::fixed(base),
            1 => Wait::random(base, extra),
            2 => Wait::incrementing(base, extra),
            3 => Wait::exponential(base).factor(factor),
            _ => Wait::fibonacci(base),
        };
        let wait = match jitter {
            0 => wait,
            1 => wait.full_jitter(),
            2 => wait.equal_jitter(),
            3 => wait.decorrelated_jitter(),
            4 => wait.jitter(factor),
            _ => wait.additive_jitter(extra),
        };
        let drawn = wait.min(min).max(max).before(retry, previous, || seed);
        prop_assert!(drawn >= min.min(max) && drawn <= max, "{wait:?} gave {drawn:?}");
    }
}
