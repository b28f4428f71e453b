//! `RateLimit: "name";r=remaining;t=seconds` and `RateLimit-Policy: "name";q=limit;w=seconds;qu="requests"`,
//! draft-ietf-httpapi-ratelimit-headers-10: lists of structured-field items (RFC 9651). What is malformed is
//! ignored, as the draft demands.

use std::time::Duration;

use http::HeaderMap;

use super::{Dimension, Reset, Signal, Signals};
use crate::{clock, duration};

/// One item of either list. Both carry the policy's name, by which they belong together.
#[derive(Default)]
struct Item<'a> {
    name: &'a str,
    quota: Option<u64>,
    window: Option<Duration>,
    unit: Option<&'a str>,
    remaining: Option<u64>,
    reset: Option<Duration>,
}

pub(super) fn read(headers: &HeaderMap, signals: &mut Signals) {
    for limit in items(headers, "ratelimit") {
        let policy = items(headers, "ratelimit-policy").find(|policy| policy.name == limit.name);
        let policy = policy.unwrap_or_default();
        // Other units, such as bytes, are no limit of ours.
        if policy.unit.is_some_and(|unit| unit != "requests") {
            continue;
        }
        signals.push(Signal {
            dimension: Dimension::Requests,
            window: policy.window,
            limit: policy.quota.filter(|&quota| quota > 0),
            remaining: limit.remaining,
            reset: limit.reset.map(Reset::Window),
        });
    }
}

fn items<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = Item<'a>> {
    let values = headers.get_all(name).into_iter().filter_map(|value| clock::text(Some(value)));
    values.flat_map(|value| split(value, ',')).filter_map(item)
}

fn item(text: &str) -> Option<Item<'_>> {
    let mut parts = split(text, ';').map(str::trim);
    let mut item = Item { name: unquote(parts.next()?)?, ..Item::default() };
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match key {
            "q" => item.quota = value.parse().ok(),
            "r" => item.remaining = value.parse().ok(),
            "w" => item.window = seconds(value),
            "t" => item.reset = seconds(value),
            "qu" => item.unit = unquote(value),
            _ => {}
        }
    }
    Some(item)
}

fn seconds(text: &str) -> Option<Duration> {
    let whole = text.bytes().all(|b| b.is_ascii_digit());
    duration::billionths(text).filter(|_| whole).map(duration::nanos)
}

fn unquote(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

/// Splits at `separator` where it is not inside quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}
