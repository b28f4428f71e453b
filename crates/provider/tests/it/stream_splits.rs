//! The whole does not depend on how an answer is cut into pieces, nor on its format. Without its end an answer is never taken
//! for whole.

use outbound_provider::{Delta, JsonSplitter, Provider, StreamItem, StreamReader};
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

/// An answer: a thought, a text, and calls of tools, each with its input.
#[derive(Clone, Debug)]
struct Answer {
    thought: String,
    text: String,
    calls: Vec<(String, Value)>,
}

fn answer() -> impl Strategy<Value = Answer> {
    let input = proptest::collection::btree_map("[a-z]{1,4}", "\\PC{0,6}", 0..3).prop_map(|map| json!(map));
    let calls = proptest::collection::vec(("[a-z]{1,6}", input), 0..3);
    ("\\PC{0,12}", "\\PC{1,24}", calls).prop_map(|(thought, text, calls)| Answer { thought, text, calls })
}

/// `text` in pieces, of which none is empty.
fn cut(text: &str, cuts: &[Index]) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(chars.len() + 1)).collect();
    places.extend([0, chars.len()]);
    places.sort_unstable();
    let pieces = places.windows(2).map(|pair| chars[pair[0]..pair[1]].iter().collect::<String>());
    pieces.filter(|piece| !piece.is_empty()).collect()
}

fn chat(answer: &Answer, cuts: &[Index]) -> Vec<Value> {
    let chunk =
        |delta: Value| json!({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
    let mut events = vec![chunk(json!({"role": "assistant", "content": ""}))];
    events.extend(cut(&answer.thought, cuts).iter().map(|piece| chunk(json!({"reasoning_content": piece}))));
    events.extend(cut(&answer.text, cuts).iter().map(|piece| chunk(json!({"content": piece}))));
    for (index, (name, input)) in answer.calls.iter().enumerate() {
        let call = |call: Value| chunk(json!({ "tool_calls": [call] }));
        let id = format!("call_{index}");
        events.push(call(json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}})));
        let pieces = cut(&input.to_string(), cuts);
        events.extend(
            pieces.iter().map(|piece| call(json!({"index": index, "function": {"arguments": piece}}))),
        );
    }
    let reason = if answer.calls.is_empty() { "stop" } else { "tool_calls" };
    events.push(json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}));
    events
}

fn messages(answer: &Answer, cuts: &[Index]) -> Vec<Value> {
    let mut events = vec![json!({"type": "message_start", "message": {"id": "c", "role": "assistant"}})];
    let mut block = |block: Value, kind: &str, field: &str, pieces: Vec<String>| {
        let index = events.iter().filter(|event| event["type"] == "content_block_start").count();
        events.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
        for piece in pieces {
            let mut delta = json!({ "type": kind });
            delta[field] = piece.into();
            events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        events.push(json!({"type": "content_block_stop", "index": index}));
    };
    let thought = cut(&answer.thought, cuts);
    block(json!({"type": "thinking", "thinking": ""}), "thinking_delta", "thinking", thought);
    block(json!({"type": "text", "text": ""}), "text_delta", "text", cut(&answer.text, cuts));
    for (index, (name, input)) in answer.calls.iter().enumerate() {
        let call = json!({"type": "tool_use", "id": format!("call_{index}"), "name": name, "input": {}});
        block(call, "input_json_delta", "partial_json", cut(&input.to_string(), cuts));
    }
    let reason = if answer.calls.is_empty() { "end_turn" } else { "tool_use" };
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": reason}}));
    events.push(json!({"type": "message_stop"}));
    events
}

fn gemini(answer: &Answer, cuts: &[Index]) -> Vec<Value> {
    let chunk = |part: Value| json!({"responseId": "c", "candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}]});
    let mut events = Vec::new();
    events.extend(
        cut(&answer.thought, cuts).iter().map(|piece| chunk(json!({"text": piece, "thought": true}))),
    );
    events.extend(cut(&answer.text, cuts).iter().map(|piece| chunk(json!({"text": piece}))));
    for (index, (name, input)) in answer.calls.iter().enumerate() {
        events.push(chunk(
            json!({"functionCall": {"id": format!("call_{index}"), "name": name, "args": input}}),
        ));
    }
    events.push(json!({"candidates": [{"index": 0, "finishReason": "STOP"}]}));
    events
}

fn ollama(answer: &Answer, cuts: &[Index]) -> Vec<Value> {
    let line = |message: Value| json!({"message": message, "done": false});
    let mut events = Vec::new();
    events.extend(
        cut(&answer.thought, cuts).iter().map(|piece| line(json!({"content": "", "thinking": piece}))),
    );
    events.extend(cut(&answer.text, cuts).iter().map(|piece| line(json!({"content": piece}))));
    for (name, input) in &answer.calls {
        events.push(line(
            json!({"content": "", "tool_calls": [{"function": {"name": name, "arguments": input}}]}),
        ));
    }
    events.push(json!({"message": {"content": ""}, "done": true, "done_reason": "stop"}));
    events
}

/// Feeds the events, and puts together what each brought.
fn feed(mut reader: StreamReader, events: &[String]) -> (StreamReader, Delta, Vec<String>) {
    let mut whole = Delta::default();
    let mut inputs = Vec::new();
    for event in events {
        let StreamItem::Delta(delta) = reader.feed("", event).unwrap() else { continue };
        whole.text += &delta.text;
        whole.reasoning += &delta.reasoning;
        for piece in delta.tool_calls {
            let index = usize::try_from(piece.index).unwrap();
            if index == inputs.len() {
                inputs.push(String::new());
            }
            inputs[index] += &piece.arguments;
        }
    }
    (reader, whole, inputs)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_split_in_any_format_is_the_same_answer(
        answer in answer(),
        cuts in proptest::collection::vec(any::<Index>(), 0..6),
    ) {
        let formats = [
            (Provider::openai(), chat(&answer, &cuts)),
            (Provider::anthropic(), messages(&answer, &cuts)),
            (Provider::gemini(), gemini(&answer, &cuts)),
            (Provider::ollama(), ollama(&answer, &cuts)),
        ];
        let calls: Vec<Value> = answer.calls.iter().enumerate().map(|(index, (name, input))| {
            json!({"id": format!("call_{index}"), "type": "function",
                "function": {"name": name, "arguments": input.to_string()}})
        }).collect();
        for (provider, events) in formats {
            let name = provider.name();
            let events: Vec<String> = events.iter().map(Value::to_string).collect();
            let (cut, ..) = feed(provider.stream(), &events[..events.len() - 1]);
            prop_assert!(cut.finish().is_err(), "{}", name);

            let (reader, told, inputs) = feed(provider.stream(), &events);
            prop_assert_eq!((&told.text, &told.reasoning), (&answer.text, &answer.thought), "{}", name);
            prop_assert_eq!(reader.text(), answer.text.clone(), "{}", name);
            let expected: Vec<String> = answer.calls.iter().map(|(_, input)| input.to_string()).collect();
            prop_assert_eq!(inputs, expected, "{}", name);
            let native = reader.finish().unwrap().to_string();
            prop_assert_eq!(provider.text_of(native.as_bytes()), Some(answer.text.clone()), "{}", name);
            let body = provider.as_openai(native.as_bytes()).unwrap();
            let message = &body["choices"][0]["message"];
            prop_assert_eq!(message["content"].as_str(), Some(answer.text.as_str()), "{}", name);
            prop_assert_eq!(message["reasoning_content"].as_str().unwrap_or_default(), &answer.thought, "{}", name);
            prop_assert_eq!(message["tool_calls"].as_array().cloned().unwrap_or_default(), calls.clone(), "{}", name);
            let reason = if calls.is_empty() { "stop" } else { "tool_calls" };
            prop_assert_eq!(&body["choices"][0]["finish_reason"], reason, "{}", name);
        }
    }

    /// The same bytes, cut anywhere, as lines and as one array.
    #[test]
    fn any_split_of_the_bytes_is_the_same_answer(
        answer in answer(),
        cuts in proptest::collection::vec(any::<Index>(), 0..5),
        bytes in proptest::collection::vec(any::<Index>(), 0..8),
    ) {
        for (provider, events) in [(Provider::gemini(), gemini(&answer, &cuts)), (Provider::ollama(), ollama(&answer, &cuts))] {
            let events: Vec<String> = events.iter().map(Value::to_string).collect();
            let expected = feed(provider.stream(), &events).0.finish().unwrap();
            for body in [events.join("\n"), format!("[{}]", events.join(",\n"))] {
                let mut places: Vec<usize> = bytes.iter().map(|place| place.index(body.len() + 1)).collect();
                places.extend([0, body.len()]);
                places.sort_unstable();
                let mut splitter = JsonSplitter::new();
                let mut values = Vec::new();
                for pair in places.windows(2) {
                    splitter.push(&body.as_bytes()[pair[0]..pair[1]]).unwrap();
                    values.extend(std::iter::from_fn(|| splitter.next_value()));
                }
                prop_assert_eq!(splitter.finish(), None);
                prop_assert_eq!(feed(provider.stream(), &values).0.finish(), Ok(expected.clone()));
                // A body that was read whole is the same.
                let read = crate::read(provider, &body).unwrap().body.unwrap();
                prop_assert_eq!(serde_json::from_slice::<Value>(&read).unwrap(), expected.clone());
            }
        }
    }
}
