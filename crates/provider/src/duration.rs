//! Lengths of time as servers write them. All arithmetic is whole nanoseconds, saturating: no floats.

use std::time::Duration;

/// A hundred years. It is later than every deadline, and can still be added to an instant.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

const NANO: u128 = 1_000_000_000;

/// A length of time, and how finely it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Length {
    pub(crate) time: Duration,
    /// The unit of its last digit: a second for `12` seconds, a tenth of one for `1.5s`, a minute for `2m`.
    pub(crate) unit: Duration,
}

/// Go's `time.Duration` notation, whole: `6m0s`, `120ms`, `1h2m3.5s`. At least one number, each with a unit.
pub(crate) fn go(text: &str) -> Option<Length> {
    match terms(text, false)? {
        (length, "") => Some(length),
        _ => None,
    }
}

/// A duration at the start of a sentence: as [`go`], or in words (`10 seconds`, `1 minute and 30 seconds`).
pub(crate) fn prose(text: &str) -> Option<Length> {
    terms(text, true).map(|(length, _)| length)
}

/// A plain decimal number of this unit; digits with at most one dot between them, and nothing else.
pub(crate) fn number(text: &str, unit: Duration) -> Option<Length> {
    match decimal(text)? {
        (number, places, "") => Some(length(number.saturating_mul(unit.as_nanos()) / NANO, unit, places)),
        _ => None,
    }
}

/// That many nanoseconds, at most [`LONGEST`].
pub(crate) fn nanos(nanos: u128) -> Duration {
    u64::try_from(nanos).map_or(LONGEST, Duration::from_nanos).min(LONGEST)
}

fn length(time: u128, unit: Duration, places: u32) -> Length {
    Length { time: nanos(time), unit: unit / 10u32.pow(places.min(9)) }
}

fn terms(text: &str, words: bool) -> Option<(Length, &str)> {
    let mut rest = text;
    let mut total = 0u128;
    let mut last = None;
    loop {
        let start = if words { skip_joint(rest, last.is_some()) } else { rest };
        let Some((number, places, after)) = decimal(start) else { break };
        let after = if words { after.trim_start_matches(' ') } else { after };
        let end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let Some(unit) = unit(&after[..end], words) else { break };
        total = total.saturating_add(number.saturating_mul(unit) / NANO);
        rest = &after[end..];
        last = Some((nanos(unit), places));
    }
    last.map(|(unit, places)| (length(total, unit, places), rest))
}

fn skip_joint(text: &str, any: bool) -> &str {
    let text = text.trim_start_matches(' ');
    if !any {
        return text;
    }
    let text = text.strip_prefix(',').unwrap_or(text).trim_start_matches(' ');
    text.strip_prefix("and ").unwrap_or(text)
}

fn unit(name: &str, words: bool) -> Option<u128> {
    Some(match name {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => NANO / 1_000,
        "s" => NANO,
        "m" => 60 * NANO,
        "h" => 3_600 * NANO,
        _ if !words => return None,
        "millisecond" | "milliseconds" => NANO / 1_000,
        "sec" | "secs" | "second" | "seconds" => NANO,
        "min" | "mins" | "minute" | "minutes" => 60 * NANO,
        "hr" | "hrs" | "hour" | "hours" => 3_600 * NANO,
        "d" | "day" | "days" => 86_400 * NANO,
        _ => return None,
    })
}

/// Takes a decimal number off the front of `text`. Gives it in billionths, with the number of its decimal places. Digits
/// after the ninth place are dropped.
fn decimal(text: &str) -> Option<(u128, u32, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = text.split_at(digits(text));
    if whole.is_empty() {
        return None;
    }
    // A number that does not fit into 64 bits is longer than the longest wait, in any unit.
    let number = whole.bytes().fold(0u64, |n, b| n.saturating_mul(10).saturating_add((b - b'0').into()));
    let mut number = u128::from(number) * NANO;
    let Some(fraction) = rest.strip_prefix('.').filter(|rest| digits(rest) > 0) else {
        return Some((number, 0, rest));
    };
    let (fraction, rest) = fraction.split_at(digits(fraction));
    let mut place = NANO / 10;
    for digit in fraction.bytes() {
        number = number.saturating_add(u128::from(digit - b'0') * place);
        place /= 10;
    }
    Some((number, u32::try_from(fraction.len()).unwrap_or(u32::MAX), rest))
}
