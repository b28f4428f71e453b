//! Bodies cut into their pieces.

use outbound_provider::{Framing, JsonSplitter, Provider, TooLong};
use proptest::prelude::*;
use serde_json::Value;

use crate::headers;

#[test]
fn the_content_type_or_the_first_byte_decides_the_framing() {
    let cases: &[(&str, &[u8], Option<Framing>)] = &[
        ("text/event-stream", b"", Some(Framing::Events)),
        ("Text/Event-Stream; charset=utf-8", b"[", Some(Framing::Events)),
        ("application/x-ndjson", b"", Some(Framing::Lines)),
        ("application/jsonl", b"", Some(Framing::Lines)),
        ("application/json-seq", b"", Some(Framing::Lines)),
        ("application/json", b"", None),
        ("application/json", b" \r\n", None),
        ("application/json; charset=UTF-8", b"[{", Some(Framing::Array)),
        ("application/json", b"\xEF\xBB\xBF\n[", Some(Framing::Array)),
        ("application/json", b"{\"a\":", Some(Framing::Lines)),
        ("", b"data: {}", Some(Framing::Events)),
        ("", b": ping", Some(Framing::Events)),
        ("text/plain", b"event: x", Some(Framing::Events)),
    ];
    for (kind, start, framing) in cases {
        let told = [("content-type", *kind)];
        let told = headers(if kind.is_empty() { &[] } else { &told });
        assert_eq!(Framing::of(&told, start), *framing, "{kind} {start:?}");
    }
}

fn split(body: &[u8], cuts: &[usize]) -> Vec<String> {
    let mut splitter = JsonSplitter::new();
    let mut values = Vec::new();
    let mut from = 0;
    for &cut in cuts.iter().chain([&body.len()]) {
        splitter.push(&body[from..cut.max(from)]).unwrap();
        values.extend(std::iter::from_fn(|| splitter.next_value()));
        from = cut.max(from);
    }
    values.extend(splitter.finish());
    values
}

#[test]
fn lines_arrays_and_what_lies_between() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        (" \r\n ", &[]),
        ("[]", &[]),
        ("{}", &["{}"]),
        ("{\"a\":1}\n{\"b\":2}\n", &["{\"a\":1}", "{\"b\":2}"]),
        ("{\"a\":1}\r\n\r\n{\"b\":2}", &["{\"a\":1}", "{\"b\":2}"]),
        ("{\"a\":1}{\"b\":2}", &["{\"a\":1}", "{\"b\":2}"]),
        ("[{\"a\":[1,{}]},\n {\"b\":\"]},{\"}]\n", &["{\"a\":[1,{}]}", "{\"b\":\"]},{\"}"]),
        ("[{\"a\":\"\\\"}\\\\\"}\n,\r\n{}\n]", &["{\"a\":\"\\\"}\\\\\"}", "{}"]),
        ("{\n \"a\": {\n }\n}\n{}", &["{\n \"a\": {\n }\n}", "{}"]),
        ("\u{FEFF}{}", &["{}"]),
        ("\u{FEFF}[{}]", &["{}"]),
        ("\x1e{}\n\x1e{\"a\":1}\n", &["{}", "{\"a\":1}"]),
        ("{\"a\":1}\n{\"b\":", &["{\"a\":1}", "{\"b\":"]),
        ("{\"a\":1}\nupstream error, sorry\n{}", &["{\"a\":1}", "upstream error, sorry", "{}"]),
        ("no [json] at {all}\nmore", &["no [json] at {all}", "more"]),
        ("[{}]\n[DONE]", &["{}", "[DONE]"]),
        ("null\n3", &["null", "3"]),
    ];
    for (body, values) in cases {
        assert_eq!(split(body.as_bytes(), &[]), *values, "{body:?}");
        let every: Vec<usize> = (0..body.len()).collect();
        assert_eq!(split(body.as_bytes(), &every), *values, "{body:?}, byte by byte");
    }
    assert_eq!(split(b"{\"a\":\"\xFF\"}", &[]), ["{\"a\":\"\u{FFFD}\"}"]);
}

#[test]
fn a_value_without_end_is_bounded() {
    let mut splitter = JsonSplitter::new();
    splitter.push(b"{}[\"").unwrap();
    let piece = vec![b'x'; 8 << 20];
    let refused = (0..9).find_map(|_| splitter.push(&piece).err()).expect("a bound");
    assert_eq!(refused.to_string(), "a value of the stream is longer than 64 MiB");
    assert_eq!(splitter.push(b"y"), Err(refused) as Result<(), TooLong>);
    assert_eq!(splitter.next_value().as_deref(), Some("{}"));
    assert_eq!(format!("{splitter:?}"), "JsonSplitter { ready: 0, bytes: 67108866 }");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The values do not depend on how the bytes are cut, and nothing panics.
    #[test]
    fn any_split_gives_the_same_values(
        pieces in proptest::collection::vec(proptest::sample::select(vec![
            "{", "}", "[", "]", "\"", "\\", ",", "\n", "\r\n", " ", "a", "1", "{\"a\":1}", "é", "[{", "}]", "null",
        ]), 0..40),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
    ) {
        let body = pieces.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(split(body.as_bytes(), &cuts), split(body.as_bytes(), &[]));
    }

    /// Values written as lines, as one array or one behind the other are read as they were.
    #[test]
    fn what_was_written_is_read(
        values in proptest::collection::vec("\\PC{0,12}", 0..6),
        pretty in any::<bool>(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let values: Vec<Value> = values.iter().map(|text| serde_json::json!({"text": text, "n": [1, {"x": text}]})).collect();
        let write = |value: &Value| if pretty { format!("{value:#}") } else { value.to_string() };
        let written: Vec<String> = values.iter().map(write).collect();
        for body in [written.join("\n"), format!("[{}]", written.join(",\r\n")), written.concat()] {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            cuts.sort_unstable();
            let read: Vec<Value> = split(body.as_bytes(), &cuts).iter().map(|v| serde_json::from_str(v).unwrap()).collect();
            prop_assert_eq!(&read, &values);
        }
    }
}

/// A stream of Gemini gives the same as events, as an array and as lines, and wherever it is cut.
#[test]
fn a_stream_is_the_same_in_each_framing() {
    let chunks = [
        r#"{"candidates":[{"content":{"parts":[{"text":"Hel"}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"lo"}]},"finishReason":"STOP"}]}"#,
    ];
    let whole = |values: Vec<String>| {
        let mut reader = Provider::gemini().stream();
        for value in values {
            reader.feed("", &value).unwrap();
        }
        reader.finish().unwrap()
    };
    let expected = whole(chunks.map(str::to_owned).to_vec());
    for body in [chunks.join("\n"), format!("[{}\n]", chunks.join("\n,\n"))] {
        for cut in 0..=body.len() {
            assert_eq!(whole(split(body.as_bytes(), &[cut])), expected);
        }
    }
}
