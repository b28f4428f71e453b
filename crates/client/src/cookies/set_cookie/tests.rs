//! Tests of parsing `Set-Cookie` headers.

use super::{SetCookie, parse};
use crate::cookies::SameSite;

#[test]
fn names_and_values_are_what_stands_around_the_first_equals_sign() {
    for (text, name, value) in [
        ("a=b", "a", "b"),
        (" a = b ; path=/", "a", "b"),
        ("a=b=c", "a", "b=c"),
        ("a=", "a", ""),
        ("=b", "", "b"),
        ("b", "", "b"),
        ("a=\"b c\"", "a", "\"b c\""),
        ("a=b, c=d", "a", "b, c=d"),
        ("a=ü", "a", "ü"),
        ("a=b\tc", "a", "b\tc"),
    ] {
        let cookie = parse(text).unwrap();
        assert_eq!((cookie.name, cookie.value), (name, value), "{text}");
    }
    for text in ["", "=", " ; secure", "a=b\u{7f}", "a=b\nc", "a=b\0"] {
        assert_eq!(parse(text), None, "{text:?}");
    }
    assert!(parse(&format!("a={}", "b".repeat(4095))).is_some());
    assert_eq!(parse(&format!("a={}", "b".repeat(4096))), None);
}

#[test]
fn attributes_are_read_whatever_their_case_and_the_last_of_a_name_counts() {
    let cookie = parse(
        "a=b; EXPIRES=Thu, 01 Jan 1970 00:00:10 GMT; Max-Age=5; max-age=-7; Domain=.A.Test; domain=B.test; \
         path=/x; Path=/y;SECURE;HttpOnly=what;samesite=strict;other;=",
    );
    let expected = SetCookie {
        name: "a",
        value: "b",
        expires: Some(10),
        max_age: Some(-7),
        domain: Some("b.test".to_owned()),
        path: Some("/y"),
        secure: true,
        http_only: true,
        same_site: SameSite::Strict,
    };
    assert_eq!(cookie, Some(expected));
}

#[test]
fn attributes_that_say_nothing_are_as_if_they_were_not_there() {
    let plain = parse("a=b").unwrap();
    for attribute in ["expires=soon", "max-age=", "max-age=-", "max-age=1.5", "max-age=+1", "path=x", "path"]
    {
        assert_eq!(parse(&format!("a=b; {attribute}")).unwrap(), plain, "{attribute}");
    }
    let long = format!("a=b; path=/{}", "x".repeat(1024));
    assert_eq!(parse(&long).unwrap().path, None);
    assert_eq!(parse("a=b; samesite=strict; samesite=odd").unwrap().same_site, SameSite::Unset);
    assert_eq!(parse("a=b; max-age=99999999999999999999").unwrap().max_age, Some(i64::MAX));
    assert_eq!(parse("a=b; max-age=-99999999999999999999").unwrap().max_age, Some(i64::MIN));
}
