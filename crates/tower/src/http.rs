//! Verdicts on HTTP responses.

use std::time::{Duration, SystemTime};

use ::http::{HeaderMap, Response, StatusCode, header};
use outbound_retry::Verdict;

/// The verdict on an HTTP response, for [`Retry::when_result`](outbound_retry::Retry::when_result).
///
/// 408, 429, 500, 502, 503 and 504 are retried, after the time that [`retry_after`] finds, if there is one. Every
/// other status is accepted. Every error of the service is retried; a service with different kinds of errors needs
/// its own verdict.
///
/// The body is not read. Whether it is safe to send a request again has to be known by whoever sets the policy.
pub fn retry_http<B, E>(result: &Result<Response<B>, E>) -> Verdict {
    let Ok(response) = result else { return Verdict::Retry };
    match response.status() {
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::INTERNAL_SERVER_ERROR
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            retry_after(response.headers()).map_or(Verdict::Retry, Verdict::RetryAfter)
        }
        _ => Verdict::Stop,
    }
}

/// The wait that `Retry-After` asks for (RFC 9110, section 10.2.3): a number of seconds, or a date. A date is read
/// against the response's own `Date`. `None` if there is no such header, if it is neither form, and for a date
/// without a `Date`.
///
/// A date in the past is a wait of zero. A number that does not fit in 64 bits is the longest possible wait.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now: SystemTime = httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?).ok()?;
    Some(until.duration_since(now).unwrap_or(Duration::ZERO))
}
