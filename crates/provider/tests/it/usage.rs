//! The tokens that a reply says it took, in each provider's words.

use outbound_provider::{Provider, Usage};
use serde_json::{Value, json};

use crate::read_other;

fn usage_in(body: &Value) -> Option<(u64, u64, u64)> {
    let usage = read_other(body.to_string()).unwrap().usage;
    usage.map(|Usage { input, output, cached, .. }| (input, output, cached))
}

/// Tokens with a price of their own are counted apart, and are a part of the whole.
#[test]
fn cached_tokens_and_reasoning_are_counted_apart() {
    let cases = [
        (
            json!({"prompt_tokens": 9, "completion_tokens": 12, "completion_tokens_details": {"reasoning_tokens": 7}}),
            (9, 12, 0, 7),
        ),
        (
            json!({"input_tokens": 9, "output_tokens": 12, "output_tokens_details": {"reasoning_tokens": 70}}),
            (9, 12, 0, 12),
        ),
        (json!({"input_tokens": 9, "output_tokens": 12, "cache_creation_input_tokens": 5}), (14, 12, 5, 0)),
    ];
    for (usage, told) in cases {
        let body = json!({"choices": [{"message": {"content": "x"}}], "usage": usage.clone()});
        let usage = read_other(body.to_string()).unwrap().usage.unwrap();
        assert_eq!((usage.input, usage.output, usage.cache_written, usage.reasoning), told, "{body}");
    }
}

#[test]
fn usage_in_every_dialect() {
    let cases = [
        (json!({"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}), Some((9, 12, 0))),
        (
            json!({"prompt_tokens": 2006, "completion_tokens": 300, "prompt_tokens_details": {"audio_tokens": 1, "cached_tokens": 1920}}),
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
        // Some servers send both kinds of counts. OpenAI's are a part of the whole.
        (
            json!({"prompt_tokens": 50, "completion_tokens": 5, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 20}),
            Some((50, 5, 20)),
        ),
        (
            json!({"prompt_tokens": 100, "completion_tokens": 1, "prompt_cache_hit_tokens": 64}),
            Some((100, 1, 64)),
        ),
        // Impossible counts: a part is never more than the whole.
        (json!({"prompt_tokens": 10, "prompt_cache_hit_tokens": 64}), Some((10, 0, 10))),
        (json!({"prompt_tokens": -3, "completion_tokens": "many"}), None),
        (json!({"prompt_tokens": 1.5, "completion_tokens": {"a": 1}}), None),
        (
            json!({"input_tokens": u64::MAX, "output_tokens": 1, "cache_read_input_tokens": 7}),
            Some((u64::MAX, 1, 7)),
        ),
        (json!({"prompt_tokens": 1, "prompt_tokens_details": null}), Some((1, 0, 0))),
        (json!({}), None),
        (json!([1]), None),
        (Value::Null, None),
    ];
    for (body, expected) in cases {
        assert_eq!(usage_in(&json!({ "usage": body })), expected, "{body}");
        // The same in a stream.
        let mut reader = Provider::openai().stream();
        reader.feed("", &json!({"choices": [], "usage": body}).to_string()).unwrap();
        let usage = reader.usage().map(|usage| (usage.input, usage.output, usage.cached));
        assert_eq!(usage, expected, "{body}");
    }
    let groq =
        json!({"usage": null, "x_groq": {"id": "x", "usage": {"prompt_tokens": 1, "completion_tokens": 2}}});
    assert_eq!(usage_in(&groq), Some((1, 2, 0)));
    assert_eq!(usage_in(&json!({"choices": []})), None);
    assert_eq!(usage_in(&json!(["usage"])), None);
    assert_eq!(usage_in(&json!({"x": {"usage": {"prompt_tokens": 1}}})), None);
    let first = json!({"x_groq": {"usage": {"prompt_tokens": 1}}, "usage": null});
    let text = r#"{"x_groq":{"usage":{"prompt_tokens":1}},"usage":null}"#;
    assert_eq!(
        (read_other(text).unwrap().usage.map(Usage::total), usage_in(&first)),
        (Some(1), Some((1, 0, 0)))
    );
    // The same for a body that was read twice.
    let twice = json!({"usage": {"prompt_tokens": 3}, "message": "ok", "data": [1]});
    assert_eq!(usage_in(&twice), Some((3, 0, 0)));
}
