//! Requests that are refused for what they are: keys, forms, paths, sizes.

use http::{Method, StatusCode};
use outbound_simulator::{Outcome, Simulator};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{CHAT, Client, MESSAGES, chat};

#[tokio::test(start_paused = true)]
async fn a_wrong_key_is_refused_in_the_dialect() {
    let simulator = Simulator::builder().key("sk-test").build();
    let mut body = chat("hello");
    body["max_tokens"] = json!(5);

    let refused = Client::to(&simulator).await.with("authorization", "Bearer sk-wrong").chat(&body).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.json()["error"]["code"], "invalid_api_key");
    // A key in the header of another dialect is no key.
    assert_eq!(Client::to(&simulator).await.with("x-api-key", "sk-test").chat(&body).await.status, 401);
    assert_eq!(
        Client::to(&simulator).await.with("authorization", "Bearer sk-test").chat(&body).await.status,
        200
    );

    let refused = Client::to(&simulator).await.messages(&body).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.json()["error"]["type"], "authentication_error");
    assert_eq!(refused.json()["request_id"].as_str(), refused.header("request-id"));
    assert_eq!(Client::to(&simulator).await.with("x-api-key", "sk-test").messages(&body).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn no_key_is_shown_anywhere() {
    let simulator = Simulator::builder().key("sk-canary-ours").build();
    let builder = Simulator::builder().key("sk-canary-ours");
    let mut client = Client::to(&simulator).await.with("authorization", "Bearer sk-canary-theirs");
    let got = client.chat(&chat("hello")).await;
    let mut lines = Vec::new();
    simulator.ledger().write_to(&mut lines).unwrap();
    let shown = format!(
        "{builder:?} {simulator:?} {:?} {} {got:?}",
        simulator.ledger(),
        String::from_utf8(lines).unwrap()
    );
    assert!(!shown.contains("canary"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_a_400_with_a_reason() {
    let simulator = Simulator::builder().build();
    let mut client = Client::to(&simulator).await;
    let messages = json!([{ "role": "user", "content": "x" }]);
    let bodies = [
        json!(null),
        json!([]),
        json!({}),
        json!({ "model": "", "messages": messages }),
        json!({ "model": 4, "messages": messages }),
        json!({ "model": "m" }),
        json!({ "model": "m", "messages": [] }),
        json!({ "model": "m", "messages": "hello" }),
        json!({ "model": "m", "messages": ["hello"] }),
        json!({ "model": "m", "messages": messages, "max_tokens": 0 }),
        json!({ "model": "m", "messages": messages, "max_tokens": -1 }),
        json!({ "model": "m", "messages": messages, "max_tokens": "many" }),
        json!({ "model": "m", "messages": messages, "stream": "yes" }),
        json!({ "model": "m", "messages": messages, "n": 2 }),
        json!({ "model": "m", "messages": messages, "stream_options": { "include_usage": 1 } }),
    ];
    for body in bodies {
        let got = client.chat(&body).await;
        assert_eq!(got.status, 400, "{body}");
        assert_eq!(got.json()["error"]["type"], "invalid_request_error");
    }
    let nested = "[".repeat(100_000);
    let deep = format!("{{\"model\":\"m\",\"messages\":{nested}");
    for raw in ["", "{", "\u{0}", "{\"model\": \"m\"", deep.as_str()] {
        let got = client.send(Method::POST, CHAT, raw.to_owned()).await.unwrap();
        assert_eq!(got.status, 400);
    }
    let got = client.send(Method::POST, CHAT, vec![0xff, 0xfe]).await.unwrap();
    assert_eq!(got.status, 400);
    let ledger = simulator.ledger();
    assert!(ledger.entries().iter().all(|entry| entry.outcome == Outcome::Refused(StatusCode::BAD_REQUEST)));
    assert!(ledger.entries().iter().all(|entry| !entry.was_admitted()));
}

#[tokio::test(start_paused = true)]
async fn anthropic_wants_its_version_and_max_tokens() {
    let simulator = Simulator::builder().build();
    let mut body = chat("hello");
    let got = Client::to(&simulator).await.messages(&body).await;
    assert_eq!(
        (got.status, got.json()["error"]["message"].as_str()),
        (StatusCode::BAD_REQUEST, Some("max_tokens: Field required"))
    );
    body["max_tokens"] = json!(5);
    let got = Client::to(&simulator).await.post(MESSAGES, &body).await;
    assert_eq!(got.status, 400);
    assert_eq!(got.json()["error"]["message"], "anthropic-version: header is required");
}

#[tokio::test(start_paused = true)]
async fn unknown_paths_and_methods_are_refused_in_the_dialect() {
    let simulator = Simulator::builder().build();
    let mut client = Client::to(&simulator).await;
    let got = client.post("/v1/completions", &chat("hello")).await;
    assert_eq!(got.status, 404);
    assert!(got.json()["error"]["message"].is_string());
    let got = client.send(Method::GET, CHAT, "").await.unwrap();
    assert_eq!((got.status, got.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, Some("POST")));
    let got = client.send(Method::GET, MESSAGES, "").await.unwrap();
    assert_eq!(got.json()["type"], "error");
    assert_eq!(simulator.ledger().sends(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_a_413() {
    let simulator = Simulator::builder().max_body(500).build();
    let got = Client::to(&simulator).await.chat(&chat(&"x".repeat(600))).await;
    assert_eq!(got.status, 413);
    let got: Value = got.json();
    assert_eq!(got["error"]["code"], "request_too_large");
    assert_eq!(Client::to(&simulator).await.chat(&chat("short")).await.status, 200);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let field = prop::sample::select(vec![
        "model",
        "messages",
        "role",
        "content",
        "text",
        "system",
        "stream",
        "stream_options",
        "include_usage",
        "max_tokens",
        "n",
        "contents",
        "parts",
        "systemInstruction",
        "generationConfig",
        "maxOutputTokens",
        "options",
        "num_predict",
        "input",
        "instructions",
        "max_output_tokens",
    ]);
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((field.clone(), inner), 0..8).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Every body is answered or refused with 400, in each dialect, and the connection can be used afterwards.
    #[test]
    fn no_body_is_too_odd(
        overrides in prop::collection::vec(any_json(), 1..8),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let simulator = Simulator::builder().tokens_per_minute(1_000_000_000).build();
            let mut client = Client::to(&simulator).await.with("anthropic-version", "2023-06-01");
            let paths = [
                CHAT,
                MESSAGES,
                "/v1beta/models/m:generateContent",
                "/v1beta/models/m:streamGenerateContent",
                "/api/chat",
                "/v1/responses",
            ];
            for (value, path) in overrides.iter().flat_map(|value| paths.map(|path| (value, path))) {
                // As it is, and merged into a valid body, so that more of it is read.
                let mut body = chat("hello");
                body["contents"] = json!([{ "parts": [{ "text": "hello" }] }]);
                body["input"] = json!("hello");
                if let (Value::Object(body), Value::Object(value)) = (&mut body, value) {
                    body.extend(value.clone());
                }
                for body in [value, &body] {
                    let status = client.post(path, body).await.status.as_u16();
                    // 429 means that `max_tokens` is larger than the whole limit.
                    assert!([200, 400, 429].contains(&status), "{status} for {body}");
                }
            }
            let status = client.send(Method::POST, CHAT, bytes).await.unwrap().status;
            assert_eq!(status, 400);
        });
    }
}
