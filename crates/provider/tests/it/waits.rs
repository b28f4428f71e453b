//! Every form in which a server says how long to wait.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use outbound_provider::Provider;

use crate::{headers, ms, now};

const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

fn wait(headers: &HeaderMap) -> Option<Duration> {
    Provider::openai().classify(StatusCode::TOO_MANY_REQUESTS, headers, b"", now()).wait
}

fn retry_after(value: &str) -> Option<Duration> {
    wait(&headers(&[("retry-after", value)]))
}

#[test]
fn retry_after_in_numbers() {
    let huge = "1".to_owned() + &"0".repeat(40);
    let cases = [
        ("5", Some(ms(5_000))),
        (" 5 ", Some(ms(5_000))),
        ("5.5", Some(ms(5_500))),
        ("60", Some(ms(60_000))),
        ("999999999", Some(Duration::from_secs(999_999_999))),
        // No wait: zero is none. A wait of zero would make clients send without a pause.
        ("0", None),
        ("0.0", None),
        ("-1", None),
        ("+5", None),
        ("1e9", None),
        ("0x10", None),
        ("5 seconds", None),
        ("5,5", Some(ms(5_000))),
        ("1, 2", Some(ms(2_000))),
        ("2,soon", Some(ms(2_000))),
        ("0, 0", None),
        ("1.5s", Some(ms(1_500))),
        ("-5", None),
        (".5", None),
        ("5.", None),
        ("NaN", None),
        ("inf", None),
        ("", None),
        (" ", None),
        ("soon", None),
        ("\u{665}", None),
        ("caf\u{e9}", None),
        // An epoch in the place of a wait.
        ("1795341610", Some(ms(10_000))),
        ("1795341610250", Some(ms(10_250))),
        ("1795341590", None),
        // Absurd values, which can still be added to a clock.
        ("18446744073709551615", Some(CENTURY)),
        (&huge, Some(CENTURY)),
    ];
    for (value, expected) in cases {
        assert_eq!(retry_after(value), expected, "{value:?}");
    }
    assert!(now().checked_add(CENTURY).is_some());
}

#[test]
fn retry_after_as_a_date_in_all_three_formats() {
    let cases = [
        ("Sun, 22 Nov 2026 10:00:42 GMT", Some(ms(42_000))),
        ("Sunday, 22-Nov-26 10:00:42 GMT", Some(ms(42_000))),
        ("Sun Nov 22 10:00:42 2026", Some(ms(42_000))),
        ("2026-11-22T10:00:42Z", Some(ms(42_000))),
        ("2026-11-22T11:00:42+01:00", Some(ms(42_000))),
        ("42s", Some(ms(42_000))),
        ("Sun, 22 Nov 2026 09:59:59 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(CENTURY)),
        ("Sun, 32 Nov 2026 10:00:42 GMT", None),
        ("Sun, 22 Nov 2026 10:00:42", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
    ];
    for (value, expected) in cases {
        assert_eq!(retry_after(value), expected, "{value:?}");
    }
}

#[test]
fn a_leap_second_is_a_second() {
    let told = headers(&[("date", "Sat, 31 Dec 2016 23:59:50 GMT"), ("retry-after", "2016-12-31T23:59:60Z")]);
    assert_eq!(wait(&told), Some(ms(10_000)));
}

#[test]
fn the_replys_date_is_the_clock_of_its_times() {
    // The local clock is five hours off. It must not turn a minute into hours, or into nothing.
    for (date, until) in [
        ("Sun, 22 Nov 2026 15:00:00 GMT", "Sun, 22 Nov 2026 15:01:00 GMT"),
        ("Sun, 22 Nov 2026 05:00:00 GMT", "Sun, 22 Nov 2026 05:01:00 GMT"),
    ] {
        assert_eq!(wait(&headers(&[("date", date), ("retry-after", until)])), Some(ms(60_000)), "{date}");
    }
}

#[test]
fn a_date_that_cannot_be_believed_is_no_clock() {
    for date in ["Thu, 01 Jan 1970 00:00:00 GMT", "yesterday", "", "Mon, 99 Foo 2026 10:00:00 GMT"] {
        let told = headers(&[("date", date), ("retry-after", "Sun, 22 Nov 2026 10:00:30 GMT")]);
        assert_eq!(wait(&told), Some(ms(30_000)), "{date:?}");
    }
}

#[test]
fn of_two_headers_the_longer_counts_and_garbage_does_not() {
    for (first, second) in [("3", "9"), ("9", "3"), ("9", "soon"), ("-1", "9")] {
        assert_eq!(wait(&headers(&[("retry-after", first), ("retry-after", second)])), Some(ms(9_000)));
    }
}

#[test]
fn milliseconds() {
    let cases = [
        ("retry-after-ms", "599", Some(ms(599))),
        ("retry-after-ms", "0.5", Some(Duration::from_micros(500))),
        ("retry-after-ms", "0", None),
        ("retry-after-ms", "-5", None),
        ("retry-after-ms", "1795341610000", Some(Duration::from_millis(1_795_341_610_000))),
        ("retry-after-ms", "99999999999999999999", Some(CENTURY)),
        ("retry-after-ms", "5s", None),
        ("x-ms-retry-after-ms", "1500", Some(ms(1_500))),
    ];
    for (name, value, expected) in cases {
        assert_eq!(wait(&headers(&[(name, value)])), expected, "{name}: {value}");
    }
}

#[test]
fn the_first_kind_counts_and_a_finer_one_refines_it() {
    type Told = &'static [(&'static str, &'static str)];
    let cases: &[(Told, &str, u64)] = &[
        // The first kind that is there counts, even if another is longer.
        (&[("retry-after-ms", "1300"), ("retry-after", "1")], "", 1_300),
        (&[("retry-after-ms", "599"), ("retry-after", "1")], "", 599),
        (&[("retry-after-ms", "5000"), ("retry-after", "1")], "", 5_000),
        (&[("retry-after-ms", "80"), ("x-ms-retry-after-ms", "90")], "", 90),
        (&[("retry-after-ms", "0"), ("retry-after", "1")], "", 1_000),
        (&[("retry-after-ms", "80")], "try again in 5s", 80),
        (&[("retry-after", "60")], "try again in 2s", 60_000),
        (&[("retry-after", "2")], "try again in 9s", 2_000),
        (&[("retry-after", "2")], "try again in 9.5s", 2_000),
        // A wait that is rounded to the second, and a finer one beside it.
        (&[("retry-after", "1")], "try again in 80ms", 80),
        (&[("retry-after", "2")], "try again in 1.2s", 1_200),
        (&[("retry-after", "2")], "try again in 1.0s", 1_000),
        (&[("retry-after", "2")], "try again in 0.9s", 2_000),
        (&[("retry-after", "2")], "try again in 3.0s", 3_000),
        (&[("retry-after", "2")], "try again in 3.1s", 2_000),
        (&[("retry-after", "2")], "try again in 1s", 2_000),
        (&[("retry-after", "1.5")], "try again in 1.3s", 1_500),
        (&[("retry-after", "1.5")], "try again in 1450ms", 1_450),
        (&[("retry-after", "Sun, 22 Nov 2026 10:00:02 GMT")], "try again in 1.2s", 1_200),
        (&[("retry-after", "1m")], "try again in 12s", 12_000),
        // The reset of the limit that is used up.
        (
            &[
                ("retry-after", "1"),
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "80ms"),
            ],
            "",
            80,
        ),
        (
            &[
                ("retry-after", "1"),
                ("x-ratelimit-remaining-requests", "1"),
                ("x-ratelimit-reset-requests", "80ms"),
            ],
            "",
            1_000,
        ),
        (
            &[
                ("retry-after", "1"),
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "1900ms"),
            ],
            "",
            1_000,
        ),
        (&[("retry-after", "1"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1.9")], "", 1_900),
        (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "40")], "try again in 3s", 3_000),
        (&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1m0s")], "", 60_000),
        (
            &[
                ("retry-after", "2"),
                ("x-ratelimit-remaining-req-minute", "0"),
                ("x-ratelimit-reset-req-minute", "40"),
            ],
            "",
            2_000,
        ),
        // New windows go before full buckets. Limits that are known to be used up go before others.
        (
            &[
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "50s"),
                ("x-ratelimit-remaining-tokens-day", "0"),
                ("x-ratelimit-reset-tokens-day", "7"),
            ],
            "",
            7_000,
        ),
        (
            &[
                ("x-ratelimit-reset-requests", "50s"),
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "7s"),
            ],
            "",
            7_000,
        ),
        (&[("x-rate-limit-reset-tokens", "3")], "", 3_000),
        (&[("x-ratelimit-reset-after", "1.5"), ("x-ratelimit-remaining", "0")], "", 1_500),
        (
            &[
                ("anthropic-ratelimit-unified-status", "rejected"),
                ("anthropic-ratelimit-unified-reset", "1795341700"),
                ("retry-after", "3"),
            ],
            "",
            3_000,
        ),
    ];
    for (list, message, expected) in cases {
        let list: Vec<_> = list.iter().map(|(name, value)| (*name, *value)).collect();
        let mut told = HeaderMap::new();
        for (name, value) in list {
            told.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let body = format!(r#"{{"error":{{"message":"{message}","code":"rate_limit_exceeded"}}}}"#);
        let fault = Provider::openai().classify(StatusCode::TOO_MANY_REQUESTS, &told, body.as_bytes(), now());
        assert_eq!(fault.wait, Some(ms(*expected)), "{told:?} {message}");
    }
}

#[test]
fn a_reset_is_a_wait_only_for_the_limit() {
    let told = headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "40")]);
    for (status, expected) in
        [(429, Some(ms(40_000))), (403, Some(ms(40_000))), (500, None), (503, None), (404, None)]
    {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(Provider::openai().classify(status, &told, b"", now()).wait, expected, "{status}");
    }
}

#[test]
fn waits_in_fields_of_the_body() {
    let cases = [
        (r#"{"error":{"message":"slow","retry_after":12.5}}"#, Some(12_500)),
        (r#"{"error":{"message":"slow"},"retry_after":12}"#, Some(12_000)),
        (r#"{"message":"You are being rate limited.","retry_after":64.57,"global":false}"#, Some(64_570)),
        (r#"{"error":{"message":"slow","retryAfter":"3"}}"#, Some(3_000)),
        (r#"{"error":{"message":"slow","retry_after_ms":250}}"#, Some(250)),
        (r#"{"error":{"message":"slow","metadata":{"retry_after_seconds":4}}}"#, Some(4_000)),
        (r#"{"error":{"details":[{"retryDelay":"7s"}]}}"#, Some(7_000)),
        (r#"{"error":{"details":[{"retryDelay":{"seconds":7}}]}}"#, Some(7_000)),
        (r#"{"error":{"message":"retry in 6.5s","details":[{"retryDelay":"7s"}]}}"#, Some(7_000)),
        (r#"{"error":{"retry_after":0}}"#, None),
        (r#"{"error":{"retry_after":-1}}"#, None),
        (r#"{"error":{"retry_after":null,"retryDelay":"soon"}}"#, None),
        (r#"{"error":{"retry_after":99999999999999999999}}"#, Some(3_153_600_000_000)),
    ];
    for (body, expected) in cases {
        let fault = Provider::openai().classify(
            StatusCode::TOO_MANY_REQUESTS,
            &HeaderMap::new(),
            body.as_bytes(),
            now(),
        );
        assert_eq!(fault.wait, expected.map(ms), "{body}");
    }
}

#[test]
fn values_that_are_not_text_are_not_read() {
    let mut bytes = HeaderMap::new();
    bytes.insert("retry-after", HeaderValue::from_bytes(&[0xFF, b'5']).unwrap());
    bytes.insert("x-should-retry", HeaderValue::from_bytes(&[0xFF]).unwrap());
    assert_eq!(wait(&bytes), None);
}

#[test]
fn hints_in_messages() {
    let cases = [
        ("Please try again in 599ms.", Some(ms(599))),
        ("Please try again in 1.2s", Some(ms(1_200))),
        ("Please try again in 6m0s.", Some(ms(360_000))),
        ("Please try again in 1h2m3.5s.", Some(ms(3_723_500))),
        ("Try Again In 20S.", Some(ms(20_000))),
        ("Please retry after 10 seconds.", Some(ms(10_000))),
        ("Try again in 1 minute and 30 seconds", Some(ms(90_000))),
        ("try again in 2s, or for more tokens try again in 9s", Some(ms(9_000))),
        ("Please wait 3 seconds before retrying.", Some(ms(3_000))),
        (
            "Rate limit of 10 per 60s exceeded for UserByModelByMinute. Please wait 3 seconds before retrying.",
            Some(ms(3_000)),
        ),
        ("Rate limit exceeded, resets in 3s.", Some(ms(3_000))),
        ("Your quota will reset after 3s.", Some(ms(3_000))),
        ("You must wait for at least 2 minutes and 5 seconds.", Some(ms(125_000))),
        ("Limit reached. Try again in about 2 minutes and 5 seconds", Some(ms(125_000))),
        ("Resets in 3h 20m", Some(ms(12_000_000))),
        ("Retry after: 4s", Some(ms(4_000))),
        ("please try again after 1 seconds", Some(ms(1_000))),
        ("Limit type: requests. Limit resets at: 2026-11-22 10:00:42 UTC", Some(ms(42_000))),
        ("Limit resets at 2026-11-22T10:00:42Z.", Some(ms(42_000))),
        ("Try again at 2026-11-22T12:00:42+02:00, please", Some(ms(42_000))),
        ("Limit resets at noon", None),
        ("Limit resets at 2026-11-22 09:00:42 UTC", None),
        ("You have exceeded a secondary rate limit. Please wait a few minutes.", None),
        ("The queue's longest wait 30 s was exceeded", None),
        ("Please try again in 0s", None),
        ("Please try again in a moment.", None),
        ("Please try again in -3s.", None),
        ("Please try again in ", None),
        ("Please try again in 5 apples.", None),
        ("Please try again in 10", None),
    ];
    for (message, expected) in cases {
        let body = format!(r#"{{"error":{{"message":"{message}","code":"rate_limit_exceeded"}}}}"#);
        let fault = Provider::openai().classify(
            StatusCode::TOO_MANY_REQUESTS,
            &HeaderMap::new(),
            body.as_bytes(),
            now(),
        );
        assert_eq!(fault.wait, expected, "{message}");
    }
}
