//! Every form of being told to wait.

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
        // Nothing told: a wait of zero is none, and would be an invitation to hammer.
        ("0", None),
        ("0.0", None),
        ("-1", None),
        ("+5", None),
        ("1e9", None),
        ("0x10", None),
        ("5 seconds", None),
        ("5,5", None),
        (".5", None),
        ("5.", None),
        ("NaN", None),
        ("inf", None),
        ("", None),
        (" ", None),
        ("soon", None),
        ("\u{665}", None),
        ("caf\u{e9}", None),
        // An epoch where a wait belongs.
        ("1795341610", Some(ms(10_000))),
        ("1795341610250", Some(ms(10_250))),
        ("1795341590", None),
        // Absurd, and safe to add to a clock.
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
    // Five hours off: the local clock must not make a minute into hours, or into nothing.
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
fn of_milliseconds_and_seconds_the_longer_counts() {
    assert_eq!(wait(&headers(&[("retry-after-ms", "1300"), ("retry-after", "1")])), Some(ms(1_300)));
    assert_eq!(wait(&headers(&[("retry-after-ms", "599"), ("retry-after", "1")])), Some(ms(1_000)));
}

#[test]
fn a_full_bucket_is_waited_for_only_when_nothing_better_is_told() {
    let empty = [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1m0s")];
    assert_eq!(wait(&headers(&empty)), Some(ms(60_000)));
    let [first, second] = empty;
    assert_eq!(wait(&headers(&[first, second, ("retry-after", "2")])), Some(ms(2_000)));
}

#[test]
fn a_new_window_is_waited_for_in_any_case() {
    let window = [
        ("x-ratelimit-remaining-req-minute", "0"),
        ("x-ratelimit-reset-req-minute", "40"),
        ("retry-after", "2"),
    ];
    assert_eq!(wait(&headers(&window)), Some(ms(40_000)));
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
