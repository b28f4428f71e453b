//! Streams in a whole body of status 200, where no stream was asked for.

use http::{HeaderMap, StatusCode};
use outbound_provider::{Class, Provider, RequestFacts, Usage};
use serde_json::{Value, json};

use crate::{chat, headers, ms, now, read};

fn events(list: &[Value]) -> String {
    list.iter().map(|event| format!("data: {event}\n\n")).collect()
}

fn piece(text: &str) -> Value {
    json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]})
}

#[test]
fn a_stream_that_was_not_asked_for_is_put_together() {
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7}});
    let whole = events(&[piece("a"), piece("b"), end]);
    let forms = [
        whole.clone(),
        format!("\u{FEFF}{whole}data: [DONE]\n\n"),
        format!("\n\n: waiting\n\n{whole}"),
        format!("event: message\nid: 7\nretry: 5\n{whole}"),
        whole.replace('\n', "\r\n"),
        whole.replace('\n', "\r"),
        whole.replace("data: ", "data:"),
        whole.trim_end().to_owned(),
        // A name without data is no event.
        format!("event: error\n\n{whole}"),
        whole.replace("data: {", "data: {\ndata: "),
    ];
    for form in &forms {
        let success = read(Provider::openai(), form).unwrap();
        let body: Value = serde_json::from_slice(&success.body.unwrap()).unwrap();
        assert_eq!(body["choices"][0]["message"]["content"], "ab", "{form}");
        assert_eq!(body["object"], "chat.completion");
        assert_eq!(success.usage.map(Usage::total), Some(12));
    }
    let message = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "whole"}, "finish_reason": "stop"}]});
    let success = read(Provider::openai(), events(&[message])).unwrap();
    let body: Value = serde_json::from_slice(&success.body.unwrap()).unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], "whole");
}

#[test]
fn a_stream_that_was_not_asked_for_may_be_broken_or_refused() {
    let fault = read(Provider::openai(), events(&[piece("so "), piece("far")])).unwrap_err();
    assert_eq!((fault.class, fault.partial.as_deref()), (Class::StreamBroken, Some("so far")));
    let fault = read(Provider::openai(), format!("{}data: {{\"cut", events(&[piece("so far")]))).unwrap_err();
    assert_eq!((fault.class, fault.partial.as_deref()), (Class::StreamBroken, Some("so far")));
    let refused = format!("event: error\n{}", events(&[json!({"error": {"code": 429, "message": "slow"}})]));
    let told = headers(&[("retry-after", "3"), ("x-should-retry", "true")]);
    let fault = Provider::openai()
        .read_success(&chat(), StatusCode::OK, &told, refused.as_bytes(), now())
        .unwrap_err();
    assert_eq!((fault.class, fault.wait, fault.partial), (Class::RateLimited, Some(ms(3_000)), None));
    assert_eq!(fault.should_retry, Some(true));
    let two = Provider::openai().read_request(br#"{"messages":[],"n":2}"#).unwrap();
    let one = events(&[piece("a"), json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})]);
    let read = |facts: &RequestFacts| {
        Provider::openai().read_success(facts, StatusCode::OK, &HeaderMap::new(), one.as_bytes(), now())
    };
    assert!(read(&chat()).is_ok());
    assert_eq!(read(&two).unwrap_err().class, Class::StreamBroken);
}
