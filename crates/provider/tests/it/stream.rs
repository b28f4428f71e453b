//! Streams: the end is proved, and the whole equals the reply without a stream.

use outbound_provider::{
    Class, Delta, Fault, Provider,
    StreamItem::{self, Finished, Nothing},
    StreamReader, ToolCallDelta, Usage,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Feeds events, each a name and JSON or text, and collects what they bring.
pub(crate) fn feed(reader: &mut StreamReader, events: &[(&str, Value)]) -> Result<Vec<StreamItem>, Fault> {
    let text = |data: &Value| data.as_str().map_or_else(|| data.to_string(), str::to_owned);
    events.iter().map(|(name, data)| reader.feed(name, &text(data))).collect()
}

pub(crate) fn openai(events: &[Value]) -> (StreamReader, Result<Vec<StreamItem>, Fault>) {
    let mut reader = Provider::openai().stream();
    let events: Vec<_> = events.iter().map(|event| ("", event.clone())).collect();
    let items = feed(&mut reader, &events);
    (reader, items)
}

pub(crate) fn delta(delta: impl Into<Value>) -> Value {
    let delta = delta.into();
    json!({"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": null}]})
}

pub(crate) fn finish(reason: &str) -> Value {
    json!({"id": "c1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

/// An item that brings what is put into it.
pub(crate) fn item(put: impl FnOnce(&mut Delta)) -> StreamItem {
    let mut delta = Delta::default();
    put(&mut delta);
    StreamItem::Delta(delta)
}

pub(crate) fn text(text: &str) -> StreamItem {
    item(|delta| delta.text = text.to_owned())
}

pub(crate) fn end(reason: &str) -> StreamItem {
    item(|delta| delta.finish_reason = Some(reason.to_owned()))
}

#[test]
fn openai_chunks_make_the_reply_without_a_stream() {
    let events = [
        delta(json!({"role": "assistant", "content": "", "refusal": null})),
        delta(json!({"content": "Hel"})),
        delta(json!({"content": "lo"})),
        finish("stop"),
        json!({"id": "c1", "object": "chat.completion.chunk", "choices": [],
            "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}),
        json!("[DONE]"),
    ];
    let (reader, items) = openai(&events);
    let usage = StreamItem::Usage(reader.usage().unwrap());
    assert_eq!(items, Ok(vec![Nothing, text("Hel"), text("lo"), end("stop"), usage, Finished]));
    assert_eq!((reader.text().as_str(), reader.finish_reason().as_deref()), ("Hello", Some("stop")));
    assert_eq!(reader.usage().map(|usage| (usage.input, usage.output)), Some((9, 2)));
    let expected = json!({"id": "c1", "object": "chat.completion", "created": 7, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello", "refusal": null},
            "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}});
    assert_eq!(reader.finish(), Ok(expected));
}

#[test]
fn openai_calls_of_tools_are_put_together_by_index() {
    let call = |call: Value| delta(json!({ "tool_calls": [call] }));
    let events = [
        delta(json!({"role": "assistant", "content": null})),
        call(
            json!({"index": 0, "id": "a", "type": "function", "function": {"name": "look", "arguments": ""}}),
        ),
        call(
            json!({"index": 1, "id": "b", "type": "function", "function": {"name": "find", "arguments": "{"}}),
        ),
        call(json!({"index": 0, "function": {"arguments": "{\"x\":"}})),
        call(json!({"index": 1, "function": {"arguments": "}"}})),
        // Some servers repeat id, type and name with every piece.
        call(
            json!({"index": 0, "id": "a", "type": "function", "function": {"name": "look", "arguments": "1}"}}),
        ),
        finish("tool_calls"),
    ];
    let (reader, items) = openai(&events);
    let piece = |index: u64, id: Option<&str>, name: Option<&str>, arguments: &str| {
        item(|delta| {
            let mut call = ToolCallDelta::default();
            call.index = index;
            call.id = id.map(str::to_owned);
            call.name = name.map(str::to_owned);
            call.arguments = arguments.to_owned();
            delta.tool_calls.push(call);
        })
    };
    let expected = [
        Nothing,
        piece(0, Some("a"), Some("look"), ""),
        piece(1, Some("b"), Some("find"), "{"),
        piece(0, None, None, "{\"x\":"),
        piece(1, None, None, "}"),
        piece(0, None, None, "1}"),
        end("tool_calls"),
    ];
    assert_eq!(items.unwrap(), expected);
    let message = &reader.finish().unwrap()["choices"][0]["message"];
    let expected = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{\"x\":1}"}},
        {"id": "b", "type": "function", "function": {"name": "find", "arguments": "{}"}}]});
    assert_eq!(message, &expected);
}

#[test]
fn calls_without_an_index_begin_with_an_id() {
    let call = |call: Value| delta(json!({ "tool_calls": [call] }));
    let events = [
        call(json!({"id": "a", "function": {"name": "one", "arguments": "{"}})),
        call(json!({"function": {"arguments": "}"}})),
        call(json!({"id": "b", "function": {"name": "two", "arguments": "{}"}})),
        json!("[DONE]"),
    ];
    let calls = openai(&events).0.finish().unwrap()["choices"][0]["message"]["tool_calls"].take();
    let expected = json!([{"id": "a", "function": {"name": "one", "arguments": "{}"}},
        {"id": "b", "function": {"name": "two", "arguments": "{}"}}]);
    assert_eq!(calls, expected);
}

#[test]
fn openai_choices_are_kept_apart_and_in_order() {
    let piece = |index: u64, text: &str| json!({"choices": [{"index": index, "delta": {"content": text}}]});
    let end = |index: u64| json!({"choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]});
    let (mut reader, _) = openai(&[piece(1, "b"), piece(0, "a"), piece(1, "B"), end(1)]);
    assert!(!reader.is_complete(), "choice 0 has not ended");
    assert_eq!(feed(&mut reader, &[("", end(0))]), Ok(vec![super::stream::end("stop")]));
    assert!(reader.is_complete());
    assert_eq!(reader.text(), "a");
    let body = reader.finish().unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], "a");
    assert_eq!(body["choices"][1]["message"]["content"], "bB");
    assert_eq!(body["choices"][1]["index"], 1);
}

#[test]
fn a_choice_that_never_began_is_missed() {
    let read = |choices: usize, events: &[Value]| {
        let mut reader = Provider::openai().stream().expect_choices(choices);
        let events: Vec<_> = events.iter().map(|event| ("", event.clone())).collect();
        feed(&mut reader, &events).unwrap();
        reader.finish().is_ok()
    };
    let first = [delta(json!({"content": "a"})), finish("stop")];
    assert!(read(0, &first) && read(1, &first));
    assert!(!read(0, &[]));
    assert!(!read(2, &first));
    assert!(read(2, &[first[0].clone(), json!("[DONE]")]), "the end marker is the server's own word");
}

#[test]
fn groqs_count_of_tokens_is_found_beside_an_empty_one() {
    let last = json!({"choices": [], "usage": null, "x_groq": {"usage": {"prompt_tokens": 5, "completion_tokens": 6}}});
    let (reader, _) = openai(&[delta(json!({"content": "a"})), last, json!("[DONE]")]);
    assert_eq!(reader.usage().map(Usage::total), Some(11));
    let body = reader.finish().unwrap().to_string();
    assert_eq!(crate::read(Provider::openai(), body).unwrap().usage.map(Usage::total), Some(11));
}

#[test]
fn openai_probabilities_reasoning_and_plain_completions() {
    let chunk = |text: &str| {
        json!({"choices": [{"index": 0, "delta": {"content": text},
            "logprobs": {"content": [{"token": text}], "refusal": null}}]})
    };
    let body = openai(&[chunk("a"), chunk("b"), finish("stop")]).0.finish().unwrap();
    assert_eq!(body["choices"][0]["logprobs"]["content"], json!([{"token": "a"}, {"token": "b"}]));

    let thought = |text: &str| delta(json!({ "reasoning_content": text }));
    let (reader, items) =
        openai(&[thought("hm"), thought("m"), delta(json!({"content": "so"})), finish("stop")]);
    let thought = |text: &str| item(|delta| delta.reasoning = text.to_owned());
    assert_eq!(items, Ok(vec![thought("hm"), thought("m"), text("so"), end("stop")]));
    assert_eq!(reader.finish().unwrap()["choices"][0]["message"]["reasoning_content"], "hmm");

    let piece = |text: &str| json!({"object": "text_completion", "choices": [{"index": 0, "text": text}]});
    let (reader, items) = openai(&[piece("on"), piece("ce"), json!("[DONE]")]);
    assert_eq!(items, Ok(vec![text("on"), text("ce"), Finished]));
    let body = reader.finish().unwrap();
    assert_eq!((&body["object"], &body["choices"][0]["text"]), (&json!("text_completion"), &json!("once")));
}

#[test]
fn mistrals_content_is_parts_first_and_text_then() {
    let thinking = json!([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]);
    let events = [
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({ "content": thinking })),
        delta(json!({"content": "so"})),
        delta(json!({"content": "!"})),
        finish("stop"),
    ];
    let (reader, items) = openai(&events);
    let thought = item(|delta| delta.reasoning = "hm".to_owned());
    assert_eq!(items, Ok(vec![Nothing, thought, text("so"), text("!"), end("stop")]));
    assert_eq!(reader.text(), "so!");
    let expected = json!([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "so!"}]);
    assert_eq!(reader.finish().unwrap()["choices"][0]["message"]["content"], expected);
}

#[test]
fn the_end_is_proved_by_a_marker_or_a_reason_and_by_nothing_else() {
    let begun = delta(json!({"content": "Hel"}));
    let complete = |events: &[Value]| openai(events).0.finish().is_ok();
    assert!(complete(&[begun.clone(), json!("[DONE]")]));
    assert!(complete(&[begun.clone(), finish("stop")]));
    assert!(complete(&[begun.clone(), finish("length"), json!("[DONE]")]));
    assert!(!complete(&[]));
    assert!(!complete(std::slice::from_ref(&begun)));
    assert!(!complete(&[begun.clone(), finish("")]));
    assert!(!complete(&[begun, json!({"choices": [], "usage": {"prompt_tokens": 1}})]));
    assert!(!complete(&[json!("[DONE]")]), "a marker after nothing proves nothing");
}

#[test]
fn a_cut_stream_keeps_what_arrived() {
    let (reader, _) =
        openai(&[delta(json!({"role": "assistant"})), delta(json!({"content": "half an ans"}))]);
    let cut = reader.finish().unwrap_err();
    assert_eq!(cut.class(), Class::StreamBroken);
    assert_eq!(cut.text, "half an ans");
    assert_eq!(cut.body["choices"][0]["message"]["content"], "half an ans");
    assert_eq!(cut.body["choices"][0]["finish_reason"], Value::Null);
    assert_eq!(cut.to_string(), "the stream ended without its end marker, after 11 bytes of text");
}

#[test]
fn after_the_end_marker_nothing_is_read() {
    let mut reader = Provider::openai().stream();
    let events =
        [("", delta(json!({"content": "a"}))), ("", json!("[DONE]")), ("", delta(json!({"content": "b"})))];
    assert_eq!(feed(&mut reader, &events), Ok(vec![text("a"), Finished, Nothing]));
    assert_eq!(reader.feed("error", "late"), Ok(Nothing));
    assert_eq!(reader.text(), "a");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever way a text is cut into chunks, and whichever ways the chunks of several choices are mixed,
    /// the whole is the same; and without its last event it is never taken for whole.
    #[test]
    fn any_split_folds_to_the_same_body(
        pieces in proptest::collection::vec((0u64..3, "\\PC{0,6}"), 1..30),
    ) {
        let mut expected = std::collections::BTreeMap::<u64, String>::new();
        let mut events = Vec::new();
        for (index, piece) in &pieces {
            expected.entry(*index).or_default().push_str(piece);
            events.push(json!({"choices": [{"index": index, "delta": {"content": piece}}]}));
        }
        for index in expected.keys() {
            events.push(json!({"choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]}));
        }
        let (reader, items) = openai(&events[..events.len() - 1]);
        prop_assert!(items.is_ok());
        prop_assert!(reader.finish().is_err());

        let body = openai(&events).0.finish().unwrap();
        let choices = body["choices"].as_array().unwrap();
        prop_assert_eq!(choices.len(), expected.len());
        for (choice, (index, text)) in choices.iter().zip(&expected) {
            prop_assert_eq!(choice["index"].as_u64(), Some(*index));
            prop_assert_eq!(choice["message"]["content"].as_str(), Some(text.as_str()));
        }
    }

    #[test]
    fn any_split_of_a_tools_input_is_the_same_input(
        value in proptest::collection::btree_map("[a-z]{1,4}", "\\PC{0,8}", 1..4),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let input = json!(value);
        let whole: Vec<char> = input.to_string().chars().collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len())).collect();
        cuts.extend([0, whole.len()]);
        cuts.sort_unstable();
        let mut anthropic = Provider::anthropic().stream();
        let mut openai = Provider::openai().stream();
        feed(&mut anthropic, &[
            ("", json!({"type": "message_start", "message": {}})),
            ("", json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "input": {}}})),
        ]).unwrap();
        for pair in cuts.windows(2) {
            let piece: String = whole[pair[0]..pair[1]].iter().collect();
            let event = json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "input_json_delta", "partial_json": piece}});
            feed(&mut anthropic, &[("", event)]).unwrap();
            let event = delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}));
            feed(&mut openai, &[("", event)]).unwrap();
        }
        feed(&mut anthropic, &[("", json!({"type": "message_stop"}))]).unwrap();
        feed(&mut openai, &[("", finish("tool_calls"))]).unwrap();
        prop_assert_eq!(&anthropic.finish().unwrap()["content"][0]["input"], &input);
        let body = openai.finish().unwrap();
        let arguments = &body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"];
        prop_assert_eq!(arguments, &json!(input.to_string()));
    }
}
