//! What each event of a stream brings. The same answer brings the same in every format.

use outbound_provider::{Delta, Provider, StreamItem};
use serde_json::{Value, json};

use crate::stream::feed;

/// An answer that thinks, speaks, calls two tools and ends, in each format.
fn streams() -> Vec<(&'static str, Provider, Vec<Value>)> {
    let chunk = |delta: Value| json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
    let call = |call: Value| chunk(json!({ "tool_calls": [call] }));
    let chat = vec![
        chunk(json!({"role": "assistant", "content": ""})),
        chunk(json!({"reasoning_content": "hm"})),
        chunk(json!({"content": "Hel"})),
        chunk(json!({"content": "lo"})),
        call(
            json!({"index": 0, "id": "c0", "type": "function", "function": {"name": "look", "arguments": ""}}),
        ),
        call(json!({"index": 0, "function": {"arguments": "{\"x\":"}})),
        call(json!({"index": 0, "function": {"arguments": "1}"}})),
        call(json!({"index": 1, "id": "c1", "function": {"name": "find", "arguments": "{}"}})),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
        json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 9}}),
        json!("[DONE]"),
    ];
    let start = |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta =
        |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let tool = |id: &str, name: &str| json!({"type": "tool_use", "id": id, "name": name, "input": {}});
    let input = |piece: &str| json!({"type": "input_json_delta", "partial_json": piece});
    let messages = vec![
        json!({"type": "message_start", "message": {"role": "assistant", "usage": {"input_tokens": 7, "output_tokens": 1}}}),
        start(0, json!({"type": "thinking", "thinking": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
        delta(0, json!({"type": "signature_delta", "signature": "s"})),
        start(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": "Hel"})),
        delta(1, json!({"type": "text_delta", "text": "lo"})),
        // A tool that the server runs itself is not one of the caller's.
        start(2, json!({"type": "server_tool_use", "id": "s0", "name": "web_search", "input": {}})),
        delta(2, input("{\"query\":\"x\"}")),
        start(3, tool("c0", "look")),
        delta(3, input("{\"x\":")),
        delta(3, input("1}")),
        // Some gateways send an input at once.
        start(4, json!({"type": "tool_use", "id": "c1", "name": "find", "input": {}})),
        delta(4, input("{}")),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ];
    let event = |kind: &str, fields: Value| {
        let mut event = fields;
        event["type"] = json!(format!("response.{kind}"));
        event
    };
    let function =
        |id: &str, name: &str| json!({"type": "function_call", "call_id": id, "name": name, "arguments": ""});
    let responses = vec![
        event("created", json!({"response": {"status": "in_progress"}})),
        event("reasoning_summary_text.delta", json!({"output_index": 0, "delta": "hm"})),
        event("output_item.added", json!({"output_index": 1, "item": {"type": "message"}})),
        event("output_text.delta", json!({"output_index": 1, "delta": "Hel"})),
        event("output_text.delta", json!({"output_index": 1, "delta": "lo"})),
        event("output_item.added", json!({"output_index": 2, "item": function("c0", "look")})),
        event("function_call_arguments.delta", json!({"output_index": 2, "delta": "{\"x\":"})),
        event("output_item.added", json!({"output_index": 3, "item": function("c1", "find")})),
        event("function_call_arguments.delta", json!({"output_index": 3, "delta": "{}"})),
        event("function_call_arguments.delta", json!({"output_index": 2, "delta": "1}"})),
        event(
            "completed",
            json!({"response": {"status": "completed", "output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]},
            {"type": "function_call", "call_id": "c0", "name": "look", "arguments": "{\"x\":1}"},
            {"type": "function_call", "call_id": "c1", "name": "find", "arguments": "{}"}],
            "usage": {"input_tokens": 7, "output_tokens": 9}}}),
        ),
    ];
    let candidate =
        |part: Value| json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}]});
    let gemini = vec![
        candidate(json!({"text": "hm", "thought": true})),
        candidate(json!({"text": "Hel"})),
        candidate(json!({"text": "lo"})),
        candidate(json!({"functionCall": {"id": "c0", "name": "look", "args": {"x": 1}}})),
        candidate(json!({"functionCall": {"id": "c1", "name": "find", "args": {}}})),
        json!({"candidates": [{"index": 0, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 9}}),
    ];
    let line = |message: Value| json!({"message": message, "done": false});
    let ollama = vec![
        line(json!({"role": "assistant", "content": "", "thinking": "hm"})),
        line(json!({"role": "assistant", "content": "Hel"})),
        line(json!({"role": "assistant", "content": "lo"})),
        line(json!({"role": "assistant", "content": "", "tool_calls": [
            {"id": "c0", "function": {"name": "look", "arguments": {"x": 1}}},
            {"id": "c1", "function": {"name": "find", "arguments": {}}}]})),
        json!({"message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop",
            "prompt_eval_count": 7, "eval_count": 9}),
    ];
    vec![
        ("chat", Provider::openai(), chat),
        ("messages", Provider::anthropic(), messages),
        ("responses", Provider::openai_responses(), responses),
        ("gemini", Provider::gemini(), gemini),
        ("ollama", Provider::ollama(), ollama),
    ]
}

#[test]
fn every_format_brings_the_same() {
    for (name, provider, events) in streams() {
        let mut reader = provider.stream();
        let events: Vec<_> = events.into_iter().map(|event| ("", event)).collect();
        let items = feed(&mut reader, &events).unwrap();
        let mut whole = Delta::default();
        let mut calls = vec![(None, None, String::new()); 2];
        let mut usage = None;
        for item in &items {
            usage = match item {
                StreamItem::Usage(told) => Some(*told),
                StreamItem::Delta(delta) => delta.usage,
                _ => None,
            }
            .or(usage);
            let StreamItem::Delta(delta) = item else { continue };
            assert_eq!((delta.choice, delta.others.len()), (0, 0), "{name}");
            whole.text += &delta.text;
            whole.reasoning += &delta.reasoning;
            whole.finish_reason = delta.finish_reason.clone().or(whole.finish_reason);
            for piece in &delta.tool_calls {
                let call = &mut calls[usize::try_from(piece.index).unwrap()];
                // It is given out once.
                assert!(call.0.is_none() || piece.id.is_none(), "{name}");
                assert!(call.1.is_none() || piece.name.is_none(), "{name}");
                call.0 = call.0.take().or(piece.id.clone());
                call.1 = call.1.take().or(piece.name.clone());
                call.2 += &piece.arguments;
            }
        }
        assert_eq!((&*whole.text, &*whole.reasoning), ("Hello", "hm"), "{name}");
        let call = |id: &str, tool: &str, input: &str| {
            (Some(id.to_owned()), Some(tool.to_owned()), input.to_owned())
        };
        assert_eq!(calls, [call("c0", "look", "{\"x\":1}"), call("c1", "find", "{}")], "{name}");
        // For a response only the reader knows the reason of the end and the tokens, because its last event is the end
        // marker.
        let reason = whole.finish_reason.or(reader.finish_reason());
        assert_eq!(reason.as_deref(), Some("tool_calls"), "{name}");
        let usage = usage.or(reader.usage()).unwrap();
        assert_eq!((usage.input, usage.output), (7, 9), "{name}");
        assert_eq!((reader.usage(), reader.is_complete()), (Some(usage), true), "{name}");
        let body = reader.finish_as_openai().unwrap();
        let message = &body["choices"][0]["message"];
        assert_eq!(message["content"], "Hello", "{name}");
        assert_eq!(message["reasoning_content"], "hm", "{name}");
        let ids: Vec<_> = message["tool_calls"].as_array().unwrap().iter().map(|call| &call["id"]).collect();
        assert_eq!(ids, ["c0", "c1"], "{name}");
        assert_eq!(
            message["tool_calls"][0]["function"],
            json!({"name": "look", "arguments": "{\"x\":1}"}),
            "{name}"
        );
        assert_eq!(body["choices"][0]["finish_reason"], "tool_calls", "{name}");
        assert_eq!(
            (&body["usage"]["prompt_tokens"], &body["usage"]["completion_tokens"]),
            (&json!(7), &json!(9))
        );
    }
}

#[test]
fn an_input_in_one_piece_is_given_out_in_one_piece() {
    let mut reader = Provider::anthropic().stream();
    let events = [
        ("", json!({"type": "message_start", "message": {}})),
        (
            "",
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "c",
            "name": "look", "input": {"x": 1}}}),
        ),
        (
            "",
            json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "Hi"}}),
        ),
    ];
    let items = feed(&mut reader, &events).unwrap();
    let StreamItem::Delta(call) = &items[1] else { panic!("{items:?}") };
    assert_eq!(call.tool_calls[0].arguments, "{\"x\":1}");
    let StreamItem::Delta(text) = &items[2] else { panic!("{items:?}") };
    assert_eq!(text.text, "Hi");
}

#[test]
fn refusals_and_reasons_of_the_end_are_given_out() {
    let end = |provider: Provider, event: Value| {
        let mut reader = provider.stream();
        let items = feed(&mut reader, &[("", event)]).unwrap();
        let StreamItem::Delta(delta) = &items[0] else { panic!("{items:?}") };
        (delta.finish_reason.clone().unwrap_or_default(), delta.refusal.clone())
    };
    let chat = |reason: &str| json!({"choices": [{"index": 0, "delta": {"refusal": "no"}, "finish_reason": reason}]});
    for (word, reason) in [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("model_length", "length"),
        ("eos", "stop"),
        ("sensitive", "content_filter"),
        ("insufficient_system_resource", "insufficient_system_resource"),
    ] {
        assert_eq!(end(Provider::openai(), chat(word)), (reason.to_owned(), "no".to_owned()));
    }
    let gemini = |reason: &str| json!({"candidates": [{"finishReason": reason}]});
    for (word, reason) in [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("SPII", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "MALFORMED_FUNCTION_CALL"),
        ("OTHER", "OTHER"),
    ] {
        assert_eq!(end(Provider::gemini(), gemini(word)).0, reason);
    }
    for (word, reason) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
    ] {
        let mut reader = Provider::anthropic().stream();
        let events = [
            ("", json!({"type": "message_start", "message": {}})),
            (
                "",
                json!({"type": "message_delta", "delta": {"stop_reason": word}, "usage": {"output_tokens": 2}}),
            ),
        ];
        let items = feed(&mut reader, &events).unwrap();
        let StreamItem::Delta(delta) = &items[1] else { panic!("{items:?}") };
        assert_eq!(delta.finish_reason.as_deref(), Some(reason));
        assert_eq!(delta.usage.map(|usage| usage.output), Some(2));
    }
    let gone_on = json!({"candidates": [{"index": 0, "finishReason": "FINISH_REASON_UNSPECIFIED", "content": {"parts": [{"text": "a"}]}}]});
    assert_eq!(end(Provider::gemini(), gone_on).0, "");
    let cut = json!({"type": "response.incomplete", "response": {"status": "incomplete", "output": [],
        "incomplete_details": {"reason": "max_output_tokens"}}});
    let mut reader = Provider::openai().stream();
    feed(&mut reader, &[("", cut)]).unwrap();
    assert_eq!(reader.finish_reason().as_deref(), Some("length"));
}

#[test]
fn the_reason_of_the_end_is_given_out_once() {
    let mut reader = Provider::anthropic().stream();
    let events = [
        ("", json!({"type": "message_start", "message": {}})),
        ("", json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})),
        ("", json!({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 2}})),
    ];
    let items = feed(&mut reader, &events).unwrap();
    assert_eq!(items[2], StreamItem::Usage(reader.usage().unwrap()));
    assert_eq!(reader.finish_reason().as_deref(), Some("stop"));
}

#[test]
fn tools_with_free_input_and_inputs_that_are_no_text() {
    let mut reader = Provider::openai().stream();
    let events = [
        (
            "",
            json!({"type": "response.output_item.added", "output_index": 4,
            "item": {"type": "custom_tool_call", "call_id": "c", "name": "run", "input": ""}}),
        ),
        ("", json!({"type": "response.custom_tool_call_input.delta", "output_index": 4, "delta": "ls"})),
    ];
    let items = feed(&mut reader, &events).unwrap();
    let (StreamItem::Delta(begun), StreamItem::Delta(piece)) = (&items[0], &items[1]) else {
        panic!("{items:?}")
    };
    assert_eq!((begun.tool_calls[0].index, begun.tool_calls[0].name.as_deref()), (0, Some("run")));
    assert_eq!((piece.tool_calls[0].index, piece.tool_calls[0].arguments.as_str()), (0, "ls"));
    let chunk = |call: Value| ("", json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}));
    let events = [
        chunk(json!({"index": 0, "id": "c", "type": "custom", "custom": {"name": "run", "input": ""}})),
        chunk(json!({"index": 0, "custom": {"input": "ls"}})),
    ];
    let mut reader = Provider::openai().stream();
    let items = feed(&mut reader, &events).unwrap();
    let (StreamItem::Delta(begun), StreamItem::Delta(piece)) = (&items[0], &items[1]) else {
        panic!("{items:?}")
    };
    assert_eq!(begun.tool_calls[0].name.as_deref(), Some("run"));
    assert_eq!((piece.tool_calls[0].name.as_deref(), piece.tool_calls[0].arguments.as_str()), (None, "ls"));
    let custom = json!({"id": "c", "type": "custom", "custom": {"name": "run", "input": "ls"}});
    let chat = reader.finish().unwrap_err().body;
    assert_eq!(chat["choices"][0]["message"]["tool_calls"], json!([custom]));
    let response = json!({"status": "completed", "output": [{"type": "custom_tool_call", "call_id": "c", "name": "run", "input": "ls"}]});
    let chat = Provider::openai().as_openai(response.to_string().as_bytes()).unwrap();
    assert_eq!(chat["choices"][0]["message"]["tool_calls"], json!([custom]));
    // Some servers send the arguments as an object.
    let call = json!({"id": "a", "function": {"name": "look", "arguments": {"x": 1}}});
    let chunk = json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]});
    let items = feed(&mut Provider::openai().stream(), &[("", chunk)]).unwrap();
    let StreamItem::Delta(delta) = &items[0] else { panic!("{items:?}") };
    assert_eq!(delta.tool_calls[0].arguments, "{\"x\":1}");
}

/// vLLM sends the same text under its old name and its new one.
#[test]
fn reasoning_under_two_names_is_given_out_once() {
    let mut reader = Provider::vllm().stream();
    let chunk = json!({"choices": [{"index": 0, "delta": {"reasoning": "hm", "reasoning_content": "hm"}}]});
    let items = feed(&mut reader, &[("", chunk)]).unwrap();
    let StreamItem::Delta(delta) = &items[0] else { panic!("{items:?}") };
    assert_eq!(delta.reasoning, "hm");
}
