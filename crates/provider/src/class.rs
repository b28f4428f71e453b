//! The classes of failures.

use std::fmt;

/// What went wrong with a call, as far as it matters for what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// A limit was reached: on the rate, or on requests at one time. Nobody on that quota should send before the wait
    /// is over that the server asks for.
    RateLimited,
    /// The rate is allowed, but it grew too fast. What holds for [`RateLimited`](Class::RateLimited) holds here, and
    /// the rate has to grow more slowly from then on.
    RampLimited,
    /// The provider has too much work. The caller's own quota is not the cause.
    Overloaded,
    /// A passing failure: the same request may succeed a moment later.
    Transient,
    /// Nobody knows whether the request was processed: it was sent whole, and no answer came. No reply is ever of
    /// this class. It is for the code that sends.
    Ambiguous,
    /// A success whose body is no answer: cut JSON, a page of markup, no choices. It may have been paid for.
    Unreadable,
    /// A streamed reply broke off, stalled, or held something that is not of its format.
    StreamBroken,
    /// A budget is used up: money, or a limit per day or month. To retry is useless.
    QuotaSpent,
    /// The request itself, or the right to make it, is at fault. It will fail again.
    Terminal(Terminal),
}

/// Why a request can never succeed as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Terminal {
    /// The request is malformed, or asks for what is not supported.
    BadRequest,
    /// The key is missing, wrong or revoked.
    Auth,
    /// The key is valid, but it may not do this.
    Forbidden,
    /// No such path, model or deployment.
    NotFound,
    /// The request is larger than the provider, or a whole limit, allows.
    TooLarge,
    /// The prompt does not fit into the model's context; a larger model might take it.
    ContextLength,
    /// The provider refuses the content of the prompt or of the answer.
    ContentFilter,
    /// A status that is no answer to such a request, for example a redirect.
    Unexpected,
}

impl Class {
    /// A stable name in `snake_case`, for records and metrics. A terminal class has the name of its reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::RateLimited => "rate_limited",
            Class::RampLimited => "ramp_limited",
            Class::Overloaded => "overloaded",
            Class::Transient => "transient",
            Class::Ambiguous => "ambiguous",
            Class::Unreadable => "unreadable",
            Class::StreamBroken => "stream_broken",
            Class::QuotaSpent => "quota_spent",
            Class::Terminal(Terminal::BadRequest) => "bad_request",
            Class::Terminal(Terminal::Auth) => "auth",
            Class::Terminal(Terminal::Forbidden) => "forbidden",
            Class::Terminal(Terminal::NotFound) => "not_found",
            Class::Terminal(Terminal::TooLarge) => "too_large",
            Class::Terminal(Terminal::ContextLength) => "context_length",
            Class::Terminal(Terminal::ContentFilter) => "content_filter",
            Class::Terminal(Terminal::Unexpected) => "unexpected",
        }
    }

    /// Whether sending the same request again can help at all: true of every class but
    /// [`QuotaSpent`](Class::QuotaSpent) and [`Terminal`](Class::Terminal). Whether it is *allowed* is
    /// another question for [`Ambiguous`](Class::Ambiguous), [`Unreadable`](Class::Unreadable) and
    /// [`StreamBroken`](Class::StreamBroken).
    pub const fn is_retryable(self) -> bool {
        !matches!(self, Class::QuotaSpent | Class::Terminal(_))
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::RateLimited => "rate limited",
            Class::RampLimited => "rate grew too fast",
            Class::Overloaded => "provider overloaded",
            Class::Transient => "passing failure",
            Class::Ambiguous => "no answer to a request that was sent",
            Class::Unreadable => "unreadable answer",
            Class::StreamBroken => "broken stream",
            Class::QuotaSpent => "quota spent",
            Class::Terminal(Terminal::BadRequest) => "bad request",
            Class::Terminal(Terminal::Auth) => "not authenticated",
            Class::Terminal(Terminal::Forbidden) => "forbidden",
            Class::Terminal(Terminal::NotFound) => "not found",
            Class::Terminal(Terminal::TooLarge) => "request too large",
            Class::Terminal(Terminal::ContextLength) => "prompt longer than the model's context",
            Class::Terminal(Terminal::ContentFilter) => "content refused",
            Class::Terminal(Terminal::Unexpected) => "unexpected status",
        })
    }
}
