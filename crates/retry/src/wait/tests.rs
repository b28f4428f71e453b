use std::time::Duration;

use proptest::prelude::*;

use super::{Wait, fibonacci};
use crate::draw::Draw;

const S: Duration = Duration::from_secs(1);
const RETRIES: [u32; 12] = [0, 1, 2, 31, 32, 63, 64, 1_024, 1_025, 1 << 20, u32::MAX - 1, u32::MAX];

fn plain(wait: &Wait, retry: u32) -> Duration {
    wait.before(retry, Duration::ZERO, || panic!("nothing to draw"))
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
    assert_eq!(jittered(&Wait::fixed(S).min(5 * S).full_jitter(), 1, 1), 5 * S);
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
    // A random shape and its jitter are two draws, not one used twice.
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
        shape in 0..5, jitter in 0..5,
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
            _ => wait.additive_jitter(extra),
        };
        let drawn = wait.min(min).max(max).before(retry, previous, || seed);
        prop_assert!(drawn >= min.min(max) && drawn <= max, "{wait:?} gave {drawn:?}");
    }
}
