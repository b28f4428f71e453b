//! Quotas and concurrency, and which requests must not wait for others.

use outbound::{ErrorKind, Request};
use outbound_simulator::{Fault, Latency, Refusal};
use serde_json::json;
use tokio::time::Instant;

use crate::stack::{all_succeeded, chat, manager, ms, provider, run, s};

/// hidden-cap: the pool's own cap silently serialises "concurrent" calls.
#[tokio::test(start_paused = true)]
async fn hidden_cap() {
    let simulator = provider().latency(Latency::fixed(s(2))).build();
    let manager = manager(&simulator).max_concurrent(150).build().expect("a manager");
    all_succeeded(&run(&manager, 300).await);
    assert_eq!(simulator.ledger().peak_concurrency(), 150);
}

/// pool-starvation: waiting for a turn counted as slowness of the server.
#[tokio::test(start_paused = true)]
async fn pool_starvation() {
    let simulator = provider().latency(Latency::fixed(s(4))).build();
    let manager = manager(&simulator).max_concurrent(2).attempt_timeout(s(5)).build().expect("a manager");
    let outcomes = run(&manager, 20).await;
    all_succeeded(&outcomes);
    assert_eq!(simulator.ledger().sends(), 20, "the attempt's clock starts with its connection");
}

#[tokio::test(start_paused = true)]
async fn configured_limits_are_never_passed() {
    let simulator = provider().requests_per_minute(120).tokens_per_minute(100_000).burst(s(2)).build();
    let manager = manager(&simulator).requests_per_minute(120).build().expect("a manager");
    all_succeeded(&run(&manager, 200).await);
    assert_eq!(simulator.ledger().refused(), 0);
}

#[tokio::test(start_paused = true)]
async fn limits_are_learnt_from_headers() {
    let simulator = provider().requests_per_minute(120).burst(s(10)).build();
    let manager = manager(&simulator).max_concurrent(8).build().expect("a manager");
    let started = Instant::now();
    all_succeeded(&run(&manager, 200).await);
    let refused = simulator.ledger().refused();
    assert!(refused <= 10, "{refused} of 200 refused");
    assert!(started.elapsed() < s(110), "200 at two a second are 100 s: {:?}", started.elapsed());
}

/// estimate-never-settled: tokens are charged at `max_tokens` and never given back.
#[tokio::test(start_paused = true)]
async fn estimate_never_settled() {
    let simulator = provider().output_tokens(8..=8).build();
    let manager = manager(&simulator).tokens_per_minute(6_000).build().expect("a manager");
    let big = |id: usize| {
        let content = format!("{id}");
        let body =
            json!({"model": "m", "messages": [{"role": "user", "content": content}], "max_tokens": 2_000});
        Request::chat(&body)
    };
    let started = Instant::now();
    for id in 0..20 {
        let outcome = manager.send(big(id)).await;
        assert!(outcome.result.is_ok(), "{outcome:?}");
    }
    // At 2,000 tokens each it would take nearly seven minutes.
    assert!(started.elapsed() < s(60), "{:?}", started.elapsed());
}

/// A refusal by status costs nothing, so its tokens are there for the next attempt.
#[tokio::test(start_paused = true)]
async fn a_refused_request_gets_its_tokens_back() {
    let simulator = provider().fault_on_attempt(Refusal::rate_limited(), 1).build();
    let manager = manager(&simulator).tokens_per_minute(3_000).build().expect("a manager");
    let messages = json!([{"role": "user", "content": "all"}]);
    let request = Request::chat(&json!({"model": "m", "messages": messages, "max_tokens": 2_000}));
    let started = Instant::now();
    let outcome = manager.send(request).await;
    assert!(outcome.result.is_ok() && outcome.sends == 2, "{outcome:?}");
    assert!(started.elapsed() < s(5), "2,000 tokens take 40 s: {:?}", started.elapsed());
}

/// impossible-request: one request larger than the whole token limit waits for ever.
#[tokio::test(start_paused = true)]
async fn impossible_request() {
    let simulator = provider().build();
    let manager = manager(&simulator).tokens_per_minute(1_000).build().expect("a manager");
    let request = Request::chat(&json!({"model": "m", "messages": [], "max_tokens": 50_000}));
    let started = Instant::now();
    let outcome = manager.send(request).await;
    let error = outcome.result.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::Impossible);
    assert!(error.to_string().contains("1000"), "the limit is named: {error}");
    assert_eq!((started.elapsed(), outcome.sends), (ms(0), 0));
}

/// head-of-line: one huge request blocks all small ones, or starves behind them.
#[tokio::test(start_paused = true)]
async fn head_of_line() {
    let simulator = provider().build();
    let manager = manager(&simulator).tokens_per_minute(60_000).build().expect("a manager");
    let huge = Request::chat(
        &json!({"model": "m", "messages": [{"role": "user", "content": "all"}], "max_tokens": 30_000}),
    );
    let huge = async {
        let started = Instant::now();
        assert!(manager.send(huge).await.result.is_ok());
        started.elapsed()
    };
    let small = async {
        let started = Instant::now();
        for id in 0..50 {
            assert!(manager.send(chat(id)).await.result.is_ok());
        }
        started.elapsed()
    };
    let (huge, small) = tokio::join!(huge, small);
    assert!(huge < s(40), "the huge one is not starved: {huge:?}");
    assert!(small < s(60), "nor are the small ones for ever: {small:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_gives_everything_back() {
    let simulator = provider().fault_on_attempt(Fault::Silence, 1).build();
    let manager = manager(&simulator).max_concurrent(1).build().expect("a manager");
    for id in 0..5 {
        let _ = tokio::time::timeout(s(1), manager.send(chat(id))).await;
    }
    assert!(manager.send(chat(0)).await.result.is_ok(), "the one place is free again");
}

/// Chats of 32 tokens, for these models in turn.
fn chats_of(models: &[&str], requests: usize) -> Vec<Request> {
    let one = |id: usize| {
        let content = format!("What is {id} and {id}?");
        let body = json!({
            "model": models[id % models.len()],
            "messages": [{"role": "user", "content": content}],
            "max_tokens": 32,
        });
        Request::chat(&body).id(format!("r{id}"))
    };
    (0..requests).map(one).collect()
}

#[tokio::test(start_paused = true)]
async fn models_that_share_a_limit_are_paced_together() {
    let simulator = provider().requests_per_minute(1_200).burst(s(1)).build();
    let manager = manager(&simulator).build().expect("a manager");
    let started = Instant::now();
    let outcomes: Vec<_> = manager.batch(chats_of(&["one", "two", "three"], 1_000)).collect().await;
    all_succeeded(&outcomes);
    // The first 64 are sent before anything is known.
    let refused = simulator.ledger().refused();
    assert!(refused <= 40 + 44, "{refused} of 1,000 refused");
    assert!(started.elapsed() < s(53), "1,000 at twenty a second are 50 s: {:?}", started.elapsed());
}

/// A gateway refuses by limits of its own, so many in each minute. Its headers are those of the provider behind it, and
/// show room. Its refusals have no time.
#[tokio::test(start_paused = true)]
async fn refusals_without_a_cause_are_not_repeated_at_the_full_rate() {
    for (limit, requests, at_best) in [(60, 200, 180), (180, 400, 120), (600, 1_500, 120)] {
        let served = std::sync::Mutex::new(std::collections::BTreeMap::<u64, u32>::new());
        let gateway = move |seen: &outbound_simulator::Seen| {
            let mut served = served.lock().expect("a lock");
            let in_this_minute = served.entry(seen.at.as_secs() / 60).or_default();
            *in_this_minute += 1;
            (*in_this_minute > limit).then(|| Refusal::rate_limited().into())
        };
        let simulator = provider().requests_per_minute(100_000).fault_when(gateway).build();
        let manager = manager(&simulator).build().expect("a manager");
        let began = Instant::now();
        let outcomes = run(&manager, requests).await;
        all_succeeded(&outcomes);
        let (took, refused) = (began.elapsed(), simulator.ledger().sends() - requests);
        println!("{limit} a minute: {took:?}, {refused} refused");
        assert!(took < s(at_best + 30), "{limit} a minute: {took:?}");
        assert!(refused < 250, "{limit} a minute: {refused} refused");
    }
}
