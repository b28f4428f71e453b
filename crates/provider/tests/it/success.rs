//! Replies of status 200: are they answers, and what did they take?

use http::HeaderMap;
use outbound_provider::{Class, Provider, Terminal, Usage};
use serde_json::{Value, json};

use crate::{headers, ms, now};

fn class(provider: Provider, body: &str) -> Option<Class> {
    provider.check_body(&HeaderMap::new(), body.as_bytes(), now()).err().map(|fault| fault.class)
}

#[test]
fn an_answer_is_given_back_parsed() {
    let body = json!({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}], "error": null});
    for provider in
        [Provider::openai(), Provider::openai_compatible(), Provider::anthropic(), Provider::http()]
    {
        let value = provider.check_body(&HeaderMap::new(), body.to_string().as_bytes(), now());
        assert_eq!(value, Ok(Some(body.clone())));
    }
}

#[test]
fn an_error_inside_a_200_is_a_fault() {
    let cases = [
        (r#"{"error":{"code":502,"message":"Provider returned error"}}"#, Class::Transient),
        (r#"{"error":{"code":429,"message":"limit"}}"#, Class::RateLimited),
        (r#"{"error":{"code":"429","message":"limit"}}"#, Class::RateLimited),
        (r#"{"error":{"type":"server_error","message":"oops"}}"#, Class::Transient),
        (r#"{"error":"out of memory"}"#, Class::Transient),
        (r#"{"error":{"code":403,"message":"flagged"}}"#, Class::Terminal(Terminal::ContentFilter)),
        (r#"{"object":"error","message":"bad","type":"BadRequestError","code":400}"#, BAD),
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, Class::Overloaded),
        (r#"[{"error":{"code":503,"status":"UNAVAILABLE"}}]"#, Class::Overloaded),
        (r#"{"choices":[{"error":{"code":502,"message":"cut"},"finish_reason":"error"}]}"#, Class::Transient),
        (r#"{"choices":[{"message":{"content":"ha"},"finish_reason":"error"}]}"#, Class::Transient),
        (r#"{"error":{"code":7,"message":"no status"}}"#, Class::Transient),
        (r#"{"error":true}"#, Class::Transient),
    ];
    for (body, expected) in cases {
        assert_eq!(class(Provider::openai_compatible(), body), Some(expected), "{body}");
        assert_eq!(class(Provider::http(), body), None, "{body}");
    }
}

const BAD: Class = Class::Terminal(Terminal::BadRequest);

#[test]
fn what_only_looks_like_an_error_is_an_answer() {
    for body in
        [r#"{"error":null}"#, r#"{"error":""}"#, r#"{"error":{}}"#, r#"{"error":false}"#, "{}", "[]", "3"]
    {
        assert_eq!(class(Provider::openai(), body), None, "{body}");
    }
}

#[test]
fn a_body_that_should_be_json_and_is_not_may_come_right() {
    for body in ["", "{\"choices\":[", "<html>", "\u{0}"] {
        assert_eq!(class(Provider::openai(), body), Some(Class::Transient), "{body:?}");
        assert_eq!(Provider::http().check_body(&HeaderMap::new(), body.as_bytes(), now()), Ok(None));
    }
}

#[test]
fn headers_of_a_200_tell_waits_too() {
    let body = br#"{"error":{"code":429,"message":"limit"}}"#;
    let fault = Provider::openai().check_body(&headers(&[("retry-after", "3")]), body, now()).unwrap_err();
    assert_eq!(fault.wait, Some(ms(3_000)));
}

fn usage(body: &Value) -> Option<(u64, u64, u64)> {
    Provider::openai().usage(body).map(|Usage { input, output, cached, .. }| (input, output, cached))
}

#[test]
fn usage_in_every_dialect() {
    let cases = [
        (json!({"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}), Some((9, 12, 0))),
        (
            json!({"prompt_tokens": 2006, "completion_tokens": 300, "prompt_tokens_details": {"cached_tokens": 1920}}),
            Some((2006, 300, 1920)),
        ),
        (json!({"prompt_tokens": 8, "total_tokens": 8}), Some((8, 0, 0))),
        (
            json!({"input_tokens": 36, "output_tokens": 87, "input_tokens_details": {"cached_tokens": 30}}),
            Some((36, 87, 30)),
        ),
        // Anthropic counts the cache apart.
        (
            json!({"input_tokens": 50, "output_tokens": 5, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 1000}),
            Some((1150, 5, 1000)),
        ),
        (json!({"input_tokens": 50, "output_tokens": 5, "cache_read_input_tokens": null}), Some((50, 5, 0))),
        (
            json!({"prompt_tokens": 100, "completion_tokens": 1, "prompt_cache_hit_tokens": 64}),
            Some((100, 1, 64)),
        ),
        // Nonsense: a part is never more than the whole.
        (json!({"prompt_tokens": 10, "prompt_cache_hit_tokens": 64}), Some((10, 0, 10))),
        (json!({"prompt_tokens": -3, "completion_tokens": "many"}), None),
        (
            json!({"input_tokens": u64::MAX, "output_tokens": 1, "cache_read_input_tokens": 7}),
            Some((u64::MAX, 1, 7)),
        ),
        (json!({}), None),
        (Value::Null, None),
    ];
    for (body, expected) in cases {
        assert_eq!(usage(&json!({ "usage": body })), expected, "{body}");
    }
    let groq = json!({"x_groq": {"usage": {"prompt_tokens": 1, "completion_tokens": 2}}});
    assert_eq!(usage(&groq), Some((1, 2, 0)));
    assert_eq!(usage(&json!({"choices": []})), None);
    assert_eq!(usage(&json!(["usage"])), None);
    assert_eq!(Provider::http().usage(&groq).map(Usage::total), Some(3));
}

#[test]
fn a_stream_is_asked_for_by_name() {
    let provider = Provider::openai();
    assert!(provider.is_stream(&json!({"stream": true})));
    for body in [json!({"stream": false}), json!({"stream": "true"}), json!({}), json!(null), json!([true])] {
        assert!(!provider.is_stream(&body), "{body}");
    }
}
