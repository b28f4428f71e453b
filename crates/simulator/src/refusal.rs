//! An error status, and the forms in which a provider says how long to wait.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

/// A reply that refuses: an error status, the dialect's body for it, and the hints that are added.
///
/// Each hint is sent in its own form, and only if it is added. So a client can be tested against one form at a time, or
/// against several that disagree.
///
/// ```
/// use std::time::Duration;
/// use outbound_simulator::Refusal;
///
/// let overloaded = Refusal::status(503).retry_after(Duration::from_secs(2));
/// let limited = Refusal::rate_limited().hint(Duration::from_millis(599));
/// # assert_ne!(overloaded, limited);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) reason: Reason,
    // Replace the dialect's usual message, and OpenAI's usual type.
    pub(crate) message: Option<String>,
    pub(crate) kind: Option<&'static str>,
    pub(crate) hint: Option<Duration>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) retry_after_ms: Option<Duration>,
    pub(crate) retry_after_date: Option<Duration>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// The kind of the refusal. The status alone does not always say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The dialect's usual error for the status.
    Status,
    RateLimited,
    SlowDown,
    QuotaSpent,
    /// Gemini's 400 for a key that it does not know.
    WrongGeminiKey,
    /// A page of HTML, as a proxy sends it.
    Html,
}

impl Refusal {
    /// This status, with the body the dialect has for it: `Refusal::status(529)` is Anthropic's `overloaded_error`.
    /// A number that is no final status (outside 200 to 999) counts as 500.
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).ok().filter(|status| !status.is_informational());
        Self::new(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Reason::Status)
    }

    /// 429 for a limit per minute, with no hint.
    pub fn rate_limited() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, Reason::RateLimited)
    }

    /// 429 for traffic that grows too fast though it is within its limits: `slow_down` in OpenAI's dialect, an
    /// acceleration limit in Anthropic's.
    pub fn slow_down() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, Reason::SlowDown)
    }

    /// 429 because the money is spent. Waiting does not help: `insufficient_quota` in OpenAI's dialect,
    /// `enforced_spend_limit_reached` in Anthropic's, a quota per day in Gemini's, a
    /// usage limit per week in Ollama's.
    pub fn quota_spent() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, Reason::QuotaSpent)
    }

    /// This status with a page of HTML in place of JSON, as a proxy in front of the provider sends it.
    pub fn html(status: u16) -> Self {
        Self { reason: Reason::Html, ..Self::status(status) }
    }

    /// Adds `Retry-After` in whole seconds, rounded up (RFC 9110 section 10.2.3).
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Adds `retry-after-ms` in whole milliseconds, rounded up (OpenAI, Azure).
    pub fn retry_after_ms(self, wait: Duration) -> Self {
        Self { retry_after_ms: Some(wait), ..self }
    }

    /// Adds `Retry-After` as an HTTP-date on the simulator's wall clock, rounded up to a second.
    pub fn retry_after_date(self, wait: Duration) -> Self {
        Self { retry_after_date: Some(wait), ..self }
    }

    /// Adds "Please try again in 599ms." to the message, in Go's notation (OpenAI), or a `RetryInfo` to the details
    /// (Gemini). A page of HTML and Ollama have none.
    pub fn hint(self, wait: Duration) -> Self {
        Self { hint: Some(wait), ..self }
    }

    /// Adds any header: `x-should-retry`, or a `retry-after` that makes no sense.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn wrong_gemini_key() -> Self {
        Self::new(StatusCode::BAD_REQUEST, Reason::WrongGeminiKey)
    }

    pub(crate) fn message(self, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..self }
    }

    fn new(status: StatusCode, reason: Reason) -> Self {
        Self {
            status,
            reason,
            message: None,
            kind: None,
            hint: None,
            retry_after: None,
            retry_after_ms: None,
            retry_after_date: None,
            headers: Vec::new(),
        }
    }
}
