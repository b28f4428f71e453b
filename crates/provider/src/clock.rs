//! Points in time as servers write them, and the clock against which they are read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, header};

use crate::duration::{self, LONGEST, Length};

const SECOND: Duration = Duration::from_secs(1);

/// A plain number of seconds that is this large is a time since 1970. As a wait it would be 31 years.
const EPOCH_SECONDS: Duration = Duration::from_secs(1_000_000_000);
/// A plain number that is this large is a time since 1970 in milliseconds. In seconds it would be the year 5138. As a
/// length of time it is longer than [`LONGEST`], so it is recognized by its digits.
const EPOCH_MILLISECONDS_DIGITS: usize = 12;
/// 2000-01-01. A `Date` before it comes from a clock that was never set.
const OLDEST_SANE_DATE: Duration = Duration::from_secs(946_684_800);

/// The time by the server's clock: its `Date`, where that can be believed, else `now`. Its other absolute times come from
/// that clock too, and a local clock may be hours off.
pub(crate) fn of_reply(headers: &HeaderMap, now: SystemTime) -> SystemTime {
    text(headers.get(header::DATE))
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .filter(|date| date.duration_since(UNIX_EPOCH).is_ok_and(|since| since >= OLDEST_SANE_DATE))
        .unwrap_or(now)
}

/// How long it is from `clock` until `value`: seconds or an epoch (a plain number), a Go duration, RFC 3339,
/// or an HTTP-date (RFC 9110, section 5.6.7). A time in the past is zero. `None`: it cannot be read.
pub(crate) fn until(value: &str, clock: SystemTime) -> Option<Length> {
    until_by(value, || clock)
}

/// The same. The clock is asked only where `value` is a point in time.
pub(crate) fn until_by(value: &str, clock: impl FnOnce() -> SystemTime) -> Option<Length> {
    let value = value.trim_ascii();
    if let Some(number) = duration::number(value, SECOND) {
        return Some(if is_epoch(value) { at(epoch(value), clock()) } else { number });
    }
    if let Some(length) = duration::go(value) {
        return Some(length);
    }
    let then = rfc3339(value).or_else(|| httpdate::parse_http_date(value).ok())?;
    Some(at(Some(then), clock()))
}

/// The wait until a time at the start of a sentence: `2026-11-22 10:00:00 UTC`, with `T` or not, with or without
/// a zone, which is UTC then.
pub(crate) fn date_in(text: &str, clock: SystemTime) -> Option<Length> {
    let end = text.find([',', ';', '(', ')']).unwrap_or(text.len());
    let text = text[..end].trim_end_matches(['.', ' ', '"', '\'']);
    let bare = text.get(..19)?;
    let word = text.split_at_checked(11).and_then(|(_, time)| time.split(' ').next());
    let zoned = word.and_then(|time| rfc3339(text.get(..11 + time.len())?));
    let then = zoned.or_else(|| {
        let rest = text[19..].trim_start_matches(|c: char| c == '.' || c.is_ascii_digit()).trim();
        let utc = rest.is_empty() || rest.starts_with("utc") || rest.starts_with("gmt");
        rfc3339(&format!("{bare}z")).filter(|_| utc)
    })?;
    Some(at(Some(then), clock))
}

/// Whether this plain number is a time since 1970.
pub(crate) fn is_epoch(value: &str) -> bool {
    value.len() > 9
        && duration::number(value.trim(), SECOND).is_some_and(|number| number.time >= EPOCH_SECONDS)
}

/// The wait until an absolute time. Clocks agree to a second at best.
fn at(then: Option<SystemTime>, clock: SystemTime) -> Length {
    Length { time: then.map_or(LONGEST, |then| span(clock, then)), unit: SECOND }
}

/// The text of a header value, if it is visible ASCII.
pub(crate) fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|value| value.to_str().ok())
}

/// A time since 1970, in seconds or milliseconds.
fn epoch(value: &str) -> Option<SystemTime> {
    let whole = value.split('.').next().unwrap_or_default().trim_start_matches('0');
    let unit = if whole.len() < EPOCH_MILLISECONDS_DIGITS { SECOND } else { Duration::from_millis(1) };
    let since = duration::number(value, unit)?.time;
    UNIX_EPOCH.checked_add(since).filter(|_| since < LONGEST)
}

fn span(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or(Duration::ZERO).min(LONGEST)
}

/// RFC 3339, section 5.6, from 1970 on: `2026-11-22T10:00:00.25Z`, with any offset, a leap second, and a
/// space for the `T`.
pub(crate) fn rfc3339(text: &str) -> Option<SystemTime> {
    let bytes = text.as_bytes();
    let separators = [(4, "-"), (7, "-"), (10, "Tt "), (13, ":"), (16, ":")];
    if bytes.len() < 20 || !separators.iter().all(|&(at, any)| any.as_bytes().contains(&bytes[at])) {
        return None;
    }
    let (year, month, day) = (number(bytes, 0, 4)?, number(bytes, 5, 2)?, number(bytes, 8, 2)?);
    let (hour, minute, second) = (number(bytes, 11, 2)?, number(bytes, 14, 2)?, number(bytes, 17, 2)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut offset_at = 19;
    let mut nanos = 0;
    if bytes[19] == b'.' {
        let digits = bytes[20..].iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        let tenths = bytes[20..20 + digits.min(9)].iter().zip((0..9).rev());
        nanos = tenths.map(|(digit, place)| u32::from(digit - b'0') * 10u32.pow(place)).sum();
        offset_at = 20 + digits;
    }
    let offset = offset(bytes.get(offset_at..)?)?;
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    UNIX_EPOCH.checked_add(Duration::new(u64::try_from(seconds).ok()?, nanos))
}

/// Seconds east of UTC: `Z`, `+01:00`, `-08:30`.
fn offset(bytes: &[u8]) -> Option<i64> {
    let sign = match bytes {
        b"Z" | b"z" => return Some(0),
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    let (hours, minutes) = (number(bytes, 1, 2)?, number(bytes, 4, 2)?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn number(bytes: &[u8], at: usize, digits: usize) -> Option<i64> {
    let digits = bytes.get(at..at + digits)?;
    digits.iter().all(u8::is_ascii_digit).then(|| digits.iter().fold(0, |n, b| n * 10 + i64::from(b - b'0')))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01. Years are counted from March, so that the leap day is the last day of its year.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // Months from March on have 31 30 31 30 31 days, again and again: 153 for five. 1970 is day 719,468.
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}
