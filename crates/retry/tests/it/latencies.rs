//! The measured latencies: when a percentile is known, and how old ones are forgotten.

use std::{collections::VecDeque, thread, time::Duration};

use outbound_retry::Latencies;
use proptest::prelude::*;

use crate::ms;

fn recorded(latencies: impl IntoIterator<Item = Duration>) -> Latencies {
    let known = Latencies::new();
    latencies.into_iter().for_each(|latency| known.record(latency));
    known
}

#[test]
fn a_percentile_is_known_once_enough_latencies_are() {
    for (percentile, enough) in [(0, 20), (50, 20), (90, 20), (95, 20), (96, 24), (98, 49), (99, 99)] {
        let known = recorded((1..enough).map(ms));
        assert_eq!(known.percentile(percentile), None, "{percentile} of {}", enough - 1);
        known.record(ms(enough));
        assert!(known.percentile(percentile).is_some(), "{percentile} of {enough}");
    }
    let known = recorded((1..=10_000).map(ms));
    assert_eq!([known.percentile(100), known.percentile(u32::MAX)], [None; 2]);
}

#[test]
fn a_new_server_is_known_after_a_window_of_calls() {
    let known = recorded([ms(5); 1_000]);
    (0..11).for_each(|_| known.record(ms(900)));
    assert_eq!(known.percentile(95), Some(ms(5)), "a few slow calls do not move the percentile");
    known.record(ms(900));
    assert_eq!(known.percentile(95), Some(ms(900)));
    (0..241).for_each(|_| known.record(ms(900)));
    assert_eq!(known.percentile(1), Some(ms(5)));
    known.record(ms(900));
    assert_eq!(known.percentile(1), Some(ms(900)), "the old latencies are forgotten");
}

#[test]
fn the_longest_and_the_shortest_are_latencies_too() {
    let known = recorded([Duration::MAX, Duration::ZERO].repeat(200));
    assert_eq!([known.percentile(25), known.percentile(75)], [Some(Duration::ZERO), Some(Duration::MAX)]);
}

#[test]
fn clones_share_what_was_measured() {
    let known = Latencies::default();
    thread::scope(|scope| {
        for _ in 0..4 {
            let known = known.clone();
            scope.spawn(move || (0..5_000).for_each(|n| known.record(ms(1 + n % 100))));
        }
    });
    let median = known.percentile(50).unwrap();
    assert!((ms(1)..=ms(100)).contains(&median));
    assert_eq!(format!("{known:?}"), format!("Latencies {{ known: 256, median: Some({median:?}) }}"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_is_the_window_sorted(
        // Few different values, so that equal latencies are common.
        latencies in proptest::collection::vec(0..200u64, 0..800),
        percentile in 0..=101u32,
    ) {
        let known = Latencies::new();
        let mut window = VecDeque::new();
        for latency in latencies {
            known.record(ms(latency));
            window.push_back(ms(latency));
            if window.len() > 256 {
                window.pop_front();
            }
            let mut sorted = Vec::from(window.clone());
            sorted.sort_unstable();
            // The lowest rank with no more than its share above it, where the next latency is counted too.
            let least = (1..=sorted.len()).find(|rank| rank * 100 >= percentile as usize * (sorted.len() + 1));
            let expected = least.filter(|_| sorted.len() >= 20).map(|rank| sorted[rank - 1]);
            prop_assert_eq!(known.percentile(percentile), expected);
        }
    }
}
