//! The best possible time.

use std::time::Duration;

use outbound_simulator::{Latency, Simulator, Workload};

use crate::support::{Client, chat, ms, secs};

#[test]
fn the_floor_is_the_largest_of_its_four_parts() {
    let simulator =
        Simulator::builder().requests_per_minute(3_000).tokens_per_minute(600_000).burst(secs(1)).build();
    // A batch of 2,000 calls of 250 tokens that take 1.3 s each.
    let batch = Workload {
        requests: 2_000,
        input_tokens: 400_000,
        output_tokens: 100_000,
        largest: 500,
        work: secs(2_600),
        longest: secs(12),
    };
    // (2,000 - 50) / 50, (500,000 - 10,000) / 10,000, 2,600 / 64.
    assert_eq!(simulator.floor(&batch, Some(64)), secs(49));
    assert_eq!(simulator.floor(&Workload { requests: 5_000, ..batch.clone() }, Some(64)), secs(99));
    assert_eq!(simulator.floor(&batch, Some(40)), secs(65));
    assert_eq!(simulator.floor(&batch, None), secs(49));
    assert_eq!(simulator.floor(&Workload { longest: secs(300), ..batch.clone() }, Some(64)), secs(300));
    // A request that leaves a debt does not wait for it.
    assert_eq!(simulator.floor(&Workload { largest: 100_000, ..batch.clone() }, None), secs(40));
    assert_eq!(simulator.floor(&Workload::default(), Some(0)), Duration::ZERO);
    let closed = Simulator::builder().requests_per_minute(0).build();
    assert_eq!(closed.floor(&batch, None), Duration::MAX);
    let everything =
        Workload { requests: u64::MAX, input_tokens: u64::MAX, output_tokens: u64::MAX, ..batch };
    simulator.floor(&everything, None);
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_flaw_reaches_the_reference_and_nobody_the_floor() {
    let simulator = Simulator::builder()
        .requests_per_minute(60)
        .burst(secs(1))
        .latency(Latency::fixed(ms(500)))
        .output_tokens(1..=1)
        .build();
    let mut client = Client::to(&simulator).await;
    for prompt in 0..10 {
        // One at a time, exactly when the bucket has one.
        tokio::time::sleep(secs(prompt).saturating_sub(simulator.elapsed())).await;
        assert_eq!(client.chat(&chat(&prompt.to_string())).await.status, 200);
    }
    let took = simulator.elapsed();
    let workload = simulator.ledger().workload();
    assert_eq!(workload.requests, 10);
    assert_eq!(workload.work, secs(5));
    assert_eq!(simulator.floor(&workload, Some(1)), secs(9));
    assert_eq!(simulator.reference(Some(1)), ms(9_500));
    assert_eq!(took, ms(9_500));
}

#[tokio::test(start_paused = true)]
async fn the_reference_leaves_out_refusals_and_waiting_about() {
    let simulator =
        Simulator::builder().requests_per_minute(60).burst(secs(2)).latency(Latency::fixed(secs(3))).build();
    let mut client = Client::to(&simulator).await;
    for prompt in 0..6 {
        while client.chat(&chat(&prompt.to_string())).await.status == 429 {
            tokio::time::sleep(ms(10)).await;
        }
        tokio::time::sleep(secs(60)).await;
    }
    // Two at once, then one a second: 0, 0, 1, 2, 3, 4; two at a time: 0, 0, 3, 3, 6, 6.
    assert_eq!(simulator.reference(None), secs(4 + 3));
    assert_eq!(simulator.reference(Some(2)), secs(6 + 3));
    assert!(simulator.floor(&simulator.ledger().workload(), Some(2)) <= secs(9));
    assert_eq!(Simulator::builder().build().reference(None), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_reference_uses_tokens_that_are_given_back() {
    let simulator = Simulator::builder()
        .tokens_per_minute(600)
        .output_tokens(9..=9)
        .latency(Latency::fixed(secs(1)))
        .build();
    let mut client = Client::to(&simulator).await;
    for prompt in ["a", "b", "c"] {
        let mut body = chat(prompt);
        body["max_tokens"] = serde_json::json!(500);
        assert_eq!(client.chat(&body).await.status, 200);
    }
    // Each holds 501 of 600 until it ends and uses 10, so they go one after the other without waiting for a refill.
    assert_eq!(simulator.reference(None), secs(3));
}
