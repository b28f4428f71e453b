//! The wall clock of the simulated provider, and the forms in which providers write times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999. The formats here end there.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// A time of the provider's wall clock: the time since the Unix epoch, from 1970 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wall(Duration);

impl Wall {
    /// 2026-01-01 00:00:00 UTC. It is the default, so that a run does not depend on its date.
    pub(crate) const DEFAULT: Self = Self(Duration::from_secs(1_767_225_600));

    pub(crate) fn new(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).unwrap_or_default().min(LAST))
    }

    pub(crate) fn after(self, passed: Duration) -> Self {
        Self(self.0.saturating_add(passed).min(LAST))
    }

    pub(crate) fn unix_seconds(self) -> u64 {
        self.0.as_secs()
    }

    /// The next whole second. A wait must not become shorter because a format has no fractions.
    fn rounded_up(self) -> u64 {
        ceil_seconds(self.0).min(LAST.as_secs())
    }

    /// IMF-fixdate of RFC 9110 section 5.6.7, rounded down.
    pub(crate) fn http_date(self) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.unix_seconds()))
    }

    /// As [`http_date`](Self::http_date), rounded up.
    pub(crate) fn http_date_rounded_up(self) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.rounded_up()))
    }

    /// RFC 3339 with whole seconds, rounded up, in UTC.
    pub(crate) fn rfc_3339_rounded_up(self) -> String {
        let seconds = self.rounded_up();
        let (year, month, day) = civil_from_days(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Whole seconds, rounded up.
pub(crate) fn ceil_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}

/// Whole milliseconds, rounded up.
pub(crate) fn ceil_millis(duration: Duration) -> u128 {
    duration.as_nanos().div_ceil(1_000_000)
}

/// A duration as Go's `time.Duration` prints it (`120ms`, `1s`, `6m0s`, `2m59.56s`), in whole milliseconds,
/// rounded up. The form of `x-ratelimit-reset-*`.
pub(crate) fn go_duration(duration: Duration) -> String {
    let millis = ceil_millis(duration);
    if millis == 0 {
        return "0s".into();
    }
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let (seconds, fraction) = (millis / 1_000 % 60, millis % 1_000);
    let mut text = String::new();
    if hours > 0 {
        text += &format!("{hours}h");
    }
    if hours > 0 || minutes > 0 {
        text += &format!("{minutes}m");
    }
    text += &seconds.to_string();
    if fraction > 0 {
        text += format!(".{fraction:03}").trim_end_matches('0');
    }
    text + "s"
}

/// Year, month and day of a count of days since 1970-01-01 in the Gregorian calendar. Years are counted from March,
/// so that the leap day is the last of its year, in cycles of 400 years of 146,097 days.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
