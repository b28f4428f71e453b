//! Observations: how limits, readings and refusals of the server change a quota.

use outbound_limiter::{Charging, Cost, Observation, QuotaDimension, QuotaError, QuotaLimiter, Reading};
use proptest::prelude::*;
use tokio::time::{Instant, advance};

use crate::support::{ms, s};

const ONE: Cost = Cost::request();

fn requests(quota: &QuotaLimiter) -> (u64, u64) {
    let snapshot = quota.snapshot();
    let one =
        snapshot.dimensions.iter().find(|one| one.dimension == QuotaDimension::Requests).expect("a limit");
    (one.available, one.limit)
}

fn say(quota: &QuotaLimiter, sent_at: Instant, reading: Reading) {
    quota.observe(Instant::now(), &Observation::new(sent_at).reading(QuotaDimension::Requests, reading));
}

#[tokio::test(start_paused = true)]
async fn limits_that_only_the_server_knows_are_adopted() {
    let quota = QuotaLimiter::builder().build().unwrap();
    let now = Instant::now();
    say(&quota, now, Reading::per_minute().limit(600).remaining(400).reset(s(20)));
    // All of it except the guard of 0.15 s, which is 1.5 requests.
    assert_eq!(requests(&quota), (398, 600));
    say(&quota, now, Reading::per_day().limit(10_000).remaining(9_000));
    assert_eq!(quota.snapshot().dimensions.len(), 2, "a limit per day is a second one");
    let error = quota.reserve(ONE.requests(601)).await.unwrap_err();
    assert_eq!(error, QuotaError::Impossible { dimension: QuotaDimension::Requests, asked: 601, limit: 600 });
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_what_remains_of_it_means_nothing() {
    let quota = QuotaLimiter::builder().build().unwrap();
    let now = Instant::now();
    say(&quota, now, Reading::per_minute().remaining(5));
    say(&quota, now, Reading::per_minute().limit(0).remaining(0));
    assert!(quota.snapshot().dimensions.is_empty());
}

/// More than the units of one second may be used at once while the server says that more remain.
#[tokio::test(start_paused = true)]
async fn what_the_server_says_remains_may_be_used_at_once() {
    let quota = QuotaLimiter::builder().requests_per_minute(600).build().unwrap();
    assert_eq!(requests(&quota), (10, 600));
    say(&quota, Instant::now(), Reading::per_minute().limit(600).remaining(90).reset(s(1)));
    assert_eq!(requests(&quota), (88, 600));
    advance(s(60)).await;
    assert_eq!(requests(&quota), (90, 600), "no more than the server has shown");
}

#[tokio::test(start_paused = true)]
async fn a_burst_the_user_has_set_holds() {
    let quota = QuotaLimiter::builder().requests_per_minute(600).burst(s(2)).build().unwrap();
    say(&quota, Instant::now(), Reading::per_minute().limit(600).remaining(600));
    assert_eq!(requests(&quota), (20, 600));
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_of_the_user_holds() {
    let quota = QuotaLimiter::builder().requests_per_minute(60).build().unwrap();
    say(&quota, Instant::now(), Reading::per_minute().limit(600).remaining(600));
    assert_eq!(requests(&quota), (1, 60));
    drop(quota.reserve(ONE).await.unwrap().sent());
    say(&quota, Instant::now(), Reading::per_minute().limit(600).remaining(599));
    assert_eq!(requests(&quota), (0, 60));
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_of_the_server_holds() {
    let quota = QuotaLimiter::builder().requests_per_minute(6_000).build().unwrap();
    say(&quota, Instant::now(), Reading::per_minute().limit(60).remaining(60).reset(s(0)));
    assert_eq!(requests(&quota).1, 60);
    assert!(requests(&quota).0 <= 60);
}

#[tokio::test(start_paused = true)]
async fn other_clients_lower_the_level() {
    let quota = QuotaLimiter::builder().requests_per_minute(600).build().unwrap();
    say(&quota, Instant::now(), Reading::per_minute().limit(600).remaining(3));
    assert_eq!(requests(&quota), (3, 600));
    say(&quota, Instant::now(), Reading::per_minute().limit(600).remaining(0));
    assert_eq!(requests(&quota), (0, 600));
    advance(s(1)).await;
    assert_eq!(requests(&quota), (10, 600));
}

/// What comes in while the server is full is lost here too.
#[tokio::test(start_paused = true)]
async fn an_old_reading_of_a_full_server_raises_nothing() {
    let quota = QuotaLimiter::builder().requests_per_minute(600).build().unwrap();
    let first = Instant::now();
    drop(quota.reserve(ONE).await.unwrap().sent());
    advance(s(1)).await;
    for _ in 0..10 {
        drop(quota.reserve(ONE).await.unwrap().sent());
    }
    say(&quota, first, Reading::per_minute().limit(600).remaining(9).reset(ms(100)));
    assert_eq!(requests(&quota).0, 0);
}

/// A late reply names an old limit.
#[tokio::test(start_paused = true)]
async fn an_older_limit_does_not_come_back() {
    let quota = QuotaLimiter::builder().requests_per_minute(600).build().unwrap();
    let first = Instant::now();
    advance(s(1)).await;
    say(&quota, Instant::now(), Reading::per_minute().limit(300).remaining(5));
    say(&quota, first, Reading::per_minute().limit(600).remaining(10));
    assert_eq!(requests(&quota).1, 300);
}

/// What remained of an old limit says nothing about the current one.
#[tokio::test(start_paused = true)]
async fn a_reading_of_an_older_limit_moves_no_level() {
    let quota = QuotaLimiter::builder().build().unwrap();
    let first = Instant::now();
    say(&quota, first, Reading::per_minute().limit(300).remaining(3));
    advance(s(4)).await;
    say(&quota, Instant::now(), Reading::per_minute().limit(600).remaining(5));
    let before = requests(&quota);
    say(&quota, first, Reading::per_minute().limit(300).remaining(290));
    assert_eq!(requests(&quota), before);
    say(&quota, first, Reading::per_minute().limit(300).remaining(0));
    assert_eq!(requests(&quota), before);
}

/// Whether unused tokens come back depends on how the server counts them.
#[tokio::test(start_paused = true)]
async fn unused_tokens_come_back_as_the_charging_says() {
    let left = |charging: Option<Charging>| async move {
        let builder = QuotaLimiter::builder().tokens_per_minute(6_000);
        let quota = charging.map_or(builder.clone(), |charging| builder.charging(charging)).build().unwrap();
        let charge = quota.reserve(Cost::request().output_tokens(80)).await.unwrap().sent();
        charge.settle(Cost::request().output_tokens(10));
        let after_one = quota.snapshot().dimensions[0].available;
        quota.reserve(Cost::request().output_tokens(10)).await.unwrap().sent().refund();
        (after_one, quota.snapshot().dimensions[0].available)
    };
    assert_eq!(left(None).await, (90, 90));
    assert_eq!(left(Some(Charging::Settle)).await, (90, 90));
    assert_eq!(left(Some(Charging::Actual)).await, (90, 90));
    assert_eq!(left(Some(Charging::Estimate)).await, (20, 20), "a request that never left gives all back");
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_since_the_reading_is_subtracted() {
    let quota = QuotaLimiter::builder().requests_per_minute(600).build().unwrap();
    let first = Instant::now();
    drop(quota.reserve(ONE).await.unwrap().sent());
    advance(ms(200)).await;
    for _ in 0..5 {
        drop(quota.reserve(ONE).await.unwrap().sent());
    }
    // The server may have counted the 100 before it saw those 5, or after that, when it had gained 2. It has not shown that it
    // can hold more than 100, so one of the 2 may have been lost.
    say(&quota, first, Reading::per_minute().limit(600).remaining(100));
    let (available, _) = requests(&quota);
    assert_eq!(available, 100 + 2 - 1 - 6 - 2, "the lower one of the two, minus the guard");
}

#[tokio::test(start_paused = true)]
async fn reservations_that_were_not_sent_are_subtracted() {
    let quota = QuotaLimiter::builder().requests_per_minute(600).build().unwrap();
    let held: Vec<_> =
        (0..4).map(|_| quota.try_reserve_at(ONE, Instant::now()).expect("a burst of 10")).collect();
    say(&quota, Instant::now(), Reading::per_minute().limit(600).remaining(10));
    // The server has 10, and will see 4 more requests. This is what the level says, so nothing changes.
    assert_eq!(requests(&quota), (6, 600));
    drop(held);
    assert_eq!(requests(&quota), (10, 600));
}

/// Replies overtake each other, and slow replies have old counts.
#[tokio::test(start_paused = true)]
async fn an_old_reply_does_not_raise_what_a_new_one_lowered() {
    let quota = QuotaLimiter::builder().requests_per_minute(600).build().unwrap();
    let old = Instant::now();
    say(&quota, old, Reading::per_minute().limit(600).remaining(600));
    for _ in 0..500 {
        drop(quota.try_reserve_at(ONE, Instant::now()).unwrap().sent());
    }
    let before = requests(&quota);
    advance(ms(50)).await;
    say(&quota, old, Reading::per_minute().limit(600).remaining(598));
    assert!(requests(&quota).0 <= before.0 + 1, "{:?}", requests(&quota));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reply_does_not_lower_the_level() {
    let quota = QuotaLimiter::builder().requests_per_minute(600).build().unwrap();
    let sent_at = Instant::now();
    for _ in 0..300 {
        drop(quota.reserve(ONE).await.unwrap().sent());
    }
    // It comes 29 s later. Its count may be from the start or from the end, so the level does not change.
    let before = requests(&quota);
    say(&quota, sent_at, Reading::per_minute().limit(600).remaining(10));
    assert_eq!(requests(&quota), before);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_says_nothing_of_a_limit_empties_it() {
    let quota = QuotaLimiter::builder().requests_per_minute(600).build().unwrap();
    say(&quota, Instant::now(), Reading::per_minute().limit(600).remaining(600).reset(s(0)));
    assert!(requests(&quota).0 > 590);
    let now = Instant::now();
    quota.observe(now, &Observation::new(now).refused(Some(s(2))));
    advance(s(1)).await;
    assert_eq!(requests(&quota).0, 0, "nothing before the wait is over");
    advance(s(2)).await;
    assert_eq!(requests(&quota).0, 10);
}

#[tokio::test(start_paused = true)]
async fn a_daily_limit_is_not_emptied_by_a_refusal_that_does_not_name_it() {
    let quota = QuotaLimiter::builder().build().unwrap();
    let now = Instant::now();
    say(&quota, now, Reading::per_day().limit(10_000).remaining(9_000));
    quota.observe(now, &Observation::new(now).refused(Some(s(1))));
    assert!(requests(&quota).0 > 8_990);
}

fn reading() -> impl Strategy<Value = Reading> {
    let number = || prop_oneof![Just(None), (0_u64..2_000).prop_map(Some), any::<u64>().prop_map(Some)];
    let reset = prop_oneof![Just(None), (0_u64..100_000).prop_map(Some), any::<u64>().prop_map(Some)];
    (any::<bool>(), number(), number(), reset).prop_map(|(day, limit, remaining, reset)| {
        let reading = if day { Reading::per_day() } else { Reading::per_minute() };
        let reading = limit.map_or(reading, |limit| reading.limit(limit));
        let reading = remaining.map_or(reading, |remaining| reading.remaining(remaining));
        reset.map_or(reading, |reset| reading.reset(ms(reset)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever a server says, there is no panic, never more than its limit is admitted at once, and everything that was
    /// reserved comes back.
    #[test]
    fn any_signals_are_survived(
        steps in prop::collection::vec(
            (reading(), 0_usize..4, prop::option::of(any::<u64>()), 0_u64..100_000, 0_u64..100_000, 0_u64..2_000),
            1..30,
        ),
    ) {
        let quota = QuotaLimiter::builder().tokens_per_minute(1_000).build().unwrap();
        let start = Instant::now();
        let mut now = start;
        let dimensions =
            [QuotaDimension::Requests, QuotaDimension::Tokens, QuotaDimension::InputTokens, QuotaDimension::OutputTokens];
        let mut held = Vec::new();
        for (reading, dimension, refusal, age, pass, tokens) in steps {
            now += ms(pass);
            let sent_at = now.checked_sub(ms(age)).unwrap_or(now);
            let observation = Observation::new(sent_at).reading(dimensions[dimension], reading);
            quota.observe(now, &match refusal {
                None => observation,
                Some(wait) if wait % 3 == 0 => observation.refused(None),
                Some(wait) if wait % 3 == 1 => observation.ramp(Some(ms(wait))),
                Some(wait) => observation.refused(Some(ms(wait % 100_000))),
            });
            held.extend(quota.try_reserve_at(ONE.input_tokens(tokens), now));
            for one in quota.snapshot().dimensions {
                prop_assert!(one.available <= one.limit, "{one:?}");
            }
            prop_assert_eq!(quota.snapshot().in_flight, held.len());
        }
        drop(held);
        prop_assert_eq!(quota.snapshot().in_flight, 0);
    }
}

/// The server counts in fixed windows, and the user's limit is a tenth of the server's. The rate is then a tenth.
#[tokio::test(start_paused = true)]
async fn a_fixed_window_of_the_server_does_not_delay_a_user_with_a_lower_limit() {
    let quota = QuotaLimiter::builder().requests_per_minute(60).build().unwrap();
    let start = Instant::now();
    for turn in 0..50_u64 {
        let sent_at = Instant::now();
        quota.reserve(ONE).await.unwrap().sent().settle(ONE);
        let left = s(60) - start.elapsed();
        say(&quota, sent_at, Reading::per_minute().limit(600).remaining(599 - turn).reset(left));
    }
    assert_eq!(start.elapsed(), s(49));
}

/// Other clients take nine tenths for a minute, and then nothing. The rate comes back.
#[tokio::test(start_paused = true)]
async fn the_rate_comes_back_when_other_clients_stop() {
    let quota = QuotaLimiter::builder().requests_per_minute(600).build().unwrap();
    let start = Instant::now();
    let mut sent = Vec::new();
    // The server's bucket, in milliseconds of the rate. Other clients take 90 of 100 for a minute.
    let (mut level, mut before) = (2_000_u64, start);
    while start.elapsed() < s(150) {
        quota.reserve(ONE).await.unwrap().sent().settle(ONE);
        let now = Instant::now();
        let elapsed = u64::try_from((now - before).as_millis()).unwrap();
        let taken = if start.elapsed() < s(60) { elapsed * 9 / 10 } else { 0 };
        level = (level + elapsed - taken).min(6_000);
        let granted = level >= 100;
        level -= if granted { 100 } else { 0 };
        before = now;
        sent.push((start.elapsed().as_secs(), granted));
        let reset = ms(6_000 - level);
        let reading = Reading::per_minute().limit(600).remaining(level / 100).reset(reset);
        let observation = Observation::new(now).reading(QuotaDimension::Requests, reading);
        quota.observe(now, &if granted { observation } else { observation.refused(Some(ms(100))) });
    }
    let in_time = |from: u64, to: u64| sent.iter().filter(|(at, _)| (from..to).contains(at)).count();
    assert!(in_time(40, 60) <= 40, "at most two tenths of the rate: {}", in_time(40, 60));
    assert!(in_time(120, 150) >= 270, "at least nine tenths of the rate: {}", in_time(120, 150));
    let refused = sent.iter().filter(|(_, granted)| !granted).count();
    assert!(refused <= 30, "{refused}");
}
