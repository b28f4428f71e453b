//! A model: its stops, and how many of its calls may be in flight.

use std::time::Duration;

use super::*;
use crate::ErrorKind;

const SECOND: Duration = Duration::from_secs(1);

fn model() -> Model {
    Model::new(None, QuotaLimiter::builder().build().expect("no limits"), None, 8)
}

fn why(until: Option<Instant>) -> Stopped {
    Stopped { kind: ErrorKind::RateLimited, message: String::from("a long pause"), until }
}

#[test]
fn a_pause_is_not_shortened_and_ends() {
    let (model, now) = (model(), Instant::now());
    model.stop(why(Some(now + SECOND * 9)));
    model.stop(why(Some(now + SECOND)));
    assert_eq!(model.stopped(now + SECOND * 8), Some(why(Some(now + SECOND * 9))));
    assert_eq!(model.peek(now + SECOND * 8), Err(why(Some(now + SECOND * 9))));
    model.stop(why(Some(now + SECOND * 20)));
    assert_eq!(model.stopped(now + SECOND * 19), Some(why(Some(now + SECOND * 20))));
    assert_eq!(model.stopped(now + SECOND * 20), None, "its time is over");
    assert_eq!(model.peek(now + SECOND * 20), Ok(ProbeDecision::Go));
    model.stop(why(Some(now + SECOND * 99)));
    model.resume();
    assert_eq!(model.stopped(now + SECOND * 21), None);
}

#[test]
fn a_good_part_of_overloads_cuts_concurrency_down_and_successes_bring_it_back() {
    for (own_max, all, within) in [(None, 8, None), (Some(6), 8, Some(6)), (Some(6), 100, Some(6))] {
        let quota = QuotaLimiter::builder().max_concurrent(own_max.unwrap_or(all)).build().expect("a limit");
        let model = Model::new(None, quota, own_max, all);
        let now = Instant::now();
        let charges: Vec<_> = (0..6)
            .map(|_| {
                model
                    .quota
                    .try_reserve_at(outbound_limiter::Cost::request(), Instant::now())
                    .expect("room")
                    .sent()
            })
            .collect();
        for _ in 0..20 {
            model.overloaded(now, now);
        }
        assert_eq!(model.quota.snapshot().max_concurrent, Some(3), "half of those in flight");
        drop(charges);
        for _ in 0..all {
            model.succeeded(now + SECOND);
        }
        assert_eq!(model.quota.snapshot().max_concurrent, within);
    }
}

#[test]
fn what_an_outage_did_to_concurrency_ends_with_it() {
    let (model, now) = (model(), Instant::now());
    let overloads = |from: Instant| (0..20).for_each(|_| model.overloaded(from, from));
    overloads(now);
    let cut = model.quota.snapshot().max_concurrent;
    assert_eq!(cut, Some(1));
    for request in 0..4 {
        model.failed(FailedCall { request, sent_at: now, now, jitter: 1.0, hint: None });
    }
    assert!(model.is_down() && model.is_outage());
    assert!(model.succeeded(now + SECOND));
    assert_eq!(model.quota.snapshot().max_concurrent, None, "all may go at once");
    for request in 0..4 {
        let at = now + SECOND * 2;
        model.failed(FailedCall { request, sent_at: at, now: at, jitter: 1.0, hint: None });
    }
    overloads(now + SECOND * 3);
    assert_eq!(model.quota.snapshot().max_concurrent, None, "in an outage the probes are the bound");
    model.resume();
    assert!(!model.is_down());
}

/// Without a configured limit 48 calls may be sent at first, and each success allows one more.
#[test]
fn a_model_of_which_nothing_is_known_starts_slowly() {
    let model = |all| {
        Model::new(None, QuotaLimiter::builder().build().expect("no limits"), None, all).starting_slowly()
    };
    let (wide, now) = (model(64), Instant::now());
    for known in 0..16 {
        assert_eq!(wide.quota.snapshot().max_concurrent, Some(48 + known));
        wide.succeeded(now);
    }
    assert_eq!(wide.quota.snapshot().max_concurrent, None, "all that the account allows");
    assert_eq!(model(8).quota.snapshot().max_concurrent, None, "the account allows fewer");
}
