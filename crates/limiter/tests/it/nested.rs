//! Quotas below other quotas.

use std::{pin::pin, task::Poll};

use outbound_limiter::{BuildError, Cost, Observation, QuotaDimension, QuotaError, QuotaLimiter, Reading};
use tokio::time::{Instant, sleep};

use crate::support::{at, ms, poll_once, s};

const ONE: Cost = Cost::request();

fn under(parent: &QuotaLimiter) -> QuotaLimiter {
    QuotaLimiter::builder().under(parent).build().unwrap()
}

fn slots(max: usize) -> QuotaLimiter {
    QuotaLimiter::builder().max_concurrent(max).build().unwrap()
}

fn in_flight(quotas: &[&QuotaLimiter]) -> Vec<usize> {
    quotas.iter().map(|quota| quota.snapshot().in_flight).collect()
}

fn available(quota: &QuotaLimiter) -> u64 {
    quota.snapshot().dimensions[0].available
}

#[tokio::test(start_paused = true)]
async fn reservations_and_charges_act_on_all_levels() {
    let rate = || QuotaLimiter::builder().limit(QuotaDimension::Tokens, s(1), 1_000);
    let endpoint = rate().build().unwrap();
    let account = rate().under(&endpoint).build().unwrap();
    let model = rate().under(&account).build().unwrap();
    let all = [&endpoint, &account, &model];
    let levels = || (in_flight(&all), all.map(available));
    let cost = Cost::request().input_tokens(100);

    let reservation = model.reserve(cost).await.unwrap();
    assert_eq!(levels(), (vec![1; 3], [900; 3]));
    drop(reservation);
    assert_eq!(levels(), (vec![0; 3], [1_000; 3]));
    model.try_reserve_at(cost, Instant::now()).unwrap().sent().settle(Cost::request().input_tokens(60));
    assert_eq!(levels(), (vec![0; 3], [940; 3]));
    model.reserve(cost).await.unwrap().sent().keep_estimate();
    assert_eq!(levels(), (vec![0; 3], [840; 3]));
    model.reserve(cost).await.unwrap().sent().refund();
    assert_eq!(levels(), (vec![0; 3], [840; 3]));
    model.reserve(cost).await.unwrap().sent().settle(Cost::request().input_tokens(140));
    assert_eq!(levels(), (vec![0; 3], [700; 3]));
    // A request to the upper quota itself.
    drop(account.reserve(cost).await.unwrap().sent());
    assert_eq!(levels(), (vec![0; 3], [600, 600, 700]));
}

/// The server may have counted what was sent, but not what is only reserved.
#[tokio::test(start_paused = true)]
async fn what_is_sent_is_known_at_all_levels() {
    let account = QuotaLimiter::builder().requests_per_minute(600).build().unwrap();
    let model = under(&account);
    let sent_at = Instant::now();
    for _ in 0..4 {
        drop(model.reserve(ONE).await.unwrap().sent());
    }
    tokio::time::advance(ms(300)).await;
    // If they had not been sent, all 4 would still have to be subtracted.
    let reading = Reading::per_minute().limit(600).remaining(7);
    let now = Instant::now();
    account.observe(now, &Observation::new(now - ms(1)).reading(QuotaDimension::Requests, reading));
    assert!(available(&account) >= 7, "{} at {:?}", available(&account), sent_at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn all_or_nothing_and_nothing_while_waiting() {
    let account = slots(1);
    let (one, other) = (under(&account), under(&account));
    let held = one.reserve(ONE).await.unwrap();
    let mut waiting = Box::pin(other.reserve(ONE));
    assert!(poll_once(waiting.as_mut()).is_pending());
    assert_eq!(in_flight(&[&account, &one, &other]), [1, 1, 0]);
    assert!(other.try_reserve_at(ONE, Instant::now()).is_err());
    drop(held);
    assert_eq!(in_flight(&[&account, &one, &other]), [1, 0, 1]);
    // It was admitted and is dropped without a poll: all levels get it back.
    drop(waiting);
    assert_eq!(in_flight(&[&account, &one, &other]), [0, 0, 0]);
    drop(one.try_reserve_at(ONE, Instant::now()).unwrap());
}

#[tokio::test(start_paused = true)]
async fn quotas_below_take_turns() {
    let account = slots(1);
    let (many, few) = (under(&account), under(&account));
    let held = many.reserve(ONE).await.unwrap();
    let mut line: Vec<_> = (0..4).map(|_| Box::pin(many.reserve(ONE))).collect();
    line.extend((0..2).map(|_| Box::pin(few.reserve(ONE))));
    line.push(Box::pin(account.reserve(ONE)));
    for place in &mut line {
        assert!(poll_once(place.as_mut()).is_pending());
    }
    let mut order = Vec::new();
    let mut last = Some(held);
    while order.len() < 7 {
        drop(last.take());
        for (id, place) in
            line.iter_mut().enumerate().filter(|(id, _)| !order.contains(id)).collect::<Vec<_>>()
        {
            if let Poll::Ready(reservation) = poll_once(place.as_mut()) {
                order.push(id);
                assert!(last.replace(reservation.unwrap()).is_none(), "two requests have the one slot");
                break;
            }
        }
        assert!(last.is_some(), "no request was admitted after {order:?}");
    }
    assert_eq!(order, [0, 4, 6, 1, 5, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_above_is_shared_exactly() {
    let account = QuotaLimiter::builder().requests_per_minute(600).burst(ms(100)).build().unwrap();
    let (one, other) = (under(&account), under(&account));
    let start = Instant::now();
    let run = |quota: QuotaLimiter, count: usize| {
        tokio::spawn(async move {
            let waits = (0..count).map(|_| async { drop(quota.reserve(ONE).await.unwrap().sent()) });
            futures::future::join_all(waits).await;
            at(start)
        })
    };
    let (long, short) = (run(one, 60), run(other, 20));
    let times = (short.await.unwrap(), long.await.unwrap());
    assert!((3_800..=4_000).contains(&times.0), "{times:?}");
    assert_eq!(times.1, 7_900, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_quota_with_a_closed_gate_delays_no_other() {
    let account = slots(1);
    let (closed, open) = (under(&account), under(&account));
    let held = open.reserve(ONE).await.unwrap();
    let mut first = Box::pin(closed.reserve(ONE));
    let mut second = Box::pin(open.reserve(ONE));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    let now = Instant::now();
    closed.close_gate_until(now, now + s(60));
    assert_eq!(closed.gate_closed_until(now), Some(now + s(60)));
    assert_eq!(open.gate_closed_until(now), None);
    drop(held);
    assert!(poll_once(second.as_mut()).is_ready());
    closed.open_gate(Instant::now());
    assert!(poll_once(first.as_mut()).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_gate_above_is_a_gate() {
    let account = QuotaLimiter::builder().build().unwrap();
    let (one, other) = (under(&account), under(&account));
    let start = Instant::now();
    account.close_gate_until(start, start + s(10));
    assert_eq!(one.gate_closed_until(start), Some(start + s(10)));
    assert_eq!(one.snapshot().gate_closed_until, Some(start + s(10)));
    let error = one.reserve(ONE).before(start + s(5)).await.unwrap_err();
    assert!(matches!(error, QuotaError::MustWait { wait: Some(wait), .. } if wait == s(10)), "{error:?}");
    let (mut first, mut second) = (pin!(one.reserve(ONE).before(start + s(20))), pin!(other.reserve(ONE)));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    let mut late = pin!(other.reserve(ONE).before(start + s(30)));
    assert!(poll_once(late.as_mut()).is_pending());
    // The gate is closed for longer than two of the deadlines. Both waits end at once, at both quotas.
    account.close_gate_until(start, start + s(40));
    assert!(matches!(poll_once(first.as_mut()), Poll::Ready(Err(QuotaError::MustWait { .. }))));
    assert!(matches!(poll_once(late.as_mut()), Poll::Ready(Err(QuotaError::MustWait { .. }))));
    sleep(s(3)).await;
    account.open_gate(Instant::now());
    drop(second.await.unwrap());
    assert_eq!(at(start), 3_000);
}

#[tokio::test(start_paused = true)]
async fn closing_above_ends_the_waits_below() {
    let endpoint = slots(1);
    let account = under(&endpoint);
    let (one, other) = (under(&account), under(&account));
    let held = one.reserve(ONE).await.unwrap();
    let mut first = pin!(one.reserve(ONE));
    let mut second = pin!(other.reserve(ONE));
    assert!(poll_once(first.as_mut()).is_pending());
    other.close_gate_until(Instant::now(), Instant::now() + s(9));
    assert!(poll_once(second.as_mut()).is_pending());
    endpoint.close();
    assert!(matches!(poll_once(first), Poll::Ready(Err(QuotaError::Closed))));
    assert!(matches!(poll_once(second), Poll::Ready(Err(QuotaError::Closed))));
    assert!(one.is_closed());
    assert_eq!(under(&account).reserve(ONE).await.unwrap_err(), QuotaError::Closed);
    drop(held.sent());
    assert_eq!(in_flight(&[&endpoint, &account, &one]), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn closing_a_quota_below_does_not_close_the_others() {
    let account = slots(1);
    let (one, other) = (under(&account), under(&account));
    let held = account.reserve(ONE).await.unwrap();
    let mut first = pin!(one.reserve(ONE));
    let mut second = pin!(other.reserve(ONE));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    one.close();
    assert!(matches!(poll_once(first), Poll::Ready(Err(QuotaError::Closed))));
    drop(held);
    assert!(poll_once(second).is_ready());
}

#[tokio::test(start_paused = true)]
async fn limits_and_waits_above_count_below() {
    let account = QuotaLimiter::builder().tokens_per_minute(6_000).burst(s(1)).build().unwrap();
    let model = QuotaLimiter::builder().under(&account).tokens_per_minute(600_000).build().unwrap();
    let error = model.reserve(Cost::request().input_tokens(6_001)).await.unwrap_err();
    assert_eq!(
        error,
        QuotaError::Impossible { dimension: QuotaDimension::Tokens, asked: 6_001, limit: 6_000 }
    );
    let now = Instant::now();
    drop(model.reserve(Cost::request().input_tokens(600)).await.unwrap().sent());
    let error = model.try_reserve_at(Cost::request().input_tokens(100), now).unwrap_err();
    let QuotaError::MustWait { wait, .. } = error else { panic!("{error:?}") };
    assert_eq!(wait, Some(s(6)));
    let error = model.reserve(Cost::request().input_tokens(100)).before(now + s(5)).await.unwrap_err();
    assert!(matches!(error, QuotaError::MustWait { .. }));
    let mut waits = pin!(model.reserve(Cost::request().input_tokens(100)).before(now + s(7)));
    assert!(poll_once(waits.as_mut()).is_pending());
    // Units that come back above admit it at once.
    account.reserve(Cost::request()).await.unwrap().sent().refund();
    drop(waits.await.unwrap());
    assert_eq!(now.elapsed(), s(6));
}

#[tokio::test(start_paused = true)]
async fn a_middle_quota_that_waits_for_its_own_limit_leaves_the_turn_to_others() {
    let endpoint = slots(1);
    let slow = QuotaLimiter::builder().under(&endpoint).requests_per_minute(6).build().unwrap();
    let quick = under(&endpoint);
    let (slow_model, quick_model) = (under(&slow), under(&quick));
    let start = Instant::now();
    drop(slow_model.reserve(ONE).await.unwrap().sent());
    let held = quick_model.reserve(ONE).await.unwrap();
    let mut first = Box::pin(slow_model.reserve(ONE));
    let mut second = Box::pin(quick_model.reserve(ONE));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    drop(held);
    let Poll::Ready(second) = poll_once(second.as_mut()) else { panic!("the endpoint has room") };
    sleep(s(12)).await;
    assert!(poll_once(first.as_mut()).is_pending(), "the slot is taken");
    drop(second.unwrap());
    drop(first.await.unwrap());
    assert_eq!(at(start), 12_000);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_below_closes_one_gate_and_a_quota_of_another_stays_open() {
    let account = QuotaLimiter::builder().build().unwrap();
    let (one, other) = (under(&account), under(&account));
    let start = Instant::now();
    drop(one.reserve(ONE).await.unwrap().sent());
    one.observe(start, &Observation::new(start).refused(Some(s(20))));
    drop(other.reserve(ONE).await.unwrap());
    assert_eq!(at(start), 0);
    drop(one.reserve(ONE).await.unwrap());
    assert_eq!(at(start), 20_000);
}

#[tokio::test(start_paused = true)]
async fn a_new_slot_above_goes_to_a_quota_below() {
    let account = slots(1);
    let model = under(&account);
    let held = model.reserve(ONE).await.unwrap();
    let mut waits = pin!(model.reserve(ONE));
    assert!(poll_once(waits.as_mut()).is_pending());
    account.set_max_concurrent(Some(2));
    let Poll::Ready(second) = poll_once(waits) else { panic!("there is a slot") };
    account.set_max_concurrent(Some(1));
    drop(held);
    assert!(model.try_reserve_at(ONE, Instant::now()).is_err(), "more requests are in flight than the limit");
    drop(second);
    assert!(model.try_reserve_at(ONE, Instant::now()).is_ok());
}

#[tokio::test]
async fn limits_are_checked_in_a_nested_quota_too() {
    let parent = slots(1);
    let built = QuotaLimiter::builder().under(&parent).max_concurrent(0).build();
    assert_eq!(built.unwrap_err(), BuildError::ZeroConcurrency);
}

/// The turns go on as long as there is something to take.
#[tokio::test(start_paused = true)]
async fn everything_that_becomes_free_at_once_is_taken() {
    let account = slots(1);
    account.set_max_concurrent(Some(0));
    let model = under(&account);
    let mut line = Vec::new();
    for quota in [&account, &account, &model, &model, &account] {
        let mut place = Box::pin(quota.reserve(ONE));
        assert!(poll_once(place.as_mut()).is_pending());
        line.push(place);
    }
    account.set_max_concurrent(Some(5));
    let given: Vec<_> = line.iter_mut().map(|place| poll_once(place.as_mut())).collect();
    assert!(given.iter().all(Poll::is_ready));
}

/// A gate that closes above concerns the deadlines of all quotas below, and not only of the one whose turn it is.
#[tokio::test(start_paused = true)]
async fn a_gate_above_ends_the_waits_of_all_quotas_below() {
    let account = slots(1);
    let (first, second) = (under(&account), under(&account));
    let start = Instant::now();
    let _held = account.reserve(ONE).await.unwrap();
    let (mut patient, mut hurried) =
        (pin!(first.reserve(ONE)), pin!(second.reserve(ONE).before(start + s(5))));
    assert!(poll_once(patient.as_mut()).is_pending());
    assert!(poll_once(hurried.as_mut()).is_pending());
    account.close_gate_until(start, start + s(10));
    assert!(matches!(poll_once(hurried), Poll::Ready(Err(QuotaError::MustWait { .. }))));
    assert!(poll_once(patient).is_pending());
}
