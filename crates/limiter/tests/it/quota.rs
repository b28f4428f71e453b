//! Quotas: reserving, sending, settling, dropping and closing.

use std::{pin::pin, time::Duration};

use futures::future::join_all;
use outbound_limiter::{
    Bottleneck, BuildError, Charge, Cost, QuotaBuilder, QuotaDimension, QuotaError, QuotaLimiter, Reservation,
};
use tokio::time::{Instant, sleep};

use crate::support::{at, ms, poll_once, s, settle};

/// 60 requests (1 a second) and 6,000 tokens (100 a second) per minute.
fn small() -> QuotaBuilder {
    QuotaLimiter::builder().requests_per_minute(60).tokens_per_minute(6_000)
}

fn cost(input: u64, output: u64) -> Cost {
    Cost::request().input_tokens(input).output_tokens(output)
}

fn available(quota: &QuotaLimiter, dimension: QuotaDimension) -> u64 {
    let snapshot = quota.snapshot();
    snapshot.dimensions.iter().find(|one| one.dimension == dimension).expect("a limit").available
}

#[test]
fn costs_are_counted_in_every_dimension() {
    assert_eq!(Cost::default(), Cost::request().requests(0));
    let cost = cost(u64::MAX, 3);
    let units = [
        QuotaDimension::Requests,
        QuotaDimension::Tokens,
        QuotaDimension::InputTokens,
        QuotaDimension::OutputTokens,
    ]
    .map(|dimension| cost.units(dimension));
    assert_eq!(units, [1, u64::MAX, u64::MAX, 3]);
}

#[test]
fn defaults() {
    let quota = QuotaLimiter::builder().build().unwrap();
    let snapshot = quota.snapshot();
    assert!(snapshot.dimensions.is_empty(), "no limits");
    assert_eq!((snapshot.max_concurrent, snapshot.in_flight, snapshot.waiting), (None, 0, 0));
    assert_eq!(
        (snapshot.gate_closed_until, snapshot.bottleneck, snapshot.next_admission),
        (None, None, None)
    );
    // The burst is the units of one second, and at least 1.
    let quota =
        QuotaLimiter::builder().requests_per_minute(6).input_tokens_per_minute(90_000).build().unwrap();
    assert_eq!(available(&quota, QuotaDimension::Requests), 1);
    assert_eq!(available(&quota, QuotaDimension::InputTokens), 1_500);
    let quota = QuotaLimiter::builder().output_tokens_per_minute(600).burst(s(3)).build().unwrap();
    assert_eq!(available(&quota, QuotaDimension::OutputTokens), 30);
}

#[test]
fn limits_of_zero_are_refused() {
    let builder = QuotaLimiter::builder;
    let zero = |dimension| Some(BuildError::ZeroLimit(dimension));
    assert_eq!(builder().requests_per_minute(0).build().err(), zero(QuotaDimension::Requests));
    assert_eq!(builder().tokens_per_minute(0).build().err(), zero(QuotaDimension::Tokens));
    assert_eq!(builder().input_tokens_per_minute(0).build().err(), zero(QuotaDimension::InputTokens));
    assert_eq!(builder().output_tokens_per_minute(0).build().err(), zero(QuotaDimension::OutputTokens));
    assert_eq!(builder().max_concurrent(0).build().err(), Some(BuildError::ZeroConcurrency));
}

#[tokio::test(start_paused = true)]
async fn every_dimension_has_to_have_room() {
    let quota = small().build().unwrap();
    let start = Instant::now();
    let mut times = Vec::new();
    // The second waits for the request limit. The third waits for tokens: 60 of debt, and then a full bucket of 100.
    for tokens in [10, 160, 10] {
        drop(quota.reserve(cost(tokens, 0)).await.unwrap().sent());
        times.push(at(start));
    }
    assert_eq!(times, [0, 1_000, 2_000]);
    quota.reserve(cost(100, 0)).await.unwrap().sent().settle(cost(100, 0));
    assert_eq!(at(start), 3_000);
}

#[tokio::test(start_paused = true)]
async fn a_refused_attempt_takes_nothing_from_any_dimension() {
    let quota = small().max_concurrent(5).build().unwrap();
    let now = Instant::now();
    drop(quota.try_reserve_at(cost(30, 0), now).unwrap().sent());
    sleep(s(1)).await;
    let before = quota.snapshot();
    for _ in 0..100 {
        // There are requests left, and no tokens.
        let now = Instant::now();
        assert!(quota.try_reserve_at(cost(10, 0), now).is_ok());
        assert!(
            quota.try_reserve_at(cost(101, 0), now).is_ok(),
            "a full bucket admits a cost larger than itself"
        );
        assert!(quota.try_reserve_at(cost(6_001, 0), now).is_err());
    }
    assert_eq!(quota.snapshot(), before, "a dropped reservation came back, and a rejected one took nothing");
    let sent = quota.try_reserve_at(cost(90, 0), Instant::now()).unwrap().sent();
    let before = quota.snapshot();
    for _ in 0..100 {
        let refused = quota.try_reserve_at(cost(11, 0).requests(0), Instant::now()).unwrap_err();
        let bottleneck = Bottleneck::Dimension(QuotaDimension::Tokens);
        let until = Some(Instant::now() + ms(10));
        assert_eq!(refused, QuotaError::MustWait { until, wait: Some(ms(10)), bottleneck });
        assert!(poll_once(pin!(quota.reserve(cost(11, 0)))).is_pending(), "it waits, and is dropped");
    }
    assert_eq!(quota.snapshot(), before);
    drop(sent);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_reservation_gives_everything_back() {
    let quota = small().max_concurrent(1).build().unwrap();
    let before = quota.snapshot();
    let reservation = quota.reserve(cost(60, 30)).await.unwrap();
    assert_eq!(reservation.cost(), cost(60, 30));
    assert_eq!((quota.in_flight(), quota.snapshot().in_flight), (1, 1));
    assert_eq!((quota.snapshot().in_flight, available(&quota, QuotaDimension::Tokens)), (1, 10));
    drop(reservation);
    assert_eq!(quota.snapshot(), before);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_charge_keeps_the_estimate_and_frees_the_slot() {
    let quota = small().max_concurrent(1).build().unwrap();
    let charge = quota.reserve(cost(60, 30)).await.unwrap().sent();
    assert_eq!(charge.estimate(), cost(60, 30));
    drop(charge);
    assert_eq!((quota.snapshot().in_flight, available(&quota, QuotaDimension::Tokens)), (0, 10));
    assert_eq!(available(&quota, QuotaDimension::Requests), 0);
}

#[tokio::test(start_paused = true)]
async fn settling_corrects_down_and_up() {
    let quota = small().max_concurrent(1).build().unwrap();
    quota.reserve(cost(20, 70)).await.unwrap().sent().settle(cost(20, 20));
    assert_eq!((quota.snapshot().in_flight, available(&quota, QuotaDimension::Tokens)), (0, 60));
    sleep(s(1)).await;
    let start = Instant::now();
    quota.reserve(cost(20, 70)).await.unwrap().sent().settle(cost(20, 480));
    // It has used 500 instead of 90: 400 of debt.
    drop(quota.reserve(cost(50, 0)).await.unwrap());
    assert_eq!(at(start), 4_500);
}

#[tokio::test(start_paused = true)]
async fn a_refund_gives_back_what_never_left() {
    let quota = small().max_concurrent(1).build().unwrap();
    let before = quota.snapshot();
    quota.reserve(cost(60, 30)).await.unwrap().sent().refund();
    assert_eq!(quota.snapshot(), before);
}

#[tokio::test(start_paused = true)]
async fn settling_high_or_low_never_fills_above_the_burst() {
    let quota = small().build().unwrap();
    let charge = quota.reserve(cost(90, 0)).await.unwrap().sent();
    sleep(s(60)).await;
    charge.settle(Cost::default());
    assert_eq!(
        (available(&quota, QuotaDimension::Requests), available(&quota, QuotaDimension::Tokens)),
        (1, 100)
    );
    let charge = quota.reserve(cost(90, 0)).await.unwrap().sent();
    charge.settle(cost(u64::MAX, u64::MAX).requests(u64::MAX));
    assert_eq!(available(&quota, QuotaDimension::Tokens), 0);
}

#[tokio::test(start_paused = true)]
async fn an_impossible_cost_is_refused_at_once_even_behind_others() {
    let quota = small().build().unwrap();
    let start = Instant::now();
    drop(quota.reserve(cost(0, 0)).await.unwrap().sent());
    let mut ahead = pin!(quota.reserve(cost(0, 0)));
    assert!(poll_once(ahead.as_mut()).is_pending());
    let error = quota.reserve(cost(3_000, 3_001)).await.unwrap_err();
    assert_eq!(
        error,
        QuotaError::Impossible { dimension: QuotaDimension::Tokens, asked: 6_001, limit: 6_000 }
    );
    assert_eq!(error.to_string(), "the request is for 6001 tokens, and the limit is 6000");
    assert_eq!(at(start), 0);
}

#[tokio::test(start_paused = true)]
async fn a_possible_cost_larger_than_the_burst_goes_into_debt() {
    let quota = small().build().unwrap();
    let start = Instant::now();
    drop(quota.reserve(cost(6_000, 0)).await.unwrap().sent());
    assert_eq!(at(start), 0);
    drop(quota.reserve(cost(100, 0)).await.unwrap().sent());
    assert_eq!(at(start), 60_000, "a minute brings this many tokens");
}

#[tokio::test(start_paused = true)]
async fn slots_are_held_until_the_charge_ends() {
    let quota = QuotaLimiter::builder().max_concurrent(2).build().unwrap();
    let one = quota.reserve(Cost::request()).await.unwrap().sent();
    let two = quota.reserve(Cost::request()).await.unwrap();
    let refused = quota.try_reserve_at(Cost::request(), Instant::now()).unwrap_err();
    let bottleneck = Bottleneck::Concurrency;
    assert_eq!(refused, QuotaError::MustWait { until: None, wait: None, bottleneck });
    assert_eq!(refused.to_string(), "the request would have to wait for a request in flight to end");
    let mut third = pin!(quota.reserve(Cost::request()));
    assert!(poll_once(third.as_mut()).is_pending());
    assert_eq!(quota.snapshot().bottleneck, Some(Bottleneck::Concurrency));
    drop(one);
    assert!(poll_once(third).is_ready());
    quota.set_max_concurrent(Some(0));
    drop(two);
    let mut fourth = pin!(quota.reserve(Cost::request()));
    assert!(poll_once(fourth.as_mut()).is_pending());
    quota.set_max_concurrent(None);
    assert!(poll_once(fourth).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_free_slot_and_a_filled_bucket_both_wake() {
    let quota = small().max_concurrent(1).build().unwrap();
    let start = Instant::now();
    let held = quota.reserve(cost(150, 0)).await.unwrap().sent();
    let waiting = tokio::spawn({
        let quota = quota.clone();
        async move { quota.reserve(cost(100, 0)).await.map(drop) }
    });
    sleep(ms(200)).await;
    drop(held);
    waiting.await.unwrap().unwrap();
    assert_eq!(at(start), 1_500, "50 of debt, and then 100 tokens");
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_deadline_fails_at_once_and_says_until_when() {
    let quota = small().build().unwrap();
    let start = Instant::now();
    drop(quota.reserve(cost(1_200, 0)).await.unwrap().sent());
    let error = quota.reserve(cost(100, 0)).before(start + s(11)).await.unwrap_err();
    let bottleneck = Bottleneck::Dimension(QuotaDimension::Tokens);
    assert_eq!(error, QuotaError::MustWait { until: Some(start + s(12)), wait: Some(s(12)), bottleneck });
    assert_eq!(error.to_string(), "the request would have to wait 12.0 s for tokens");
    assert_eq!(at(start), 0);
    drop(quota.reserve(cost(100, 0)).before(start + s(12)).await.unwrap());
    assert_eq!(at(start), 12_000);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_slot_ends_at_the_deadline() {
    let quota = QuotaLimiter::builder().max_concurrent(1).build().unwrap();
    let start = Instant::now();
    let _held = quota.reserve(Cost::request()).await.unwrap().sent();
    let (late, later) = tokio::join!(
        async { (quota.reserve(Cost::request()).before(start + s(5)).await.map(drop), at(start)) },
        async { (quota.reserve(Cost::request()).before(start + s(3)).await.map(drop), at(start)) },
    );
    let error = Err(QuotaError::MustWait { until: None, wait: None, bottleneck: Bottleneck::Concurrency });
    assert_eq!((late, later), ((error, 5_000), (error, 3_000)));
}

#[tokio::test(start_paused = true)]
async fn closing_ends_all_waits_and_keeps_reservations_valid() {
    let quota = small().max_concurrent(1).build().unwrap();
    let held = quota.reserve(cost(1, 1)).await.unwrap();
    let (answers, ()) =
        tokio::join!(join_all((0..40).map(|_| quota.reserve(cost(1, 1)))), async { quota.close() });
    assert!(answers.iter().all(|answer| matches!(answer, Err(QuotaError::Closed))));
    held.sent().settle(cost(1, 1));
    assert!(quota.is_closed());
    assert_eq!((quota.snapshot().in_flight, quota.snapshot().waiting), (0, 0));
    assert_eq!(quota.reserve(cost(1, 1)).await.unwrap_err(), QuotaError::Closed);
    assert_eq!(quota.try_reserve_at(cost(1, 1), Instant::now()).unwrap_err(), QuotaError::Closed);
}

#[tokio::test(start_paused = true)]
async fn guards_live_in_tasks_and_a_panic_gives_back() {
    let quota = small().max_concurrent(1).build().unwrap();
    let before = quota.snapshot();
    let reservation = quota.reserve(cost(10, 10)).await.unwrap();
    let task = tokio::spawn(async move {
        let _reservation: Reservation = reservation;
        sleep(ms(1)).await;
        panic!("before it was sent");
    });
    assert!(task.await.unwrap_err().is_panic());
    let after = quota.snapshot();
    assert_eq!((after.in_flight, after.waiting, &after.dimensions), (0, 0, &before.dimensions));
    let charge = quota.reserve(cost(10, 10)).await.unwrap().sent();
    let task = tokio::spawn(async move {
        let _charge: Charge = charge;
        std::future::pending::<()>().await;
    });
    settle().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(quota.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_reservation_that_was_granted_and_dropped_goes_back() {
    let quota = small().build().unwrap();
    drop(quota.reserve(cost(50, 0)).await.unwrap().sent());
    let mut first = Box::pin(quota.reserve(cost(100, 0)));
    assert!(poll_once(first.as_mut()).is_pending());
    sleep(s(2)).await;
    assert_eq!((quota.snapshot().in_flight, quota.snapshot().waiting), (1, 0));
    drop(first);
    assert_eq!((quota.snapshot().in_flight, available(&quota, QuotaDimension::Tokens)), (0, 100));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_says_what_the_first_request_waits_for() {
    let quota =
        QuotaLimiter::builder().requests_per_minute(60).output_tokens_per_minute(600).build().unwrap();
    let start = Instant::now();
    drop(quota.reserve(cost(0, 130)).await.unwrap().sent());
    let mut waiting = pin!(quota.reserve(cost(0, 10)));
    assert!(poll_once(waiting.as_mut()).is_pending());
    let snapshot = quota.snapshot();
    assert_eq!(snapshot.bottleneck, Some(Bottleneck::Dimension(QuotaDimension::OutputTokens)));
    assert_eq!(snapshot.next_admission, Some(start + s(13)));
    assert_eq!((snapshot.waiting, snapshot.in_flight), (1, 0));
    assert_eq!(snapshot.dimensions.len(), 2);
    assert_eq!(snapshot.dimensions[1].window, Duration::from_secs(60));
    assert_eq!((snapshot.dimensions[1].limit, snapshot.dimensions[1].available), (600, 0));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_waiters_cost_two_polls_each() {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };
    let quota = QuotaLimiter::builder().requests_per_minute(6_000).burst(Duration::ZERO).build().unwrap();
    drop(quota.reserve(cost(0, 0)).await.unwrap().sent());
    let polls = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (quota, polls) = (quota.clone(), Arc::clone(&polls));
            tokio::spawn(async move {
                crate::support::counted(polls, quota.reserve(cost(1, 1))).await.map(|_| at(start))
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.push(task.await.unwrap().unwrap());
    }
    // The reservations are dropped as soon as they are made, and their request goes to the next waiter.
    assert!(times.is_sorted() && times[99] <= 1_000);
    assert_eq!(polls.load(SeqCst), 200);
}

/// What is used beyond the estimate is owed, even if the bucket has been full for an hour.
#[tokio::test(start_paused = true)]
async fn using_more_than_estimated_is_not_paid_by_idle_time() {
    let quota = QuotaLimiter::builder().output_tokens_per_minute(600).build().unwrap();
    let cost = Cost::request().output_tokens(1);
    let charge = quota.reserve(cost).await.unwrap().sent();
    tokio::time::advance(s(3_600)).await;
    charge.settle(cost.output_tokens(31));
    let start = Instant::now();
    // There were 10, and 30 more were used. So 20 are owed, and one more is needed.
    quota.reserve(cost).await.unwrap().sent().settle(cost);
    assert_eq!(at(start), 2_100);
}
