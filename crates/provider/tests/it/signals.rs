//! The limits that replies report.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use outbound_provider::{Dimension, Dimension::*, Provider, Reset, Reset::*};

use crate::{headers, ms, now};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const MONTH: Duration = Duration::from_secs(30 * 86_400);

type Found = (Dimension, Option<Duration>, Option<u64>, Option<u64>, Option<Reset>);

fn read(headers: &HeaderMap) -> Vec<Found> {
    let signals = Provider::openai().signals(headers, now());
    let mut found: Vec<Found> =
        signals.iter().map(|s| (s.dimension, s.window, s.limit, s.remaining, s.reset)).collect();
    found.sort_by_key(|signal| (signal.0, signal.1));
    assert_eq!(signals.len(), found.len());
    assert_eq!(signals.is_empty(), found.is_empty());
    found
}

#[test]
fn openai() {
    let list = [
        ("x-ratelimit-limit-requests", "500"),
        ("x-ratelimit-remaining-requests", "499"),
        ("x-ratelimit-reset-requests", "120ms"),
        ("x-ratelimit-limit-tokens", "90000"),
        ("x-ratelimit-remaining-tokens", "45000"),
        ("x-ratelimit-reset-tokens", "30s"),
    ];
    let expected = vec![
        (Requests, Some(MINUTE), Some(500), Some(499), Some(Full(ms(120)))),
        (Tokens, Some(MINUTE), Some(90_000), Some(45_000), Some(Full(ms(30_000)))),
    ];
    assert_eq!(read(&headers(&list)), expected);
}

#[test]
fn openai_limits_per_day_give_themselves_away() {
    let list = [
        ("x-ratelimit-limit-requests", "200"),
        ("x-ratelimit-remaining-requests", "199"),
        ("x-ratelimit-reset-requests", "7m12s"),
    ];
    assert_eq!(read(&headers(&list)), [(Requests, Some(DAY), Some(200), Some(199), Some(Full(ms(432_000))))]);
}

#[test]
fn a_full_bucket_does_not_tell_its_window() {
    let list = [
        ("x-ratelimit-limit-requests", "200"),
        ("x-ratelimit-remaining-requests", "200"),
        ("x-ratelimit-reset-requests", "0s"),
    ];
    assert_eq!(read(&headers(&list)), [(Requests, None, Some(200), Some(200), Some(Full(ms(0))))]);
}

#[test]
fn a_window_that_is_neither_a_minute_nor_a_day_is_unknown() {
    for reset in ["5s", "30m0s", "240h0m0s"] {
        let list = [
            ("x-ratelimit-limit-requests", "100"),
            ("x-ratelimit-remaining-requests", "50"),
            ("x-ratelimit-reset-requests", reset),
        ];
        assert_eq!(read(&headers(&list))[0].1, None, "{reset}");
    }
}

#[test]
fn groq_counts_requests_by_the_day_and_tokens_by_the_minute() {
    let list = [
        ("x-ratelimit-limit-requests", "14400"),
        ("x-ratelimit-remaining-requests", "14370"),
        ("x-ratelimit-reset-requests", "2m59.56s"),
        ("x-ratelimit-limit-tokens", "18000"),
        ("x-ratelimit-remaining-tokens", "17997"),
        ("x-ratelimit-reset-tokens", "7.66ms"),
    ];
    let found = read(&headers(&list));
    assert_eq!(found[0], (Requests, Some(DAY), Some(14_400), Some(14_370), Some(Full(ms(179_560)))));
    assert_eq!(found[1].1, Some(MINUTE));
}

#[test]
fn anthropic() {
    let list = [
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("anthropic-ratelimit-requests-reset", "2026-11-22T10:00:01Z"),
        ("anthropic-ratelimit-input-tokens-limit", "40000"),
        ("anthropic-ratelimit-input-tokens-remaining", "0"),
        ("anthropic-ratelimit-input-tokens-reset", "2026-11-22T10:01:00Z"),
        ("anthropic-ratelimit-output-tokens-limit", "8000"),
        ("anthropic-ratelimit-output-tokens-remaining", "8000"),
        ("anthropic-ratelimit-output-tokens-reset", "2026-11-22T09:59:59Z"),
        ("anthropic-ratelimit-tokens-limit", "48000"),
        ("anthropic-ratelimit-unified-5h-utilization", "0.4"),
        ("anthropic-ratelimit-unified-reset", "1795341700"),
    ];
    let minute = Some(MINUTE);
    let expected = vec![
        (Requests, minute, Some(50), Some(49), Some(Full(ms(1_000)))),
        (Tokens, minute, Some(48_000), None, None),
        (InputTokens, minute, Some(40_000), Some(0), Some(Full(ms(60_000)))),
        (OutputTokens, minute, Some(8_000), Some(8_000), Some(Full(ms(0)))),
    ];
    assert_eq!(read(&headers(&list)), expected);
}

#[test]
fn absolute_resets_are_read_against_the_replys_date() {
    let list = [
        ("anthropic-ratelimit-requests-reset", "2026-11-22T15:00:09Z"),
        ("date", "Sun, 22 Nov 2026 15:00:00 GMT"),
    ];
    assert_eq!(read(&headers(&list))[0].4, Some(Full(ms(9_000))));
}

#[test]
fn mistral() {
    let list = [
        ("x-ratelimit-limit-req-minute", "60"),
        ("x-ratelimit-remaining-req-minute", "59"),
        ("x-ratelimit-limit-tokens-minute", "500000"),
        ("x-ratelimit-remaining-tokens-minute", "499000"),
        ("x-ratelimit-limit-tokens-month", "1000000000"),
        ("x-ratelimit-remaining-tokens-month", "999000000"),
        ("x-ratelimit-tokens-query-cost", "300"),
    ];
    let expected = vec![
        (Requests, Some(MINUTE), Some(60), Some(59), None),
        (Tokens, Some(MINUTE), Some(500_000), Some(499_000), None),
        (Tokens, Some(MONTH), Some(1_000_000_000), Some(999_000_000), None),
    ];
    assert_eq!(read(&headers(&list)), expected);
    let older = [
        ("x-ratelimitbysize-limit-minute", "500000"),
        ("x-ratelimitbysize-remaining-minute", "499000"),
        ("x-ratelimitbysize-remaining-month", "9"),
        ("ratelimitbysize-reset", "17"),
    ];
    let expected = vec![
        (Tokens, Some(MINUTE), Some(500_000), Some(499_000), Some(Window(ms(17_000)))),
        (Tokens, Some(MONTH), None, Some(9), None),
    ];
    assert_eq!(read(&headers(&older)), expected);
}

#[test]
fn azures_unknowns_are_unknown() {
    for limit in ["-1", "0"] {
        let list = [("x-ratelimit-limit-tokens", limit), ("x-ratelimit-remaining-tokens", "0")];
        assert_eq!(read(&headers(&list)), [], "{limit}");
    }
    let list = [("x-ratelimit-remaining-tokens", "-1"), ("x-ratelimit-remaining-requests", "0")];
    assert_eq!(read(&headers(&list)), [(Requests, None, None, Some(0), None)]);
}

#[test]
fn limits_without_a_unit_count_requests() {
    let github =
        [("x-ratelimit-limit", "60"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795341660")];
    let expected = [(Requests, None, Some(60), Some(0), Some(Window(ms(60_000))))];
    assert_eq!(read(&headers(&github)), expected);
    let early_draft =
        [("ratelimit-limit", "60, 60;w=60"), ("ratelimit-remaining", "0"), ("ratelimit-reset", "60")];
    assert_eq!(read(&headers(&early_draft)), expected);
}

#[test]
fn the_ietf_draft() {
    let list = [
        (
            "ratelimit-policy",
            r#""burst";q=100;w=60, "da,ily";q=1000;w=86400;pk=:c2E=:, "size";q=9;qu="content-bytes""#,
        ),
        ("ratelimit", r#""burst";r=50;t=30,"da,ily";r=0;t=3600"#),
        ("ratelimit", r#""size";r=1;t=1"#),
    ];
    let expected = vec![
        (Requests, Some(MINUTE), Some(100), Some(50), Some(Window(ms(30_000)))),
        (Requests, Some(DAY), Some(1_000), Some(0), Some(Window(ms(3_600_000)))),
    ];
    assert_eq!(read(&headers(&list)), expected);
    for garbage in ["", "r=5", "burst;r=5", "\"a\"", "\"a\";r=-1;t=x", "\"a\";r;t", "\"a;r=5", ";;;,,,"] {
        assert_eq!(read(&headers(&[("ratelimit", garbage)])), [], "{garbage:?}");
    }
}

#[test]
fn garbage_is_as_good_as_absent() {
    for value in ["", "-", "-1", "+1", "1.5", "1e3", "a lot", "99999999999999999999999", "0x1f"] {
        let list = [
            ("x-ratelimit-limit-requests", value),
            ("x-ratelimit-remaining-requests", value),
            ("x-ratelimit-reset-requests", "never"),
        ];
        assert_eq!(read(&headers(&list)), [], "{value:?}");
    }
    let mut bytes = HeaderMap::new();
    bytes.insert("x-ratelimit-limit-requests", HeaderValue::from_bytes(&[0xFF]).unwrap());
    assert_eq!(read(&bytes), []);
    assert_eq!(
        read(&headers(&[("x-ratelimit-limit-parrots", "5"), ("x-ratelimit", "5"), ("x-limit", "5")])),
        []
    );
}

#[test]
fn more_limits_than_there_is_room_for_are_dropped() {
    let list = (0..20).map(|n| format!("\"{n}\";r={n};t=1")).collect::<Vec<_>>().join(",");
    assert_eq!(read(&headers(&[("ratelimit", &list)])).len(), 8);
}
