//! Random `Set-Cookie` headers and dates.

use std::time::{Duration, UNIX_EPOCH};

use allocation_counter::measure;
use outbound_client::CookieJar;
use url::Url;

use super::{Draws, rounds};

/// 2027-01-15T08:00:00Z.
const NOW: i64 = 1_800_000_000;

const PIECES: &[&str] = &[
    "a=b",
    "a",
    "=",
    "; ",
    ";",
    "Domain=",
    "domain=.",
    "example.com",
    "com",
    "a.example.com",
    "co.uk",
    "127.0.0.1",
    "Path=",
    "/",
    "/x",
    "Secure",
    "HttpOnly",
    "SameSite=",
    "None",
    "Strict",
    "Max-Age=",
    "0",
    "-1",
    "99999999999999999999",
    "Expires=",
    "Wed, 21 Oct 2037 07:28:00 GMT",
    "01 Jan 1970",
    "__Host-",
    "__Secure-",
    "\"",
    " ",
    "\t",
    ",",
    "ü",
    "\0",
    "é=",
    "x",
    "%00",
];

const URLS: &[&str] = &[
    "https://a.example.com/x/y",
    "http://a.example.com/x/y",
    "https://example.com/",
    "https://b.test/x",
    "http://127.0.0.1/",
    "https://xn--bcher-kva.example/",
];

fn jar() -> CookieJar {
    CookieJar::with_wall_clock(UNIX_EPOCH + Duration::from_secs(NOW as u64))
}

#[tokio::test]
async fn whatever_is_set_stays_with_its_site_and_within_bounds() {
    rounds(400, |draws| {
        let jar = jar();
        let set: Vec<_> = (0..draws.below(12)).map(|_| (draws.pick(URLS), draws.text(PIECES, 12))).collect();
        let size: usize = set.iter().map(|(_, text)| text.len()).sum();
        let used = measure(|| set.iter().for_each(|(url, text)| drop(jar.add(url, text)))).bytes_max;
        assert!(used <= 16 * 1024 + 16 * size as u64, "{used} bytes for {size}");
        for to in URLS {
            let host = Url::parse(to).unwrap().host_str().unwrap().to_owned();
            let sent = jar.header(to).unwrap();
            let text =
                sent.as_ref().map(|value| str::from_utf8(value.as_bytes()).unwrap()).unwrap_or_default();
            assert!(!text.contains(['\r', '\n', '\0']), "{text:?}");
            // A jar that got only the cookies of this host's relatives sends the same cookies.
            let related = self::jar();
            for (url, text) in &set {
                let from = Url::parse(url).unwrap();
                if from.host_str().unwrap().ends_with("example.com") == host.ends_with("example.com")
                    && (host.ends_with("example.com") || from.host_str().unwrap() == host)
                {
                    related.add(url, text).unwrap();
                }
            }
            assert_eq!(related.header(to).unwrap(), sent, "{to}: {set:?}");
        }
        let stored = serde_json::to_string(&jar).unwrap();
        let again: CookieJar = serde_json::from_str(&stored).unwrap();
        let first = jar.cookies();
        assert!(again.cookies().iter().all(|cookie| first.contains(cookie)), "{stored}");
    });
}

/// A date as (year, month, day, hour, minute, second), and its seconds since 1970, counted day by day.
fn date(draws: &mut Draws) -> ([i64; 6], i64) {
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let (year, month) = (1970 + draws.below(130) as i64, 1 + draws.below(12) as i64);
    let days = |month: i64, year| match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let day = 1 + draws.below(days(month, year) as usize) as i64;
    let before = (1970..year).map(|year| 365 + i64::from(is_leap(year))).sum::<i64>();
    let days = before + (1..month).map(|month| days(month, year)).sum::<i64>() + day - 1;
    let [hour, minute, second] = [24, 60, 60].map(|end| draws.below(end) as i64);
    ([year, month, day, hour, minute, second], ((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[tokio::test]
async fn a_date_is_read_in_each_of_its_forms() {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    rounds(400, |draws| {
        let ([year, month, day, hour, minute, second], seconds) = date(draws);
        let name = MONTHS[month as usize - 1];
        let text = match draws.below(4) {
            0 => format!("Thu, {day:02} {name} {year} {hour:02}:{minute:02}:{second:02} GMT"),
            1 if (1970..2070).contains(&year) => {
                format!("Thursday, {day:02}-{name}-{:02} {hour:02}:{minute:02}:{second:02} GMT", year % 100)
            }
            2 => format!("Thu {name} {day:>2} {hour:02}:{minute:02}:{second:02} {year}"),
            _ => format!("{hour}:{minute}:{second} {year} {} {day}", name.to_lowercase()),
        };
        let jar = jar();
        jar.add("https://a.test/", &format!("a=b; expires={text}")).unwrap();
        let expires = jar.cookies().first().map(|cookie| cookie.expires);
        let longest = NOW + 400 * 24 * 3600;
        assert_eq!(expires, (seconds > NOW).then_some(Some(seconds.min(longest))), "{text}");
    });
}
