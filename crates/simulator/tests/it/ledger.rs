//! The ledger: what it counts, and how it is written.

use outbound_simulator::{Fault, Latency, Ledger, Refusal, Simulator};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{Client, chat, ms, secs, streamed};

/// A run with an answer, a refusal, a broken stream and more.
async fn run(seed: u64) -> Ledger {
    let simulator = Simulator::builder()
        .seed(seed)
        .requests_per_minute(600)
        .burst(secs(1))
        .latency(Latency::log_normal(ms(50), ms(800)))
        .tokens_per_second(200.0)
        .fault(Refusal::status(500), 0.1)
        .fault(Fault::ResetBeforeHeaders, 0.05)
        .fault(Fault::Truncate { after: 3 }, 0.05)
        .build();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..10 {
        let simulator = simulator.clone();
        tasks.spawn(async move {
            for prompt in 0..10 {
                let mut client = Client::to(&simulator).await;
                let body = chat(&format!("{task} {prompt}"));
                let body = if prompt % 3 == 0 { streamed(body) } else { body };
                let _ = client.send(http::Method::POST, crate::support::CHAT, body.to_string()).await;
            }
        });
    }
    tasks.join_all().await;
    simulator.shutdown().await;
    simulator.ledger()
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_ledger_and_another_seed_another() {
    let (one, same, other) = (run(7).await, run(7).await, run(8).await);
    assert_eq!(one.digest(), same.digest());
    assert_eq!(one, same);
    assert_ne!(one.digest(), other.digest());
    assert_eq!(one.sends(), 100);
}

#[tokio::test(start_paused = true)]
async fn it_is_written_as_a_line_of_json_a_send() {
    let simulator = Simulator::builder()
        .output_tokens(5..=5)
        .latency(Latency::fixed(ms(250)))
        .fault_on_attempt(Refusal::status(503), 1)
        .build();
    let mut client = Client::to(&simulator).await.with("idempotency-key", "line-1");
    client.chat(&chat("hello")).await;
    client.chat(&chat("hello")).await;
    let mut text = Vec::new();
    simulator.ledger().write_to(&mut text).unwrap();
    let lines: Vec<Value> =
        String::from_utf8(text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let hash = lines[0]["body_hash"].as_str().unwrap().to_owned();
    assert_eq!(hash.len(), 16);
    let expected = json!({
        "sequence": 1, "at": 0.25, "ended": 0.5, "method": "POST", "path": "/v1/chat/completions",
        "key": null, "model": "test-model", "idempotency_key": "line-1", "body_hash": hash, "stream": false, "attempt": 2,
        "fault": null, "outcome": "answered", "input_tokens": 2, "output_tokens": 5,
    });
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1], expected);
    assert_eq!(lines[0]["fault"], "status 503");
    assert_eq!(lines[0]["outcome"], "refused 503");
}

#[tokio::test(start_paused = true)]
async fn a_send_after_the_answer_is_a_duplicate() {
    let simulator = Simulator::builder().fault_on_attempt(Refusal::status(500), 1).build();
    let mut client = Client::to(&simulator).await;
    for _ in 0..2 {
        client.chat(&chat("a")).await;
    }
    assert_eq!((simulator.ledger().duplicates(), simulator.ledger().billed_twice()), (0, 0));
    client.chat(&chat("a")).await;
    client.chat(&chat("b")).await;
    let ledger = simulator.ledger();
    assert_eq!((ledger.duplicates(), ledger.billed_twice()), (1, 1));
    assert_eq!(
        ledger.sends_by_body_hash().into_values().collect::<std::collections::BTreeSet<_>>(),
        [1, 3].into()
    );
    assert_eq!(ledger.most_attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn two_sends_side_by_side_are_billed_twice_though_neither_is_late() {
    let simulator = Simulator::builder().latency(Latency::fixed(secs(1))).build();
    let mut clients = [Client::to(&simulator).await, Client::to(&simulator).await];
    let [one, other] = &mut clients;
    let body = chat("a");
    tokio::join!(one.chat(&body), other.chat(&body));
    let ledger = simulator.ledger();
    assert_eq!((ledger.duplicates(), ledger.billed_twice(), ledger.answered()), (0, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_blind_retry_after_a_timeout_is_seen() {
    let simulator = Simulator::builder().latency(Latency::fixed(secs(10))).build();
    let mut client = Client::to(&simulator).await.with("idempotency-key", "k");
    assert!(timeout(secs(5), client.chat(&chat("a"))).await.is_err());
    drop(client);
    let mut client = Client::to(&simulator).await.with("idempotency-key", "k");
    client.chat(&chat("a")).await;
    let ledger = simulator.ledger();
    assert_eq!(ledger.sends_by_idempotency_key(), [("k", 2)].into());
    assert_eq!(ledger.billed_twice(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_empty_ledger_is_a_ledger() {
    let ledger = Simulator::builder().build().ledger();
    assert_eq!(ledger, Ledger::default());
    assert_eq!((ledger.sends(), ledger.most_attempts(), ledger.tokens()), (0, 0, (0, 0)));
    assert_eq!(ledger.digest(), Ledger::default().digest());
}
