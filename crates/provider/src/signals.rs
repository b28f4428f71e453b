use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};

use crate::clock;

mod ietf;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const MONTH: Duration = Duration::from_secs(30 * 86_400);
const CAPACITY: usize = 8;

/// What a reply's headers say about the limits, one [`Signal`] for each; at most eight, held in place.
///
/// Understood are `x-ratelimit-{limit,remaining,reset}-*` (OpenAI, Azure, Groq, Mistral, Cerebras), the same
/// without `x-` or without an ending (GitHub, OpenRouter), `x-ratelimitbysize-*` (Mistral),
/// `anthropic-ratelimit-*`, and `RateLimit` with `RateLimit-Policy`
/// (draft-ietf-httpapi-ratelimit-headers-10).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    slots: [Option<Signal>; CAPACITY],
}

/// One limit of one key, as one reply reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signal {
    /// What is counted.
    pub dimension: Dimension,
    /// The time the limit is for: a minute, a day, thirty days. As the header names it, or, where it does
    /// not, as limit, remaining and reset give it away. `None` is unknown; most often it is a minute.
    pub window: Option<Duration>,
    /// The whole limit, in units of the dimension per window.
    pub limit: Option<u64>,
    /// What is left of it. No promise: others may share the key.
    pub remaining: Option<u64>,
    /// When more is to be had, and how much.
    pub reset: Option<Reset>,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Dimension {
    /// Calls.
    Requests,
    /// Tokens, of input and output together.
    Tokens,
    /// Tokens of input.
    InputTokens,
    /// Tokens of output.
    OutputTokens,
}

/// What the reset of a limit means. Times are from the moment the reply was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// After this long the bucket is full again; it fills all the while. (OpenAI, Azure, Groq, Anthropic.)
    Full(Duration),
    /// After this long a new window begins; until then nothing comes back. (Mistral, GitHub, the IETF draft.)
    Window(Duration),
}

impl Signals {
    /// How many limits were reported.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether nothing was reported.
    pub fn is_empty(&self) -> bool {
        self.slots[0].is_none()
    }

    /// The signals, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = &Signal> {
        self.slots.iter().flatten()
    }

    /// The longest wait for a new window, of the limits that are used up.
    pub(crate) fn exhausted_window(&self) -> Option<Duration> {
        let windows = self.exhausted().filter(|reset| matches!(reset, Reset::Window(_)));
        windows.map(Reset::after).max().filter(|after| !after.is_zero())
    }

    /// The longest time to a full bucket, of those that are empty.
    pub(crate) fn exhausted_bucket(&self) -> Option<Duration> {
        let buckets = self.exhausted().filter(|reset| matches!(reset, Reset::Full(_)));
        buckets.map(Reset::after).max().filter(|after| !after.is_zero())
    }

    fn exhausted(&self) -> impl Iterator<Item = Reset> {
        self.iter().filter(|signal| signal.remaining == Some(0)).filter_map(|signal| signal.reset)
    }

    pub(crate) fn read(headers: &HeaderMap, now: SystemTime) -> Signals {
        let mut found = Found::default();
        let mut clock = None;
        for (name, value) in headers {
            let Some((key, field)) = key_and_field(name.as_str()) else { continue };
            let Some(raw) = found.slot(key) else { continue };
            let Some(value) = clock::text(Some(value)) else {
                continue;
            };
            match field {
                Field::Limit => raw.limit = Some(count(value)),
                Field::Remaining => raw.remaining = count(value),
                Field::Reset => {
                    let clock = *clock.get_or_insert_with(|| clock::of_reply(headers, now));
                    raw.reset = clock::until(value, clock);
                }
            }
        }
        let mut signals = Signals::default();
        for (key, raw) in found.0.iter().flatten() {
            signals.push(raw.signal(*key));
        }
        ietf::read(headers, &mut signals);
        signals
    }

    /// Past the eighth, signals are dropped: no provider has that many.
    fn push(&mut self, signal: Signal) {
        let tells = signal.limit.is_some() || signal.remaining.is_some() || signal.reset.is_some();
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.is_none()).filter(|_| tells) {
            *slot = Some(signal);
        }
    }
}

impl Reset {
    /// How long until then.
    pub const fn after(self) -> Duration {
        match self {
            Reset::Full(after) | Reset::Window(after) => after,
        }
    }
}

/// What tells one limit from another before its numbers are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    dimension: Dimension,
    window: Option<Duration>,
    fills_steadily: bool,
}

enum Field {
    Limit,
    Remaining,
    Reset,
}

/// The headers of one limit. `limit` is `Some(None)` where the header is there and says nothing usable.
#[derive(Clone, Copy, Default)]
struct Raw {
    limit: Option<Option<u64>>,
    remaining: Option<u64>,
    reset: Option<Duration>,
}

#[derive(Default)]
struct Found([Option<(Key, Raw)>; CAPACITY]);

impl Found {
    fn slot(&mut self, key: Key) -> Option<&mut Raw> {
        let slot = self.0.iter_mut().find(|slot| slot.is_none_or(|(known, _)| known == key))?;
        Some(&mut slot.get_or_insert((key, Raw::default())).1)
    }
}

impl Raw {
    fn signal(self, key: Key) -> Signal {
        // Azure has sent limits of 0 and -1 for "unknown"; then what remains of them is unknown as well.
        let limit = self.limit.flatten().filter(|&limit| limit > 0);
        let remaining = self.remaining.filter(|_| self.limit.is_none() || limit.is_some());
        let shown = || window(limit?, remaining?, self.reset.filter(|_| key.fills_steadily)?);
        let window = key.window.or_else(shown);
        let reset = self.reset.map(if key.fills_steadily { Reset::Full } else { Reset::Window });
        Signal { dimension: key.dimension, window, limit, remaining, reset }
    }
}

/// The window of a bucket that fills steadily: it regains what is missing until the reset, so the whole limit
/// takes `reset * limit / missing`. Resets are rounded, so the answer is a minute, a day, or unknown.
fn window(limit: u64, remaining: u64, reset: Duration) -> Option<Duration> {
    let missing = limit.checked_sub(remaining).filter(|&missing| missing > 0)?;
    let nanos = reset.as_nanos().checked_mul(u128::from(limit))? / u128::from(missing);
    let near = |window: &Duration| {
        let window = window.as_nanos();
        window / 2 <= nanos && nanos <= window * 2
    };
    [MINUTE, DAY].into_iter().find(near)
}

fn key_and_field(name: &str) -> Option<(Key, Field)> {
    if let Some(name) = name.strip_prefix("anthropic-ratelimit-") {
        let (dimension, field) = name.rsplit_once('-')?;
        let dimension = match dimension {
            "requests" => Dimension::Requests,
            "tokens" => Dimension::Tokens,
            "input-tokens" => Dimension::InputTokens,
            "output-tokens" => Dimension::OutputTokens,
            _ => return None,
        };
        return Some((Key { dimension, window: Some(MINUTE), fills_steadily: true }, self::field(field)?));
    }
    let name = name.strip_prefix("x-").unwrap_or(name);
    if let Some(name) = name.strip_prefix("ratelimitbysize-") {
        let (field, ending) = name.split_once('-').unwrap_or((name, "minute"));
        let window = Some(match ending {
            "minute" => MINUTE,
            "month" => MONTH,
            _ => return None,
        });
        return Some((
            Key { dimension: Dimension::Tokens, window, fills_steadily: false },
            self::field(field)?,
        ));
    }
    let name = name.strip_prefix("ratelimit-")?;
    let (field, ending) = name.split_once('-').unwrap_or((name, ""));
    let (dimension, window, fills_steadily) = match ending {
        "requests" => (Dimension::Requests, None, true),
        "tokens" => (Dimension::Tokens, None, true),
        "input-tokens" => (Dimension::InputTokens, None, true),
        "output-tokens" => (Dimension::OutputTokens, None, true),
        "requests-minute" | "req-minute" => (Dimension::Requests, Some(MINUTE), false),
        "requests-day" => (Dimension::Requests, Some(DAY), false),
        "tokens-minute" => (Dimension::Tokens, Some(MINUTE), false),
        "tokens-day" => (Dimension::Tokens, Some(DAY), false),
        "tokens-month" => (Dimension::Tokens, Some(MONTH), false),
        "" => (Dimension::Requests, None, false),
        _ => return None,
    };
    Some((Key { dimension, window, fills_steadily }, self::field(field)?))
}

fn field(name: &str) -> Option<Field> {
    Some(match name {
        "limit" => Field::Limit,
        "remaining" => Field::Remaining,
        "reset" => Field::Reset,
        _ => return None,
    })
}

/// A whole number; of a list, as early drafts of the standard had it (`100, 100;w=60`), the first.
fn count(value: &str) -> Option<u64> {
    let first = value.split([',', ';']).next().unwrap_or_default().trim();
    first.bytes().all(|b| b.is_ascii_digit()).then(|| first.parse().ok())?
}

/// The waits told in headers, the longest: `Retry-After` and its forms in milliseconds, and Anthropic's reset
/// of a subscription's quota when that is the one that refused.
pub(crate) fn told_wait(headers: &HeaderMap, clock: SystemTime) -> Option<Duration> {
    use crate::duration::{billionths, nanos};

    let mut longest = None;
    let mut told = |wait: Option<Duration>| longest = longest.max(wait);
    for value in headers.get_all(http::header::RETRY_AFTER) {
        told(clock::text(Some(value)).and_then(|value| clock::until(value, clock)));
    }
    for name in ["retry-after-ms", "x-ms-retry-after-ms"] {
        for value in headers.get_all(name) {
            let number = clock::text(Some(value)).and_then(|value| billionths(value.trim()));
            told(number.map(|number| nanos(number / 1_000)));
        }
    }
    let unified = |name: &str| clock::text(headers.get(name));
    if unified("anthropic-ratelimit-unified-status") == Some("rejected") {
        told(unified("anthropic-ratelimit-unified-reset").and_then(|at| clock::until(at, clock)));
    }
    longest.filter(|wait| !wait.is_zero())
}

/// The server's own word on retrying.
pub(crate) fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get("x-should-retry").map(HeaderValue::as_bytes)? {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}
