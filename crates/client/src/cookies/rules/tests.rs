//! Tests of sites, domains and paths.

use proptest::prelude::*;

use super::{default_path, domain_matches, is_same_site, path_matches};
use crate::{cookies::CookieJar, origin::Origin};

#[test]
fn a_site_is_a_scheme_and_a_domain_below_a_public_suffix() {
    let origin = |url: &str| Origin::of(&url.parse().unwrap()).unwrap();
    let same = |one: &str, other: &str| is_same_site(&origin(one), &origin(other));
    assert!(same("https://a.example.co.uk/", "https://b.c.example.co.uk:8443/"));
    assert!(same("http://localhost/", "http://localhost:81/"));
    assert!(same("http://127.0.0.1/", "http://127.0.0.1:81/"));
    assert!(!same("http://example.com/", "https://example.com/"));
    assert!(!same("https://a.co.uk/", "https://b.co.uk/"));
    assert!(!same("https://a.github.io/", "https://b.github.io/"));
    assert!(!same("http://1.0.0.1/", "http://2.0.0.1/"));
    assert!(!same("http://a.localhost/", "http://localhost/"));
}

/// RFC 6265bis, sections 5.1.3 and 5.1.4.
#[test]
fn domains_and_paths_match_at_their_dots_and_slashes() {
    assert!(domain_matches("a.b.test", "b.test") && domain_matches("b.test", "b.test"));
    assert!(!domain_matches("ab.test", "b.test") && !domain_matches("b.test", "a.b.test"));
    assert!(!domain_matches("1.2.3.4", "2.3.4") && domain_matches("1.2.3.4", "1.2.3.4"));
    assert!(path_matches("/a/b", "/a") && path_matches("/a/b", "/a/") && path_matches("/a", "/a"));
    assert!(path_matches("/a", "/") && !path_matches("/ab", "/a") && !path_matches("/a", "/a/"));
    let paths = ["/a/b/c", "/a/b/", "/a", "/", "", "*"].map(default_path);
    assert_eq!(paths, ["/a/b", "/a/b", "/", "/", "/", "/"]);
}

#[test]
fn a_public_suffix_with_a_dot_behind_it_is_one_too() {
    let jar = CookieJar::new();
    for (url, domain) in [
        ("https://a.com./", "com."),
        ("https://a.co.uk./", "co.uk."),
        ("https://a.com/", "com."),
        ("https://a.com/", ".."),
    ] {
        assert!(!jar.add(url, &format!("a=b; Domain={domain}")).unwrap(), "{url} {domain}");
    }
}

#[test]
fn no_address_is_below_a_domain() {
    let jar = CookieJar::new();
    assert!(jar.add("http://x.0.1/", "a=b; Domain=0.1").unwrap());
    assert!(jar.header("http://y.0.1/").unwrap().is_some());
    assert_eq!(jar.header("http://10.0.0.1/").unwrap(), None);
}

proptest! {
    #[test]
    fn any_cookie_of_any_host_is_fine(
        host in "[a-c.]{1,8}(com|uk|1)?[.]?",
        domain in "[.]{0,3}[a-c.]{0,4}(com|co.uk|1)?[.]{0,2}",
        text in ".{0,40}",
        path in "/[a-c/?]{0,4}",
    ) {
        let jar = CookieJar::new();
        let url = format!("https://{host}{path}");
        for cookie in [text.clone(), format!("a=b; Domain={domain}"), format!("__Host-a; Path=/; Expires={text}")] {
            let _ = jar.add(&url, &cookie);
        }
        if let Ok(Some(header)) = jar.header(&url) {
            prop_assert!(header.is_sensitive());
        }
    }
}
