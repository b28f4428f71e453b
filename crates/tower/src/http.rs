use std::time::{Duration, SystemTime};

use ::http::{HeaderMap, Response, StatusCode, header};
use outbound_retry::Verdict;

/// What an HTTP response is worth: a verdict for [`Retry::when_result`](outbound_retry::Retry::when_result).
///
/// 408, 429, 500, 502, 503 and 504 are retried, after the time that [`retry_after`] finds where there is one. Any other
/// status is accepted. Every error of the service is retried; a service whose errors differ needs a verdict of its own.
///
/// The body is not looked at. Whether it is safe to send the request again, the policy's owner knows.
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

/// The wait that `Retry-After` asks for (RFC 9110, section 10.2.3): a number of seconds, or a date, which is read against
/// the response's own `Date`. `None` where there is none, where it is neither, and for a date without a `Date`.
///
/// A date that has passed is no wait. A number too large for 64 bits is the longest there is.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now: SystemTime = httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?).ok()?;
    Some(until.duration_since(now).unwrap_or(Duration::ZERO))
}
