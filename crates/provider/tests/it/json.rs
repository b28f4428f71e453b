//! JSON as servers really send it.

use outbound_provider::{Provider, lenient_json};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Whether the scanner, which reads requests, accepts these bytes. The scanner and [`lenient_json`] have to agree.
fn is_json(bytes: &[u8]) -> bool {
    let read = Provider::openai().read_request(bytes).is_ok() && !bytes.is_empty();
    assert_eq!(read, lenient_json(bytes).is_some(), "{}", String::from_utf8_lossy(bytes));
    read
}

#[test]
fn oddities_that_are_read() {
    let cases: &[(&[u8], Value)] = &[
        (b"\xEF\xBB\xBF{\"a\":1}", json!({"a": 1})),
        (b" \r\n\t{ \"a\" : [ ] , \"b\" : { } } \n", json!({"a": [], "b": {}})),
        (
            b"[NaN,Infinity,-Infinity,-1.5e3,0,-0,1E+2,true,false,null]",
            json!([null, null, null, -1500.0, 0, -0.0, 100.0, true, false, null]),
        ),
        (b"[18446744073709551615,-9223372036854775808,1e999]", json!([u64::MAX, i64::MIN, null])),
        (b"\"\\ud83d\"", json!("\u{FFFD}")),
        (b"\"\\ude00\"", json!("\u{FFFD}")),
        (b"\"\\ud83d\\ude00\"", json!("\u{1F600}")),
        (b"\"\\ud83d\\u0041\"", json!("\u{FFFD}A")),
        (b"\"\\ud83d\\ud83d\\ude00\"", json!("\u{FFFD}\u{1F600}")),
        (b"\"a\xFFb\xC3\"", json!("a\u{FFFD}b\u{FFFD}")),
        (b"\"tab\there\nline\"", json!("tab\there\nline")),
        (b"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", json!("\"\\/\u{8}\u{C}\n\r\t")),
        (b"\"\\x\\u12\"", json!("x\u{FFFD}12")),
        (b"{\"\\u0061\":1,\"a\":2}", json!({"a": 2})),
    ];
    for (bytes, expected) in cases {
        assert!(is_json(bytes));
        assert_eq!(lenient_json(bytes), Some(expected.clone()), "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn what_is_no_json() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "[1,]",
        "[1 2]",
        "[,]",
        "{,}",
        "{a:1}",
        "{\"a\" 1}",
        "\"",
        "\"abc",
        "\"abc\\",
        "\"abc\\\"",
        "tru",
        "nul",
        "nulll",
        "N",
        "-",
        "+1",
        ".5",
        "1 2",
        "{}{}",
        "{} x",
        "[}",
        "{]",
        "[[}]",
        "{\"a\":[1}",
        "<html></html>",
        "<!DOCTYPE html>",
        "hello",
        "data: {}",
        "'a'",
        "\u{0}",
        "undefined",
        "[1,[2,{\"a\":[]}]",
        "[]]",
        "{\"a\":{}}}",
        "-Infinit",
        "[\"a\":1]",
        "{\"a\",1}",
    ] {
        if !text.is_empty() {
            assert!(!is_json(text.as_bytes()), "{text:?}");
        }
        assert_eq!(lenient_json(text.as_bytes()), None, "{text:?}");
    }
}

#[test]
fn any_depth_is_read_and_what_is_deeper_than_128_stays_text() {
    let nested =
        |open: &str, close: &str, depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    for depth in [1, 62, 63, 64, 65, 127, 128, 129, 200, 20_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":[", "]}]")] {
            let text = nested(open, close, depth);
            assert!(is_json(text.as_bytes()), "{depth} {open}");
            assert!(!is_json(&text.as_bytes()[..text.len() - 1]), "{depth} {open}");
            let crossed = text.replacen(close, if close == "]" { "}" } else { "]" }, 1);
            assert!(!is_json(crossed.as_bytes()), "{depth} {open}");
        }
    }
    let mut value = lenient_json(nested("[", "]", 130).as_bytes()).unwrap();
    for _ in 0..128 {
        value = value[0].take();
    }
    assert_eq!(value, json!("[[1]]"));
}

#[test]
fn every_length_of_string_ends_where_it_ends() {
    for length in 0..70 {
        for at in 0..=length {
            for mark in ["", "\\\"", "\\\\", "é", "\u{1F600}"] {
                let text = format!("{}{mark}{}", "a".repeat(at), "\u{A2}".repeat(length - at));
                let body = format!("[\"{text}\",\"{text}\"]");
                assert_eq!(lenient_json(body.as_bytes()), serde_json::from_str(&body).ok(), "{body}");
                assert!(!is_json(&body.as_bytes()[..body.len() - 2]));
            }
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
        "[\\x00-\\x7f]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map("\\PC{0,8}", inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_a_strict_parser_reads_is_read_alike(value in value(), pretty: bool, mark: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.unwrap();
        let strict: Value = serde_json::from_str(&text).unwrap();
        let marked = if mark { format!("\u{FEFF}{text}") } else { text };
        prop_assert!(is_json(marked.as_bytes()));
        prop_assert_eq!(lenient_json(marked.as_bytes()), Some(strict));
    }

    #[test]
    fn a_cut_value_is_refused(value in value(), cut in any::<proptest::sample::Index>()) {
        let text = json!([value]).to_string();
        let cut = cut.index(text.len());
        prop_assert!(cut == 0 || !is_json(&text.as_bytes()[..cut]));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        if serde_json::from_slice::<Value>(&bytes).is_ok() {
            prop_assert!(is_json(&bytes));
        }
    }

    #[test]
    fn any_signs_are_read_or_refused(text in "[\\[\\]{}:,\"\\\\a1 .eN-]{0,12}") {
        if !text.is_empty() {
            let lenient = is_json(text.as_bytes());
            prop_assert!(lenient || serde_json::from_str::<Value>(&text).is_err());
        }
    }
}
