//! Named dimensions: they are counted, limited and displayed like the others.

use std::pin::pin;

use outbound_limiter::{
    Bottleneck, BuildError, Cost, Observation, QuotaBuilder, QuotaDimension, QuotaError, QuotaLimiter,
    Reading,
};
use proptest::prelude::*;
use tokio::time::{Instant, advance, sleep};

use crate::support::{at, ms, poll_once, s};

const IMAGES: QuotaDimension = QuotaDimension::named(0, "images");
const SECONDS: QuotaDimension = QuotaDimension::named(3, "seconds of audio");

const ONE: Cost = Cost::request();

fn available(quota: &QuotaLimiter, dimension: QuotaDimension) -> Vec<u64> {
    let dimensions = quota.snapshot().dimensions.into_iter();
    dimensions.filter(|one| one.dimension == dimension).map(|one| one.available).collect()
}

#[test]
fn a_cost_counts_each_dimension_separately() {
    let cost = ONE.input_tokens(7).with(IMAGES, 3).with(SECONDS, u64::MAX).with(IMAGES, 2);
    assert_eq!(
        (cost.units(IMAGES), cost.units(SECONDS), cost.units(QuotaDimension::Tokens)),
        (2, u64::MAX, 7)
    );
    assert_eq!(cost.units(QuotaDimension::named(1, "pages")), 0);
    assert_eq!(
        ONE.with(QuotaDimension::Requests, 4).with(QuotaDimension::OutputTokens, 5),
        ONE.requests(4).output_tokens(5)
    );
    assert_eq!(ONE.output_tokens(9).with(QuotaDimension::Tokens, 5), ONE.input_tokens(5));
    assert_eq!(IMAGES.to_string(), "images");
    let text = format!("{:?} {:?}", ONE, ONE.with(IMAGES, 3));
    assert!(text.contains("named: [3, 0, 0, 0]") && text.matches("named").count() == 1, "{text}");
}

#[test]
fn each_has_a_place_of_its_own() {
    let named = |place| QuotaDimension::named(place, "images");
    let cost = (0..4).fold(ONE, |cost, place| cost.with(named(place), 10 + place as u64));
    assert_eq!([0, 1, 2, 3].map(|place| cost.units(named(place))), [10, 11, 12, 13]);
}

#[tokio::test(start_paused = true)]
async fn all_windows_hold_together_with_all_other_dimensions_or_nothing_is_taken() {
    let quota = QuotaLimiter::builder()
        .requests_per_minute(600)
        .limit(IMAGES, s(1), 4)
        .limit(IMAGES, s(60), 60)
        .limit(IMAGES, s(3_600), 10)
        .limit(SECONDS, s(60), 600)
        .burst(s(10))
        .max_concurrent(8)
        .build()
        .unwrap();
    let start = Instant::now();
    let before = quota.snapshot();
    assert_eq!((available(&quota, IMAGES), available(&quota, SECONDS)), (vec![4, 10, 10], vec![100]));
    // There are images and no seconds, or seconds and no images. A rejected request takes nothing of either.
    for cost in [ONE.with(IMAGES, 4).with(SECONDS, 601), ONE.with(IMAGES, 5).with(SECONDS, 1)] {
        assert!(matches!(quota.try_reserve_at(cost, start), Err(QuotaError::Impossible { .. })));
        assert_eq!(quota.snapshot(), before);
    }
    quota.try_reserve_at(ONE.with(IMAGES, 4).with(SECONDS, 30), start).unwrap().sent().keep_estimate();
    assert_eq!((available(&quota, IMAGES), available(&quota, SECONDS)), (vec![0, 6, 6], vec![70]));
    // A request without images does not wait for images.
    quota.try_reserve_at(ONE.with(SECONDS, 10), start).unwrap().sent().keep_estimate();
    let mut times = Vec::new();
    for _ in 0..2 {
        quota.reserve(ONE.with(IMAGES, 3)).await.unwrap().sent().keep_estimate();
        times.push(at(start));
    }
    assert_eq!(times, [750, 1_500], "four per second");
    // The ten of the hour are used up.
    let refused = quota.try_reserve_at(ONE.with(IMAGES, 1), Instant::now()).unwrap_err();
    let QuotaError::MustWait { wait: Some(wait), bottleneck, .. } = refused else { panic!("{refused}") };
    assert_eq!(bottleneck, Bottleneck::Dimension(IMAGES));
    assert!(wait > s(3_500), "{wait:?}");
    assert!(refused.to_string().ends_with("for images"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn settled_refunded_and_dropped_units_come_back() {
    let quota = QuotaLimiter::builder().limit(IMAGES, s(60), 600).build().unwrap();
    let cost = ONE.with(IMAGES, 10);
    quota.reserve(cost).await.unwrap().sent().settle(ONE.with(IMAGES, 4));
    assert_eq!(available(&quota, IMAGES), [6]);
    drop(quota.reserve(ONE.with(IMAGES, 6)).await.unwrap());
    quota.reserve(ONE.with(IMAGES, 6)).await.unwrap().sent().refund();
    assert_eq!(available(&quota, IMAGES), [6]);
    // Only the named dimension costs more than was estimated. The difference is owed.
    quota.reserve(ONE.with(IMAGES, 6)).await.unwrap().sent().settle(ONE.with(IMAGES, 26));
    let start = Instant::now();
    quota.reserve(ONE.with(IMAGES, 1)).await.unwrap().sent().keep_estimate();
    assert_eq!(at(start), 2_100, "20 of debt, and then 1");
}

#[tokio::test(start_paused = true)]
async fn errors_and_snapshots_name_it() {
    let quota = QuotaLimiter::builder().limit(SECONDS, s(60), 600).build().unwrap();
    let error = quota.reserve(ONE.with(SECONDS, 601)).await.unwrap_err();
    assert_eq!(error, QuotaError::Impossible { dimension: SECONDS, asked: 601, limit: 600 });
    assert_eq!(error.to_string(), "the request is for 601 seconds of audio, and the limit is 600");
    quota.reserve(ONE.with(SECONDS, 30)).await.unwrap().sent().keep_estimate();
    let mut waiting = pin!(quota.reserve(ONE.with(SECONDS, 10)));
    assert!(poll_once(waiting.as_mut()).is_pending());
    let snapshot = quota.snapshot();
    assert_eq!(snapshot.bottleneck, Some(Bottleneck::Dimension(SECONDS)));
    assert_eq!((snapshot.dimensions[0].dimension, snapshot.dimensions[0].available), (SECONDS, 0));
    let zero = QuotaLimiter::builder().limit(IMAGES, s(60), 0).build().unwrap_err();
    assert_eq!(zero.to_string(), "a limit of 0 images lets nothing through");
}

#[tokio::test(start_paused = true)]
async fn readings_of_the_server_correct_it() {
    let quota = QuotaLimiter::builder().limit(IMAGES, s(60), 600).build().unwrap();
    let now = Instant::now();
    let left = Reading::per_minute().limit(600).remaining(3);
    let heard = Reading::per_minute().limit(60).remaining(20);
    quota.observe(now, &Observation::new(now).reading(IMAGES, left).reading(SECONDS, heard));
    assert_eq!((available(&quota, IMAGES), available(&quota, SECONDS)), (vec![3], vec![19]));
    // What is reserved, and what was sent since, is subtracted as for other dimensions.
    let held = quota.try_reserve_at(ONE.with(SECONDS, 5), now).unwrap();
    quota.try_reserve_at(ONE.with(SECONDS, 4), now).unwrap().sent_at(now).keep_estimate();
    advance(ms(1)).await;
    quota.observe(Instant::now(), &Observation::new(now).reading(SECONDS, heard));
    assert_eq!(available(&quota, SECONDS), [10]);
    drop(held);
    // A refusal that says it is used up closes the gate until its reset.
    let now = Instant::now();
    let used_up = Reading::per_minute().limit(60).remaining(0).reset(s(7));
    quota.observe(now, &Observation::new(now).reading(SECONDS, used_up).refused(None));
    assert_eq!(quota.snapshot().gate_closed_until, Some(now + s(7)));
}

#[tokio::test(start_paused = true)]
async fn two_names_at_one_place_are_refused() {
    const PAGES: QuotaDimension = QuotaDimension::named(0, "pages");
    for window in [s(60), s(3_600)] {
        let builder = QuotaLimiter::builder().limit(IMAGES, s(60), 1).limit(PAGES, window, 1);
        let error = builder.build().unwrap_err();
        assert_eq!(error, BuildError::SamePlace(IMAGES, PAGES));
        assert_eq!(error.to_string(), "images and pages are counted at the same place");
    }
    let twice: QuotaBuilder = QuotaLimiter::builder().limit(IMAGES, s(60), 0).limit(IMAGES, s(60), 9);
    let quota = twice.build().unwrap();
    let now = Instant::now();
    quota.observe(now, &Observation::new(now).reading(PAGES, Reading::per_minute().limit(5).remaining(0)));
    assert_eq!((quota.snapshot().dimensions.len(), available(&quota, IMAGES)), (1, vec![1]));
}

#[test]
#[should_panic(expected = "a place below 4")]
fn a_place_beyond_the_last_is_refused() {
    let _ = QuotaDimension::named(QuotaDimension::MAX_NAMED, "one too many");
}

/// Milliseconds after the step before, the estimate, and the actual cost.
type Step = (u64, u64, u64);

async fn schedule(dimension: QuotaDimension, steps: &[Step]) -> Vec<(u128, Vec<u64>)> {
    let quota = QuotaLimiter::builder()
        .requests_per_minute(1_200)
        .limit(dimension, s(1), 40)
        .limit(dimension, s(90), 1_500)
        .build()
        .unwrap();
    let start = Instant::now();
    let mut seen = Vec::new();
    for &(pause, estimate, actual) in steps {
        sleep(ms(pause)).await;
        let charge = quota.reserve(ONE.with(dimension, estimate)).await.unwrap().sent();
        sleep(ms(estimate)).await;
        charge.settle(ONE.with(dimension, actual));
        let now = Instant::now();
        let reading = Reading::per(s(1)).limit(40).remaining(actual);
        quota.observe(now, &Observation::new(now).reading(dimension, reading));
        seen.push((at(start), available(&quota, dimension)));
    }
    seen
}

proptest! {
    /// In random schedules a named dimension behaves exactly as output tokens do.
    #[test]
    fn a_named_dimension_is_one_like_the_others(
        steps in prop::collection::vec((0..500_u64, 0..=40_u64, 0..60_u64), 1..40),
        place in 0..QuotaDimension::MAX_NAMED,
    ) {
        let run = |dimension| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.unwrap().block_on(schedule(dimension, &steps))
        };
        prop_assert_eq!(run(QuotaDimension::named(place, "any")), run(QuotaDimension::OutputTokens));
    }
}
