//! OpenAI's chat completions, plain.

use outbound_simulator::{Latency, Outcome, Simulator};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{CHAT, Client, chat, ms, secs};

#[tokio::test(start_paused = true)]
async fn a_plain_answer_is_a_chat_completion_with_honest_usage() {
    let simulator = Simulator::builder().seed(7).build();
    let got = Client::to(&simulator).await.chat(&chat("How many sides has a square?")).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.header("content-type"), Some("application/json"));
    let body = got.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "test-model");
    assert_eq!(body["created"], 1_767_225_600);
    assert_eq!(body["choices"][0]["message"]["role"], "assistant");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    let text = body["choices"][0]["message"]["content"].as_str().unwrap();
    // Each word is a token.
    let output = text.split(' ').count();
    assert!((16..=128).contains(&output));
    assert_eq!(
        body["usage"],
        json!({ "prompt_tokens": 7, "completion_tokens": output, "total_tokens": 7 + output })
    );
    let ledger = simulator.ledger();
    assert_eq!(ledger.entries()[0].outcome, Outcome::Answered);
    assert_eq!(ledger.tokens(), (7, output as u64));
}

#[tokio::test(start_paused = true)]
async fn an_answer_depends_on_seed_and_body_only() {
    let (one, other) = (Simulator::builder().seed(7).build(), Simulator::builder().seed(7).build());
    let reseeded = Simulator::builder().seed(8).build();
    let mut clients = [Client::to(&one).await, Client::to(&other).await, Client::to(&reseeded).await];
    clients[1].chat(&chat("something before")).await;
    let mut bodies = Vec::new();
    for client in &mut clients {
        bodies.push(client.chat(&chat("the same")).await.text());
    }
    let different = clients[0].chat(&chat("another")).await.text();
    assert_eq!(bodies[0], bodies[1]);
    assert_ne!(bodies[0], bodies[2]);
    assert_ne!(bodies[0], different);
}

#[tokio::test(start_paused = true)]
async fn max_tokens_cuts_the_answer_and_says_so() {
    let simulator = Simulator::builder().output_tokens(50..=50).build();
    let mut client = Client::to(&simulator).await;
    for field in ["max_tokens", "max_completion_tokens"] {
        let mut body = chat("count");
        body[field] = json!(3);
        let body = client.chat(&body).await.json();
        assert_eq!(body["usage"]["completion_tokens"], 3);
        assert_eq!(body["choices"][0]["finish_reason"], "length");
    }
}

#[tokio::test(start_paused = true)]
async fn text_is_counted_in_parts_and_in_any_script() {
    let simulator = Simulator::builder().build();
    let body = json!({ "model": "m", "messages": [
        { "role": "system", "content": "12345678" },
        { "role": "user", "content": [{ "type": "text", "text": "七文字の日本語" }, { "type": "image_url", "image_url": { "url": "x" } }] },
    ]});
    let got = Client::to(&simulator).await.chat(&body).await;
    assert_eq!(got.json()["usage"]["prompt_tokens"], (8_u64 + 7).div_ceil(4));
}

#[tokio::test(start_paused = true)]
async fn a_plain_reply_takes_latency_first_token_and_generation() {
    let simulator = Simulator::builder()
        .latency(Latency::fixed(ms(300)))
        .time_to_first_token(Latency::fixed(ms(200)))
        .tokens_per_second(100.0)
        .output_tokens(50..=50)
        .build();
    let mut client = Client::to(&simulator).await;
    let started = Instant::now();
    client.chat(&chat("slowly")).await;
    assert_eq!(started.elapsed(), ms(1_000));
}

#[tokio::test(start_paused = true)]
async fn any_prefix_and_query_lead_to_the_same_place() {
    let simulator = Simulator::builder().build();
    let mut client = Client::to(&simulator).await;
    for path in ["/chat/completions", "/openai/deployments/x/chat/completions?api-version=1", CHAT] {
        assert_eq!(client.post(path, &chat("hello")).await.status, 200);
    }
    assert_eq!(simulator.ledger().entries()[1].seen.path, "/openai/deployments/x/chat/completions");
}

#[tokio::test(start_paused = true)]
async fn every_reply_has_a_date_of_the_simulators_own_and_a_request_id() {
    let anchor = std::time::SystemTime::UNIX_EPOCH + secs(784_111_777);
    let simulator = Simulator::builder().wall_clock(anchor).build();
    let mut client = Client::to(&simulator).await;
    let first = client.chat(&chat("a")).await;
    tokio::time::sleep(ms(2_900)).await;
    let second = client.chat(&chat("a")).await;
    assert_eq!(first.header("date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(second.header("date"), Some("Sun, 06 Nov 1994 08:49:39 GMT"));
    assert!(first.header("x-request-id").unwrap().starts_with("req_"));
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    assert_eq!(first.headers.get_all("date").iter().count(), 1);
}

#[tokio::test]
async fn it_is_served_over_tcp_too() {
    let simulator = Simulator::builder().seed(7).build();
    let address = simulator.listen("127.0.0.1:0").await.unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut client = Client::new(stream).await;
    let over_tcp = client.chat(&chat("hello")).await.json();
    let in_memory = Client::to(&simulator).await.chat(&chat("hello")).await.json();
    assert_eq!(over_tcp["choices"], in_memory["choices"]);
    assert_eq!(simulator.ledger().sends(), 2);
    simulator.shutdown().await;
    assert!(client.is_closed().await);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
