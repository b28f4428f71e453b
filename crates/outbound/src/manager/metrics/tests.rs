//! The bound of the label combinations, the buckets of a histogram, sums of tokens and costs.

use outbound_provider::Usage;

use super::*;

fn labels<'a>(endpoint: &'a str, model: &'a str) -> Labels<&'a str> {
    Labels { endpoint, provider: "p", model }
}

#[test]
fn what_comes_after_the_last_combination_is_counted_together() {
    let mut counts = Counts::default();
    for model in 0..COMBINATIONS + 10 {
        counts.of(labels("", &model.to_string())).reroutes += 1;
    }
    counts.of(labels("e", "m")).reroutes += 1;
    counts.of(labels("", "7")).reroutes += 1;
    assert_eq!(counts.series.len(), COMBINATIONS + 1);
    assert_eq!(counts.of(labels(OTHER, OTHER)).reroutes, 11);
    assert_eq!(counts.of(labels("", "7")).reroutes, 2);
    assert!(counts.series.is_sorted_by(|one, other| one.labels < other.labels));
}

#[test]
fn a_bucket_holds_its_own_bound() {
    let mut histogram = Histogram::default();
    for seconds in [0.0, 0.01, 0.010_001, 1.0, 1000.0, 1000.1, 5000.0] {
        histogram.add(Duration::from_secs_f64(seconds));
    }
    let at = |bound: f64| BOUNDS.iter().position(|known| *known == bound).expect("a bound");
    let mut buckets = [0; BOUNDS.len()];
    for (bound, count) in [(0.01, 2), (0.025, 1), (1.0, 1), (1000.0, 1)] {
        buckets[at(bound)] = count;
    }
    assert_eq!((histogram.buckets, histogram.count), (buckets, 7));
}

#[test]
fn tokens_and_costs_of_answers_add_up() {
    let mut counts = Counts::default();
    let mut usage = Usage::default();
    (usage.input, usage.output, usage.cached) = (100, 20, 60);
    for reported in [Some(usage), None, Some(usage)] {
        let cost = reported.map(|_| Money::dollars(0.5));
        let elapsed = Duration::from_secs(1);
        counts.of(labels("", "m")).count(&Step::Ended {
            failure: None,
            usage: reported,
            cost,
            reused: None,
            sends: 1,
            elapsed,
        });
    }
    let Series { input, output, cached, cost, .. } = *counts.of(labels("", "m"));
    assert_eq!((input, output, cached, cost), (200, 40, 120, Money::dollars(1.0)));
}
