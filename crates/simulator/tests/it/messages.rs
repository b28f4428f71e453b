//! Anthropic's messages, plain.

use outbound_simulator::Simulator;
use serde_json::json;

use crate::support::{Client, chat};

#[tokio::test(start_paused = true)]
async fn a_plain_answer_is_a_message_with_honest_usage() {
    let simulator = Simulator::builder().output_tokens(6..=6).build();
    let mut body = chat("12345678");
    body["system"] = json!([{ "type": "text", "text": "1234" }]);
    body["max_tokens"] = json!(100);
    let got = Client::to(&simulator).await.messages(&body).await;
    assert_eq!(got.status, 200);
    assert!(got.header("request-id").unwrap().starts_with("req_"));
    let message = got.json();
    assert_eq!((&message["type"], &message["role"]), (&json!("message"), &json!("assistant")));
    assert_eq!(message["stop_reason"], "end_turn");
    assert_eq!(message["usage"], json!({ "input_tokens": 3, "output_tokens": 6 }));
    let text = message["content"][0]["text"].as_str().unwrap();
    assert_eq!(text.split(' ').count(), 6);
    assert_eq!(simulator.ledger().tokens(), (3, 6));
}

#[tokio::test(start_paused = true)]
async fn both_dialects_share_the_quotas_and_the_ledger() {
    let simulator = Simulator::builder().requests_per_minute(2).build();
    let mut client = Client::to(&simulator).await;
    let mut body = chat("hello");
    body["max_tokens"] = json!(5);
    assert_eq!(client.chat(&body).await.status, 200);
    assert_eq!(client.messages(&body).await.status, 200);
    assert_eq!(client.chat(&body).await.status, 429);
    assert_eq!(simulator.ledger().sends(), 3);
}
