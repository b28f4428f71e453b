//! Streams whose events have names: Anthropic's messages and OpenAI's responses.

use outbound_provider::{
    Class, Provider,
    StreamItem::{self, Finished, Nothing},
    ToolCallDelta, Usage,
};
use serde_json::{Value, json};

use crate::stream::{feed, item, openai, text};

/// The events of an answer with a thought, a text with a citation, and a call of a tool.
fn anthropic_events() -> Vec<(&'static str, Value)> {
    let block = |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta =
        |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |index: u64| json!({"type": "content_block_stop", "index": index});
    vec![
        (
            "message_start",
            json!({"type": "message_start", "message": {"id": "msg_1", "type": "message",
            "role": "assistant", "content": [], "model": "claude", "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 25, "cache_read_input_tokens": 5, "output_tokens": 1}}}),
        ),
        ("content_block_start", block(0, json!({"type": "thinking", "thinking": "", "signature": ""}))),
        ("ping", json!({"type": "ping"})),
        ("content_block_delta", delta(0, json!({"type": "thinking_delta", "thinking": "h"}))),
        ("content_block_delta", delta(0, json!({"type": "thinking_delta", "thinking": "m"}))),
        ("content_block_delta", delta(0, json!({"type": "signature_delta", "signature": "S="}))),
        ("content_block_stop", stop(0)),
        ("content_block_start", block(1, json!({"type": "text", "text": ""}))),
        ("content_block_delta", delta(1, json!({"type": "text_delta", "text": "Hel"}))),
        ("content_block_delta", delta(1, json!({"type": "text_delta", "text": "lo"}))),
        ("content_block_delta", delta(1, json!({"type": "citations_delta", "citation": {"title": "t"}}))),
        ("content_block_stop", stop(1)),
        (
            "content_block_start",
            block(2, json!({"type": "tool_use", "id": "t1", "name": "look", "input": {}})),
        ),
        ("content_block_delta", delta(2, json!({"type": "input_json_delta", "partial_json": ""}))),
        (
            "content_block_delta",
            delta(2, json!({"type": "input_json_delta", "partial_json": "{\"city\": \"Ro"})),
        ),
        ("content_block_delta", delta(2, json!({"type": "input_json_delta", "partial_json": "me\"}"}))),
        ("content_block_stop", stop(2)),
        (
            "message_delta",
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null},
            "usage": {"output_tokens": 15, "cache_read_input_tokens": null}}),
        ),
        ("message_stop", json!({"type": "message_stop"})),
    ]
}

fn anthropic_body() -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "S="},
            {"type": "text", "text": "Hello", "citations": [{"title": "t"}]},
            {"type": "tool_use", "id": "t1", "name": "look", "input": {"city": "Rome"}}],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 25, "cache_read_input_tokens": 5, "output_tokens": 15}})
}

#[test]
fn anthropic_events_make_the_reply_without_a_stream() {
    let mut reader = Provider::anthropic().stream();
    let items = feed(&mut reader, &anthropic_events()).unwrap();
    let texts: String = items
        .iter()
        .filter_map(|item| if let StreamItem::Delta(delta) = item { Some(&*delta.text) } else { None })
        .collect();
    assert_eq!((texts.as_str(), reader.text().as_str()), ("Hello", "Hello"));
    assert_eq!(items.last(), Some(&Finished));
    assert_eq!(reader.usage().map(|usage| (usage.input, usage.output, usage.cached)), Some((30, 15, 5)));
    assert_eq!(reader.finish(), Ok(anthropic_body()));
}

#[test]
fn names_of_events_may_be_missing() {
    let mut reader = Provider::anthropic().stream();
    let nameless: Vec<_> = anthropic_events().into_iter().map(|(_, data)| ("", data)).collect();
    feed(&mut reader, &nameless).unwrap();
    assert_eq!(reader.finish(), Ok(anthropic_body()));
}

#[test]
fn anthropic_is_complete_at_its_last_event_and_not_before() {
    let events = anthropic_events();
    for end in 0..events.len() {
        let mut reader = Provider::anthropic().stream();
        feed(&mut reader, &events[..end]).unwrap();
        assert!(!reader.is_complete(), "after {end} events");
        // The input tokens are known from the first event on, and are paid for from then on.
        assert_eq!(reader.usage().map(|usage| usage.input), (end > 0).then_some(30));
        assert_eq!(
            reader.finish().unwrap_err().text,
            ["", "Hel", "Hello"][usize::from(end > 8) + usize::from(end > 9)]
        );
    }
}

#[test]
fn an_input_cut_by_the_maximum_stays_text() {
    let mut events = anthropic_events();
    events.remove(15);
    let mut reader = Provider::anthropic().stream();
    feed(&mut reader, &events).unwrap();
    assert_eq!(reader.finish().unwrap()["content"][2]["input"], "{\"city\": \"Ro");
}

#[test]
fn overload_after_the_200_is_overload() {
    let mut reader = Provider::anthropic().stream();
    feed(&mut reader, &anthropic_events()[..10]).unwrap();
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let fault = reader.feed("error", error).unwrap_err();
    assert_eq!((fault.class, fault.code.as_deref()), (Class::Overloaded, Some("overloaded_error")));
    assert_eq!(reader.finish().unwrap_err().text, "Hello");
}

#[test]
fn openai_responses_end_with_the_whole_response() {
    let created = json!({"type": "response.created", "sequence_number": 0, "response": {"id": "r1", "status": "in_progress", "error": null}});
    let piece = |text: &str| json!({"type": "response.output_text.delta", "delta": text});
    let whole = json!({"id": "r1", "status": "completed", "error": null, "output": [],
        "usage": {"input_tokens": 3, "output_tokens": 4}});
    let done = json!({"type": "response.completed", "response": whole});
    let call = json!({"type": "response.function_call_arguments.delta", "delta": "{}"});
    let (reader, items) = openai(&[created.clone(), piece("a"), call, piece("b"), done]);
    let arguments = item(|delta| {
        delta.tool_calls.push(ToolCallDelta::default());
        delta.tool_calls[0].arguments = "{}".to_owned();
    });
    assert_eq!(items, Ok(vec![Nothing, text("a"), arguments, text("b"), Finished]));
    assert_eq!(reader.text(), "ab");
    assert_eq!(reader.usage().map(Usage::total), Some(7));
    assert_eq!(reader.finish(), Ok(whole));

    let incomplete = json!({"type": "response.incomplete", "response": {"status": "incomplete"}});
    assert!(openai(&[created.clone(), incomplete]).0.finish().is_ok());

    let cut = openai(&[created.clone(), piece("a")]).0.finish().unwrap_err();
    assert_eq!((cut.text.as_str(), &cut.body["id"]), ("a", &json!("r1")));

    let failed = json!({"type": "response.failed", "response": {"status": "failed",
        "error": {"code": "rate_limit_exceeded", "message": "Please try again in 2s."}}});
    let (reader, items) = openai(&[created, piece("a"), failed]);
    let fault = items.unwrap_err();
    assert_eq!((fault.class, fault.wait), (Class::RateLimited, Some(std::time::Duration::from_secs(2))));
    assert_eq!(reader.finish().unwrap_err().text, "a");
}
