//! Tests of proxy URLs: what they mean, which are refused, and that no password is shown.

use super::*;

#[test]
fn urls_in_a_table() {
    // The URL, and how the proxy is shown.
    let table = [
        ("http://p:3128", Ok("http://p:3128")),
        ("p:3128", Ok("http://p:3128")),
        ("p", Ok("http://p")),
        ("HTTP://P:80/", Ok("http://p")),
        ("https://p", Ok("https://p")),
        ("http://[::1]:3128/ignored?too", Ok("http://[::1]:3128")),
        ("http://user:pass@p:3128", Ok("http://p:3128")),
        ("user:p%40ss@p:3128", Ok("http://p:3128")),
        ("ftp://p", Err("the proxy's scheme is not http, https, socks5 or socks5h")),
        ("socks4://p", Err("the proxy's scheme is not http, https, socks5 or socks5h")),
        ("", Err("the proxy's host or port is not valid")),
        ("http://", Err("the proxy's host or port is not valid")),
        ("http://p:0", Err("the proxy's host or port is not valid")),
        ("http://p:65536", Err("the proxy's host or port is not valid")),
        ("http://p q", Err("the proxy's host or port is not valid")),
        // Text that may be the first half of a password is not taken for a port, and is not shown.
        (
            "http://user:12/34@p:3128",
            Err("in a proxy's user and password, `/`, `?` and `#` must be percent-encoded"),
        ),
        ("user:12?34@p", Err("in a proxy's user and password, `/`, `?` and `#` must be percent-encoded")),
        (
            "http://user:12#34@p",
            Err("in a proxy's user and password, `/`, `?` and `#` must be percent-encoded"),
        ),
        (
            "http://user:a/b@p",
            Err("in a proxy's user and password, `/`, `?` and `#` must be percent-encoded"),
        ),
        ("http://u:%ff@p", Err("the proxy's user or password is not UTF-8")),
        (
            "http://u:a%0ab@p",
            Err("a user must not contain a colon, and neither user nor password a control character"),
        ),
    ];
    for (url, expected) in table {
        let shown = Proxy::new(url).map(|proxy| proxy.to_string()).map_err(|error| error.to_string());
        assert_eq!(shown.as_deref().map_err(String::as_str), expected, "{url}");
    }
}

#[test]
fn users_and_passwords_come_of_the_url_or_are_given() {
    let sent = |proxy: &Proxy| proxy.authorization().map(|value| value.to_str().unwrap().to_owned());
    for (url, expected) in [
        ("http://p", None),
        ("http://Aladdin:open%20sesame@p", Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")),
        ("http://a@p", Some("Basic YTo=")),
        ("http://a:b:c@p", Some("Basic YTpiOmM=")),
        ("http://a:b@c@p", Some("Basic YTpiQGM=")),
        ("http://a:1%2@p", Some("Basic YToxJTI=")),
    ] {
        assert_eq!(sent(&Proxy::new(url).unwrap()).as_deref(), expected, "{url}");
    }
    let given = Proxy::new("http://x:y@p").unwrap().basic_auth("Aladdin", "open sesame").unwrap();
    assert_eq!(sent(&given).as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    assert!(given.authorization().unwrap().is_sensitive());
    assert!(Proxy::new("p").unwrap().basic_auth("a:b", "c").is_err());
}

#[test]
fn those_are_the_same_whose_connections_can_be_shared() {
    let proxy = |url| Proxy::new(url).unwrap();
    assert!(proxy("http://p:80") == proxy("P"));
    assert!(proxy("http://u:x@p") == proxy("p").basic_auth("u", "x").unwrap());
    for other in ["http://u:y@p", "http://p", "https://u:x@p", "http://u:x@p:81"] {
        assert!(proxy("http://u:x@p") != proxy(other), "{other}");
    }
}

#[test]
fn which_requests_are_given_to_the_proxy_itself() {
    let origin = |url: &'static str| Origin::of(&url.parse().unwrap()).unwrap();
    let proxy = Proxy::new("http://p").unwrap();
    assert!(proxy.forwards(&origin("http://a"), false));
    assert!(!proxy.forwards(&origin("http://a"), true));
    assert!(!proxy.forwards(&origin("https://a"), false));
}

#[cfg(feature = "socks")]
#[test]
fn socks_urls() {
    for (url, shown, here) in [
        ("socks5://p", "socks5://p:1080", true),
        ("socks5h://u:x@p", "socks5h://p:1080", false),
        ("SOCKS5://[::1]:9050", "socks5://[::1]:9050", true),
    ] {
        let proxy = Proxy::new(url).unwrap();
        assert_eq!((proxy.to_string().as_str(), proxy.looks_up_here()), (shown, here));
    }
    assert!(Proxy::new("socks5://u@p").is_err(), "RFC 1929 has no empty password");
}

#[cfg(not(feature = "socks"))]
#[test]
fn without_the_feature_a_socks_proxy_is_an_error_that_names_it() {
    let error = Proxy::new("socks5h://u:canary@p").unwrap_err();
    assert_eq!(error.to_string(), "a SOCKS proxy needs the feature `socks` of outbound-client");
}
