//! Nothing panics on what a server sends, and every result can be used.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use outbound_provider::Provider;
use proptest::prelude::*;
use serde_json::Value;

const NAMES: [&str; 16] = [
    "date",
    "retry-after",
    "retry-after-ms",
    "x-ms-retry-after-ms",
    "x-should-retry",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-reset",
    "anthropic-ratelimit-input-tokens-remaining",
    "anthropic-ratelimit-input-tokens-reset",
    "anthropic-ratelimit-unified-status",
    "anthropic-ratelimit-unified-reset",
    "ratelimit",
    "ratelimit-policy",
];

fn provider() -> impl Strategy<Value = Provider> {
    proptest::sample::select(Provider::ALL)
}

fn header_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[-+]?[0-9]{0,45}(\\.[0-9]{0,12})?[a-zµ]{0,2}".prop_map(String::into_bytes),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,12})?(Z|[-+][0-9]{2}:[0-9]{2})"
            .prop_map(String::into_bytes),
        "(Sun|Mon), [0-9]{2} (Nov|Feb) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT".prop_map(String::into_bytes),
        "\"[a-z,;]{0,3}\"(;(r|t|q|w|qu)=[-0-9a-z\"]{0,22}){0,3}".prop_map(String::into_bytes),
        Just(b"rejected".to_vec()),
    ]
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let pair = (proptest::sample::select(&NAMES[..]), header_value());
    proptest::collection::vec(pair, 0..8).prop_map(|list| {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        headers
    })
}

/// JSON made of the words that the rules and the stream readers look for.
fn json() -> impl Strategy<Value = Value> {
    let word = proptest::sample::select(vec![
        "error",
        "message",
        "type",
        "code",
        "details",
        "choices",
        "delta",
        "content",
        "tool_calls",
        "index",
        "usage",
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block",
        "message_delta",
        "text",
        "partial_json",
        "finish_reason",
        "response",
        "response.completed",
        "response.failed",
        "prompt_tokens",
        "retry_after",
        "retryDelay",
        "headers",
        "metadata",
        "X-RateLimit-Reset",
        "messages",
        "tools",
        "role",
        "name",
        "Please try again in 5s",
        "99999999999999999999s",
        "429",
        "max_tokens",
        "n",
        "input",
        "logprobs",
        "citation",
        "candidates",
        "parts",
        "functionCall",
        "args",
        "thought",
        "thoughtSignature",
        "finishReason",
        "promptFeedback",
        "blockReason",
        "usageMetadata",
        "promptTokenCount",
        "done",
        "eval_count",
        "function",
        "arguments",
        "output",
        "output_index",
        "item",
        "response.output_item.added",
        "response.output_text.delta",
        "reasoning_content",
        "stop_reason",
        "contents",
        "generationConfig",
        "inlineData",
        "images",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        json().prop_map(|value| value.to_string().into_bytes()),
    ]
}

fn event() -> impl Strategy<Value = (String, String)> {
    let name =
        proptest::sample::select(vec!["", "message", "error", "ping", "message_start", "message_stop"]);
    let data = prop_oneof![
        json().prop_map(|value| value.to_string()),
        "\\PC{0,20}",
        Just("[DONE]".to_owned()),
        Just(r#"{"choices":[{"index":18446744073709551615,"delta":{"content":"x"}}]}"#.to_owned()),
        Just(
            r#"{"choices":[{"delta":{"tool_calls":[{"index":18446744073709551615},{"id":"a"}]}}]}"#
                .to_owned()
        ),
        Just(r#"{"type":"message_start","message":{"usage":3}}"#.to_owned()),
        Just(r#"{"type":"content_block_start","index":7,"content_block":{"citations":5}}"#.to_owned()),
        Just(r#"{"type":"content_block_delta","index":7,"delta":{"citation":1,"text":"t"}}"#.to_owned()),
        Just(r#"{"type":"message_delta","usage":{"output_tokens":1}}"#.to_owned()),
        Just(r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":null}"#.to_owned()),
        Just(r#"{"candidates":[{"index":18446744073709551615,"content":{"parts":[{"text":"x","thought":1}]}}]}"#.to_owned()),
        Just(r#"{"candidates":[{"content":{"parts":[{"functionCall":{"args":[]}},{}]},"finishReason":""}]}"#.to_owned()),
        Just(r#"{"message":{"tool_calls":[{"function":{}},{}],"content":5},"done":true}"#.to_owned()),
        Just(r#"{"response":"x","thinking":"y","done":false}"#.to_owned()),
        Just(r#"{"type":"response.output_item.added","output_index":18446744073709551615,"item":{"type":"function_call"}}"#.to_owned()),
        Just(r#"{"type":"response.completed","response":{"output":[{"type":"message"}]}}"#.to_owned()),
    ];
    (name.prop_map(str::to_owned), data)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_reply_has_a_meaning(
        provider in provider(),
        status in 100u16..1000,
        headers in headers(),
        body in body(),
        now in 0u64..1 << 40,
    ) {
        let now = UNIX_EPOCH + Duration::from_secs(now);
        let status = StatusCode::from_u16(status).unwrap();
        let fault = provider.classify(status, &headers, &body, now);
        if let Some(wait) = fault.wait {
            prop_assert!(!wait.is_zero());
            prop_assert!(SystemTime::now().checked_add(wait).is_some());
        }
        prop_assert!(fault.message.as_ref().is_none_or(|message| !message.contains('\n')));
        prop_assert!(!fault.to_string().is_empty());
        let signals = provider.signals(&headers, now);
        prop_assert!(signals.iter().all(|signal| signal.limit != Some(0)));
        for request in [&b""[..], br#"{"messages":[]}"#, &body] {
            let Ok(facts) = provider.read_request(request) else { continue };
            let _ = provider.read_success(&facts, status, &headers, &body, now);
        }
    }

    #[test]
    fn any_body_has_a_cost(provider in provider(), value in json()) {
        let facts = provider.read_request(value.to_string().as_bytes()).unwrap();
        prop_assert!(value.is_object() || facts.estimate.input == 0);
        prop_assert!(facts.choices >= 1);
        let answer = serde_json::json!({"data": [1], "usage": value}).to_string();
        let read = provider.read_success(&facts, StatusCode::OK, &HeaderMap::new(), answer.as_bytes(), UNIX_EPOCH);
        let usage = read.ok().and_then(|success| success.usage);
        prop_assert!(usage.is_none_or(|usage| usage.cached <= usage.input));
    }

    /// The error of a refused body names a position inside the body.
    #[test]
    fn any_bytes_are_a_request_or_not(bytes in body()) {
        if let Err(wrong) = Provider::openai().read_request(&bytes) {
            prop_assert!(wrong.at <= bytes.len() && !wrong.to_string().is_empty());
            prop_assert!(outbound_provider::lenient_json(&bytes).is_none());
        }
    }

    #[test]
    fn any_stream_ends(provider in provider(), events in proptest::collection::vec(event(), 0..12)) {
        let mut reader = provider.stream();
        for (name, data) in &events {
            let _ = reader.feed(name, data);
            let _ = (reader.text(), reader.usage(), reader.finish_reason(), format!("{reader:?}"));
        }
        let complete = reader.is_complete();
        prop_assert_eq!(reader.finish_as_openai().is_ok(), complete);
    }

    /// An answer has a text and an OpenAI shape, or none, and what has that shape can be read again.
    #[test]
    fn any_answer_has_a_text_or_none(provider in provider(), body in body()) {
        let shaped = provider.as_openai(&body);
        if let Some(text) = provider.text_of(&body) {
            let shaped = shaped.clone().expect("what has a text has a shape").to_string();
            prop_assert_eq!(provider.text_of(shaped.as_bytes()), Some(text));
        }
        if let Some(shaped) = shaped {
            prop_assert!(shaped["choices"].is_array());
            prop_assert_eq!(provider.as_openai(shaped.to_string().as_bytes()), Some(shaped));
        }
    }

    #[test]
    fn any_model_has_a_path_of_its_own(provider in provider(), model in "\\PC{0,20}", stream in any::<bool>()) {
        let path = provider.path(&model, stream);
        prop_assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{}", path);
        prop_assert_eq!(path.matches('/').count(), provider.path("m", stream).matches('/').count());
        let prompt = provider.prompt(&model, &model).system(&model).stream(stream);
        prop_assert!(provider.read_request(prompt.body().as_bytes()).is_ok());
    }
}
