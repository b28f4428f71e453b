//! The rule table: which status, code or wording means which class. The words of all providers are in one table, because
//! gateways use those of several, and no word means two things.

use Class::{Overloaded, QuotaSpent, RampLimited, RateLimited, Transient};

use crate::{Class, Terminal, error_body::ErrorBody, hints::Hints};

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
    ("insufficient_credits", QuotaSpent),
    ("insufficient_funds", QuotaSpent),
    ("out_of_credits", QuotaSpent),
    ("credits_exhausted", QuotaSpent),
    ("billing_not_enabled", QuotaSpent),
    ("billing_disabled", QuotaSpent),
    ("arrearage", QuotaSpent),
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
    ("invalid_authentication", Class::Terminal(Terminal::Auth)),
    ("invalid_authentication_error", Class::Terminal(Terminal::Auth)),
];

/// Wordings that decide where the status alone does not: (status, part of the message in lower case, class). The first
/// that fits wins.
const WORDINGS: &[(u16, &str, Class)] = &[
    // One request that is larger than a whole limit. It can never pass, however long it waits.
    (429, "request too large", Class::Terminal(Terminal::TooLarge)),
    (429, "acceleration", RampLimited),
    (429, "increased too quickly", RampLimited),
    (429, "overloaded", Overloaded),
    (429, "temporarily limiting", Overloaded),
    (503, "slow down", RampLimited),
    (400, "credit balance is too low", QuotaSpent),
    (400, "specified api usage limits", QuotaSpent),
    (403, "insufficient balance", QuotaSpent),
    (403, "payment is past due", QuotaSpent),
    (400, "api key not valid", Class::Terminal(Terminal::Auth)),
    (400, "prompt is too long", Class::Terminal(Terminal::ContextLength)),
    (400, "maximum context length", Class::Terminal(Terminal::ContextLength)),
    (400, "context window", Class::Terminal(Terminal::ContextLength)),
    (400, "context length", Class::Terminal(Terminal::ContextLength)),
    (400, "context limit", Class::Terminal(Terminal::ContextLength)),
    // Moonshot, `DashScope`.
    (400, "exceeded model token limit", Class::Terminal(Terminal::ContextLength)),
    (400, "input token length too long", Class::Terminal(Terminal::ContextLength)),
    (400, "range of input length", Class::Terminal(Terminal::ContextLength)),
    (400, "content management policy", Class::Terminal(Terminal::ContentFilter)),
    (403, "moderation", Class::Terminal(Terminal::ContentFilter)),
    (403, "flagged", Class::Terminal(Terminal::ContentFilter)),
    (403, "rate limit", RateLimited),
    (403, "too many requests", RateLimited),
    (403, "abuse detection", RateLimited),
    (422, "context length", Class::Terminal(Terminal::ContextLength)),
    (413, "context length", Class::Terminal(Terminal::ContextLength)),
    (500, "overloaded", Overloaded),
];

/// Parts of codes, in lower case and without signs. A code with such a part is a refusal for the rate, whatever the status
/// is:
/// `rateLimitExceeded`, `RATE_LIMIT_EXCEEDED`, `ThrottlingException`, `Throttling.RateQuota`.
const THROTTLED: &[&str] = &[
    "ratelimit",
    "throttl",
    "toomanyrequest",
    "resourceexhausted",
    "requestlimitexceeded",
    "throughputexceeded",
    "quotaexceeded",
    "concurrencylimit",
    "concurrentlimit",
    "concurrentrequest",
    "maxparallel",
    "slowdown",
    "toomanytokens",
    "limitburst",
    "dailylimit",
];

/// A budget of a day or a month that is used up, as codes say it.
const PER_DAY: &[&str] = &["perday", "permonth", "dailylimit", "dailyquota", "monthlylimit", "monthlyquota"];
/// The same in sentences. A sentence that says how to get more does not say that anything is used up.
const BUDGETS: &[&str] = &[
    "per day",
    "per-day",
    "daily quota",
    "daily limit",
    "daily usage",
    "daily request",
    "daily token",
    "daily free",
    "rpd limit",
    "tpd limit",
    // Ollama's cloud.
    "hourly usage limit",
    "session usage limit",
    "weekly usage limit",
    "weekly limit",
    "per month",
    "per-month",
    "monthly quota",
    "monthly limit",
    "monthly usage",
    "monthly spend",
    "monthly budget",
];
const USED_UP: &[&str] = &["exceed", "exhaust", "used up", "reached", "spent", "ran out", "run out", "hit "];
const ADVICE: &[&str] =
    &["upgrade", "subscribe", "switch to", "for more", "to get ", "to increase", "purchase"];
/// Money that is used up, in sentences.
const MONEY: &[&str] = &[
    "insufficient balance",
    "insufficient credit",
    "insufficient funds",
    "out of credits",
    "credits are depleted",
];

/// Names of a limit on requests at one time, in sentences and in codes.
const PARALLEL: &[&str] = &[
    "concurren",
    "parallel request",
    "parallel_request",
    "parallelrequest",
    "max parallel",
    "max_parallel",
    "parallel call",
    "simultaneous request",
    "simultaneous call",
    "in-flight request",
    "in flight request",
    "并发",
];
/// A sentence with one of these words is advice.
const LOWER: &[&str] = &["reduce", "lower ", "decrease", "fewer"];

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

/// The status that a message stands for, for errors that come without status and code.
const IMPLIED_BY_WORDING: &[(&str, u16)] = &[
    ("rate limit exceeded", 429),
    ("rate limit reached", 429),
    ("rate limit quota", 429),
    ("rate limited", 429),
    ("rate-limited", 429),
    ("exceeded your rate limit", 429),
    ("exceeds rate limit", 429),
    ("too many requests", 429),
    ("too many concurrent", 429),
    ("overloaded", 503),
    ("service unavailable", 503),
    ("insufficient balance", 402),
    ("invalid api key", 401),
    ("incorrect api key", 401),
    ("unauthorized", 401),
    ("maximum context length", 400),
    ("context window", 400),
];

/// A refused 403 that speaks of one of these concerns the key, not the request.
const OF_THE_KEY: &[&str] = &[
    "api key",
    "api_key",
    "api-key",
    "apikey",
    "credential",
    "account",
    "organization",
    "country",
    "suspended",
];

/// The class of a refusal, whose body may be empty. `hints` has the waits of the headers and the body.
///
/// The provider's own codes go first. Then a code for money goes before any hint. A sentence about a day or a month never
/// goes before a hint: a server that says how long to wait is believed.
pub(crate) fn class(status: u16, body: &ErrorBody, hints: &Hints, own: &[(&str, Class)]) -> Class {
    let of = |table: &[(&str, Class)], word: &String| {
        table.iter().find(|(code, _)| same(code, word)).map(|&(_, class)| class)
    };
    if let Some(class) = body.words.iter().chain(&body.numbers).find_map(|word| of(own, word)) {
        return class;
    }
    let known = |word: &String| of(CODES, word);
    let mut codes = body.words.iter().filter_map(known);
    let first = codes.next();
    if first == Some(QuotaSpent) || codes.any(|class| class == QuotaSpent) {
        return QuotaSpent;
    }
    let status = match status {
        400 | 403 | 420 if is_throttled(body) => 429,
        403 | 500..=503 if body.status == Some(429) => 429,
        other => other,
    };
    let by_wording = || {
        WORDINGS.iter().find(|(of, part, _)| *of == status && body.wording.contains(part)).map(|rule| rule.2)
    };
    if let Some(class) = first.or_else(by_wording) {
        return class;
    }
    if matches!(status, 403 | 429) {
        // Gemini's `quotaId` names a day. The `RetryInfo` beside it names some seconds, but after these the request is refused
        // again.
        let headers_tell = hints.exact.or(hints.header).or(hints.reset).is_some();
        if (names_a_day(body) && !headers_tell) || (!hints.any() && !body.is_dated && is_budget(body)) {
            return QuotaSpent;
        }
    }
    by_status(status, hints)
}

/// The class of a refusal of which only status and headers count.
pub(crate) fn by_status(status: u16, hints: &Hints) -> Class {
    Class::Terminal(match status {
        429 | 420 => return RateLimited,
        // A budget that requests in flight hold.
        402 if hints.names_wait() => return RateLimited,
        402 => return QuotaSpent,
        // Nothing remains, and the reply says for how long. GitHub does so.
        403 if hints.nothing_remains && hints.any() => return RateLimited,
        498 | 503 | 529 => return Overloaded,
        // What a retry cannot change: the method, the version or the network's log-in page.
        501 | 505 | 511 => Terminal::BadRequest,
        408 | 409 | 425 | 499 | 500..=599 => return Transient,
        401 | 407 => Terminal::Auth,
        403 => Terminal::Forbidden,
        404 | 410 => Terminal::NotFound,
        413 => Terminal::TooLarge,
        400..=499 => Terminal::BadRequest,
        _ => Terminal::Unexpected,
    })
}

/// The status that an error inside a 200 stands for. An unknown error stands for 500, which may pass.
pub(crate) fn implied_status(body: &ErrorBody) -> u16 {
    let by_word = || {
        let statuses = body.words.iter().filter_map(|word| IMPLIED.iter().find(|(code, _)| same(code, word)));
        statuses.map(|&(_, status)| status).next().or_else(|| is_throttled(body).then_some(429))
    };
    let by_wording =
        || IMPLIED_BY_WORDING.iter().find(|(part, _)| body.wording.contains(part)).map(|&(_, status)| status);
    body.status.or_else(by_word).or_else(by_wording).unwrap_or(500)
}

/// Whether every other request with the same key or account will fail too.
pub(crate) fn is_of_account(class: Class, body: &ErrorBody) -> bool {
    match class {
        QuotaSpent | Class::Terminal(Terminal::Auth) => true,
        // The account may not use this model. That says nothing about other models.
        Class::Terminal(Terminal::Forbidden) => {
            let of_the_key = |text: &str| OF_THE_KEY.iter().any(|part| text.contains(part));
            let spoken = of_the_key(&body.wording) || body.words.iter().any(|word| of_the_key(word));
            spoken && !body.wording.contains("model")
        }
        _ => false,
    }
}

/// Whether it is the number of requests at one time that was refused.
pub(crate) fn is_parallel(class: Class, body: &ErrorBody) -> bool {
    class == RateLimited
        && (body.words.iter().any(|word| names_parallel(word))
            || sentences(&body.wording).any(names_parallel))
}

/// Whether a word or a sentence names a limit on requests at one time.
pub(crate) fn names_parallel(text: &str) -> bool {
    has(text, PARALLEL) && !has(text, LOWER)
}

fn is_throttled(body: &ErrorBody) -> bool {
    body.words.iter().any(|word| {
        let letters: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
        has(&letters, THROTTLED)
    })
}

/// The letters and digits of each word.
fn letters(body: &ErrorBody) -> impl Iterator<Item = String> {
    body.words.iter().map(|word| word.chars().filter(char::is_ascii_alphanumeric).collect())
}

fn names_a_day(body: &ErrorBody) -> bool {
    letters(body).any(|word| has(&word, PER_DAY))
}

/// Whether a sentence says that a budget of a day, of a month or of money is used up, and is no advice.
fn is_budget(body: &ErrorBody) -> bool {
    let used_up = |text: &str| has(text, BUDGETS) && has(text, USED_UP) && !has(text, ADVICE);
    let sentence = || sentences(&body.wording).any(|text| used_up(text) || has(text, MONEY));
    !letters(body).any(|word| is_of_a_rate(&word)) && sentence()
}

/// Whether a code names a rate.
fn is_of_a_rate(word: &str) -> bool {
    has(word, &["ratelimit", "throttl", "toomanyrequest"])
}

/// The sentences, cut at commas too: advice often follows a comma.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', ';', '!']).flat_map(|line| line.split(". ")).flat_map(|sentence| sentence.split(", "))
}

fn has(text: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| text.contains(part))
}

/// Whether two words are the same but for signs and case: `rate_limit_exceeded`, `rateLimitExceeded`.
fn same(code: &str, word: &str) -> bool {
    let letters = |text: &str| -> usize { text.bytes().filter(u8::is_ascii_alphanumeric).count() };
    let pairs = || {
        let letters =
            |text| str::bytes(text).filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase());
        letters(code).zip(letters(word))
    };
    letters(code) == letters(word) && pairs().all(|(a, b)| a == b)
}
