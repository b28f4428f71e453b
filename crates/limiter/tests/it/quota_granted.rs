//! Quotas that count by grants instead of time.

use std::{pin::pin, task::Poll, time::Duration};

use outbound_limiter::{Bottleneck, BuildError, Cost, QuotaDimension, QuotaError, QuotaLimiter};
use tokio::time::{Instant, advance};

use crate::support::{ms, poll_once, s, settle};

const TOKENS: QuotaDimension = QuotaDimension::Tokens;

fn tokens(tokens: u64) -> Cost {
    Cost::request().input_tokens(tokens)
}

fn granted() -> QuotaLimiter {
    QuotaLimiter::builder().granted(TOKENS).build().unwrap()
}

fn available(quota: &QuotaLimiter) -> (u64, u64) {
    let grant = quota.snapshot().granted[0];
    assert_eq!(grant.dimension, TOKENS);
    (grant.available, grant.wanted)
}

#[tokio::test(start_paused = true)]
async fn time_brings_nothing_and_a_grant_wakes_the_requests_that_it_is_enough_for() {
    let quota = granted();
    let waiting: Vec<_> = [100, 200, 50]
        .map(|units| {
            let quota = quota.clone();
            tokio::spawn(async move { quota.reserve(tokens(units)).await.unwrap().sent() })
        })
        .into();
    settle().await;
    advance(s(86_400)).await;
    settle().await;
    assert!(waiting.iter().all(|task| !task.is_finished()));
    assert_eq!((quota.snapshot().waiting, available(&quota)), (3, (0, 350)));
    assert_eq!(quota.snapshot().bottleneck, Some(Bottleneck::Dimension(TOKENS)));

    quota.grant(TOKENS, 99);
    settle().await;
    assert_eq!(
        (quota.snapshot().waiting, available(&quota)),
        (3, (99, 251)),
        "no request overtakes the first one for its tokens"
    );
    quota.grant(TOKENS, 1);
    settle().await;
    assert!(waiting[0].is_finished() && !waiting[1].is_finished());
    quota.grant(TOKENS, 300);
    settle().await;
    assert!(waiting.iter().all(tokio::task::JoinHandle::is_finished));
    assert_eq!(available(&quota), (50, 0));
}

#[tokio::test(start_paused = true)]
async fn unused_units_come_back_and_overdrawn_units_are_owed() {
    let quota = granted();
    quota.grant(TOKENS, 100);
    let charge = quota.reserve(tokens(80)).await.unwrap().sent();
    drop(quota.reserve(tokens(20)).await.unwrap());
    assert_eq!(available(&quota), (20, 0), "it was not sent, so everything comes back");
    charge.settle(tokens(30));
    assert_eq!(available(&quota), (70, 0));
    quota.reserve(tokens(70)).await.unwrap().sent().settle(tokens(100));
    assert_eq!(available(&quota), (0, 30), "30 are owed");
    quota.grant(TOKENS, 40);
    assert_eq!(available(&quota), (10, 0));
    assert!(quota.try_reserve(tokens(11)).is_err());
    assert!(quota.try_reserve(tokens(10)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn no_more_is_taken_back_than_there_is() {
    let quota = granted();
    assert_eq!(quota.reclaim(TOKENS, 10), 0);
    quota.grant(TOKENS, 100);
    let _charge = quota.reserve(tokens(60)).await.unwrap().sent();
    assert_eq!((quota.reclaim(TOKENS, 15), quota.reclaim(TOKENS, u64::MAX)), (15, 25));
    assert_eq!(available(&quota), (0, 0));
    quota.grant(TOKENS, u64::MAX);
    quota.grant(TOKENS, u64::MAX);
    assert_eq!(available(&quota), (u64::MAX, 0));
    quota.grant(QuotaDimension::Requests, 7);
    assert_eq!(quota.reclaim(QuotaDimension::Requests, 7), 0, "requests are not counted by grants");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_when_it_comes_and_not_before() {
    let quota = granted();
    let begun = Instant::now();
    let mut reserve = pin!(quota.reserve(tokens(10)).before(begun + s(5)));
    assert!(poll_once(reserve.as_mut()).is_pending());
    let late = reserve.await.unwrap_err();
    assert_eq!(begun.elapsed(), s(5));
    assert_eq!(
        late,
        QuotaError::MustWait { until: None, wait: None, bottleneck: Bottleneck::Dimension(TOKENS) }
    );
    let other = quota.reserve(tokens(10)).before(Instant::now() + s(5));
    let (reservation, ()) = tokio::join!(other, async {
        tokio::time::sleep(s(3)).await;
        quota.grant(TOKENS, 10);
    });
    assert_eq!((reservation.unwrap().cost(), begun.elapsed()), (tokens(10), s(8)));
}

#[tokio::test(start_paused = true)]
async fn a_grant_and_a_window_hold_both() {
    let builder = QuotaLimiter::builder().granted(TOKENS).requests_per_minute(60).burst(s(1));
    let quota = builder.build().unwrap();
    quota.grant(TOKENS, 100);
    drop(quota.reserve(tokens(40)).await.unwrap().sent());
    let begun = Instant::now();
    let mut both = pin!(quota.reserve(tokens(70)));
    assert!(poll_once(both.as_mut()).is_pending());
    advance(s(10)).await;
    assert!(poll_once(both.as_mut()).is_pending(), "10 tokens are missing");
    // A request that costs no tokens waits too, because it would take the request that the first one needs.
    let mut small = pin!(quota.reserve(Cost::request()));
    assert!(poll_once(small.as_mut()).is_pending());
    quota.grant(TOKENS, 10);
    drop(both.await.unwrap().sent());
    assert_eq!(begun.elapsed(), s(10));
    drop(small.await.unwrap().sent());
    assert_eq!(begun.elapsed(), s(11));
}

#[tokio::test(start_paused = true)]
async fn a_grant_above_admits_requests_below() {
    let account = granted();
    let model = QuotaLimiter::builder().under(&account).requests_per_minute(600).build().unwrap();
    let mut reserve = pin!(model.reserve(tokens(10)));
    assert!(poll_once(reserve.as_mut()).is_pending());
    advance(ms(500)).await;
    account.grant(TOKENS, 10);
    assert!(matches!(poll_once(reserve.as_mut()), Poll::Ready(Ok(_))));
    assert!(model.try_reserve(tokens(11)).is_err(), "10 were given back");
}

#[tokio::test(start_paused = true)]
async fn a_grant_from_outside_of_a_runtime_wakes() {
    let quota = granted();
    let task = tokio::spawn({
        let quota = quota.clone();
        async move { quota.reserve(tokens(10)).await.is_ok() }
    });
    settle().await;
    std::thread::spawn(move || quota.grant(TOKENS, 10)).join().unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(1), task).await.unwrap().unwrap());
}

#[test]
fn two_names_at_one_place_are_refused_here_too() {
    let (one, other) = (QuotaDimension::named(0, "images"), QuotaDimension::named(0, "pages"));
    let error = QuotaLimiter::builder().granted(one).granted(other).build().unwrap_err();
    assert_eq!(error, BuildError::SamePlace(one, other));
}

#[tokio::test(start_paused = true)]
async fn a_dimension_can_be_counted_by_grants_for_a_while() {
    let quota = QuotaLimiter::builder().tokens_per_minute(6_000).requests_per_minute(600).build().unwrap();
    let before = quota.reserve(tokens(60)).await.unwrap().sent();
    quota.require_grants(TOKENS);
    quota.require_grants(TOKENS);
    assert_eq!((quota.snapshot().granted.len(), available(&quota)), (1, (0, 0)));
    before.settle(tokens(10));
    assert_eq!(available(&quota), (50, 0), "what is given back counts as granted");
    assert_eq!(quota.reclaim(TOKENS, u64::MAX), 50);
    advance(s(1)).await;
    let mut waits = pin!(quota.reserve(tokens(80)));
    assert!(poll_once(waits.as_mut()).is_pending());
    quota.grant(TOKENS, 50);
    assert!(poll_once(waits.as_mut()).is_pending());
    // The limit in time holds below the grants.
    quota.grant(TOKENS, 1_000);
    let Poll::Ready(Ok(first)) = poll_once(waits.as_mut()) else { panic!("130 are enough") };
    first.sent().keep_estimate();
    let mut waits = pin!(quota.reserve(tokens(100)));
    assert!(poll_once(waits.as_mut()).is_pending());
    advance(ms(800)).await;
    let Poll::Ready(Ok(second)) = poll_once(waits.as_mut()) else { panic!("the bucket is full") };
    second.sent().keep_estimate();
    assert_eq!(quota.reclaim(TOKENS, u64::MAX), 870);
    advance(s(1)).await;
    let mut waits = pin!(quota.reserve(tokens(80)));
    assert!(poll_once(waits.as_mut()).is_pending());
    quota.lift_grants(TOKENS);
    assert!(poll_once(waits.as_mut()).is_ready());
    assert!(quota.snapshot().granted.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_granted_for_a_refused_request_is_used_up() {
    let quota = QuotaLimiter::builder().granted(TOKENS).tokens_per_minute(6_000).build().unwrap();
    quota.grant(TOKENS, 100);
    quota.reserve(tokens(40)).await.unwrap().sent().refused();
    let snapshot = quota.snapshot();
    assert_eq!((snapshot.granted[0].available, snapshot.dimensions[0].available), (60, 100));
    assert_eq!((snapshot.in_flight, snapshot.waiting), (0, 0));
    quota.reserve(tokens(40)).await.unwrap().sent().refund();
    assert_eq!(quota.snapshot().granted[0].available, 60);
}

#[tokio::test(start_paused = true)]
async fn what_waits_below_is_counted_and_what_waits_at_a_closed_gate_is_not() {
    let account = granted();
    let models: Vec<_> = (0..3).map(|_| QuotaLimiter::builder().under(&account).build().unwrap()).collect();
    let below = QuotaLimiter::builder().under(&models[0]).build().unwrap();
    let mut waiting = Vec::new();
    for (quota, units) in [
        (&account, 5),
        (&models[0], 10),
        (&models[1], 70),
        (&models[1], 20),
        (&models[2], 1_000),
        (&below, 30),
    ] {
        waiting.push(Box::pin(quota.reserve(tokens(units))));
        assert!(poll_once(waiting.last_mut().unwrap().as_mut()).is_pending());
    }
    let granted = account.snapshot().granted[0];
    assert_eq!((granted.queued, granted.first, granted.wanted), (1_135, 1_000, 1_135));
    models[2].close_gate_until(Instant::now(), Instant::now() + s(5));
    account.grant(TOKENS, 4);
    let granted = account.snapshot().granted[0];
    assert_eq!((granted.queued, granted.first, granted.wanted, granted.available), (135, 70, 131, 4));
    drop(waiting);
    let granted = account.snapshot().granted[0];
    assert_eq!((granted.queued, granted.first, granted.wanted), (0, 0, 0));
}

proptest::proptest! {
    /// Whatever joins, leaves, is admitted and settled anywhere: the sum is that of all that wait.
    #[test]
    fn the_sum_is_that_of_all_that_wait(
        steps in proptest::collection::vec((0_usize..5, 0_u8..6, 1_u64..50), 1..60),
    ) {
        let account = QuotaLimiter::builder().granted(TOKENS).max_concurrent(4).build().unwrap();
        let mut quotas = vec![account.clone()];
        for above in [0, 0, 1, 2] {
            quotas.push(QuotaLimiter::builder().under(&quotas[above]).build().unwrap());
        }
        let (mut waiting, mut charges) = (Vec::new(), Vec::new());
        for (at, what, units) in steps {
            match what {
                0..=2 => waiting.push((at, units, Box::pin(quotas[at].reserve(tokens(units))))),
                3 if !waiting.is_empty() => drop(waiting.remove(units as usize % waiting.len())),
                4 => account.grant(TOKENS, units),
                5 => drop(charges.pop()),
                _ => {}
            }
            waiting.retain_mut(|(_, _, reserve)| match poll_once(reserve.as_mut()) {
                Poll::Ready(reserved) => {
                    charges.push(reserved.unwrap().sent());
                    false
                }
                Poll::Pending => true,
            });
            let sum: u64 = waiting.iter().map(|(_, units, _)| units).sum();
            let first = (0..5).filter_map(|at| waiting.iter().find(|(of, ..)| *of == at)).map(|(_, units, _)| *units);
            let granted = account.snapshot().granted[0];
            proptest::prop_assert_eq!((granted.queued, granted.first), (sum, first.max().unwrap_or(0)));
            proptest::prop_assert_eq!(granted.wanted, sum.saturating_sub(granted.available));
        }
    }
}
