//! The rule table: which status, code or wording means which class. Providers' vocabularies are put together
//! in one table, because gateways speak several of them and no word means two things.

use Class::{Overloaded, QuotaSpent, RampLimited, RateLimited, Transient};

use crate::{Class, Terminal, error_body::ErrorBody};

/// Codes that decide whatever the status is.
const CODES: &[(&str, Class)] = &[
    ("insufficient_quota", QuotaSpent),
    ("credit_balance_exhausted", QuotaSpent),
    ("organization_spend_limit_exceeded", QuotaSpent),
    ("project_spend_limit_exceeded", QuotaSpent),
    ("organization_usage_limit_exceeded", QuotaSpent),
    ("enforced_spend_limit_reached", QuotaSpent),
    ("billing_hard_limit_reached", QuotaSpent),
    ("billing_not_active", QuotaSpent),
    ("billing_error", QuotaSpent),
    ("insufficient_balance", QuotaSpent),
    ("slow_down", RampLimited),
    ("limit_burst_rate", RampLimited),
    ("overloaded", Overloaded),
    ("overloaded_error", Overloaded),
    ("engine_overloaded_error", Overloaded),
    ("engine_overloaded", Overloaded),
    ("server_is_overloaded", Overloaded),
    ("server_overloaded", Overloaded),
    ("model_overloaded", Overloaded),
    ("capacity_exceeded", Overloaded),
    ("content_filter", Class::Terminal(Terminal::ContentFilter)),
    ("content_policy_violation", Class::Terminal(Terminal::ContentFilter)),
    ("responsibleaipolicyviolation", Class::Terminal(Terminal::ContentFilter)),
    ("moderation_blocked", Class::Terminal(Terminal::ContentFilter)),
    ("data_inspection_failed", Class::Terminal(Terminal::ContentFilter)),
    ("context_length_exceeded", Class::Terminal(Terminal::ContextLength)),
    ("model_max_length_exceeded", Class::Terminal(Terminal::ContextLength)),
    ("request_too_large", Class::Terminal(Terminal::TooLarge)),
    ("model_not_found", Class::Terminal(Terminal::NotFound)),
    ("invalid_api_key", Class::Terminal(Terminal::Auth)),
    ("api_key_invalid", Class::Terminal(Terminal::Auth)),
    ("authentication_error", Class::Terminal(Terminal::Auth)),
    ("account_deactivated", Class::Terminal(Terminal::Auth)),
    ("consumer_suspended", Class::Terminal(Terminal::Auth)),
];

/// Wordings that decide where a status leaves room: (status, part of the message in lower case, class). The
/// first that fits wins.
const WORDINGS: &[(u16, &str, Class)] = &[
    // One request above a whole limit: it can never pass, however long it waits.
    (429, "request too large", Class::Terminal(Terminal::TooLarge)),
    (429, "acceleration", RampLimited),
    (429, "increased too quickly", RampLimited),
    (429, "overloaded", Overloaded),
    (429, "temporarily limiting", Overloaded),
    (429, "per day", QuotaSpent),
    (429, "per-day", QuotaSpent),
    (429, "daily", QuotaSpent),
    (429, "per month", QuotaSpent),
    (429, "per-month", QuotaSpent),
    (429, "monthly", QuotaSpent),
    (429, "insufficient balance", QuotaSpent),
    (503, "slow down", RampLimited),
    (400, "credit balance is too low", QuotaSpent),
    (400, "specified api usage limits", QuotaSpent),
    (400, "api key not valid", Class::Terminal(Terminal::Auth)),
    (400, "prompt is too long", Class::Terminal(Terminal::ContextLength)),
    (400, "maximum context length", Class::Terminal(Terminal::ContextLength)),
    (400, "context window", Class::Terminal(Terminal::ContextLength)),
    (400, "context length", Class::Terminal(Terminal::ContextLength)),
    (400, "content management policy", Class::Terminal(Terminal::ContentFilter)),
    (403, "moderation", Class::Terminal(Terminal::ContentFilter)),
    (403, "flagged", Class::Terminal(Terminal::ContentFilter)),
    (422, "context length", Class::Terminal(Terminal::ContextLength)),
    (413, "context length", Class::Terminal(Terminal::ContextLength)),
    (500, "overloaded", Overloaded),
];

/// The status a code stands for, for errors that come without one: inside a 200, or inside a stream.
const IMPLIED: &[(&str, u16)] = &[
    ("invalid_request_error", 400),
    ("invalid_request", 400),
    ("invalid_argument", 400),
    ("failed_precondition", 400),
    ("invalid_prompt", 400),
    ("badrequesterror", 400),
    ("unauthenticated", 401),
    ("permission_error", 403),
    ("permission_denied", 403),
    ("not_found_error", 404),
    ("not_found", 404),
    ("timeout_error", 504),
    ("deadline_exceeded", 504),
    ("rate_limit_error", 429),
    ("rate_limit_exceeded", 429),
    ("rate_limited", 429),
    ("too_many_requests", 429),
    ("resource_exhausted", 429),
    ("unavailable", 503),
    ("service_unavailable", 503),
    ("serviceunavailable", 503),
    ("service_unavailable_error", 503),
    ("api_error", 500),
    ("server_error", 500),
    ("internal_server_error", 500),
    ("internal_error", 500),
    ("internal", 500),
];

/// A refused 403 that speaks of one of these concerns the key, not the request.
const OF_THE_KEY: &[&str] =
    &["api key", "api_key", "api-key", "credential", "account", "organization", "country", "suspended"];

/// The class of a refusal, whose body may be empty.
///
/// `told_to_wait`: a `Retry-After` was there. It turns a 402, else final, into a budget for requests in
/// flight.
pub(crate) fn class(status: u16, body: &ErrorBody, told_to_wait: bool) -> Class {
    let by_code = body.words.iter().find_map(|word| {
        let per_day = status == 429 && (word.contains("perday") || word.contains("per_day"));
        let known = CODES.iter().find(|(code, _)| code == word).map(|&(_, class)| class);
        if per_day { Some(QuotaSpent) } else { known }
    });
    let by_wording = || {
        WORDINGS.iter().find(|(of, part, _)| *of == status && body.wording.contains(part)).map(|rule| rule.2)
    };
    by_code.or_else(by_wording).unwrap_or_else(|| by_status(status, told_to_wait))
}

/// The class of a refusal of which only the status counts.
pub(crate) fn by_status(status: u16, told_to_wait: bool) -> Class {
    Class::Terminal(match status {
        429 => return RateLimited,
        402 if told_to_wait => return RateLimited,
        402 => return QuotaSpent,
        498 | 503 | 529 => return Overloaded,
        // What a retry cannot change: the method, the version or the network's log-in page.
        501 | 505 | 511 => Terminal::BadRequest,
        408 | 409 | 425 | 500..=599 => return Transient,
        401 | 407 => Terminal::Auth,
        403 => Terminal::Forbidden,
        404 | 410 => Terminal::NotFound,
        413 => Terminal::TooLarge,
        400..=499 => Terminal::BadRequest,
        _ => Terminal::Unexpected,
    })
}

/// The status an error would have had, had it not come inside a 200. Unknown is 500: it may pass.
pub(crate) fn implied_status(body: &ErrorBody) -> u16 {
    let by_word = || {
        let statuses = body.words.iter().filter_map(|word| IMPLIED.iter().find(|(code, _)| code == word));
        statuses.map(|&(_, status)| status).next()
    };
    body.status.or_else(by_word).unwrap_or(500)
}

/// Whether every other request with the same key will fail too.
pub(crate) fn stops_scope(class: Class, body: &ErrorBody) -> bool {
    match class {
        QuotaSpent | Class::Terminal(Terminal::Auth) => true,
        // A model that this account may not use says nothing about the other models.
        Class::Terminal(Terminal::Forbidden) => {
            let of_the_key = |text: &str| OF_THE_KEY.iter().any(|part| text.contains(part));
            let spoken = of_the_key(&body.wording) || body.words.iter().any(|word| of_the_key(word));
            spoken && !body.wording.contains("model")
        }
        _ => false,
    }
}
