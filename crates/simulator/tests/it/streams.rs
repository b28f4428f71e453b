//! Streamed answers, whole ones: framing, timing, end markers.

use outbound_simulator::{Latency, Outcome, Simulator};
use serde_json::{Value, json};

use crate::support::{Client, chat, ms, streamed};

fn data(events: &[(Option<String>, String)]) -> Vec<Value> {
    events
        .iter()
        .filter(|(_, data)| data != "[DONE]")
        .map(|(_, data)| serde_json::from_str(data).unwrap())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn openai_chunks_add_up_to_the_plain_answer_and_end_with_done() {
    let simulator = Simulator::builder().seed(7).output_tokens(5..=5).build();
    let mut client = Client::to(&simulator).await;
    let got = client.chat(&streamed(chat("hello"))).await;
    assert_eq!(got.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let events = got.events();
    assert_eq!(events.last().unwrap().1, "[DONE]");
    assert!(events.iter().all(|(name, _)| name.is_none()));
    let chunks = data(&events);
    // A role, five tokens and a finish reason. No usage, because the request did not ask for it.
    assert_eq!(chunks.len(), 7);
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(chunks[6]["choices"][0]["finish_reason"], "stop");
    assert!(
        chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk" && chunk.get("usage").is_none())
    );
    let text: String =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text.split(' ').count(), 5);
    assert_eq!(simulator.ledger().tokens(), (2, 5));
    assert_eq!(simulator.ledger().entries()[0].outcome, Outcome::Answered);
}

#[tokio::test(start_paused = true)]
async fn openai_usage_comes_in_a_chunk_of_its_own_if_asked_for() {
    let simulator = Simulator::builder().output_tokens(5..=5).build();
    let mut body = streamed(chat("hello"));
    body["stream_options"] = json!({ "include_usage": true });
    let chunks = data(&Client::to(&simulator).await.chat(&body).await.events());
    let (last, others) = chunks.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"], json!({ "prompt_tokens": 2, "completion_tokens": 5, "total_tokens": 7 }));
    assert!(others.iter().all(|chunk| chunk["usage"].is_null()));
}

#[tokio::test(start_paused = true)]
async fn tokens_arrive_at_the_speed_they_are_made() {
    let simulator = Simulator::builder()
        .latency(Latency::fixed(ms(100)))
        .time_to_first_token(Latency::fixed(ms(400)))
        .tokens_per_second(20.0)
        .output_tokens(4..=4)
        .build();
    let mut client = Client::to(&simulator).await;
    let got = client.chat(&streamed(chat("hello"))).await;
    let times: Vec<_> = got.frames.iter().map(|(at, _)| at.as_millis()).collect();
    assert_eq!(times, [500, 550, 600, 650, 700]);
}

#[tokio::test(start_paused = true)]
async fn the_head_of_a_stream_does_not_wait_for_the_first_token() {
    let simulator = Simulator::builder()
        .latency(Latency::fixed(ms(100)))
        .time_to_first_token(Latency::fixed(ms(400)))
        .build();
    let mut client = Client::to(&simulator).await;
    let body = streamed(chat("hello")).to_string();
    let response = client.head(http::Method::POST, crate::support::CHAT, body).await.unwrap();
    assert_eq!((response.status().as_u16(), client.started.elapsed()), (200, ms(100)));
}

#[tokio::test(start_paused = true)]
async fn anthropic_events_are_named_and_end_with_message_stop() {
    let simulator = Simulator::builder().output_tokens(9..=9).build();
    let mut body = streamed(chat("hello"));
    body["max_tokens"] = json!(3);
    let got = Client::to(&simulator).await.messages(&body).await;
    let events = got.events();
    let names: Vec<_> = events.iter().map(|(name, _)| name.as_deref().unwrap()).collect();
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );
    let data = data(&events);
    assert!(data.iter().zip(names).all(|(data, name)| data["type"] == name));
    assert_eq!(data[0]["message"]["usage"]["input_tokens"], 2);
    assert_eq!(data[7]["usage"]["output_tokens"], 3);
    assert_eq!(data[7]["delta"]["stop_reason"], "max_tokens");
}
