use super::{default_path, domain_matches, is_same_site, path_matches};
use crate::origin::Origin;

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
