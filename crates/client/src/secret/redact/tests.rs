//! Tests of removing a key from a text, in each of its forms.

use proptest::prelude::*;

use super::*;
use crate::secret::Secret;

const KEY: &str = "sk-a/b+c\"d e\\f€😀";

fn clean(key: &str, text: &str) -> String {
    let secret = Secret::new(key);
    let clean = secret.redact(text).into_owned();
    assert_eq!(secret.redact_bytes(text.as_bytes()), clean.as_bytes());
    clean
}

fn base64(text: &str) -> String {
    String::from_utf8(encodings(text.as_bytes()).next().unwrap()).unwrap()
}

#[test]
fn base64_is_that_of_the_standard() {
    // RFC 4648, section 10.
    for (text, encoded) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(base64(text), encoded);
    }
    let all: Vec<_> = encodings(b"\xfb\xff").collect();
    assert_eq!(all, [b"+/8=", b"-_8="]);
}

#[test]
fn a_long_key_goes_wherever_it_stands_in_each_of_its_forms() {
    let percent: String = KEY.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let some_percent = "sk-a%2Fb%2Bc%22d+e%5Cf%E2%82%AC%F0%9F%98%80";
    let json = serde_json::to_string(KEY).unwrap();
    let ascii_json = "sk-a\\/b+c\\\"d e\\\\f\\u20AC\\ud83d\\ude00";
    for form in [KEY, &percent, some_percent, json.trim_matches('"'), ascii_json, &json[1..json.len() - 1]] {
        assert_eq!(clean(KEY, &format!("x{form}y {form}")), "x[redacted]y [redacted]", "{form}");
    }
    assert_eq!(clean(KEY, "sk-a/b+c is none"), "sk-a/b+c is none");
    assert_eq!(clean("aaaaaaaa", &"a".repeat(17)), "[redacted][redacted]a");
}

#[test]
fn a_long_key_goes_from_the_value_of_basic_whatever_the_users_name() {
    for key in ["12345678", "123456789", "1234567890", KEY, "~~~~????"] {
        for user in ["", ":", "a:", "ab:", "abc:", "someone@example.com:"] {
            for behind in ["", ":", ":x", "more"] {
                for encoded in encodings(format!("{user}{key}{behind}").as_bytes()) {
                    let encoded = String::from_utf8(encoded).unwrap();
                    let text = format!("authorization: Basic {encoded}, and {encoded}.");
                    let expected = "authorization: Basic [redacted], and [redacted].";
                    assert_eq!(clean(key, &text), expected, "{user}{key}{behind}");
                    assert_eq!(clean(key, encoded.trim_end_matches('=')), "[redacted]");
                }
            }
        }
    }
}

#[test]
fn a_short_key_goes_only_as_a_word_behind_a_credentials_name() {
    for (text, expected) in [
        ("Authorization: Bearer EMPTY", "Authorization: Bearer [redacted]"),
        ("authorization: EMPTY, EMPTY", "authorization: [redacted], EMPTY"),
        ("bearer EMPTY.", "bearer [redacted]."),
        ("{\"api_key\": \"EMPTY\"}", "{\"api_key\": \"[redacted]\"}"),
        ("{\\\"api_key\\\":\\\"EMPTY\\\"}", "{\\\"api_key\\\":\\\"[redacted]\\\"}"),
        ("X-API-Key:EMPTY", "X-API-Key:[redacted]"),
        ("Incorrect API key EMPTY", "Incorrect API key [redacted]"),
        ("?key=EMPTY&x=EMPTY", "?key=[redacted]&x=EMPTY"),
        ("OPENAI_API_KEY=EMPTY", "OPENAI_API_KEY=[redacted]"),
        (
            "token EMPTY secret=EMPTY password: 'EMPTY'",
            "token [redacted] secret=[redacted] password: '[redacted]'",
        ),
        ("the list is EMPTY", "the list is EMPTY"),
        ("EMPTY", "EMPTY"),
        ("keyEMPTY", "keyEMPTY"),
        ("key: EMPTYING", "key: EMPTYING"),
        ("key: EMPTY-x", "key: EMPTY-x"),
        ("monkey: EMPTY", "monkey: EMPTY"),
        ("key: an EMPTY", "key: an EMPTY"),
        (": EMPTY", ": EMPTY"),
    ] {
        assert_eq!(clean("EMPTY", text), expected);
    }
    assert_eq!(clean("x", "max x: key=x, box"), "max x: key=[redacted], box");
    assert_eq!(clean("a b", "key=a%20b token=a+b"), "key=[redacted] token=[redacted]");
    for text in [":x", "x", "x:"] {
        let text = format!("authorization: Basic {}", base64(text));
        assert_eq!(clean("x", &text), "authorization: Basic [redacted]");
    }
    assert_eq!(clean("1234567", "1234567"), "1234567");
    assert_eq!(clean("12345678", "12345678"), "[redacted]");
    assert_eq!(clean("€€€€€€€", "€€€€€€€"), "€€€€€€€", "characters, not bytes");
    assert_eq!(clean("", "key= "), "key= ");
}

#[test]
fn a_key_that_is_part_of_the_mark_goes_too() {
    assert_eq!(clean("redacted", "a redacted one"), "a [***] one");
    assert_eq!(clean("x[redacted]", "xx[redacted] xxx[redacted]"), "[redacted] [redacted]");
    let key = "[redacted][redacted]";
    assert!(!clean(key, &key.repeat(100)).contains(key));
}

#[test]
fn a_text_without_the_key_is_not_copied() {
    let secret = Secret::new("12345678");
    assert!(matches!(secret.redact("nothing of it"), Cow::Borrowed(_)));
    assert!(matches!(secret.redact_bytes(b"\xff\xfe"), Cow::Borrowed(_)));
    assert_eq!(secret.redact_bytes(b"\xff12345678\xfe").as_ref(), b"\xff[redacted]\xfe");
}

proptest! {
    #[test]
    fn no_long_key_remains_and_nothing_panics(
        key in "[a-c%\\\\u0\\[red\\]€+/ ]{8,12}",
        pieces in prop::collection::vec("[a-c%\\\\u0\\[red\\]€+/ =]{0,6}", 0..6),
    ) {
        let secret = Secret::new(key.as_str());
        let encoded = base64(&key);
        for between in [key.as_str(), encoded.as_str()] {
            let text = pieces.join(between);
            let clean = secret.redact(&text);
            prop_assert!(!clean.contains(&key), "{text:?} {clean:?}");
        }
    }

    #[test]
    fn any_key_and_any_bytes_are_fine(key in ".*", bytes: Vec<u8>) {
        let clean = Secret::new(key.as_str()).redact_bytes(&bytes).into_owned();
        prop_assert!(clean.len() <= bytes.len() * 10 + 10);
    }
}
