//! Several windows of one dimension: per second, per minute, per day.

use outbound_limiter::{BuildError, Cost, Observation, QuotaDimension, QuotaError, QuotaLimiter, Reading};
use proptest::prelude::*;
use tokio::time::{Instant, advance};

use crate::support::{at, ms, s};

const ONE: Cost = Cost::request();

#[tokio::test(start_paused = true)]
async fn all_windows_of_a_dimension_hold() {
    let quota = QuotaLimiter::builder()
        .limit(QuotaDimension::Requests, s(1), 2)
        .requests_per_minute(60)
        .limit(QuotaDimension::Requests, s(3_600), 5)
        .burst(s(10))
        .build()
        .unwrap();
    let start = Instant::now();
    let mut times = Vec::new();
    for _ in 0..6 {
        quota.reserve(ONE).await.unwrap().sent().settle(ONE);
        times.push(at(start));
    }
    // Two at once, and then two per second. After five nothing for an hour, plus at most a thousandth of it.
    let last = times.pop().unwrap();
    assert_eq!(times, [0, 0, 500, 1_000, 1_500]);
    assert!((3_600_000..=3_603_600).contains(&last), "{last}");
}

#[tokio::test(start_paused = true)]
async fn a_long_window_holds_strictly_and_gives_back() {
    let day = s(86_400);
    let quota = QuotaLimiter::builder()
        .limit(QuotaDimension::OutputTokens, day, 1_000)
        .max_concurrent(9)
        .build()
        .unwrap();
    let cost = ONE.output_tokens(600);
    let charge = quota.try_reserve_at(cost, Instant::now()).unwrap().sent();
    let error = quota.try_reserve_at(cost, Instant::now()).unwrap_err();
    let QuotaError::MustWait { wait, .. } = error else { panic!("{error}") };
    assert_eq!(wait, Some(day));
    charge.settle(ONE.output_tokens(100));
    assert_eq!(quota.snapshot().dimensions[0].available, 900);
    // What was used beyond the estimate counts too.
    quota.try_reserve_at(cost, Instant::now()).unwrap().sent().settle(ONE.output_tokens(950));
    assert_eq!(quota.snapshot().dimensions[0].available, 0);
    advance(day - ms(1)).await;
    assert_eq!(quota.snapshot().dimensions[0].available, 0);
    advance(ms(1)).await;
    assert_eq!(quota.snapshot().dimensions[0].available, 1_000);
    let error = quota.reserve(ONE.output_tokens(1_001)).await.unwrap_err();
    let (dimension, asked, limit) = (QuotaDimension::OutputTokens, 1_001, 1_000);
    assert_eq!(error, QuotaError::Impossible { dimension, asked, limit });
}

#[tokio::test(start_paused = true)]
async fn limits_of_the_server_for_any_window_are_adopted() {
    let quota = QuotaLimiter::builder().build().unwrap();
    let now = Instant::now();
    let observation = Observation::new(now)
        .reading(QuotaDimension::Requests, Reading::per(s(10)).limit(100).remaining(40))
        .reading(QuotaDimension::Tokens, Reading::per(s(0)).limit(100).remaining(40));
    quota.observe(now, &observation);
    let snapshot = quota.snapshot();
    assert_eq!(snapshot.dimensions.len(), 1, "a window of zero is ignored");
    assert_eq!((snapshot.dimensions[0].window, snapshot.dimensions[0].limit), (s(10), 100));
}

#[test]
fn limits_that_cannot_be_kept_are_rejected() {
    let builder = QuotaLimiter::builder;
    let window = |window| builder().limit(QuotaDimension::Requests, window, 1).build().err();
    assert_eq!(window(s(0)), Some(BuildError::Window(s(0))));
    assert_eq!(window(s(367 * 86_400)), Some(BuildError::Window(s(367 * 86_400))));
    let with =
        |count: u64| (1..=count).fold(builder(), |b, n| b.limit(QuotaDimension::Tokens, s(n), n)).build();
    assert!(with(16).is_ok());
    assert_eq!(with(17).err(), Some(BuildError::TooManyLimits));
    // The later call counts.
    let quota = builder().requests_per_minute(0).requests_per_minute(7).build().unwrap();
    assert_eq!(quota.snapshot().dimensions.len(), 1);
    assert_eq!(quota.snapshot().dimensions[0].limit, 7);
}

proptest! {
    /// A request that one window rejects leaves all other windows unchanged.
    #[test]
    fn a_rejected_call_charges_no_window(
        taken in 0..30_u64,
        asked in 1..40_u64,
        elapsed in 0..5_000_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let quota = QuotaLimiter::builder()
                .limit(QuotaDimension::Requests, s(1), 40)
                .requests_per_minute(2_400)
                .limit(QuotaDimension::Requests, s(3_600), 45)
                .build()
                .unwrap();
            if taken > 0 {
                drop(quota.try_reserve_at(ONE.requests(taken), Instant::now()).unwrap().sent());
            }
            advance(ms(elapsed)).await;
            let before = quota.snapshot();
            let answer = quota.try_reserve_at(ONE.requests(asked), Instant::now());
            let rejected = answer.is_err();
            assert_eq!(rejected, before.dimensions.iter().any(|one| one.available < asked));
            drop(answer);
            assert_eq!(before, quota.snapshot());
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_refund_into_a_long_window_goes_back_in_full() {
    let quota = QuotaLimiter::builder().limit(QuotaDimension::Requests, s(86_400), 10).build().unwrap();
    let five = Cost::request().requests(5);
    quota.try_reserve_at(five, Instant::now()).unwrap().sent().keep_estimate();
    advance(s(43_200)).await;
    let charge = quota.try_reserve_at(five, Instant::now()).unwrap().sent();
    // When the others come back, the first five have left the window.
    advance(s(50_000)).await;
    charge.refund();
    assert_eq!(quota.snapshot().dimensions[0].available, 10);
}
