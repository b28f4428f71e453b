//! Estimates of tokens from the text of a request.

use outbound_provider::{Estimate, Provider};
use serde_json::{Value, json};

fn estimate(body: &Value) -> Estimate {
    Provider::openai().read_request(body.to_string().as_bytes()).unwrap().estimate
}

fn input(body: &Value) -> u64 {
    estimate(body).input
}

fn output(body: &Value) -> (u64, bool) {
    let estimate = estimate(body);
    (estimate.output, estimate.output_stated)
}

fn prompt(text: &str) -> u64 {
    input(&json!({ "prompt": text }))
}

#[test]
fn text_counts_by_the_length_of_its_characters() {
    for (text, tokens) in [
        ("", 0),
        ("a", 1),
        ("abcd", 1),
        ("abcde", 2),
        ("да", 1),
        ("日本語", 3),
        ("🦀", 2),
        ("a日", 2),
        ("é\u{301}", 1),
    ] {
        assert_eq!(prompt(text), tokens, "{text:?}");
    }
}

#[test]
fn messages_system_prompts_tools_and_parts() {
    let message = json!({"role": "user", "content": "abcdefgh"});
    assert_eq!(input(&json!({ "messages": [message] })), 4 + 2);
    assert_eq!(input(&json!({ "messages": [message, message] })), 12);
    assert_eq!(input(&json!({ "system": "abcd", "messages": [message] })), 7);
    assert_eq!(input(&json!({ "system": [{"type": "text", "text": "abcd"}] })), 1);
    let parts = json!({"role": "user", "content": [{"type": "text", "text": "abcdefgh"}]});
    assert_eq!(input(&json!({ "messages": [parts] })), 6);
    let tools = json!({"tools": [{"name": "look", "description": "find"}]});
    // In a schema the keys are text too: 4 + 4 + 11 + 4 letters.
    assert_eq!(input(&tools), 6);
    let called = json!({"messages": [{"role": "assistant", "content": [
        {"type": "tool_use", "id": "toolu_0123456789", "name": "look", "input": {"city": "Rome"}}]}]});
    assert_eq!(input(&called), 4 + 3);
    assert_eq!(input(&json!({ "instructions": "abcd", "input": "abcd" })), 2);
}

#[test]
fn media_count_a_flat_sum_and_not_their_bytes() {
    let base64 = "A".repeat(1 << 16);
    let parts = [
        json!({"type": "image_url", "image_url": {"url": base64}}),
        json!({"type": "image", "source": {"type": "base64", "data": base64}}),
        json!({"type": "input_image", "image_url": base64}),
        json!({"type": "input_audio", "input_audio": {"data": base64}}),
        json!({"type": "file", "file": {"file_data": base64}}),
        json!({"type": "document", "source": {"data": base64}}),
    ];
    for part in parts {
        assert_eq!(input(&json!({"messages": [{"role": "user", "content": [part]}]})), 1_004);
    }
}

#[test]
fn a_document_given_as_text_is_text() {
    let source = json!({"type": "text", "media_type": "text/plain", "data": "abcdefgh"});
    let document = json!({"type": "document", "source": source});
    assert_eq!(input(&json!({"messages": [{"role": "user", "content": [document]}]})), 4 + 5);
}

#[test]
fn tokens_given_as_numbers_count_one_each() {
    assert_eq!(input(&json!({"input": [[1, 2, 3], [4, 5]]})), 5);
    assert_eq!(input(&json!({"input": ["abcd", "efgh"]})), 2);
}

#[test]
fn the_output_is_the_requests_own_maximum_or_a_default() {
    let message = json!([{"role": "user", "content": "hi"}]);
    let cases = [
        (json!({ "messages": message, "max_tokens": 400 }), (400, true)),
        (json!({ "messages": message, "max_completion_tokens": 300, "max_tokens": 400 }), (300, true)),
        (json!({ "input": "hi", "max_output_tokens": 200 }), (200, true)),
        (json!({ "messages": message }), (1_024, false)),
        (json!({ "messages": message, "max_tokens": null }), (1_024, false)),
        (json!({ "messages": message, "max_tokens": -1 }), (1_024, false)),
        (json!({ "messages": message, "n": 3 }), (3_072, false)),
        (json!({ "messages": message, "n": 3, "best_of": 5, "max_tokens": 10 }), (50, true)),
        (json!({ "messages": message, "n": 0, "max_tokens": 10 }), (10, true)),
        (json!({ "messages": message, "n": u64::MAX, "max_tokens": u64::MAX }), (u64::MAX, true)),
        (json!({ "input": "hi", "model": "text-embedding-3-small" }), (0, true)),
        (json!({ "input": "hi", "model": "x", "encoding_format": "float" }), (0, true)),
        (json!({ "input": "hi", "model": "gpt-x" }), (1_024, false)),
    ];
    for (body, expected) in cases {
        assert_eq!(output(&body), expected, "{body}");
    }
}

#[test]
fn odd_shapes_cost_what_can_be_seen_of_them() {
    for body in [json!(null), json!(3), json!("text"), json!([]), json!([{"messages": "x"}])] {
        let estimate = estimate(&body);
        assert_eq!((estimate.input, estimate.output), (0, 0), "{body}");
    }
    for messages in [json!(null), json!({}), json!([null]), json!([[]]), json!({"role": []})] {
        assert!(input(&json!({ "messages": messages })) <= 4, "{messages}");
    }
}

#[test]
fn a_bottomless_body_ends() {
    let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(r#"{{"messages":{},"max_tokens":7}}"#, deep("\"abcd\""));
    let facts = Provider::openai().read_request(body.as_bytes()).unwrap();
    assert_eq!((facts.estimate.input, facts.estimate.output), (0, 7));
    for (depth, tokens) in [(126, 1), (127, 1), (128, 0)] {
        let body = format!(r#"{{"messages":{}"abcd"{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert_eq!(
            Provider::openai().read_request(body.as_bytes()).unwrap().estimate.input,
            tokens,
            "{depth}"
        );
    }
}

/// The estimate of a text depends on its characters, not on how they are escaped.
#[test]
fn escapes_count_as_what_they_stand_for() {
    for (raw, tokens) in [
        (r"abc\n", 1),
        (r"\n\t\r\b\f\\\/\u0041", 2),
        (r"\u65e5\u672c", 2),
        (r"\ud83e\udd80", 2),
        (r"\u00e9\u00e9", 1),
        // Half an emoji is sent as three bytes, and counts as such.
        (r"\ud83d", 1),
        (r"aaaaaaaa\\aaaaaaa", 4),
    ] {
        let body = format!(r#"{{"prompt":"{raw}"}}"#);
        let facts = Provider::openai().read_request(body.as_bytes()).unwrap();
        assert_eq!(facts.estimate.input, tokens, "{raw}");
    }
}

#[test]
fn native_requests_cost_the_same() {
    let text = "twelve letters and more";
    let openai =
        json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]});
    let gemini = json!({"systemInstruction": {"role": "system", "parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": text}]}]});
    assert_eq!(input(&gemini), input(&openai));
    let data = "A".repeat(100_000);
    for part in [
        json!({"inlineData": {"mimeType": "image/png", "data": data}}),
        json!({"inline_data": {"mime_type": "image/png", "data": data}}),
        json!({"fileData": {"mimeType": "video/mp4", "fileUri": data}}),
    ] {
        assert_eq!(input(&json!({"contents": [{"role": "user", "parts": [part]}]})), 1_004, "{part:.60}");
    }
    let ollama = json!({"messages": [{"role": "user", "content": "", "images": [data, data]}]});
    assert_eq!(input(&ollama), 2_004);
    // In a schema they are names like any other.
    let schema = json!({"messages": [], "tools": [{"images": ["a"], "inlineData": "b"}]});
    assert!((1..20).contains(&input(&schema)), "{}", input(&schema));
}
