//! Streams that hold errors, oddities, and events that do not belong to their format.

use outbound_provider::{Class, Provider, StreamItem::Nothing, Terminal, Usage};
use serde_json::{Value, json};

use crate::stream::{delta, feed, finish, openai, text};

#[test]
fn an_error_in_the_stream_has_the_class_of_its_status() {
    let cases = [
        (
            "",
            json!({"error": {"message": "busy", "type": "server_error", "code": "server_is_overloaded"}}),
            Class::Overloaded,
        ),
        ("", json!({"error": {"message": "m", "code": 429}}), Class::RateLimited),
        ("", json!({"error": {"message": "m", "type": "insufficient_quota"}}), Class::QuotaSpent),
        ("", json!({"error": {"message": "m", "type": "server_error"}}), Class::Transient),
        ("", json!({"error": "ran out of memory"}), Class::Transient),
        ("", json!([{"error": {"code": 503, "status": "UNAVAILABLE"}}]), Class::Overloaded),
        ("", json!({"object": "error", "message": "m", "code": 400}), Class::Terminal(Terminal::BadRequest)),
        ("", json!({"type": "error", "code": "rate_limit_exceeded", "message": "m"}), Class::RateLimited),
        ("error", json!({"message": "no word of its kind"}), Class::Transient),
        ("error", json!("upstream gone"), Class::Transient),
        // OpenRouter: inside a choice.
        (
            "",
            json!({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error",
            "error": {"code": 502, "message": "Provider disconnected"}}]}),
            Class::Transient,
        ),
        (
            "",
            json!({"error": {"code": 502, "message": "m"}, "choices": [{"index": 0, "delta": {"content": ""},
            "finish_reason": "error"}]}),
            Class::Transient,
        ),
    ];
    for (name, data, class) in cases {
        let (mut reader, _) = openai(&[delta(json!({"content": "so far"}))]);
        let fault = feed(&mut reader, &[(name, data.clone())]).unwrap_err();
        assert_eq!(fault.class, class, "{data}");
        assert_eq!(reader.text(), "so far");
        assert_eq!(reader.finish().unwrap_err().text, "so far", "{data}");
    }
}

#[test]
fn a_reason_of_error_is_no_end() {
    let (reader, items) = openai(&[delta(json!({"content": "so far"})), finish("error")]);
    assert_eq!(items.unwrap_err().class, Class::Transient);
    assert_eq!(reader.finish().unwrap_err().text, "so far");
}

#[test]
fn after_a_fault_no_end_marker_makes_it_whole() {
    let mut reader = Provider::openai().stream();
    let events = [delta(json!({"content": "a"})), finish("stop")];
    feed(&mut reader, &events.map(|event| ("", event))).unwrap();
    assert!(reader.is_complete());
    assert!(reader.feed("", "{broken").is_err());
    assert!(!reader.is_complete());
    assert_eq!(reader.feed("", "[DONE]"), Ok(Nothing));
    assert_eq!(reader.finish().unwrap_err().text, "a");
}

#[test]
fn a_wait_inside_a_stream_is_read_and_a_date_in_it_is_not() {
    let told = json!({"error": {"code": 429, "message": "Please try again in 599ms."}});
    let fault = openai(&[told]).1.unwrap_err();
    assert_eq!(fault.wait, Some(std::time::Duration::from_millis(599)));
    let date =
        json!({"error": {"code": 429, "metadata": {"headers": {"X-RateLimit-Reset": "1795341660000"}}}});
    assert_eq!(openai(&[date]).1.unwrap_err().wait, None);
}

#[test]
fn what_is_not_of_the_format_breaks_the_stream() {
    for data in ["{\"choices\":[{\"delta\"", "hello", "3", "null", "[]", "\"text\"", "{}{}"] {
        for provider in [Provider::openai(), Provider::anthropic()] {
            let mut reader = provider.stream();
            assert_eq!(reader.feed("", data).unwrap_err().class, Class::StreamBroken, "{data}");
            assert!(reader.finish().is_err());
        }
    }
    let orphan = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}"#;
    for data in [orphan, r#"{"type":"message_delta","delta":{}}"#, r#"{"type":"message_stop"}"#] {
        let fault = Provider::anthropic().stream().feed("", data).unwrap_err();
        assert_eq!(fault.class, Class::StreamBroken, "{data}");
    }
}

/// A piece that a strict parser refuses and a generous reader understands is a piece like any other.
#[test]
fn events_are_read_generously() {
    let raw = |content: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{content}"}}}}]}}"#);
    let deep = format!(r#"{{"choices":[],"x":{}{}}}"#, "[".repeat(500), "]".repeat(500));
    let mut reader = Provider::openai().stream();
    let pieces = [
        r#"{"id":"","object":"","model":"","choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#.to_owned(),
        raw("half \\ud83d"),
        r#"{"choices":null,"usage":null}"#.to_owned(),
        format!("\u{FEFF}{}", raw(" marked")),
        raw(" raw\u{1}"),
        deep,
        r#"{"choices":[{"index":0,"delta":{},"logprobs":{"content":[{"logprob":-Infinity,"x":NaN}]},"finish_reason":"stop"}]}"#
            .to_owned(),
        r#"{"object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7}}"#.to_owned(),
        "[DONE]".to_owned(),
    ];
    for piece in &pieces {
        reader.feed("", piece).unwrap();
    }
    assert_eq!(reader.text(), "half \u{FFFD} marked raw\u{1}");
    assert_eq!(reader.usage().map(Usage::total), Some(12));
    let body = reader.finish().unwrap();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["choices"][0]["logprobs"]["content"], json!([{"logprob": null, "x": null}]));
}

#[test]
fn one_event_of_nine_megabytes_is_read() {
    let mut reader = Provider::openai().stream();
    reader.feed("", &delta(json!({"content": "A".repeat(9_000_000)})).to_string()).unwrap();
    reader.feed("", "[DONE]").unwrap();
    assert_eq!(
        reader.finish().unwrap()["choices"][0]["message"]["content"].as_str().map(str::len),
        Some(9_000_000)
    );
}

#[test]
fn a_whole_message_in_one_event_counts_once() {
    let whole = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "ab"}, "finish_reason": "stop"}]});
    let content =
        |events: &[Value]| openai(events).0.finish().unwrap()["choices"][0]["message"]["content"].take();
    assert_eq!(content(std::slice::from_ref(&whole)), "ab");
    assert_eq!(content(&[delta(json!({"content": "a"})), delta(json!({"content": "b"})), whole]), "ab");
}

#[test]
fn errors_of_every_shape_in_a_stream() {
    let cases = [
        (r#"{"code":429,"message":"slow"}"#, Class::RateLimited),
        (r#"{"detail":"busy"}"#, Class::Transient),
        (r#"{"errors":[{"message":"too many requests"}]}"#, Class::RateLimited),
        (r#"{"base_resp":{"status_code":1002,"status_msg":"limit"},"choices":null}"#, Class::RateLimited),
        (r#"{"success":false,"message":"no"}"#, Class::Transient),
        (r#"{"status":"error","message":"no"}"#, Class::Transient),
        (r#"{"error":{"message":"half \ud83d","code":503}}"#, Class::Overloaded),
    ];
    for (data, class) in cases {
        for provider in [Provider::openai(), Provider::anthropic()] {
            let fault = provider.stream().feed("", data).unwrap_err();
            assert_eq!(fault.class, class, "{data}");
        }
    }
    // These are no errors.
    for data in [
        r#"{"error":null,"choices":[]}"#,
        r#"{"error":{},"errors":[],"detail":null,"choices":null}"#,
        r#"{"type":"ping","message":"x","code":5}"#,
        r#"{"type":"response.created","response":{"error":null,"status":"in_progress"}}"#,
        r#"{"choices":[],"base_resp":{"status_code":0,"status_msg":""}}"#,
        r#"{"status":"ok","message":"waiting","code":0}"#,
        r#"{"type":"message_start","message":{"content":[]},"code":7}"#,
    ] {
        assert!(Provider::openai().stream().feed("", data).is_ok(), "{data}");
    }
}

#[test]
fn empty_and_unknown_events_bring_nothing() {
    for (name, data) in
        [("", ""), ("", " \n"), ("", "{}"), ("ping", r#"{"type":"ping"}"#), ("new", r#"{"type":"new"}"#)]
    {
        for provider in [Provider::openai(), Provider::anthropic()] {
            assert_eq!(provider.stream().feed(name, data), Ok(Nothing), "{name} {data}");
        }
    }
}

#[test]
fn plain_events_end_when_they_end() {
    let mut reader = Provider::http().stream();
    assert_eq!(reader.feed("tick", "one"), Ok(text("one")));
    assert_eq!(reader.feed("error", "[DONE]"), Ok(text("[DONE]")));
    assert!(reader.is_complete());
    assert_eq!(reader.text(), "one[DONE]");
    assert_eq!(reader.finish(), Ok(json!(["one", "[DONE]"])));
}

#[test]
fn a_reply_without_end_is_bounded() {
    let mut reader = Provider::openai().stream();
    let chunk = delta(json!({"content": "x".repeat(8 << 20)})).to_string();
    let fault = (0..9).find_map(|_| reader.feed("", &chunk).err()).expect("a bound");
    assert_eq!(fault.class, Class::Terminal(Terminal::TooLarge));
    assert_eq!(fault.message.as_deref(), Some("the streamed reply is larger than 64 MiB"));
    assert_eq!(reader.text().len(), 7 * (8 << 20));
    assert!(reader.finish().is_err());
}
