//! Dates, times and lengths of time as the simulated clock writes them.

use super::*;

fn wall(seconds: u64) -> Wall {
    Wall(Duration::from_secs(seconds))
}

#[test]
fn go_durations_read_as_go_prints_them() {
    let cases = [
        (Duration::ZERO, "0s"),
        (Duration::from_nanos(1), "1ms"),
        (Duration::from_millis(120), "120ms"),
        (Duration::from_secs(1), "1s"),
        (Duration::from_millis(1_500), "1.5s"),
        (Duration::from_secs(60), "1m0s"),
        (Duration::from_secs(360), "6m0s"),
        (Duration::from_millis(179_560), "2m59.56s"),
        (Duration::from_secs(3_600), "1h0m0s"),
        (Duration::from_millis(3_723_005), "1h2m3.005s"),
    ];
    for (duration, text) in cases {
        assert_eq!(go_duration(duration), text);
    }
    go_duration(Duration::MAX);
}

#[test]
fn calendar_knows_leap_years_and_ends_of_months() {
    let cases = [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (951_868_800, "2000-03-01T00:00:00Z"),
        (1_767_225_600, "2026-01-01T00:00:00Z"),
        (1_798_761_599, "2026-12-31T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (253_402_300_799, "9999-12-31T23:59:59Z"),
    ];
    for (seconds, text) in cases {
        assert_eq!(wall(seconds).rfc_3339_rounded_up(), text);
    }
}

#[test]
fn calendar_agrees_with_the_http_date_of_each_day_of_a_cycle() {
    for day in (0..146_097).step_by(13) {
        let wall = wall(day * 86_400);
        let rfc = wall.rfc_3339_rounded_up();
        let date = wall.http_date();
        assert_eq!(rfc[8..10], date[5..7], "{rfc} {date}");
        assert_eq!(rfc[..4], date[12..16], "{rfc} {date}");
    }
}

#[test]
fn waits_round_up_and_the_date_rounds_down() {
    let at = wall(10).after(Duration::from_millis(1));
    assert_eq!(at.rfc_3339_rounded_up(), "1970-01-01T00:00:11Z");
    assert_eq!(at.http_date_rounded_up(), "Thu, 01 Jan 1970 00:00:11 GMT");
    assert_eq!(at.http_date(), "Thu, 01 Jan 1970 00:00:10 GMT");
    assert_eq!(ceil_seconds(Duration::from_nanos(1)), 1);
    assert_eq!(ceil_millis(Duration::from_nanos(1_000_001)), 2);
}

#[test]
fn times_out_of_range_are_clamped_not_panics() {
    assert_eq!(Wall::DEFAULT.after(Duration::MAX).http_date_rounded_up(), "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_eq!(Wall::new(UNIX_EPOCH - Duration::from_secs(1)), wall(0));
}
