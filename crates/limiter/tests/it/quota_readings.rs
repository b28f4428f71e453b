//! Readings of windows, bounds on requests in flight, and numbers that cannot be true.

use std::time::Duration;

use outbound_limiter::{Cost, Observation, QuotaDimension, QuotaLimiter, Reading};
use tokio::time::{Instant, sleep};

use crate::support::{at, ms, s};

const ONE: Cost = Cost::request();

fn window(quota: &QuotaLimiter) -> Duration {
    quota.snapshot().dimensions[0].window
}

async fn told(reading: Reading) -> QuotaLimiter {
    let quota = QuotaLimiter::builder().build().unwrap();
    drop(quota.reserve(ONE).await.unwrap().sent());
    let sent_at = Instant::now();
    quota.observe(sent_at, &Observation::new(sent_at).reading(QuotaDimension::Requests, reading));
    quota
}

#[tokio::test(start_paused = true)]
async fn a_window_without_a_name_is_as_long_as_its_resets_say() {
    let reading = Reading::per_minute().limit(60).remaining(5);
    assert_eq!(window(&told(reading.resets_window(s(1))).await), s(60), "the window was named");
    let guessed = reading.window_guessed();
    assert_eq!(window(&told(guessed.resets_window(s(1))).await), s(1));
    assert_eq!(window(&told(guessed.resets_window(ms(9_500))).await), s(10));
    assert_eq!(window(&told(guessed.resets_window(s(59))).await), s(60));
    // A bucket may hold far less than the limit of its window. So the time until it is full says nothing about the window.
    assert_eq!(window(&told(guessed.fills_by(s(9))).await), s(60));
}

#[tokio::test(start_paused = true)]
async fn the_longest_reset_counts() {
    let quota = told(Reading::per_minute().limit(60).remaining(5).resets_window(s(1)).window_guessed()).await;
    sleep(s(1)).await;
    let sent_at = Instant::now();
    let longer = Reading::per_minute().limit(60).remaining(59).resets_window(s(58)).window_guessed();
    quota.observe(sent_at, &Observation::new(sent_at).reading(QuotaDimension::Requests, longer));
    assert_eq!(window(&quota), s(60));
}

/// The server serves 5 requests in each window of a second. It counts a request when it comes, and answers 0.1 s later.
#[tokio::test(start_paused = true)]
async fn a_short_window_runs_at_its_rate() {
    let quota = QuotaLimiter::builder().max_concurrent(64).build().unwrap();
    let start = Instant::now();
    let server = std::sync::Arc::new(std::sync::Mutex::new((0_u128, 0_u64)));
    let refused = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let tasks: Vec<_> = (0..60)
        .map(|id| {
            let (quota, server, refused) = (quota.clone(), server.clone(), refused.clone());
            tokio::spawn(async move {
                // One request goes first, because nothing is known before its reply.
                sleep(ms(if id == 0 { 0 } else { 110 })).await;
                loop {
                    let charge = quota.reserve(ONE).before(start + s(30)).await.unwrap().sent();
                    let sent_at = Instant::now();
                    let (remaining, reset, granted) = {
                        let mut server = server.lock().unwrap();
                        let now = at(start);
                        if server.0 != now / 1_000 {
                            *server = (now / 1_000, 0);
                        }
                        let granted = server.1 < 5;
                        server.1 += u64::from(granted);
                        (5 - server.1, 1_000 - now % 1_000, granted)
                    };
                    sleep(ms(if granted { 100 } else { 1 })).await;
                    let reset = Duration::from_millis(u64::try_from(reset).unwrap());
                    let reading = Reading::per_minute()
                        .limit(5)
                        .remaining(remaining)
                        .resets_window(reset)
                        .window_guessed();
                    let observation = Observation::new(sent_at).reading(QuotaDimension::Requests, reading);
                    if granted {
                        quota.observe(Instant::now(), &observation);
                        return charge.settle(ONE);
                    }
                    quota.observe(Instant::now(), &observation.refused(Some(reset)));
                    refused.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    charge.refund();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let refused = refused.load(std::sync::atomic::Ordering::SeqCst);
    assert!(at(start) <= 13_300, "60 at 5 per second took {} ms", at(start));
    assert!(refused <= 3, "{refused} were refused");
}

#[tokio::test(start_paused = true)]
async fn a_number_that_cannot_be_true_does_not_block_the_quota() {
    let quota = QuotaLimiter::builder().tokens_per_minute(6_000).build().unwrap();
    let start = Instant::now();
    let cost = Cost::request().input_tokens(10);
    quota.reserve(cost).await.unwrap().sent().settle(Cost::request().input_tokens(10_u64.pow(18)));
    drop(quota.reserve(cost).await.unwrap());
    assert!(start.elapsed() <= s(61), "at most one window, and not {:?}", start.elapsed());
    // Of a long window, at most its whole limit is taken.
    let builder = QuotaLimiter::builder().limit(QuotaDimension::Tokens, s(600), 1_000);
    let quota = builder.build().unwrap();
    quota.reserve(cost).await.unwrap().sent().settle(Cost::request().input_tokens(u64::MAX));
    let start = Instant::now();
    drop(quota.reserve(cost).await.unwrap());
    assert!(start.elapsed() <= s(601), "{:?}", start.elapsed());
}

/// A server that serves two requests at a time, with 20 requests of 2 s each. Its refusals ask to wait a minute.
async fn two_at_a_time(is_named: bool) -> (Duration, usize) {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };
    let quota = QuotaLimiter::builder().max_concurrent(8).build().unwrap();
    let (start, inside, refused) =
        (Instant::now(), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (quota, inside, refused) = (quota.clone(), Arc::clone(&inside), Arc::clone(&refused));
            tokio::spawn(async move {
                loop {
                    let charge = quota.reserve(ONE).await.unwrap().sent();
                    let observation = Observation::new(Instant::now());
                    sleep(ms(1)).await;
                    if inside.load(SeqCst) < 2 {
                        inside.fetch_add(1, SeqCst);
                        sleep(s(2)).await;
                        inside.fetch_sub(1, SeqCst);
                        quota.observe(Instant::now(), &observation);
                        return charge.settle(ONE);
                    }
                    refused.fetch_add(1, SeqCst);
                    let observation = observation.refused(Some(s(60)));
                    quota.observe(
                        Instant::now(),
                        &if is_named { observation.parallel() } else { observation },
                    );
                    charge.refund();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    (start.elapsed(), refused.load(SeqCst))
}

#[tokio::test(start_paused = true)]
async fn a_limit_on_parallel_requests_is_learned_where_it_is_named() {
    let (time, refused) = two_at_a_time(true).await;
    assert!(time <= s(24), "{time:?}");
    assert!((6..=14).contains(&refused), "{refused} refused");
}

/// The first request that ends shows that there is room, whatever wait was named.
#[tokio::test(start_paused = true)]
async fn a_limit_on_parallel_requests_is_learned_where_nothing_else_explains_a_refusal() {
    let (time, refused) = two_at_a_time(false).await;
    assert!(time <= s(26), "{time:?}");
    assert!((6..=11).contains(&refused), "{refused} refused");
}

/// A server with a window of a minute also refuses requests within the bound. Then the rate is learned instead.
#[tokio::test(start_paused = true)]
async fn a_refusal_with_fewer_in_flight_is_no_limit_on_parallel_requests() {
    let quota = QuotaLimiter::builder().max_concurrent(8).build().unwrap();
    let mut charges = Vec::new();
    for _ in 0..8 {
        charges.push(quota.reserve(ONE).await.unwrap().sent());
    }
    let first = Observation::new(Instant::now());
    sleep(ms(10)).await;
    for charge in charges.split_off(4) {
        quota.observe(Instant::now(), &first.refused(Some(s(20))));
        charge.refund();
    }
    assert!(quota.gate_closed_until(Instant::now()).is_some(), "the wait holds until more is known");
    sleep(ms(10)).await;
    quota.observe(Instant::now(), &first);
    charges.pop().unwrap().settle(ONE);
    let test = quota.reserve(ONE).await.unwrap().sent();
    let sent = Observation::new(Instant::now());
    assert!(quota.try_reserve_at(ONE, Instant::now()).is_err(), "only one test request is admitted");
    sleep(ms(10)).await;
    quota.observe(Instant::now(), &sent.refused(Some(s(20))));
    test.refund();
    quota.observe(Instant::now(), &first);
    charges.pop().unwrap().settle(ONE);
    let start = Instant::now();
    drop(quota.reserve(ONE).await.unwrap());
    assert!(start.elapsed() >= s(19), "the named wait, and not {:?}", start.elapsed());
}
