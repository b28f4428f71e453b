//! What the name of a header says: which limit it belongs to, and which of its numbers it holds.

use std::time::Duration;

use super::{DAY, Dimension, HOUR, MINUTE, MONTH, SECOND};

/// Which limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key<'a> {
    pub(super) dimension: Dimension,
    /// The window that the name or the documentation gives.
    pub(super) window: Option<Duration>,
    /// Whether the limit is a bucket that fills steadily. Then the reset is the time until it is full.
    pub(super) fills_steadily: bool,
    /// Whose limit it is (a key, a team, a model), if one reply reports several.
    pub(super) scope: &'a [u8],
}

impl Key<'_> {
    /// The limit of headers that give numbers only.
    pub(super) const PLAIN: Key<'static> =
        Key { dimension: Dimension::Requests, window: None, fills_steadily: false, scope: b"" };
}

pub(super) enum Field {
    Limit,
    Remaining,
    Reset,
    /// The length of the window.
    Period,
    /// The resource that the limit is for. The word is `GitHub`'s.
    Resource,
    Used,
}

pub(super) fn read(name: &str) -> Option<(Key<'_>, Field)> {
    if let Some(name) = name.strip_prefix("anthropic-ratelimit-") {
        let (key, field) = parts(name)?;
        return Some((Key { window: Some(MINUTE), fills_steadily: true, ..key }, field))
            .filter(|_| key.scope.is_empty());
    }
    let name = name.strip_prefix("x-").unwrap_or(name);
    if let Some(name) = name.strip_prefix("ratelimitbysize-") {
        let (key, field) = parts(name)?;
        let window = key.window.or(Some(MINUTE));
        return Some((Key { dimension: Dimension::Tokens, window, fills_steadily: false, ..key }, field));
    }
    if let Some(name) = name.strip_prefix("tokenlimit-") {
        let (key, field) = parts(name)?;
        return Some((Key { dimension: Dimension::Tokens, ..key }, field));
    }
    if let Some(name) = name.strip_prefix("litellm-key-") {
        // The same limit that `x-ratelimit-api_key-limit-requests` tells.
        let (key, field) = parts(name)?;
        return Some((Key { scope: b"api_key", fills_steadily: false, ..key }, field))
            .filter(|_| key.scope.is_empty());
    }
    let name = name.strip_prefix("ratelimit-").or_else(|| name.strip_prefix("rate-limit-"))?;
    let (key, field) = parts(name)?;
    // LiteLLM counts by the minute.
    let window = if key.scope.is_empty() { key.window } else { key.window.or(Some(MINUTE)) };
    Some((Key { window, ..key }, field))
}

/// Reads `limit-requests-day`, `remaining-tokens`, `api_key-limit-requests`: what a limit is for stands before the
/// field, the rest in any order. A word that is not known makes the whole name unknown.
fn parts(name: &str) -> Option<(Key<'_>, Field)> {
    let mut field = None;
    let mut dimension = None;
    let mut window = None;
    let mut scope: &[u8] = b"";
    for part in name.as_bytes().split(|&byte| byte == b'-') {
        match part {
            b"limit" if field.is_none() => field = Some(Field::Limit),
            b"remaining" if field.is_none() => field = Some(Field::Remaining),
            b"reset" if field.is_none() => field = Some(Field::Reset),
            b"renewalperiod" | b"period" | b"window" if field.is_none() => field = Some(Field::Period),
            b"resource" if field.is_none() => field = Some(Field::Resource),
            b"used" if field.is_none() => field = Some(Field::Used),
            // `reset-after` is a reset in seconds.
            b"after" if matches!(field, Some(Field::Reset)) => {}
            b"requests" | b"request" | b"reqs" | b"req" => dimension = Some(Dimension::Requests),
            b"tokens" | b"token" => dimension = dimension.or(Some(Dimension::Tokens)),
            b"input" | b"prompt" => dimension = Some(Dimension::InputTokens),
            b"output" | b"generated" | b"completion" => dimension = Some(Dimension::OutputTokens),
            b"rpm" => (dimension, window) = (Some(Dimension::Requests), Some(MINUTE)),
            b"tpm" => (dimension, window) = (Some(Dimension::Tokens), Some(MINUTE)),
            b"second" | b"sec" | b"1s" => window = Some(SECOND),
            b"minute" | b"min" | b"1m" => window = Some(MINUTE),
            b"hour" | b"1h" => window = Some(HOUR),
            b"day" | b"daily" | b"1d" => window = Some(DAY),
            b"month" | b"monthly" => window = Some(MONTH),
            _ if field.is_none() && scope.is_empty() => scope = part,
            _ => return None,
        }
    }
    let fills_steadily = dimension.is_some() && window.is_none() && scope.is_empty();
    Some((Key { dimension: dimension.unwrap_or(Dimension::Requests), window, fills_steadily, scope }, field?))
}
