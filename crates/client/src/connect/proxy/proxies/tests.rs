//! Tests of proxies from the environment: a table of variables and origins.

use std::error::Error as _;

use super::*;

/// What the environment says for an origin: the proxy as `Display` shows it, or why there is none.
fn find(variables: &[(&str, &str)], url: &str) -> Result<Option<String>, String> {
    let lookup =
        |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let origin = Origin::of(&url.parse().unwrap()).unwrap();
    match Proxies::from_variables(lookup).find(&origin) {
        Ok(proxy) => Ok(proxy.map(|proxy| proxy.to_string())),
        Err(error) => Err(format!("{error}: {}", error.source().unwrap())),
    }
}

#[test]
fn the_environment_in_a_table() {
    let (http, https) = ("http://a.test/", "https://a.test/");
    // The variables, the origin, the proxy.
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, Option<&'a str>);
    let table: [Row<'_>; 17] = [
        (&[], http, None),
        (&[("http_proxy", "http://p:1")], http, Some("http://p:1")),
        (&[("http_proxy", "http://p:1")], https, None),
        (&[("HTTP_PROXY", "http://p:1")], http, Some("http://p:1")),
        (&[("HTTP_PROXY", "http://p:1"), ("http_proxy", "http://q:1")], http, Some("http://q:1")),
        // An empty value counts as not set.
        (&[("HTTP_PROXY", "http://p:1"), ("http_proxy", " ")], http, Some("http://p:1")),
        // In a CGI program.
        (&[("HTTP_PROXY", "http://p:1"), ("REQUEST_METHOD", "GET")], http, None),
        (&[("http_proxy", "http://p:1"), ("REQUEST_METHOD", "GET")], http, Some("http://p:1")),
        (&[("HTTPS_PROXY", "http://p:1"), ("REQUEST_METHOD", "GET")], https, Some("http://p:1")),
        (&[("https_proxy", "p:1")], https, Some("http://p:1")),
        (&[("ALL_PROXY", "https://p:1")], http, Some("https://p:1")),
        (&[("all_proxy", "p"), ("https_proxy", "q")], https, Some("http://q")),
        (&[("all_proxy", "p"), ("https_proxy", "q")], http, Some("http://p")),
        (&[("ALL_PROXY", "p"), ("all_proxy", "q")], http, Some("http://q")),
        (&[("all_proxy", "p"), ("NO_PROXY", "a.test")], http, None),
        (&[("all_proxy", "p"), ("NO_PROXY", "a.test"), ("no_proxy", "b.test")], http, Some("http://p")),
        (&[("all_proxy", "p"), ("NO_PROXY", "a.test:443")], https, None),
    ];
    for (variables, url, expected) in table {
        assert_eq!(find(variables, url), Ok(expected.map(str::to_owned)), "{variables:?} for {url}");
    }
}

#[test]
fn what_cannot_be_used_fails_only_what_would_go_through_it() {
    let variables = [("http_proxy", "gopher://p:canary@q"), ("NO_PROXY", "b.test")];
    let why = find(&variables, "http://a.test/").unwrap_err();
    let says =
        "`http_proxy` names a proxy that cannot be used (http://a.test): the proxy's scheme is not http";
    assert!(why.starts_with(says), "{why}");
    assert!(!why.contains("canary"), "{why}");
    assert_eq!(find(&variables, "http://b.test/"), Ok(None));
    assert_eq!(find(&variables, "https://a.test/"), Ok(None));
}
