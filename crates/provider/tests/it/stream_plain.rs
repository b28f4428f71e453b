//! Chunks that differ from the one before in their text alone are read in a faster way. They bring the same as in the slow
//! way.

use outbound_provider::{Provider, StreamItem};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

/// The same chunks twice. The second time each has a field whose value always changes, so that each is read in full.
fn check(provider: Provider, chunks: &[String]) -> Result<(), TestCaseError> {
    let (mut short, mut full) = (provider.stream(), provider.stream());
    for (number, chunk) in chunks.iter().enumerate() {
        let fields = chunk.strip_prefix('{').unwrap();
        let marked = format!("{{\"x\":{number},{fields}");
        prop_assert_eq!(short.feed("", chunk), full.feed("", &marked), "{}", chunk);
        prop_assert_eq!(short.text(), full.text());
        prop_assert_eq!(short.usage(), full.usage());
        prop_assert_eq!(short.is_complete(), full.is_complete());
    }
    let body = |end: Result<Value, outbound_provider::Truncated>| end.unwrap_or_else(|cut| cut.body);
    let mut expected = body(full.finish());
    expected.as_object_mut().map(|fields| fields.remove("x"));
    prop_assert_eq!(body(short.finish()), expected);
    Ok(())
}

/// One of these; most often the first, which is the usual one.
fn one_of(usual: &'static str, others: &[&'static str]) -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(usual), 1 => select(others.to_vec())]
}

fn chunk() -> impl Strategy<Value = String> {
    let delta = prop_oneof![
        4 => "[a-z ]{1,5}".prop_map(|text| format!("\"content\":\"{text}\"")),
        2 => "\\PC{0,4}".prop_map(|text| format!("\"content\":{}", json!(text))),
        1 => select(vec![
            "",
            "\"content\":\"\"",
            "\"content\":null",
            "\"content\":[{\"type\":\"text\",\"text\":\"p\"}]",
            "\"reasoning_content\":\"r\"",
            "\"content\":null,\"reasoning_content\":\"r\"",
            "\"content\":\"c\",\"reasoning_content\":\"r\"",
            "\"content\":\"c\",\"content\":\"d\"",
            "\"content\":\"half \\ud83d\"",
            "\"role\":\"assistant\",\"content\":\"c\"",
            "\"role\":\"user\",\"content\":\"c\"",
            "\"refusal\":null,\"content\":\"c\"",
            "\"tool_calls\":[{\"index\":0,\"id\":\"t\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]",
            "\"refusal\":\"no\"",
        ])
        .prop_map(str::to_owned),
    ];
    (
        one_of("\"id\":\"c\",", &["", "\"id\":\"d\",", "\"id\":null,", "\"id\":\"c\",\"id\":\"e\","]),
        one_of("0", &["1", "7", "null"]),
        delta,
        one_of(",\"logprobs\":null", &["", ",\"logprobs\":{\"content\":[1]}", ",\"stop\":1", ",\"stop\":2"]),
        one_of(
            ",\"finish_reason\":null",
            &["", ",\"finish_reason\":\"stop\"", ",\"finish_reason\":\"\"", ",\"error\":null"],
        ),
        one_of(
            ",\"usage\":null",
            &[
                "",
                ",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}",
                ",\"obfuscation\":\"abc\"",
                ",\"n\":12",
                ",\"n1\":2",
                ",\"choices\":[]",
                ",\"error\":{}",
                " ",
                ",\"created\":1",
                ",\"created\":2",
            ],
        ),
    )
        .prop_map(|(id, index, delta, logprobs, reason, usage)| {
            let choice = format!("{{\"index\":{index},\"delta\":{{{delta}}}{logprobs}{reason}}}");
            format!("{{{id}\"choices\":[{choice}]{usage}}}")
        })
}

fn event() -> impl Strategy<Value = String> {
    let delta = prop_oneof![
        4 => "[a-z ]{1,5}".prop_map(|text| format!("\"type\":\"text_delta\",\"text\":\"{text}\"")),
        4 => "\\PC{0,4}".prop_map(|text| format!("\"type\":\"thinking_delta\",\"thinking\":{}", json!(text))),
        1 => select(vec![
            "",
            "\"type\":\"text_delta\"",
            "\"text\":\"c\"",
            "\"text\":\"c\",\"type\":\"text_delta\"",
            "\"type\":\"text_delta\",\"text\":null",
            "\"type\":\"text_delta\",\"text\":\"c\",\"text\":\"d\"",
            "\"type\":\"text_delta\",\"text\":\"c\",\"citation\":1",
            "\"type\":\"text_delta\",\"thinking\":\"c\"",
            "\"type\":\"input_json_delta\",\"partial_json\":\"{}\"",
            "\"type\":\"signature_delta\",\"signature\":\"s\"",
            "\"type\":\"text_delta\",\"text\":\"half \\ud83d\"",
        ])
        .prop_map(str::to_owned),
    ];
    let kind = one_of("content_block_delta", &["ping", "error", "content_block_stop"]);
    (
        kind,
        one_of("0", &["1", "2", "null"]),
        delta,
        one_of("", &[",\"error\":{\"message\":\"m\"}", ",\"y\":1", " "]),
    )
        .prop_map(|(kind, index, delta, more)| {
            format!("{{\"type\":\"{kind}\",\"index\":{index},\"delta\":{{{delta}}}{more}}}")
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_short_way_leads_to_the_same(chunks in proptest::collection::vec(chunk(), 1..14)) {
        check(Provider::openai(), &chunks)?;
    }

    #[test]
    fn a_short_way_through_a_message_leads_to_the_same(events in proptest::collection::vec(event(), 0..14)) {
        let start = [
            r#"{"type":"message_start","message":{"role":"assistant"}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"thinking","thinking":""}}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t","input":{}}}"#,
        ];
        let events: Vec<String> = start.iter().map(|event| (*event).to_owned()).chain(events).collect();
        check(Provider::anthropic(), &events)?;
    }
}

#[test]
fn what_means_something_anew_is_read_each_time() {
    let chunk = |text: &str, more: &str| {
        format!("{{\"id\":\"c\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}{more}}}]}}")
    };
    let with_usage = |text: &str| {
        let usage = ",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}";
        chunk(text, "").strip_suffix('}').unwrap().to_owned() + usage
    };
    let streams = [
        vec![with_usage("a"), with_usage("b"), with_usage("c")],
        vec![chunk("a", ",\"logprobs\":{\"content\":[1]}"), chunk("b", ",\"logprobs\":{\"content\":[1]}")],
        vec![chunk("a", ",\"finish_reason\":\"stop\""), chunk("b", ",\"finish_reason\":\"stop\"")],
        vec![chunk("a", ""), chunk("b", ",\"finish_reason\":\"error\"")],
        vec![chunk("a", ",\"n\":12"), chunk("b", ",\"n1\":2")],
        vec![chunk("a", ",\"n\":12"), chunk("b", ",\"n\":13")],
        vec![chunk("a", ""), chunk("b", "").replace("\"id\":\"c\"", "\"id\":\"d\"")],
        vec![chunk("a", ""), chunk("b\",\"refusal\":\"n", ""), chunk("c\",\"refusal\":\"n", "")],
        // Several choices: in one chunk, and in turn, each with fields of its own.
        vec![chunk("a", ""), chunk("b", "},{\"index\":0,\"delta\":{\"content\":\"c\"}")],
        vec![
            chunk("b", ",\"n\":1},{\"index\":1,\"delta\":{\"content\":\"c\"}"),
            chunk("d", ",\"n\":1"),
            chunk("e", ""),
        ],
        vec![
            chunk("a", ""),
            chunk("b", ",\"n\":1").replace("\"index\":0", "\"index\":1"),
            chunk("c", ",\"n\":1"),
            chunk("d", ",\"n\":1"),
        ],
    ];
    for stream in streams {
        check(Provider::openai(), &stream).unwrap();
    }
    let mut reader = Provider::openai().stream();
    let _ = reader.feed("", &with_usage("a"));
    let Ok(StreamItem::Delta(delta)) = reader.feed("", &with_usage("b")) else { panic!("a delta") };
    assert!(delta.usage.is_some());
    // An event with the name `error` is an error, whatever its data is.
    let mut reader = Provider::openai().stream();
    reader.feed("", &chunk("a", "")).unwrap();
    assert!(reader.feed("error", &chunk("b", "")).is_err());
}

/// OpenAI pads its chunks, each with another text. The padding is no part of the answer.
#[test]
fn padding_is_left_out() {
    let mut reader = Provider::openai().stream();
    for (text, padding) in [("a", "x7"), ("b", "yQ3"), ("c", "")] {
        let chunk = json!({"choices": [{"index": 0, "delta": {"content": text}}], "obfuscation": padding});
        reader.feed("", &chunk.to_string()).unwrap();
    }
    assert_eq!(reader.text(), "abc");
    reader.feed("", "[DONE]").unwrap();
    assert!(reader.finish().unwrap().get("obfuscation").is_none());
}
