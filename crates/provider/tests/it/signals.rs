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
    let expected = [(Requests, Some(MINUTE), Some(60), Some(0), Some(Window(ms(60_000))))];
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
    for garbage in ["", "r=5", "\"a\"", "\"a\";r=-1;t=x", "\"a\";r;t", "\"a;r=5", ";;;,,,"] {
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

/// Fixed windows: how long each is, and whether the server named it.
#[test]
fn windows_of_every_family() {
    let s = Duration::from_secs;
    type Expected = (Option<Duration>, bool, Option<u64>, Option<u64>, Option<Duration>);
    let one = |window: u64, named: bool, limit: u64, remaining: u64, reset: u64| -> Vec<Expected> {
        vec![(Some(s(window)), named, Some(limit), Some(remaining), Some(s(reset)))]
    };
    let plain = |limit: &str, reset: &str| {
        format!("x-ratelimit-limit: {limit}\nx-ratelimit-remaining: 2\nx-ratelimit-reset: {reset}")
    };
    let mut cases = vec![
        // No window is named: the smallest usual one that holds the reset.
        (plain("5", "1"), one(1, false, 5, 2, 1)),
        (plain("5", "2"), one(10, false, 5, 2, 2)),
        (plain("5", "10"), one(10, false, 5, 2, 10)),
        (plain("5", "11"), one(60, false, 5, 2, 11)),
        (plain("5", "61"), one(3_600, false, 5, 2, 61)),
        (plain("5", "3601"), one(86_400, false, 5, 2, 3_601)),
        (plain("5", "86401"), vec![(None, false, Some(5), Some(2), Some(s(86_401)))]),
        (plain("5", "0"), vec![(None, false, Some(5), Some(2), Some(s(0)))]),
        // Discord.
        ("x-ratelimit-limit: 5\nx-ratelimit-remaining: 2\nx-ratelimit-reset-after: 1".into(), one(1, false, 5, 2, 1)),
        // X, with hyphens.
        ("x-rate-limit-limit: 900\nx-rate-limit-remaining: 2\nx-rate-limit-reset: 1795342200".into(), one(3_600, false, 900, 2, 600)),
        // Renewal periods of Azure.
        (
            "x-ratelimit-limit-requests: 10\nx-ratelimit-remaining-requests: 2\nx-ratelimit-renewalperiod-requests: 10\nx-ratelimit-reset-requests: 4".into(),
            one(10, true, 10, 2, 4),
        ),
        // GitHub.
        (plain("5000", "1795341605") + "\nx-ratelimit-used: 4998\nx-ratelimit-resource: core", one(3_600, true, 5_000, 2, 5)),
        (plain("5000", "1795341605") + "\nx-ratelimit-used: 4998", one(3_600, true, 5_000, 2, 5)),
        (plain("30", "1795341605") + "\nx-ratelimit-used: 28\nx-ratelimit-resource: search", one(60, true, 30, 2, 5)),
        (plain("5", "1") + "\nx-ratelimit-used: 3", one(1, false, 5, 2, 1)),
        (plain("5000", "1795343400"), one(3_600, false, 5_000, 2, 1_800)),
        // Drafts 3, 6, 7, 8 to 10.
        ("ratelimit-limit: 5, 5;w=1\nratelimit-remaining: 2\nratelimit-reset: 1".into(), one(1, true, 5, 2, 1)),
        ("x-ratelimit-limit: 5, 5;w=1\nx-ratelimit-remaining: 2\nx-ratelimit-reset: 1".into(), one(1, true, 5, 2, 1)),
        ("ratelimit-policy: 5;w=1\nratelimit-limit: 5\nratelimit-remaining: 2\nratelimit-reset: 1".into(), one(1, true, 5, 2, 1)),
        ("ratelimit-policy: 5;w=20\nratelimit: limit=5, remaining=2, reset=1".into(), one(20, true, 5, 2, 1)),
        ("ratelimit: limit=5, remaining=2, reset=1".into(), one(1, false, 5, 2, 1)),
        ("ratelimit-policy: \"a\";q=5;w=20\nratelimit: \"a\";r=2;t=1".into(), one(20, true, 5, 2, 1)),
        ("ratelimit-policy: a;q=5;w=20\nratelimit: a;r=2;t=1".into(), one(20, true, 5, 2, 1)),
        ("ratelimit: \"a\";r=2;t=7".into(), vec![(Some(s(10)), false, None, Some(2), Some(s(7)))]),
        ("ratelimit-policy: \"a\";q=5;w=0\nratelimit: \"a\";r=2;t=1".into(), one(1, false, 5, 2, 1)),
        // Several windows in one header.
        (
            "ratelimit-limit: 10, 10;w=1;burst=1000, 1000;w=3600\nratelimit-remaining: 2\nratelimit-reset: 1".into(),
            vec![(Some(s(1)), true, Some(10), Some(2), Some(s(1))), (Some(s(3_600)), true, Some(1_000), None, None)],
        ),
        (
            "ratelimit-policy: 10;w=1, 1000;w=3600\nratelimit: limit=1000, remaining=2, reset=1".into(),
            vec![(Some(s(1)), true, Some(10), None, None), (Some(s(3_600)), true, Some(1_000), Some(2), Some(s(1)))],
        ),
        (
            "ratelimit-policy: \"a\";q=5;w=1, \"b\";q=100;w=60\nratelimit: \"b\";r=2;t=7".into(),
            vec![(Some(s(1)), true, Some(5), None, None), (Some(s(60)), true, Some(100), Some(2), Some(s(7)))],
        ),
        ("ratelimit-policy: \"a\";q=5;w=1".into(), vec![(Some(s(1)), true, Some(5), None, None)]),
        // Kong sends the same limit twice.
        (
            "x-ratelimit-limit-minute: 5\nx-ratelimit-remaining-minute: 2\nratelimit-limit: 5\nratelimit-remaining: 2\nratelimit-reset: 7".into(),
            vec![(Some(s(60)), true, Some(5), Some(2), None)],
        ),
        // Two different limits that both count requests.
        (
            "x-ratelimit-limit-minute: 50\nratelimit-limit: 5\nratelimit-remaining: 2\nratelimit-reset: 1".into(),
            vec![(Some(s(1)), false, Some(5), Some(2), Some(s(1))), (Some(s(60)), true, Some(50), None, None)],
        ),
        // A policy in two headers is one policy.
        (
            "ratelimit-limit: 5, 5;w=1, 50;w=60\nratelimit-policy: 5;w=1, 50;w=60\nratelimit-remaining: 2\nratelimit-reset: 1".into(),
            vec![(Some(s(1)), true, Some(5), Some(2), Some(s(1))), (Some(s(60)), true, Some(50), None, None)],
        ),
        // LiteLLM.
        (
            "x-ratelimit-api_key-remaining-requests: 2\nx-ratelimit-api_key-limit-requests: 5\nx-ratelimit-api_key-limit-max_parallel_requests: 5".into(),
            vec![(Some(s(60)), true, Some(5), Some(2), None)],
        ),
        (
            "x-ratelimit-api_key-limit-requests: 5\nx-ratelimit-team-limit-requests: 9".into(),
            vec![(Some(s(60)), true, Some(5), None, None), (Some(s(60)), true, Some(9), None, None)],
        ),
    ];
    for (word, seconds) in
        [("second", 1), ("minute", 60), ("hour", 3_600), ("day", 86_400), ("month", 30 * 86_400)]
    {
        for form in
            ["x-ratelimit-{}-requests-W", "x-ratelimit-{}-W", "ratelimit-{}-W", "x-rate-limit-{}-req-W"]
        {
            let name = |field: &str| form.replace("{}", field).replace('W', word);
            let text = format!("{}: 5\n{}: 2\n{}: 1", name("limit"), name("remaining"), name("reset"));
            cases.push((text, one(seconds, true, 5, 2, 1)));
        }
    }
    for (text, expected) in cases {
        let mut list = HeaderMap::new();
        for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
            list.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let signals = Provider::openai().signals(&list, now());
        let mut found: Vec<Expected> = signals
            .iter()
            .map(|signal| {
                assert_eq!(signal.dimension, Requests, "{text}");
                (
                    signal.window,
                    signal.window_is_named,
                    signal.limit,
                    signal.remaining,
                    signal.reset.map(Reset::after),
                )
            })
            .collect();
        found.sort();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn buckets_fill_all_the_while_and_windows_end() {
    let kinds = [
        ("x-ratelimit-reset-requests", true),
        ("x-rate-limit-reset-tokens", true),
        ("anthropic-ratelimit-tokens-reset", true),
        ("x-ratelimit-reset-tokens-minute", false),
        ("x-ratelimit-reset-minute", false),
        ("x-ratelimit-reset", false),
        ("ratelimit-reset", false),
        ("x-ratelimit-team-reset-tokens", false),
        ("x-tokenlimit-reset", false),
    ];
    for (name, fills) in kinds {
        let signals = Provider::openai().signals(&headers(&[(name, "7")]), now());
        let reset = signals.iter().next().unwrap().reset;
        assert_eq!(reset, Some(if fills { Full(ms(7_000)) } else { Window(ms(7_000)) }), "{name}");
    }
}

#[test]
fn dimensions_by_name() {
    let names = [
        ("x-ratelimit-limit-input-tokens", InputTokens),
        ("x-ratelimit-limit-tokens-prompt", InputTokens),
        ("x-ratelimit-limit-tokens-generated", OutputTokens),
        ("x-ratelimit-limit-output-tokens", OutputTokens),
        ("x-ratelimit-limit-tokens-hour", Tokens),
        ("x-tokenlimit-limit", Tokens),
        ("x-ratelimit-limit-req-second", Requests),
        ("ratelimit-limit", Requests),
    ];
    for (name, dimension) in names {
        let signals = Provider::openai().signals(&headers(&[(name, "7")]), now());
        let found: Vec<_> = signals.iter().map(|signal| (signal.dimension, signal.limit)).collect();
        assert_eq!(found, [(dimension, Some(7))], "{name}");
    }
    let tokens =
        headers(&[("ratelimit", "\"t\";r=5;t=1"), ("ratelimit-policy", "\"t\";q=9;w=60;qu=\"tokens\"")]);
    assert_eq!(read(&tokens)[0].0, Tokens);
}
