//! The percentile, compared with the estimate of Kaplan and Meier as its authors define it.

use std::time::Duration;

use proptest::prelude::*;

use super::Latencies;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The estimate of Kaplan and Meier by its definition, over the latencies and one more that is above all of them.
fn kaplan_meier(latencies: &[(u64, bool)], percentile: u32) -> Option<Duration> {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let mut above = 1.0;
    for (index, (took, or_more)) in sorted.iter().enumerate() {
        let at_risk = (sorted.len() + 1 - index) as f64;
        above *= if *or_more { 1.0 } else { 1.0 - 1.0 / at_risk };
        // The small addend undoes rounding.
        if !or_more && above <= 1.0 - f64::from(percentile) / 100.0 + 1e-9 {
            return Some(ms(*took));
        }
    }
    sorted.last().map(|(longest, _)| ms(*longest))
}

#[test]
fn a_lower_bound_passes_its_weight_on_to_those_above_it() {
    let known = Latencies::new();
    (1..=49).for_each(|n| known.record(ms(n)));
    assert_eq!(known.percentile(90), Some(ms(45)), "four above it and the next one are a tenth of 50");
    // Ten took at least 20 ms. The 30 above them now have the weight of 40 of 60.
    (0..10).for_each(|_| known.record_at_least(ms(20)));
    assert_eq!(known.percentile(90), Some(ms(46)), "4 x 40 / 30 is less than six, and 5 x 40 / 30 is more");
}

#[test]
fn rounding_moves_no_rank() {
    // Nineteen have the weight of 22, and no weight is exact in binary. The median is that of the nineteen.
    let known = Latencies::new();
    (0..3).for_each(|_| known.record_at_least(Duration::ZERO));
    (1..=19).for_each(|n| known.record(ms(n)));
    assert_eq!(known.percentile(50), Some(ms(10)));
}

#[test]
fn where_nothing_longer_is_known_exactly_the_longest_counts() {
    let known = Latencies::new();
    (1..=20).for_each(|n| known.record(ms(n)));
    (0..10).for_each(|n| known.record_at_least(ms(100 + n)));
    assert_eq!(known.percentile(50), Some(ms(16)));
    assert_eq!(known.percentile(95), Some(ms(109)));
}

#[test]
fn slow_calls_that_are_given_up_do_not_make_slow_calls_look_rare() {
    // Each call is given up at 500 ms. A tenth of them would take longer.
    let (known, cut) = (Latencies::new(), Latencies::new());
    for n in 0..250 {
        let took = if n % 10 == 0 { 900 } else { 100 + n };
        known.record(ms(took));
        if took > 500 { cut.record_at_least(ms(500)) } else { cut.record(ms(took)) }
    }
    assert_eq!(known.percentile(85), cut.percentile(85));
    assert_eq!([known.percentile(95), cut.percentile(95)], [Some(ms(900)), Some(ms(500))]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_is_the_estimate_of_kaplan_and_meier(
        latencies in proptest::collection::vec((0..100u64, proptest::bool::weighted(0.3)), 20..=400),
        percentile in 0..=95u32,
    ) {
        let known = Latencies::new();
        for &(took, or_more) in &latencies {
            if or_more { known.record_at_least(ms(took)) } else { known.record(ms(took)) }
        }
        let latest = &latencies[latencies.len().saturating_sub(256)..];
        prop_assert_eq!(known.percentile(percentile), kaplan_meier(latest, percentile));
    }
}
