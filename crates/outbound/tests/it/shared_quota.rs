//! Several keys, several models, and quotas that other users share.

use outbound::{Endpoint, Provider, Request, RequestManager};
use outbound_simulator::{
    Builder, Dimension, KeySettings, Latency, LimitHeaders, ModelSettings, OtherUsers, Simulator,
};
use serde_json::json;
use tokio::time::Instant;

use crate::stack::{KEY, all_succeeded, body, client, manager, ms, run, s};

const SECOND_KEY: &str = "sk-canary-9876543210";

/// A provider without keys, that answers in 200 ms.
fn provider() -> Builder {
    Simulator::builder().seed(11).latency(Latency::fixed(ms(200)))
}

/// The other key of the same account.
fn second_key(simulator: &Simulator) -> Endpoint {
    Endpoint::new(Provider::openai_compatible())
        .base_url("http://provider.test/v1")
        .key(SECOND_KEY)
        .client(client(simulator))
}

fn to(model: &str, id: usize) -> Request {
    let mut body = body(id);
    body["model"] = json!(model);
    Request::chat(&body).id(format!("{model}-{id}"))
}

/// Answers per second of a batch, not counting what a full quota lets through at once.
async fn goodput(simulator: &Simulator, manager: &RequestManager, requests: usize) -> f64 {
    let started = Instant::now();
    all_succeeded(&run(manager, requests).await);
    assert_eq!(simulator.ledger().answered(), requests);
    requests as f64 / started.elapsed().as_secs_f64()
}

fn refused_per_1_000(simulator: &Simulator) -> f64 {
    let ledger = simulator.ledger();
    ledger.refused() as f64 * 1_000.0 / ledger.sends() as f64
}

#[tokio::test(start_paused = true)]
async fn two_keys_have_nearly_twice_the_goodput_of_one() {
    for with_headers in [true, false] {
        let mut rates = Vec::new();
        for keys in [1, 2] {
            let simulator = provider().key(KEY).key(SECOND_KEY).requests_per_minute(600).burst(s(1)).build();
            let mut builder = manager(&simulator).max_concurrent(32);
            let mut second = second_key(&simulator).max_concurrent(32);
            if with_headers {
                builder = builder.requests_per_minute(600);
                second = second.requests_per_minute(600);
            }
            if keys == 2 {
                builder = builder.another_endpoint(second);
            }
            let manager = builder.build().expect("a manager");
            rates.push(goodput(&simulator, &manager, 1_200).await);
            let refused = refused_per_1_000(&simulator);
            assert!(
                refused <= if with_headers { 0.0 } else { 50.0 },
                "with_headers {with_headers}: {refused} of 1,000 sends refused"
            );
        }
        assert!(rates[1] >= 1.9 * rates[0], "with_headers {with_headers}: {rates:?} answers per second");
    }
}

/// A 429 of one model must not hold back another model. If the limited model comes first and takes all of the
/// concurrency, the other one waits for the first replies. They show that each model has limits of its own.
#[tokio::test(start_paused = true)]
async fn a_model_at_its_limit_does_not_hold_another_back() {
    let mut times = Vec::new();
    for large in [0, 4, 12, 20] {
        let simulator = provider()
            .key(KEY)
            .requests_per_minute(1_200)
            .burst(s(1))
            .model("small", ModelSettings::new())
            .model("large", ModelSettings::new().requests_per_minute(30))
            .build();
        let manager = manager(&simulator).max_concurrent(16).build().expect("a manager");
        let requests = (0..large).map(|id| to("large", id)).chain((0..600).map(|id| to("small", id)));
        let outcomes: Vec<_> = manager.batch(requests).collect().await;
        all_succeeded(&outcomes);
        let ledger = simulator.ledger();
        assert_eq!(ledger.answered(), 600 + large);
        let of_small = ledger.entries().iter().filter(|entry| entry.seen.model.as_deref() == Some("small"));
        let refused = of_small.clone().filter(|entry| !entry.was_admitted()).count();
        assert!(refused <= 20, "{refused} beside {large}");
        times.push(of_small.filter_map(|entry| entry.ended).max().expect("they ended"));
    }
    assert!(times[1].max(times[2]) <= times[0] + s(1), "{times:?}");
    assert!(times[3] <= times[0] + s(6), "{times:?}");
}

/// Another user takes half of the quota of the key. The manager uses the rest, and never loses requests to it. Without
/// headers that report a remainder, it learns from refusals only.
#[tokio::test(start_paused = true)]
async fn with_a_shared_quota_the_rest_of_it_is_used() {
    for (headers, burst, most_refused) in [
        (LimitHeaders::All, 10, 25.0),
        (LimitHeaders::All, 1, 60.0),
        (LimitHeaders::RetryAfter, 10, 350.0),
        (LimitHeaders::RetryAfter, 1, 150.0),
    ] {
        let others = OtherUsers::calls_per_minute(300);
        let simulator = provider()
            .key_with(KEY, KeySettings::new().other_users(others))
            .requests_per_minute(600)
            .burst(s(burst))
            .limit_headers(headers)
            .build();
        let manager = manager(&simulator).max_concurrent(32).build().expect("a manager");
        all_succeeded(&run(&manager, 1_500).await);
        let ledger = simulator.ledger();
        assert_eq!((ledger.answered(), ledger.duplicates()), (1_500, 0));
        let taken = ledger.taken_by_others(Dimension::Requests) as f64;
        let seconds = simulator.elapsed().as_secs_f64();
        assert!((taken / seconds / 5.0 - 1.0).abs() < 0.1, "{taken} in {seconds} s");
        let left = 10.0 * (seconds + burst as f64) - taken;
        let (used, refused) = (1_500.0 / left, refused_per_1_000(&simulator));
        assert!(used >= 0.9, "{headers:?}, {burst} s: {used} of what was left");
        assert!(refused <= most_refused, "{headers:?}, {burst} s: {refused} of 1,000 sends refused");
    }
}

/// revoked-key: one of two keys is revoked while a batch runs.
#[tokio::test(start_paused = true)]
async fn where_a_key_is_revoked_the_other_goes_on() {
    let simulator = provider()
        .key_with(KEY, KeySettings::new().revoked_at(s(20)))
        .key(SECOND_KEY)
        .requests_per_minute(600)
        .burst(s(1))
        .build();
    let manager = manager(&simulator)
        .max_concurrent(32)
        .another_endpoint(second_key(&simulator).max_concurrent(32))
        .build()
        .expect("a manager");
    let outcomes = run(&manager, 800).await;
    let ledger = simulator.ledger();
    let refused = ledger.entries().iter().filter(|entry| entry.outcome.to_string() == "refused 401").count();
    all_succeeded(&outcomes);
    assert_eq!(ledger.answered(), 800);
    assert!(refused <= 4, "{refused} sends with the revoked key");
    // 400 requests in the first 20 s, and 10 a second after that.
    assert!(simulator.elapsed() < s(66), "{:?}", simulator.elapsed());
}

/// All models share a limit that changes. For a moment replies report two limits, and it still counts as shared.
#[tokio::test(start_paused = true)]
async fn a_limit_that_moves_stays_shared_by_all_models() {
    let simulator = provider()
        .key(KEY)
        .requests_per_minute(1_200)
        .way_in(Latency::log_normal(ms(100), ms(400)))
        .latency(Latency::log_normal(ms(200), s(2)))
        .headers_at_admission()
        .burst(s(1))
        .scale_limits_at(s(20), 0.5)
        .scale_limits_at(s(50), 1.0)
        .scale_limits_at(s(70), 2.0)
        .build();
    let manager = manager(&simulator).max_concurrent(64).build().expect("a manager");
    let requests = (0..3_000).map(|id| to(["a", "b", "c"][id % 3], id));
    all_succeeded(&manager.batch(requests).collect::<Vec<_>>().await);
    let refused = refused_per_1_000(&simulator);
    assert!(refused <= 20.0, "{refused} of 1,000 sends refused");
    let (elapsed, best) = (simulator.elapsed(), simulator.reference(Some(64)));
    assert!(elapsed <= best.mul_f64(1.02), "{elapsed:?}, at best {best:?}");
}
