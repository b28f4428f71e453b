//! How long a server says to wait. A reply may say it in four ways at once, and the four may differ. Each one is read by
//! itself, and then they are put in order.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header};

use crate::{
    clock,
    duration::{self, Length},
    signals::Signals,
};

/// The waits in one reply, the most reliable kind first. None of them is zero.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hints {
    /// `retry-after-ms` and `x-ms-retry-after-ms`.
    pub(crate) exact: Option<Length>,
    /// `Retry-After`.
    pub(crate) header: Option<Length>,
    /// A field or a sentence of the body.
    pub(crate) body: Option<Length>,
    /// The reset of a limit of which nothing remains.
    pub(crate) reset: Option<Length>,
    /// Whether that reset is the time when a bucket is full again. The bucket is of use before that.
    pub(crate) reset_is_full: bool,
    /// Whether the reply names a limit of which nothing remains.
    pub(crate) nothing_remains: bool,
}

/// What stands in for `Retry-After` where that is missing: `LiteLLM`'s own limit, and what it relays of the provider
/// behind it ("Error Reference" in its documentation).
const LIKE_RETRY_AFTER: &[&str] = &["reset_at", "llm_provider-retry-after", "x-retry-after"];

impl Hints {
    /// What the headers tell.
    pub(crate) fn of_headers(headers: &HeaderMap, clock: SystemTime) -> Hints {
        let mut hints = Hints::default();
        for name in ["retry-after-ms", "x-ms-retry-after-ms"] {
            for value in headers.get_all(name) {
                let number = clock::text(Some(value))
                    .and_then(|value| duration::number(value.trim(), Duration::from_millis(1)));
                longer(&mut hints.exact, number);
            }
        }
        for value in headers.get_all(header::RETRY_AFTER) {
            longer(&mut hints.header, retry_after(value, clock));
        }
        for name in LIKE_RETRY_AFTER {
            if hints.header.is_none() {
                hints.header = headers.get(*name).and_then(|value| retry_after(value, clock));
                hints.header = hints.header.filter(|wait| !wait.time.is_zero());
            }
        }
        let signals = Signals::read(headers, clock, &[]);
        hints.nothing_remains = signals.iter().any(|signal| signal.remaining == Some(0));
        let (reset, is_full) = signals.exhausted();
        longer(&mut hints.reset, reset);
        hints.reset_is_full = is_full;
        let unified = |name: &str| clock::text(headers.get(name));
        if unified("anthropic-ratelimit-unified-status") == Some("rejected") {
            let reset = unified("anthropic-ratelimit-unified-reset").and_then(|at| clock::until(at, clock));
            longer(&mut hints.reset, reset);
        }
        hints
    }

    /// Whether the reply names a wait, and not only a reset.
    pub(crate) fn names_wait(&self) -> bool {
        self.exact.or(self.header).or(self.body).is_some()
    }

    /// Whether the reply has a wait or a reset.
    pub(crate) fn any(&self) -> bool {
        self.names_wait() || self.reset.is_some()
    }

    /// The wait: the first kind that is there. A later kind that is finer replaces it if the two differ by no more than one
    /// unit of the coarser one: `Retry-After: 1` is 80 ms rounded up, if the body says 80 ms. The time until a bucket is
    /// full is never a reason to wait longer.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let kinds = [(self.exact, true), (self.header, true), (self.body, true)];
        let mut kinds = kinds
            .into_iter()
            .chain([(self.reset, !self.reset_is_full)])
            .filter_map(|(length, may_lengthen)| Some((length?, may_lengthen)));
        let (mut best, _) = kinds.next()?;
        for (length, may_lengthen) in kinds {
            let apart = length.time.abs_diff(best.time);
            let longer = length.time > best.time;
            if length.unit < best.unit && apart <= best.unit && (may_lengthen || !longer) {
                best = length;
            }
        }
        Some(best.time)
    }
}

/// Adds another wait of the same kind. The longer one counts. Zero is no wait.
pub(crate) fn longer(hint: &mut Option<Length>, other: Option<Length>) {
    let other = other.filter(|other| !other.time.is_zero());
    if other.map(|other| other.time) > hint.map(|hint| hint.time) {
        *hint = other;
    }
}

/// `12`, `1.5`, `1.5s`, a date, an epoch, or a list of them, which two proxies in a row make.
fn retry_after(value: &HeaderValue, clock: SystemTime) -> Option<Length> {
    let value = clock::text(Some(value))?;
    clock::until(value, clock).or_else(|| {
        let mut longest = None;
        for part in value.split(',') {
            longer(&mut longest, clock::until(part, clock));
        }
        longest
    })
}

/// Words that stand before the length of time in a sentence that asks to wait.
const PHRASES: &[&str] = &[
    "again in",
    "again after",
    "retry in",
    "retry after",
    "retry-after",
    "retry_after",
    "retrying in",
    "try after",
    "please wait",
    "must wait",
    "should wait",
    "need to wait",
    "have to wait",
    "and wait",
    "then wait",
    "wait for",
    "wait at least",
    "reset in",
    "resets in",
    "reset after",
    "resets after",
    "reset at",
    "resets at",
    "again at",
    "refreshes in",
    "available in",
    "available again in",
    "expires in",
    "back off for",
    "limited for",
];

/// Words that may stand between.
const BETWEEN: &[&str] = &["at least ", "about ", "approximately ", "around ", "another ", "for ", "in "];

/// The longest wait a message in lower case speaks of: "try again in 599ms", "Please wait 3 seconds". Points in
/// time need a clock.
pub(crate) fn of_sentence(wording: &str, clock: Option<SystemTime>) -> Option<Length> {
    let mut longest = None;
    for phrase in PHRASES {
        for rest in wording.split(phrase).skip(1) {
            let mut rest = rest.trim_start_matches([' ', ':', '=', '"', '\'']);
            while let Some(behind) = BETWEEN.iter().find_map(|word| rest.strip_prefix(word)) {
                rest = behind;
            }
            let length = duration::prose(rest);
            longer(&mut longest, length.or_else(|| clock::date_in(rest, clock?)));
        }
    }
    longest
}
