//! Tests of `Retry-After` and of verdicts by status.

use http::{HeaderMap, Response, header};
use outbound_retry::Verdict;
use outbound_tower::{retry_after, retry_http};

use crate::ms;

fn headers(retry_after: &str, date: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::RETRY_AFTER, retry_after.parse().unwrap());
    if let Some(date) = date {
        headers.insert(header::DATE, date.parse().unwrap());
    }
    headers
}

#[test]
fn seconds() {
    for (value, wait) in [
        ("0", Some(ms(0))),
        ("120", Some(ms(120_000))),
        (" 5 ", Some(ms(5_000))),
        ("-1", None),
        ("+5", None),
        ("5.5", None),
        ("1e9", None),
        ("", None),
        ("soon", None),
    ] {
        assert_eq!(retry_after(&headers(value, None)), wait, "{value:?}");
    }
    let huge = "9".repeat(40);
    assert_eq!(retry_after(&headers(&huge, None)).unwrap().as_secs(), u64::MAX);
    assert_eq!(retry_after(&HeaderMap::new()), None);
    let mut bytes = headers("1", None);
    bytes.insert(header::RETRY_AFTER, header::HeaderValue::from_bytes(b"\xff").unwrap());
    assert_eq!(retry_after(&bytes), None);
}

#[test]
fn dates_are_read_against_the_response_s_own() {
    const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (value, date, wait) in [
        ("Sun, 06 Nov 1994 08:50:07 GMT", Some(NOW), Some(ms(30_000))),
        ("Sunday, 06-Nov-94 08:50:07 GMT", Some(NOW), Some(ms(30_000))),
        ("Sun Nov  6 08:50:07 1994", Some(NOW), Some(ms(30_000))),
        ("Sun, 06 Nov 1994 08:00:00 GMT", Some(NOW), Some(ms(0))),
        ("Sun, 06 Nov 1994 08:50:07 GMT", None, None),
        ("Sun, 06 Nov 1994 08:50:07 GMT", Some("yesterday"), None),
    ] {
        assert_eq!(retry_after(&headers(value, date)), wait, "{value} at {date:?}");
    }
}

#[test]
fn verdicts_by_status() {
    let verdict = |status: u16, wait: Option<&str>| {
        let mut response = Response::builder().status(status);
        if let Some(wait) = wait {
            response = response.header(header::RETRY_AFTER, wait);
        }
        retry_http(&Ok::<_, ()>(response.body(()).unwrap()))
    };
    for status in [408, 429, 500, 502, 503, 504] {
        assert_eq!(verdict(status, None), Verdict::Retry);
        assert_eq!(verdict(status, Some("3")), Verdict::RetryAfter(ms(3_000)));
    }
    for status in [200, 204, 301, 400, 401, 403, 404, 409, 422, 501] {
        assert_eq!(verdict(status, Some("3")), Verdict::Stop);
    }
    assert_eq!(retry_http(&Err::<Response<()>, _>("reset")), Verdict::Retry);
}
