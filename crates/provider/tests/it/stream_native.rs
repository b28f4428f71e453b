//! Streams in the formats of Gemini ("models.streamGenerateContent" in its API reference) and of Ollama ("Streaming"
//! in its API reference).

use outbound_provider::{
    Class, Provider,
    StreamItem::{self, Nothing},
    StreamReader, Terminal, Usage,
};
use serde_json::{Value, json};

use crate::stream::{end, feed, item, text};

fn read(provider: Provider, events: &[Value]) -> (StreamReader, Vec<StreamItem>) {
    let mut reader = provider.stream();
    let events: Vec<_> = events.iter().map(|event| ("", event.clone())).collect();
    let items = feed(&mut reader, &events).unwrap();
    (reader, items)
}

fn counts(usage: Option<Usage>) -> Option<(u64, u64, u64)> {
    usage.map(|usage| (usage.input, usage.output, usage.cached))
}

fn gemini() -> Vec<Value> {
    let chunk = |parts: Value, usage: Value| {
        json!({"candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0}],
            "usageMetadata": usage, "modelVersion": "gemini-2.5-flash", "responseId": "r1"})
    };
    let mut last = chunk(
        json!([{"text": ""}]),
        json!({"promptTokenCount": 8, "candidatesTokenCount": 5, "thoughtsTokenCount": 20,
            "cachedContentTokenCount": 4, "toolUsePromptTokenCount": 2, "totalTokenCount": 35}),
    );
    last["candidates"][0]["finishReason"] = json!("STOP");
    vec![
        chunk(json!([{"text": "Let me", "thought": true}]), json!({"promptTokenCount": 8})),
        chunk(
            json!([{"text": " see", "thought": true}]),
            json!({"promptTokenCount": 8, "thoughtsTokenCount": 9}),
        ),
        chunk(json!([{"text": "Hel"}]), json!({"promptTokenCount": 8})),
        chunk(json!([{"text": "lo"}]), json!({"promptTokenCount": 8, "candidatesTokenCount": 2})),
        last,
    ]
}

#[test]
fn gemini_chunks_make_the_reply_without_a_stream() {
    let (reader, items) = read(Provider::gemini(), &gemini());
    let texts: Vec<_> = items
        .iter()
        .map(|item| match item {
            StreamItem::Delta(delta) => (delta.reasoning.as_str(), delta.text.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, [("Let me", ""), (" see", ""), ("", "Hel"), ("", "lo"), ("", "")]);
    let StreamItem::Delta(thought) = &items[1] else { panic!("a delta") };
    assert_eq!(counts(thought.usage), Some((8, 9, 0)), "thoughts count before there is a text");
    let StreamItem::Delta(last) = items.last().unwrap() else { panic!("a delta") };
    assert_eq!(last.finish_reason.as_deref(), Some("stop"));
    // Thoughts count as output. What tools put into the prompt counts as input.
    assert_eq!(counts(last.usage), Some((10, 25, 4)));
    assert_eq!(counts(reader.usage()), Some((10, 25, 4)));
    assert_eq!((reader.text().as_str(), reader.is_complete()), ("Hello", true));
    let body = reader.finish().unwrap();
    let expected = json!({"candidates": [{"content": {"role": "model", "parts": [
            {"text": "Let me see", "thought": true}, {"text": "Hello"}]}, "index": 0, "finishReason": "STOP"}],
        "usageMetadata": gemini()[4]["usageMetadata"], "modelVersion": "gemini-2.5-flash", "responseId": "r1"});
    assert_eq!(body, expected);
}

#[test]
fn gemini_is_complete_with_its_last_reason_and_not_before() {
    let events = gemini();
    for end in 0..events.len() {
        let (reader, _) = read(Provider::gemini(), &events[..end]);
        assert!(!reader.is_complete(), "after {end}");
        assert_eq!(reader.finish().unwrap_err().text, ["", "Hel", "Hello"][end.saturating_sub(2)]);
    }
    let two = json!({"candidates": [{"index": 0, "content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"},
        {"index": 1, "content": {"parts": [{"text": "b"}]}}]});
    let (mut reader, items) = read(Provider::gemini(), &[two]);
    let StreamItem::Delta(delta) = &items[0] else { panic!("a delta") };
    let pieces: Vec<_> = delta.each().map(|delta| (delta.choice, delta.text.as_str())).collect();
    assert_eq!(pieces, [(0, "a"), (1, "b")]);
    assert!(!reader.is_complete(), "the second goes on");
    let reason = json!({"candidates": [{"index": 1, "finishReason": "MAX_TOKENS"}]});
    let items = feed(&mut reader, &[("", reason)]).unwrap();
    assert_eq!(items, [item(|delta| (delta.choice, delta.finish_reason) = (1, Some("length".into())))]);
    assert!(reader.is_complete());
}

#[test]
fn gemini_calls_of_tools_come_whole() {
    let call = |name: &str, args: Value| json!({"functionCall": {"name": name, "args": args}, "thoughtSignature": "s"});
    let chunk = json!({"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model",
        "parts": [call("look", json!({"x": 1})), call("find", json!({}))]}}]});
    let (reader, items) = read(Provider::gemini(), std::slice::from_ref(&chunk));
    let StreamItem::Delta(delta) = &items[0] else { panic!("a delta") };
    let calls: Vec<_> =
        delta.tool_calls.iter().map(|c| (c.index, c.name.as_deref(), &*c.arguments)).collect();
    assert_eq!(calls, [(0, Some("look"), "{\"x\":1}"), (1, Some("find"), "{}")]);
    assert_eq!(delta.finish_reason.as_deref(), Some("tool_calls"));
    assert_eq!(reader.finish(), Ok(chunk));
}

/// A signature belongs to the part that it is in, and the text after it is another part.
#[test]
fn gemini_signatures_keep_their_places() {
    let chunk = |part: Value| json!({"candidates": [{"index": 0, "content": {"parts": [part]}}]});
    let events = [
        chunk(json!({"text": "a"})),
        chunk(json!({"text": "b", "thoughtSignature": "s"})),
        chunk(json!({"text": "c"})),
        chunk(json!({"inlineData": {"mimeType": "image/png", "data": "AA=="}})),
        json!({"candidates": [{"index": 0, "finishReason": "STOP", "safetyRatings": []}]}),
    ];
    let (reader, items) = read(Provider::gemini(), &events);
    assert_eq!(items, [text("a"), text("b"), text("c"), text(""), end("stop")]);
    let body = reader.finish().unwrap();
    let parts = json!([{"text": "ab", "thoughtSignature": "s"}, {"text": "c"},
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}}]);
    assert_eq!(body["candidates"][0]["content"]["parts"], parts);
    assert_eq!(body["candidates"][0]["safetyRatings"], json!([]));
}

#[test]
fn a_blocked_prompt_is_refused_for_its_content() {
    let mut reader = Provider::gemini().stream();
    let blocked = json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 12, "totalTokenCount": 12}});
    let fault = feed(&mut reader, &[("", blocked)]).unwrap_err();
    assert_eq!(fault.class, Class::Terminal(Terminal::ContentFilter));
    assert_eq!(fault.message.as_deref(), Some("the prompt was blocked (PROHIBITED_CONTENT)"));
    // The same holds where another format was expected.
    let blocked = r#"{"promptFeedback":{"blockReason":"SAFETY","blockReasonMessage":"no"}}"#;
    let fault = Provider::openai().stream().feed("", blocked).unwrap_err();
    assert_eq!(fault.message.as_deref(), Some("the prompt was blocked (SAFETY): no"));
    // If there is an answer too, beside it or before it, the answer counts.
    let mut reader = Provider::gemini().stream();
    let both =
        r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"promptFeedback":{"blockReason":"OTHER"}}"#;
    assert_eq!(reader.feed("", both), Ok(text("a")));
    assert_eq!(reader.feed("", blocked), Ok(Nothing));
    // Ratings alone are no refusal. A count of tokens alone is none either.
    let (reader, items) = read(
        Provider::gemini(),
        &[
            json!({"promptFeedback": {"safetyRatings": []}}),
            json!({"usageMetadata": {"promptTokenCount": 3}}),
        ],
    );
    assert_eq!((&items[0], counts(reader.usage())), (&Nothing, Some((3, 0, 0))));
    assert_eq!(items[1], StreamItem::Usage(reader.usage().unwrap()));
}

#[test]
fn errors_inside_native_streams_have_the_class_of_their_status() {
    let cases = [
        (
            Provider::gemini(),
            r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#,
            Class::Overloaded,
        ),
        (
            Provider::gemini(),
            r#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]"#,
            Class::RateLimited,
        ),
        (
            Provider::ollama(),
            r#"{"error":"an error was encountered while running the model"}"#,
            Class::Transient,
        ),
        (Provider::ollama(), r#"{"error":"server overloaded, please retry"}"#, Class::Overloaded),
    ];
    for (provider, error, class) in cases {
        let begun = match provider.name() {
            "gemini" => json!({"candidates": [{"content": {"parts": [{"text": "so far"}]}}]}),
            _ => json!({"message": {"role": "assistant", "content": "so far"}, "done": false}),
        };
        let (mut reader, _) = read(provider, &[begun]);
        assert_eq!(reader.feed("", error).unwrap_err().class, class, "{error}");
        assert_eq!(reader.finish().unwrap_err().text, "so far");
    }
}

fn ollama() -> Vec<Value> {
    let line = |message: Value| json!({"model": "gemma3", "created_at": "2026-10-26T17:15:24.09Z", "message": message, "done": false});
    vec![
        line(json!({"role": "assistant", "content": "", "thinking": "h"})),
        line(json!({"role": "assistant", "content": "", "thinking": "m"})),
        line(json!({"role": "assistant", "content": "Hel"})),
        line(json!({"role": "assistant", "content": "lo"})),
        line(json!({"role": "assistant", "content": "", "tool_calls": [
            {"function": {"name": "look", "arguments": {"city": "Rome"}}}]})),
        json!({"model": "gemma3", "created_at": "2026-10-26T17:15:25Z", "message": {"role": "assistant", "content": ""},
            "done": true, "done_reason": "stop", "total_duration": 7, "prompt_eval_count": 11, "eval_count": 6}),
    ]
}

#[test]
fn ollama_lines_make_the_reply_without_a_stream() {
    let (reader, items) = read(Provider::ollama(), &ollama());
    let thought = |text: &str| item(|delta| delta.reasoning = text.to_owned());
    assert_eq!(items[..4], [thought("h"), thought("m"), text("Hel"), text("lo")]);
    let StreamItem::Delta(call) = &items[4] else { panic!("a delta") };
    assert_eq!(call.tool_calls[0].arguments, r#"{"city":"Rome"}"#);
    assert_eq!((call.tool_calls[0].index, call.tool_calls[0].name.as_deref()), (0, Some("look")));
    let StreamItem::Delta(last) = &items[5] else { panic!("a delta") };
    assert_eq!((last.finish_reason.as_deref(), counts(last.usage)), (Some("tool_calls"), Some((11, 6, 0))));
    assert!(reader.is_complete());
    let expected = json!({"model": "gemma3", "created_at": "2026-10-26T17:15:25Z",
        "message": {"role": "assistant", "content": "Hello", "thinking": "hm",
            "tool_calls": [{"function": {"name": "look", "arguments": {"city": "Rome"}}}]},
        "done": true, "done_reason": "stop", "total_duration": 7, "prompt_eval_count": 11, "eval_count": 6});
    assert_eq!(reader.finish(), Ok(expected));
}

#[test]
fn ollama_is_complete_when_it_is_done() {
    let lines = ollama();
    for end in 0..lines.len() {
        let (reader, _) = read(Provider::ollama(), &lines[..end]);
        assert!(!reader.is_complete(), "after {end}");
        assert!(reader.finish().is_err());
    }
    let generate = |text: &str, done: bool| json!({"model": "m", "response": text, "done": done});
    let (reader, items) = read(Provider::ollama(), &[generate("on", false), generate("ce", true)]);
    let last = item(|delta| (delta.text, delta.finish_reason) = ("ce".into(), Some("stop".into())));
    assert_eq!(items, [text("on"), last]);
    assert_eq!(reader.text(), "once");
    assert_eq!(reader.finish().unwrap()["response"], "once");
    let thinking = json!({"response": "", "thinking": "hm", "done": false});
    let (reader, items) = read(Provider::ollama(), &[thinking.clone(), thinking]);
    let thought = item(|delta| delta.reasoning = "hm".into());
    assert_eq!(items, [thought.clone(), thought]);
    assert_eq!(reader.finish().unwrap_err().body["thinking"], "hmhm");
    let (reader, _) =
        read(Provider::ollama(), &[json!({"response": "x", "done": true, "done_reason": "length"})]);
    assert_eq!(reader.finish_reason().as_deref(), Some("length"));
}

/// Gateways speak several formats at one address. The first event shows the format.
#[test]
fn the_format_is_seen_from_the_first_event() {
    let chat = json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}]});
    let message = vec![
        json!({"type": "message_start", "message": {"role": "assistant"}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        json!({"type": "message_stop"}),
    ];
    let response = vec![
        json!({"type": "response.created", "response": {"status": "in_progress"}}),
        json!({"type": "response.output_text.delta", "delta": "Hello"}),
        json!({"type": "response.completed", "response": {"status": "completed", "output": [
            {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}]}}),
    ];
    let streams = [vec![chat], message, response, gemini(), ollama()];
    for provider in [Provider::openai(), Provider::anthropic(), Provider::gemini(), Provider::ollama()] {
        for (number, stream) in streams.iter().enumerate() {
            let (reader, items) = read(provider, stream);
            let seen: String = items
                .iter()
                .filter_map(
                    |item| if let StreamItem::Delta(delta) = item { Some(&*delta.text) } else { None },
                )
                .collect();
            assert_eq!((&*seen, &*reader.text()), ("Hello", "Hello"), "{} {number}", provider.name());
            let reason = if number == 4 { "tool_calls" } else { "stop" };
            assert_eq!(reader.finish_reason().as_deref(), Some(reason), "{} {number}", provider.name());
            let body = reader.finish_as_openai().unwrap();
            assert_eq!(body["object"], "chat.completion", "{} {number}", provider.name());
            assert_eq!(body["choices"][0]["message"]["content"], "Hello");
            assert_eq!(body["choices"][0]["finish_reason"], reason);
        }
    }
}
