//! Tests of the jar: its bounds, its order, and expiry.

use super::Jar;
use crate::{
    cookies::{Cookie, Initiator, SameSite},
    origin::Origin,
};

fn cookie(name: &str, domain: &str) -> Cookie {
    Cookie {
        name: name.to_owned(),
        value: "1".to_owned(),
        domain: domain.to_owned(),
        host_only: false,
        path: "/".to_owned(),
        expires: None,
        secure: false,
        http_only: false,
        same_site: SameSite::Unset,
    }
}

fn header(jar: &mut Jar, url: &str, own: &str, now: i64) -> String {
    let url: http::Uri = url.parse().unwrap();
    let origin = Origin::of(&url).unwrap();
    let header = jar.header(&origin, url.path(), Initiator::SameSite, own.as_bytes(), now);
    String::from_utf8(header.unwrap_or_default()).unwrap()
}

#[test]
fn a_domain_has_so_many_and_the_least_worth_goes_first() {
    let mut jar = Jar::default();
    jar.put(Cookie { secure: true, ..cookie("secure", "a.test") }, true, 0);
    jar.put(Cookie { expires: Some(5), ..cookie("short", "a.test") }, true, 0);
    for number in 0..Jar::MAX_PER_DOMAIN {
        jar.put(Cookie { path: format!("/{number}"), ..cookie("plain", "a.test") }, true, 0);
    }
    // The first cookie is secure, the second one is not.
    let left = jar.cookies(0);
    assert_eq!(left.len(), Jar::MAX_PER_DOMAIN);
    assert!(left.iter().any(|cookie| cookie.name == "secure"));
    assert!(left.iter().all(|cookie| cookie.name != "short" && cookie.path != "/0"));
    // Sending a cookie counts as using it.
    assert!(header(&mut jar, "http://a.test/1", "", 0).contains("plain"));
    jar.put(cookie("more", "a.test"), true, 0);
    let left = jar.cookies(0);
    assert!(left.iter().any(|cookie| cookie.path == "/1") && left.iter().all(|cookie| cookie.path != "/2"));
    // Expired cookies are dropped before those that were used least.
    let mut jar = Jar::default();
    for number in 0..Jar::MAX_PER_DOMAIN {
        let expires = (number == 30).then_some(5);
        jar.put(Cookie { expires, ..cookie(&number.to_string(), "a.test") }, true, 0);
    }
    jar.put(cookie("more", "a.test"), true, 5);
    assert_eq!(jar.cookies(0).len(), Jar::MAX_PER_DOMAIN);
    assert!(jar.cookies(0).iter().all(|cookie| cookie.name != "30"));
}

#[test]
fn a_jar_has_so_many_whatever_their_domains() {
    let mut jar = Jar::default();
    for number in 0..Jar::MAX + 100 {
        jar.put(cookie("a", &format!("{number}.test")), true, 0);
    }
    assert_eq!((jar.cookies(0).len(), jar.count, jar.domains.len()), (Jar::MAX, Jar::MAX, Jar::MAX));
    assert!(jar.cookies(0).iter().all(|cookie| cookie.domain != "99.test"));
    assert!(jar.cookies(0).iter().any(|cookie| cookie.domain == "100.test"));
    for cookie in jar.cookies(0) {
        assert!(jar.remove(&cookie) && !jar.remove(&cookie));
    }
    assert_eq!((jar.count, jar.domains.len()), (0, 0));
}

#[test]
fn longer_paths_come_first_and_then_older_cookies() {
    let mut jar = Jar::default();
    for (name, domain, path) in
        [("a", "x.test", "/"), ("b", "y.x.test", "/p"), ("c", "y.x.test", "/"), ("d", "x.test", "/p/q")]
    {
        jar.put(Cookie { path: path.to_owned(), ..cookie(name, domain) }, true, 0);
    }
    // A new value does not make a cookie younger.
    jar.put(Cookie { value: "2".to_owned(), ..cookie("a", "x.test") }, true, 0);
    assert_eq!(header(&mut jar, "http://y.x.test/p/q/r", "", 0), "d=1; b=1; a=2; c=1");
    assert_eq!(header(&mut jar, "http://y.x.test/p/q/r", "z=9; b=8", 0), "z=9; b=8; d=1; a=2; c=1");
    assert_eq!(header(&mut jar, "http://x.test/", "", 0), "a=2");
    assert_eq!(header(&mut jar, "http://test/", "", 0), "");
}

#[test]
fn an_expired_cookie_is_not_sent_and_removes_what_it_names() {
    let mut jar = Jar::default();
    jar.put(Cookie { expires: Some(10), ..cookie("a", "x.test") }, true, 0);
    assert_eq!(header(&mut jar, "http://x.test/", "", 9), "a=1");
    assert_eq!(header(&mut jar, "http://x.test/", "", 10), "");
    jar.put(Cookie { expires: Some(20), ..cookie("a", "x.test") }, true, 10);
    jar.put(Cookie { expires: Some(9), path: "/p".to_owned(), ..cookie("a", "x.test") }, true, 10);
    assert_eq!(jar.count, 1);
    jar.put(Cookie { expires: Some(0), ..cookie("a", "x.test") }, true, 10);
    assert_eq!((jar.count, jar.domains.len()), (0, 0));
}
