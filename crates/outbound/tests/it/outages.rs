//! Short and long outages: how soon a provider that is back is used at the full rate, and what a pause must not do.

use outbound::{ErrorKind, Request};
use outbound_simulator::{Latency, Refusal};
use serde_json::json;
use tokio::time::Instant;

use crate::stack::{all_succeeded, chat, manager, ms, provider, run, s};

#[tokio::test(start_paused = true)]
async fn a_blip_of_a_second_costs_seconds() {
    let simulator = provider().fault_during(Refusal::status(500), s(0)..s(1)).build();
    let manager = manager(&simulator).build().expect("a manager");
    let started = Instant::now();
    all_succeeded(&run(&manager, 200).await);
    // Calls in flight at the beginning do not count as failed probes.
    assert!(started.elapsed() < s(8), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_we_make_fails_no_deadline() {
    let simulator = provider().fault_during(Refusal::status(500), s(0)..ms(300)).build();
    let manager = manager(&simulator).deadline(s(10)).build().expect("a manager");
    all_succeeded(&run(&manager, 1_000).await);
}

/// Requests with short deadlines say nothing about the server. The others go on as if nothing had happened.
#[tokio::test(start_paused = true)]
async fn deadlines_that_are_too_short_are_no_outage() {
    let simulator = provider().latency(Latency::fixed(s(2))).build();
    let manager = manager(&simulator).build().expect("a manager");
    for id in 0..20 {
        let outcome = manager.send(chat(id).deadline(ms(500))).await;
        assert_eq!((outcome.error_kind(), outcome.sends), (Some(ErrorKind::Deadline), 1), "{outcome:?}");
    }
    let started = Instant::now();
    all_succeeded(&run(&manager, 48).await);
    assert_eq!(started.elapsed(), s(2), "all at once");
}

#[tokio::test(start_paused = true)]
async fn background_errors_do_not_keep_an_endpoint_on_probation() {
    for (share, outage) in [(0.03, 0), (0.06, 10), (0.15, 0)] {
        let simulator = provider()
            .latency(Latency::fixed(s(1)))
            .fault(Refusal::status(500), share)
            .fault_during(Refusal::status(503), s(0)..s(outage))
            .build();
        let manager = manager(&simulator).build().expect("a manager");
        let started = Instant::now();
        all_succeeded(&run(&manager, 2_000).await);
        // 2,000 calls of a second, 64 at a time, take 32 s without faults.
        assert!(started.elapsed() < s(75), "{share} and {outage} s: {:?}", started.elapsed());
    }
}

/// one-worker-learns, for an overload: one call is asked to wait, and the others go on sending.
#[tokio::test(start_paused = true)]
async fn an_overload_that_says_when_to_return_gates_everyone() {
    let refusal = Refusal::status(503).retry_after(s(10));
    let simulator =
        provider().fault_when(move |seen| (seen.at < s(10)).then(|| refusal.clone().into())).build();
    let manager = manager(&simulator).max_concurrent(20).build().expect("a manager");
    all_succeeded(&run(&manager, 100).await);
    let ledger = simulator.ledger();
    let early = ledger.entries().iter().filter(|entry| entry.seen.at < s(10)).count();
    // A few failures are needed to detect an outage, and each lets another call go.
    assert!(early <= 20 + 4, "those that were in flight: {early}");
    let at_once = ledger.entries().iter().filter(|e| e.seen.at >= s(10) && e.seen.at < ms(10_400)).count();
    assert!(at_once < 10, "and a probe looks whether it is back: {at_once}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_wakes_those_who_wait_for_their_turn() {
    let simulator = provider().fault(Refusal::quota_spent(), 1.0).build();
    let manager = manager(&simulator).requests_per_minute(120).build().expect("a manager");
    let started = Instant::now();
    let mut batch = manager.batch((0..10).map(chat));
    let mut refused = 0;
    while let Some(outcome) = batch.next().await {
        assert_eq!(outcome.error_kind(), Some(ErrorKind::QuotaSpent));
        refused += 1;
    }
    assert!(started.elapsed() < s(2), "{:?}", started.elapsed());
    assert_eq!(batch.stopped().map(|why| why.kind), Some(ErrorKind::QuotaSpent));
    assert_eq!(batch.into_rest().requests.len() + refused, 10, "the others come back unsent");
}

#[tokio::test(start_paused = true)]
async fn a_batch_under_a_small_limit_is_slow_and_whole() {
    let simulator = provider().requests_per_minute(3).build();
    let manager = manager(&simulator).requests_per_minute(3).build().expect("a manager");
    let started = Instant::now();
    all_succeeded(&run(&manager, 500).await);
    assert!(started.elapsed() > s(9_900), "waiting for one's turn is no fault of one's own");
}

#[tokio::test(start_paused = true)]
async fn estimates_that_are_too_high_fail_no_request() {
    let simulator = provider().build();
    let manager = manager(&simulator).tokens_per_minute(10_000).build().expect("a manager");
    let requests = (0..500).map(|id| {
        let messages = json!([{"role": "user", "content": format!("{id}")}]);
        Request::chat(&json!({"model": "m", "messages": messages, "max_tokens": 4_000}))
    });
    let outcomes: Vec<_> = futures::StreamExt::collect(manager.batch(requests)).await;
    all_succeeded(&outcomes);
}

#[tokio::test(start_paused = true)]
async fn overloads_after_bare_refusals_are_waited_for_longer_and_longer() {
    let simulator = provider()
        .latency(Latency::fixed(ms(10)))
        .fault_when(|seen| match seen.attempt {
            1..=3 => Some(Refusal::rate_limited().into()),
            4..=9 => Some(Refusal::status(529).into()),
            _ => None,
        })
        .build();
    let manager = manager(&simulator).build().expect("a manager");
    let outcome = manager.send(chat(1)).await;
    assert!(outcome.result.is_ok(), "{outcome:?}");
    assert_eq!((outcome.sends, outcome.refused, outcome.charged), (10, 3, 1));
    let ledger = simulator.ledger();
    let at: Vec<_> = ledger.entries().iter().map(|entry| entry.seen.at).collect();
    let gaps: Vec<_> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Jitter may make a single gap short.
    let longest = |gaps: &[std::time::Duration]| gaps.iter().max().copied();
    assert!(longest(&gaps[6..]) > longest(&gaps[3..6]), "growing: {gaps:?}");
}
