//! Lengths of time and points in time, as servers write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{
    clock::{rfc3339, until},
    duration::{LONGEST, go, prose},
};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// 2026-11-22T10:00:00Z.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_341_600)
}

#[test]
fn go_durations() {
    let good = [
        ("6m0s", MS(360_000)),
        ("120ms", MS(120)),
        ("1s", MS(1_000)),
        ("0s", MS(0)),
        ("2m59.56s", MS(179_560)),
        ("1h2m3.5s", MS(3_723_500)),
        ("23h47m36.648s", MS(85_656_648)),
        ("1.5ms", Duration::from_micros(1_500)),
        ("250us", Duration::from_micros(250)),
        ("250µs", Duration::from_micros(250)),
        ("7ns", Duration::from_nanos(7)),
        ("3.000000001s", Duration::from_nanos(3_000_000_001)),
        ("99999999999999999999999999999999999999999999h", LONGEST),
    ];
    for (text, expected) in good {
        assert_eq!(go(text).map(|length| length.time), Some(expected), "{text}");
    }
    for text in
        ["", "s", "1", "1x", "1s ", " 1s", "-1s", "+1s", "1.s", ".5s", "1s2", "1 s", "1seconds", "1e3s"]
    {
        assert_eq!(go(text), None, "{text:?}");
    }
}

#[test]
fn durations_in_prose() {
    let good = [
        ("599ms. visit", MS(599)),
        ("1.2s", MS(1_200)),
        ("7m12.5s.", MS(432_500)),
        ("10 seconds.", MS(10_000)),
        ("1 second", MS(1_000)),
        ("1 minute and 30 seconds", MS(90_000)),
        ("2 hours, 5 minutes", MS(7_500_000)),
        ("36.536298s", Duration::from_nanos(36_536_298_000)),
        ("1 day", MS(86_400_000)),
    ];
    for (text, expected) in good {
        assert_eq!(prose(text).map(|length| length.time), Some(expected), "{text}");
    }
    for text in ["", "a moment", "10", "10 apples", "soon: 5s", "-5s"] {
        assert_eq!(prose(text), None, "{text:?}");
    }
}

#[test]
fn rfc_3339_times() {
    let good = [
        ("1970-01-01T00:00:00Z", 0),
        ("2000-02-29T23:59:59Z", 951_868_799),
        ("2026-11-22T10:00:00Z", 1_795_341_600),
        ("2026-11-22t10:00:00z", 1_795_341_600),
        ("2026-11-22 10:00:00Z", 1_795_341_600),
        ("2026-11-22T11:30:00+01:30", 1_795_341_600),
        ("2026-11-22T01:00:00-09:00", 1_795_341_600),
        ("2016-12-31T23:59:60Z", 1_483_228_800),
        ("9999-12-31T23:59:59Z", 253_402_300_799),
    ];
    for (text, seconds) in good {
        assert_eq!(rfc3339(text), Some(UNIX_EPOCH + Duration::from_secs(seconds)), "{text}");
    }
    let fraction = rfc3339("2026-11-22T10:00:00.250Z").unwrap();
    assert_eq!(fraction, now() + MS(250));
    let finest = rfc3339("2026-11-22T10:00:00.1234567891+00:00").unwrap();
    assert_eq!(finest, now() + Duration::from_nanos(123_456_789));
    let bad = [
        "",
        "2026-11-22",
        "2026-11-22T10:00:00",
        "2026-13-22T10:00:00Z",
        "2026-02-29T10:00:00Z",
        "1900-02-29T10:00:00Z",
        "2026-11-00T10:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T10:60:00Z",
        "2026-11-22T10:00:61Z",
        "2026-11-22T10:00:00.Z",
        "2026-11-22T10:00:00+1:00",
        "2026-11-22T10:00:00+24:00",
        "2026-11-22T10:00:00ZZ",
        "1969-12-31T23:59:59Z",
        "2026-11-22T10:00:00\u{e9}Z",
    ];
    for text in bad {
        assert_eq!(rfc3339(text), None, "{text:?}");
    }
}

#[test]
fn plain_numbers_are_waits_until_they_are_dates() {
    let wait = |text| until(text, now()).map(|length| length.time);
    assert_eq!(wait("999999999"), Some(Duration::from_secs(999_999_999)));
    assert_eq!(wait("1795341610"), Some(MS(10_000)));
    assert_eq!(wait("1795341610.5"), Some(MS(10_500)));
    assert_eq!(wait("1795341610500"), Some(MS(10_500)));
    assert_eq!(wait("1795341590"), Some(Duration::ZERO));
    assert_eq!(wait("1e9"), None);
}

#[test]
fn a_length_knows_how_finely_it_was_written() {
    let units = [
        ("12s", 1_000_000_000),
        ("1.5s", 100_000_000),
        ("6m0s", 1_000_000_000),
        ("2m", 60_000_000_000),
        ("80ms", 1_000_000),
        ("7.66ms", 10_000),
        ("1.00000000001s", 1),
    ];
    for (text, unit) in units {
        assert_eq!(go(text).unwrap().unit, Duration::from_nanos(unit), "{text}");
    }
    for (text, unit) in
        [("7", 1_000), ("7.5", 100), ("1795341610500", 1_000), ("Sun, 22 Nov 2026 10:00:42 GMT", 1_000)]
    {
        assert_eq!(until(text, now()).unwrap().unit, MS(unit), "{text}");
    }
}
