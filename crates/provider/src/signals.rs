//! What the headers of a reply say about limits.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};

use crate::{clock, duration::Length, hints::longer};

mod ietf;
mod name;

use name::{Field, Key};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const MONTH: Duration = Duration::from_secs(30 * 86_400);
/// The usual windows of limits.
const NATURAL: [Duration; 5] = [SECOND, Duration::from_secs(10), MINUTE, HOUR, DAY];
const CAPACITY: usize = 8;

/// What a reply's headers say about the limits: one [`Signal`] for each limit, at most eight. They are held in place,
/// without an allocation.
///
/// | headers | window | reset |
/// |---|---|---|
/// | `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` (OpenAI, Azure, Groq), `x-rate-limit-*` as well | a minute or a day, where limit, remaining and reset give it away | full |
/// | the same with a window in the name: `-requests-day`, `-tokens-minute`, `-second`, `-hour` (Cerebras, Mistral, Kong) | named | window |
/// | the same without an ending (`GitHub`, OpenRouter, Discord) | `GitHub`'s hour; else the smallest of 1 s, 10 s, a minute, an hour and a day that holds the reset | window |
/// | `x-ratelimit-api_key-remaining-requests`, `x-litellm-key-rpm-limit` (`LiteLLM`) | a minute | window |
/// | `x-ratelimitbysize-*` (Mistral) | named | window |
/// | `anthropic-ratelimit-*` | a minute | full |
/// | `RateLimit-Limit: 5, 5;w=1` with `-Remaining`, `-Reset` (draft-ietf-httpapi-ratelimit-headers, 3 to 6), `RateLimit-Policy`, `RateLimit: limit=5, remaining=2, reset=1` (7), `RateLimit: "a";r=1;t=1` (8 to 10) | named by `w`; else as without an ending | window |
///
/// A policy without a state is a signal too, with its limit and its window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    // At most `CAPACITY`.
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    signal: Signal,
    /// The unit in which the reset was written.
    unit: Duration,
}

/// One limit of one key, as one reply reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signal {
    /// What is counted.
    pub dimension: Dimension,
    /// The window of the limit, from a second to thirty days. `None`: it is unknown, and most often a minute.
    pub window: Option<Duration>,
    /// Whether the window is the provider's own word: in the header's name or value, or in its documentation. If not,
    /// `window` is an estimate from this one reply: the smallest usual window that holds the reset. So a later reply may
    /// show a longer one.
    pub window_is_named: bool,
    /// The whole limit, in units of the dimension per window.
    pub limit: Option<u64>,
    /// What is left of it. Others may share the key, so it is no promise.
    pub remaining: Option<u64>,
    /// When there is more, and how much.
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
        self.slots.len()
    }

    /// Whether nothing was reported.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The signals, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = &Signal> {
        self.slots.iter().map(|slot| &slot.signal)
    }

    /// The longest time to the reset of a limit that is used up, and whether that reset is the time when a bucket is full
    /// again. New windows go before buckets. Limits of which nothing remains go before those that only have a reset.
    pub(crate) fn exhausted(&self) -> (Option<Length>, bool) {
        for remaining in [Some(0), None] {
            for is_full in [false, true] {
                let mut reset = None;
                for slot in self.slots.iter().filter(|slot| slot.signal.remaining == remaining) {
                    let of_kind =
                        slot.signal.reset.filter(|reset| matches!(reset, Reset::Full(_)) == is_full);
                    longer(&mut reset, of_kind.map(|reset| Length { time: reset.after(), unit: slot.unit }));
                }
                if reset.is_some() {
                    return (reset, is_full);
                }
            }
        }
        (None, false)
    }

    /// `windows` are those of the provider whose headers name none.
    pub(crate) fn read(headers: &HeaderMap, now: SystemTime, windows: &[(Dimension, Duration)]) -> Signals {
        let mut found = Found::default();
        let mut ietf = false;
        let mut clock = None;
        for (name, value) in headers {
            ietf |= ietf::is_one(name.as_str());
            let Some((key, field)) = name::read(name.as_str()) else { continue };
            let Some(value) = clock::text(Some(value)) else { continue };
            let Some(raw) = found.slot(key) else { continue };
            match field {
                Field::Limit => raw.limit = Some(count(value)),
                Field::Remaining => raw.remaining = count(value),
                Field::Reset => {
                    raw.reset = clock::until_by(value, || {
                        *clock.get_or_insert_with(|| clock::of_reply(headers, now))
                    });
                    raw.reset_is_epoch = clock::is_epoch(value);
                }
                Field::Period => raw.period = clock::until(value, now).map(|period| period.time),
                Field::Resource if value.contains("search") => raw.period = Some(MINUTE),
                Field::Resource | Field::Used => raw.is_github = true,
            }
        }
        let mut signals = Signals::default();
        if ietf {
            ietf::read(headers, &mut found, &mut signals);
        }
        for (key, raw) in found.0.iter().flatten() {
            if !found.has_named_twin(key, raw) {
                signals.push(raw.signal(key, windows), raw.reset.map(|reset| reset.unit));
            }
        }
        signals
    }

    /// Adds a signal. After the eighth they are dropped: no provider has so many.
    fn push(&mut self, signal: Signal, unit: Option<Duration>) {
        let tells = signal.limit.is_some() || signal.remaining.is_some() || signal.reset.is_some();
        let tells = tells && !self.iter().any(|known| *known == signal);
        if tells && self.slots.len() < CAPACITY {
            self.slots.push(Slot { signal, unit: unit.unwrap_or(SECOND) });
        }
    }
}

impl Reset {
    /// How long it is until the reset.
    pub const fn after(self) -> Duration {
        match self {
            Reset::Full(after) | Reset::Window(after) => after,
        }
    }
}

/// The headers of one limit. `limit` is `Some(None)` where the header is there and cannot be used.
#[derive(Clone, Copy, Default)]
struct Raw {
    limit: Option<Option<u64>>,
    remaining: Option<u64>,
    reset: Option<Length>,
    /// Whether the reset was told as a time since 1970.
    reset_is_epoch: bool,
    /// The window, where a header of its own names it.
    period: Option<Duration>,
    /// A header is there that only `GitHub` and servers like it send.
    is_github: bool,
}

#[derive(Default)]
struct Found<'a>([Option<(Key<'a>, Raw)>; CAPACITY]);

impl<'a> Found<'a> {
    fn slot(&mut self, key: Key<'a>) -> Option<&mut Raw> {
        let slot = self.0.iter_mut().find(|slot| slot.is_none_or(|(known, _)| known == key))?;
        Some(&mut slot.get_or_insert((key, Raw::default())).1)
    }

    /// Whether the same limit is there once more with its window in the name: Kong sends both.
    fn has_named_twin(&self, key: &Key<'a>, raw: &Raw) -> bool {
        let same = |(other, twin): &(Key<'a>, Raw)| {
            other.dimension == key.dimension && other.window.is_some() && twin.limit == raw.limit
        };
        *key == Key::PLAIN && raw.period.is_none() && raw.limit.is_some() && self.0.iter().flatten().any(same)
    }
}

impl Raw {
    fn signal(&self, key: &Key<'_>, windows: &[(Dimension, Duration)]) -> Signal {
        // Azure has sent limits of 0 and -1 for "unknown". Then the rest of the limit is unknown too.
        let limit = self.limit.flatten().filter(|&limit| limit > 0);
        let is_known = self.limit.is_none() || limit.is_some();
        let remaining = self.remaining.filter(|_| is_known);
        let reset = self.reset.filter(|_| is_known).map(|reset| reset.time);
        let github = (self.is_github && self.reset_is_epoch).then_some(HOUR);
        let documented = || windows.iter().find(|(of, _)| *of == key.dimension).map(|&(_, window)| window);
        let named = key.window.or(self.period).or(github).or_else(documented);
        let shown = match (named, reset) {
            (None, Some(reset)) if key.fills_steadily => {
                limit.zip(remaining).and_then(|(limit, remaining)| of_bucket(limit, remaining, reset))
            }
            (None, Some(reset)) => natural(reset),
            _ => None,
        };
        let reset = reset.map(if key.fills_steadily { Reset::Full } else { Reset::Window });
        Signal {
            dimension: key.dimension,
            window: named.or(shown),
            window_is_named: named.is_some(),
            limit,
            remaining,
            reset,
        }
    }
}

/// The smallest usual window that holds this reset.
fn natural(reset: Duration) -> Option<Duration> {
    NATURAL.into_iter().find(|&window| window >= reset).filter(|_| !reset.is_zero())
}

/// The window of a bucket that fills steadily: it regains what is missing until the reset, so the whole limit
/// takes `reset * limit / missing`. Resets are rounded, so the answer is a minute, a day, or unknown.
fn of_bucket(limit: u64, remaining: u64, reset: Duration) -> Option<Duration> {
    let missing = limit.checked_sub(remaining).filter(|&missing| missing > 0)?;
    let nanos = reset.as_nanos().checked_mul(u128::from(limit))? / u128::from(missing);
    let near = |window: &Duration| {
        let window = window.as_nanos();
        window / 2 <= nanos && nanos <= window * 2
    };
    [MINUTE, DAY].into_iter().find(near)
}

/// A whole number. Early drafts of the standard have a list (`100, 100;w=60`), and its first number counts.
fn count(value: &str) -> Option<u64> {
    let value = value.trim_ascii().as_bytes();
    let end = value.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(value.len());
    let (digits, behind) = value.split_at(end);
    if digits.is_empty() || !matches!(behind.trim_ascii_start(), [] | [b',' | b';', ..]) {
        return None;
    }
    let add = |n: u64, digit: &u8| n.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    digits.iter().try_fold(0, add)
}

/// The server's own word on retrying.
pub(crate) fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get("x-should-retry").map(HeaderValue::as_bytes)? {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}
