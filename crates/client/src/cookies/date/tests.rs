//! Tests of dates in cookies.

use super::parse;

#[test]
fn dates_are_read_in_any_order_and_with_any_delimiters() {
    for (text, seconds) in [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
        ("Sun Nov  6 08:49:37 1994", 784_111_777),
        ("08:49:37 6 november 1994", 784_111_777),
        ("1994;Nov;06;8:49:37", 784_111_777),
        ("06 Nov 1994 08:49:37junk", 784_111_777),
        ("6th Nov 1994 08:49:37", 784_111_777),
        ("29 Feb 2000 00:00:00", 951_782_400),
        ("31 Dec 69 23:59:59", 3_155_759_999),
        ("1 Jan 70 00:00:00", 0),
        ("1 Jan 1601 00:00:00", -11_644_473_600),
    ] {
        assert_eq!(parse(text), Some(seconds), "{text}");
    }
}

#[test]
fn what_is_no_date_is_none() {
    for text in [
        "",
        "Sun, 06 Nov 1994",
        "06 Nov 1994 08:49",
        "06 Nov 1994 24:00:00",
        "06 Nov 1994 23:60:00",
        "32 Jan 1994 00:00:00",
        "0 Jan 1994 00:00:00",
        "29 Feb 1900 00:00:00",
        "31 Apr 2000 00:00:00",
        "1 Jan 1600 00:00:00",
        "1 Jan 19940 00:00:00",
        "100 Jan 1994 00:00:00",
        "06 Növ 1994 08:49:37",
        "06 Nov 1994 008:49:37",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn any_day_of_a_few_centuries_has_its_number() {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (mut number, mut year, mut month, mut day) = (0, 1970, 1, 1);
    while year < 2410 {
        let text = format!("{day} {} {year} 00:00:01", MONTHS[usize::try_from(month - 1).unwrap()]);
        assert_eq!(parse(&text), Some(number * 86_400 + 1), "{text}");
        number += 1;
        day += 1;
        if day > super::days_in(month, year) {
            (day, month) = (1, month + 1);
        }
        if month > 12 {
            (month, year) = (1, year + 1);
        }
    }
}
