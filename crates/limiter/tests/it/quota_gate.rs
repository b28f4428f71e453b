//! The gate: a refusal closes it for all requests, and after that it opens slowly or at once.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use outbound_limiter::{Bottleneck, Cost, Observation, QuotaDimension, QuotaError, QuotaLimiter, Reading};
use tokio::time::{Instant, advance, sleep};

use crate::support::{at, counted, ms, poll_once, s, settle};

const ONE: Cost = Cost::request();

fn unlimited() -> QuotaLimiter {
    QuotaLimiter::builder().build().unwrap()
}

/// The times at which many tasks are admitted that all wait from now on, and the sum of their polls.
async fn times(quota: &QuotaLimiter, count: usize) -> (Vec<u128>, usize) {
    let start = Instant::now();
    let (polls, times) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let (quota, polls, times) = (quota.clone(), Arc::clone(&polls), Arc::clone(&times));
            tokio::spawn(async move {
                let charge = counted(polls, quota.reserve(ONE)).await.unwrap().sent();
                times.lock().unwrap().push(at(start));
                drop(charge);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let times = times.lock().unwrap().clone();
    (times, polls.load(SeqCst))
}

#[tokio::test(start_paused = true)]
async fn nothing_is_admitted_while_the_gate_is_closed() {
    let quota = unlimited();
    let start = Instant::now();
    quota.observe(start, &Observation::new(start).refused(Some(s(20))));
    assert_eq!(quota.snapshot().gate_closed_until, Some(start + s(20)));
    let refused = quota.try_reserve_at(ONE, start).unwrap_err();
    let until = Some(start + s(20));
    assert_eq!(refused, QuotaError::MustWait { until, wait: Some(s(20)), bottleneck: Bottleneck::Gate });
    assert_eq!(
        refused.to_string(),
        "the request would have to wait 20.0 s for the server, which has refused requests"
    );
    let _held = quota.reserve(ONE).await.unwrap();
    assert_eq!(at(start), 20_000);
}

#[tokio::test(start_paused = true)]
async fn an_opening_gate_does_not_admit_all_at_once() {
    let quota = unlimited();
    let now = Instant::now();
    quota.observe(now, &Observation::new(now).refused(Some(s(8))));
    let (times, polls) = times(&quota, 200).await;
    assert_eq!(times[0], 8_000, "one request goes first");
    assert_eq!(times[1], 8_500, "the second follows after half a second");
    assert!(
        times[2] >= 8_937 && times[2] <= 8_939,
        "the third follows after seven eighths of that: {}",
        times[2]
    );
    for window in times.windows(2).take(40) {
        assert!(window[0] < window[1]);
    }
    assert!(times[199] <= 12_100, "the gate is open after 4 s: {}", times[199]);
    assert_eq!(polls, 400, "no task is woken for nothing");
}

#[tokio::test(start_paused = true)]
async fn opening_takes_about_as_long_as_the_gate_was_closed() {
    let quota = unlimited();
    let now = Instant::now();
    quota.close_gate_until(now, now + ms(400));
    let (times, _) = times(&quota, 100).await;
    assert_eq!(times[..2], [400, 450]);
    assert!((750..=850).contains(&times[99]), "{}", times[99]);
}

/// A server of which nothing is known serves two requests per second, and is used up now. Only a few of the waiting requests
/// are refused. If all went at once, 63 of 64 would be refused, and again a second later.
#[tokio::test(start_paused = true)]
async fn few_of_many_waiting_requests_are_refused() {
    let quota = unlimited();
    let start = Instant::now();
    quota.observe(start, &Observation::new(start).refused(Some(s(1))));
    let (level, refused) = (Arc::new(Mutex::new((0.0_f64, start))), Arc::new(AtomicUsize::new(0)));
    let calls = (0..64).map(|_| {
        let (quota, level, refused) = (quota.clone(), Arc::clone(&level), Arc::clone(&refused));
        tokio::spawn(async move {
            loop {
                let charge = quota.reserve(ONE).await.unwrap().sent();
                let sent_at = Instant::now();
                sleep(ms(30)).await;
                let granted = {
                    let (now, mut level) = (Instant::now(), level.lock().unwrap());
                    *level = ((level.0 + 2.0 * (now - level.1).as_secs_f64()).min(2.0), now);
                    let granted = level.0 >= 1.0;
                    level.0 -= if granted { 1.0 } else { 0.0 };
                    granted
                };
                if granted {
                    return drop(charge);
                }
                refused.fetch_add(1, SeqCst);
                quota.observe(Instant::now(), &Observation::new(sent_at).refused(Some(s(1))));
                charge.refund();
            }
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    println!("{} refused in {:?}", refused.load(SeqCst), start.elapsed());
    assert!(refused.load(SeqCst) <= 24, "{} refused", refused.load(SeqCst));
}

#[tokio::test(start_paused = true)]
async fn a_smaller_hint_never_shortens_and_a_larger_one_extends() {
    let quota = unlimited();
    let start = Instant::now();
    quota.observe(start, &Observation::new(start).refused(Some(s(10))));
    quota.observe(start, &Observation::new(start).refused(Some(s(2))));
    quota.close_gate_until(start, start + s(1));
    assert_eq!(quota.snapshot().gate_closed_until, Some(start + s(10)));
    let mut waiting = pin!(quota.reserve(ONE));
    assert!(poll_once(waiting.as_mut()).is_pending());
    advance(s(5)).await;
    quota.observe(Instant::now(), &Observation::new(start).refused(Some(s(10))));
    let _reservation = waiting.await.unwrap();
    assert_eq!(at(start), 15_000);
}

#[tokio::test(start_paused = true)]
async fn the_bucket_is_empty_when_the_gate_opens() {
    let quota = QuotaLimiter::builder().requests_per_minute(600).burst(s(5)).build().unwrap();
    let now = Instant::now();
    quota.observe(now, &Observation::new(now).refused(Some(ms(160))));
    let (times, _) = times(&quota, 20).await;
    // Nothing comes in while the gate is closed. After that 10 per second come in.
    assert_eq!(times[0], 260);
    assert_eq!(times[19], 2_160);
}

#[tokio::test(start_paused = true)]
async fn a_hint_beyond_the_deadline_fails_at_once() {
    let quota = unlimited();
    let start = Instant::now();
    let two_days = s(2 * 86_400);
    let waiting = tokio::spawn({
        let quota = quota.clone();
        quota.close_gate_until(start, start + s(5));
        async move { quota.reserve(ONE).before(start + s(60)).await.map(drop) }
    });
    let patient = tokio::spawn({
        let quota = quota.clone();
        async move { quota.reserve(ONE).await.map(drop) }
    });
    settle().await;
    quota.observe(start, &Observation::new(start).refused(Some(two_days)));
    let error = Err(QuotaError::MustWait {
        until: Some(start + two_days),
        wait: Some(two_days),
        bottleneck: Bottleneck::Gate,
    });
    assert_eq!(waiting.await.unwrap(), error, "a request that waits already");
    assert_eq!(quota.reserve(ONE).before(start + s(60)).await.map(drop), error, "a request that comes now");
    assert_eq!(at(start), 0);
    assert!(!patient.is_finished(), "a request without a deadline waits");
    patient.abort();
}

#[tokio::test(start_paused = true)]
async fn refusals_without_a_hint_wait_longer_each_time_and_quiet_times_shorten_the_wait() {
    let quota = unlimited();
    let closed_for = |quota: &QuotaLimiter| {
        let now = Instant::now();
        quota.observe(now, &Observation::new(now).refused(None));
        quota.snapshot().gate_closed_until.unwrap() - now
    };
    for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(closed_for(&quota), s(expected));
        advance(s(expected) + ms(1)).await;
    }
    advance(s(60 * 2)).await;
    assert_eq!(
        closed_for(&quota),
        s(30),
        "two quiet minutes halve it twice, and the refusal doubles it once"
    );
    advance(s(86_400)).await;
    assert_eq!(closed_for(&quota), s(1));
}

#[tokio::test(start_paused = true)]
async fn refusals_of_requests_that_were_in_flight_together_count_once() {
    let quota = unlimited();
    let sent_at = Instant::now();
    advance(ms(300)).await;
    for _ in 0..64 {
        quota.observe(Instant::now(), &Observation::new(sent_at).refused(None));
        advance(ms(5)).await;
    }
    assert_eq!(quota.snapshot().gate_closed_until, Some(sent_at + ms(1_300)));
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_zero_still_closes_the_gate() {
    let quota = unlimited();
    let now = Instant::now();
    quota.observe(now, &Observation::new(now).refused(Some(Duration::ZERO)));
    assert_eq!(quota.snapshot().gate_closed_until, Some(now + s(1)));
}

#[tokio::test(start_paused = true)]
async fn absurd_hints_do_no_harm() {
    let quota = unlimited();
    let now = Instant::now();
    quota.observe(now, &Observation::new(now).refused(Some(Duration::MAX)));
    assert!(quota.snapshot().gate_closed_until.unwrap() > now + s(86_400 * 365));
    let waiting = tokio::time::timeout(s(10), quota.reserve(ONE)).await;
    assert!(waiting.is_err());
    let reading = Reading::per_minute().limit(u64::MAX).remaining(u64::MAX).reset(Duration::MAX);
    quota.observe(now, &Observation::new(now + s(1_000_000)).reading(QuotaDimension::Tokens, reading));
    quota.observe(
        now,
        &Observation::new(now).reading(QuotaDimension::Requests, reading).ramp(Some(Duration::MAX)),
    );
    assert_eq!(quota.snapshot().dimensions.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_hint_the_reset_of_a_used_up_dimension_counts() {
    let quota = unlimited();
    let start = Instant::now();
    let used_up = Reading::per_minute().limit(100).remaining(0).reset(s(7));
    let left = Reading::per_minute().limit(100).remaining(50).reset(s(30));
    let observation = Observation::new(start)
        .reading(QuotaDimension::Tokens, left)
        .reading(QuotaDimension::Requests, used_up)
        .refused(None);
    quota.observe(start, &observation);
    assert_eq!(quota.snapshot().gate_closed_until, Some(start + s(7)));
    quota.observe(start, &observation.refused(Some(s(9))));
    assert_eq!(quota.snapshot().gate_closed_until, Some(start + s(9)), "a hint counts before a reset");
}

#[tokio::test(start_paused = true)]
async fn after_a_ramp_refusal_the_rate_doubles_in_ten_seconds_at_most() {
    let quota = unlimited();
    // 20 requests per second for ten seconds.
    for _ in 0..200 {
        drop(quota.reserve(ONE).await.unwrap().sent());
        sleep(ms(50)).await;
    }
    let now = Instant::now();
    quota.observe(now, &Observation::new(now).ramp(Some(ms(800))));
    let (times, _) = times(&quota, 700).await;
    let in_second = |second: u128| times.iter().filter(|&&at| at / 1_000 == second).count();
    assert_eq!(times[0], 800);
    assert!((8..=12).contains(&in_second(1)), "half of the old rate: {}", in_second(1));
    assert!((17..=23).contains(&in_second(10)), "{}", in_second(10));
    assert!((34..=46).contains(&in_second(20)), "{}", in_second(20));
}

/// A refusal of one task holds for all: no other task goes on sending.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_one_worker_stops_all() {
    let quota = QuotaLimiter::builder().max_concurrent(8).build().unwrap();
    let start = Instant::now();
    let sends = Arc::new(Mutex::new(Vec::new()));
    let workers: Vec<_> = (0..8)
        .map(|id| {
            let (quota, sends) = (quota.clone(), Arc::clone(&sends));
            tokio::spawn(async move {
                for turn in 0..4 {
                    let sent_at = Instant::now();
                    let charge = quota.reserve(ONE).await.unwrap().sent();
                    sends.lock().unwrap().push(at(start));
                    sleep(ms(10 + id)).await;
                    if id == 0 && turn == 1 {
                        quota.observe(Instant::now(), &Observation::new(sent_at).refused(Some(s(5))));
                    }
                    charge.settle(ONE);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let sends = sends.lock().unwrap().clone();
    assert_eq!(sends.len(), 32);
    assert!(sends.iter().all(|&at| at <= 20 || at >= 5_020), "{sends:?}");
}

/// Refusals that are too close together to measure a rate all say that nothing remains. The units that they give back must not
/// be used.
#[tokio::test(start_paused = true)]
async fn each_refusal_of_a_server_without_limits_empties_what_was_learned() {
    let quota = unlimited();
    for _ in 0..30 {
        quota.reserve(ONE).await.unwrap().sent().settle(ONE);
    }
    // This many calls are sent together, and are refused together.
    let refused = async |count: usize| {
        let mut charges = Vec::new();
        for _ in 0..count {
            charges.push(quota.reserve(ONE).await.unwrap().sent());
        }
        let sent_at = Instant::now();
        advance(ms(1)).await;
        for charge in charges {
            quota.observe(Instant::now(), &Observation::new(sent_at).refused(Some(ms(10))));
            charge.refund();
        }
        advance(ms(10)).await;
    };
    refused(1).await;
    advance(s(1)).await;
    refused(1).await;
    drop(quota.reserve(ONE).await.unwrap());
    advance(ms(150)).await;
    refused(4).await;
    drop(quota.reserve(ONE).await.unwrap());
    assert!(quota.snapshot().dimensions[0].available <= 1, "{:?}", quota.snapshot().dimensions);
}
