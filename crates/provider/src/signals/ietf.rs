//! The drafts of the standard, draft-ietf-httpapi-ratelimit-headers. Each has a form of its own. Malformed headers are
//! ignored, as the drafts demand.
//!
//! | draft | limits | state |
//! |---|---|---|
//! | 3 | `RateLimit-Limit: 5, 5;w=1, 1000;w=3600` | `RateLimit-Remaining`, `RateLimit-Reset` |
//! | 6 | `RateLimit-Policy: 5;w=1, 1000;w=3600` | the same |
//! | 7 | the same | `RateLimit: limit=5, remaining=2, reset=1` |
//! | 8 to 10 | `RateLimit-Policy: "name";q=5;w=1;qu="requests"` | `RateLimit: "name";r=2;t=1` |

use std::time::Duration;

use http::HeaderMap;

use super::{Dimension, Found, Key, Reset, Signal, Signals, natural};
use crate::{
    clock,
    duration::{self, Length},
};

const STATE: &str = "ratelimit";
const POLICY: &str = "ratelimit-policy";
const LIMIT: &str = "ratelimit-limit";

/// Whether a header of this name is read here.
pub(super) fn is_one(name: &str) -> bool {
    name == STATE || name.ends_with(POLICY) || name.ends_with(LIMIT)
}

/// One item of a list of policies or of states. In drafts 8 to 10 a name says which policy and state belong together.
#[derive(Clone, Copy, Default)]
struct Item<'a> {
    name: &'a str,
    quota: Option<u64>,
    window: Option<Duration>,
    unit: Option<&'a str>,
    remaining: Option<u64>,
    reset: Option<Length>,
}

/// Adds a signal for each policy and each named state. The limit without a name is already in `found`, and gets its window
/// from here.
pub(super) fn read<'a>(headers: &'a HeaderMap, found: &mut Found<'a>, signals: &mut Signals) {
    let dictionary = dictionary(headers);
    if let Some(state) = dictionary.filter(|state| state.remaining.or(state.quota).is_some())
        && let Some(raw) = found.slot(Key::PLAIN)
    {
        raw.limit = raw.limit.or(state.quota.map(Some));
        raw.remaining = raw.remaining.or(state.remaining);
        raw.reset = raw.reset.or(state.reset);
    }
    let states = || items(headers, STATE).filter(|_| dictionary.is_none());
    for state in states() {
        let policy = policies(headers).find(|policy| policy.name == state.name).unwrap_or_default();
        let policy = Item { remaining: state.remaining, reset: state.reset, ..policy };
        push(policy, signals);
    }
    // Of several policies without a name, the state describes the one that is nearest to its end.
    let plain = found.0.iter_mut().flatten().find(|(key, _)| *key == Key::PLAIN).map(|(_, raw)| raw);
    let described = plain.and_then(|raw| {
        let quota = raw.limit.flatten()?;
        let policy =
            policies(headers).find(|policy| policy.quota == Some(quota) && policy.window.is_some())?;
        raw.period = policy.window;
        Some((policy.quota, policy.window))
    });
    for policy in policies(headers).filter(|policy| policy.window.is_some()) {
        let in_full = described.is_some_and(|described| described == (policy.quota, policy.window));
        if !in_full && !states().any(|state| state.name == policy.name) {
            push(policy, signals);
        }
    }
}

fn push(item: Item<'_>, signals: &mut Signals) {
    let dimension = match item.unit {
        None | Some("requests" | "request") => Dimension::Requests,
        Some("tokens") => Dimension::Tokens,
        // Other units, such as bytes, are not limits that matter here.
        Some(_) => return,
    };
    let signal = Signal {
        dimension,
        window: item.window.or_else(|| natural(item.reset?.time)),
        window_is_named: item.window.is_some(),
        limit: item.quota.filter(|&quota| quota > 0),
        remaining: item.remaining,
        reset: item.reset.map(|reset| Reset::Window(reset.time)),
    };
    signals.push(signal, item.reset.map(|reset| reset.unit));
}

/// All policies, with and without names. The first number of `RateLimit-Limit` is no policy.
fn policies(headers: &HeaderMap) -> impl Iterator<Item = Item<'_>> {
    let prefixed = ["x-ratelimit-limit", "x-ratelimit-policy"];
    [LIMIT, POLICY].into_iter().chain(prefixed).flat_map(|name| items(headers, name))
}

/// Draft 7: `limit=5, remaining=2, reset=1`.
fn dictionary(headers: &HeaderMap) -> Option<Item<'_>> {
    let mut state = Item::default();
    let mut any = false;
    for value in headers.get_all(STATE).into_iter().filter_map(|value| clock::text(Some(value))) {
        for part in value.split(',') {
            let Some((key, value)) = part.trim().split_once('=') else { continue };
            match key.trim() {
                "limit" => state.quota = value.trim().parse().ok(),
                "remaining" => state.remaining = value.trim().parse().ok(),
                "reset" => state.reset = seconds(value.trim()),
                _ => continue,
            }
            any = true;
        }
    }
    any.then_some(state)
}

fn items<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = Item<'a>> {
    let values = headers.get_all(name).into_iter().filter_map(|value| clock::text(Some(value)));
    values.flat_map(|value| split(value, ',')).filter_map(item)
}

/// `"name";r=1;t=1`, `name;q=2;w=1`, or `5;w=1`, which has no name but a quota.
fn item(text: &str) -> Option<Item<'_>> {
    let mut parts = split(text, ';').map(str::trim);
    let first = parts.next()?;
    let mut item = match first.parse() {
        Ok(quota) => Item { quota: Some(quota), ..Item::default() },
        Err(_) => Item { name: name(first)?, ..Item::default() },
    };
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match key.trim() {
            "q" => item.quota = value.parse().ok(),
            "r" => item.remaining = value.parse().ok(),
            "w" => item.window = seconds(value).map(|window| window.time).filter(|window| !window.is_zero()),
            "t" => item.reset = seconds(value),
            "qu" => item.unit = name(value),
            _ => {}
        }
    }
    Some(item)
}

fn seconds(text: &str) -> Option<Length> {
    let whole = text.bytes().all(|b| b.is_ascii_digit());
    duration::number(text, Duration::from_secs(1)).filter(|_| whole)
}

/// A string in quotes, or a token.
fn name(text: &str) -> Option<&str> {
    if let Some(text) = text.strip_prefix('"') {
        return text.strip_suffix('"');
    }
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-_.*/:".contains(&b);
    (!text.is_empty() && text.bytes().all(is_token)).then_some(text)
}

/// Splits at `separator` where it is not inside quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}
