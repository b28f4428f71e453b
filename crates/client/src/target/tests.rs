//! Tests of URLs, paths and references: where they lead, and which are refused.

use proptest::prelude::*;

use super::*;

fn pieces() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "/", "//", "\\", ".", "..", "%2e", "%2E%2e", "@", ":", "?", "#", "a", "host", "http://", "://", "ü",
        " ", "\r\n", "\0", "%", "[", "]", "&", "\"",
    ]);
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_path_stays_under_its_base_or_is_refused(path in pieces()) {
        if let Ok(joined) = join("/v1", &path) {
            let target = joined.as_str();
            prop_assert!(target == "/v1" || target.starts_with("/v1/") || target.starts_with("/v1?"), "{target}");
            prop_assert!(target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{target}");
            prop_assert!(!segments(target).any(is_dots), "{target}");
            let target = target.to_owned();
            // The request-line parser must read the same text that was checked.
            prop_assert!(joined.finish().is_ok_and(|finished| finished.as_str() == target));
        }
    }

    #[test]
    fn the_origin_of_a_url_is_the_one_between_its_slashes(rest in pieces()) {
        let url = format!("http://good.test/{rest}");
        if let Ok(Some((origin, target))) = absolute(&url) {
            prop_assert_eq!(origin.to_string(), "http://good.test");
            prop_assert!(target.starts_with('/'));
            prop_assert!(target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{target}");
        }
    }

    #[test]
    fn nothing_in_front_of_the_path_makes_it_panic(url in pieces()) {
        for url in [url.clone(), format!("http://{url}"), format!("http://good.test{url}")] {
            if let Ok(Some((origin, _))) = absolute(&url) {
                prop_assert!(origin.authority().is_ok());
                prop_assert!(!origin.host().contains(['@', '/', '\\', ' ']));
            }
        }
    }

    #[test]
    fn pairs_come_back_as_they_went(pairs in proptest::collection::vec((".*", ".*"), 0..4)) {
        let mut encoded = String::new();
        crate::pairs::push(&mut encoded, &pairs, "+", None).unwrap();
        let decoded: Vec<_> = encoded.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap();
            (decode(key), decode(value))
        }).collect();
        prop_assert_eq!(decoded, pairs);
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn references_resolve_as_rfc_3986_has_it() {
    // The examples of its section 5.4, without those that cannot be a target.
    let base = "/b/c/d;p?q";
    for (reference, target) in [
        ("g", "/b/c/g"),
        ("./g", "/b/c/g"),
        ("g/", "/b/c/g/"),
        ("/g", "/g"),
        ("?y", "/b/c/d;p?y"),
        ("g?y", "/b/c/g?y"),
        ("#s", "/b/c/d;p?q"),
        ("g;x=1/./y", "/b/c/g;x=1/y"),
        ("g;x=1/../y", "/b/c/y"),
        ("", "/b/c/d;p?q"),
        (".", "/b/c/"),
        ("./", "/b/c/"),
        ("..", "/b/"),
        ("../g", "/b/g"),
        ("../..", "/"),
        ("../../g", "/g"),
        ("../../../g", "/g"),
        ("/./g", "/g"),
        ("/../g", "/g"),
        ("g.", "/b/c/g."),
        ("..g", "/b/c/..g"),
        ("g?y/../x", "/b/c/g?y/../x"),
        ("%2E%2e/g", "/b/g"),
        (" g ", "/b/c/g"),
        ("http://a/x/../y", "/y"),
        ("HTTPS://a", "/"),
        ("//a/g", "/g"),
    ] {
        let origin = absolute("http://a/").unwrap().unwrap().0;
        let (to, found) = resolve(&origin, base, reference.as_bytes()).unwrap();
        assert_eq!((found.as_str(), to.host()), (target, "a"), "{reference}");
        assert_eq!(to.is_https(), reference.starts_with("HTTPS"));
    }
}

proptest! {
    #[test]
    fn a_reference_leads_to_one_place_or_nowhere(reference in pieces()) {
        let origin = absolute("http://good.test/").unwrap().unwrap().0;
        if let Ok((to, target)) = resolve(&origin, "/a/b?c", reference.as_bytes()) {
            prop_assert!(target.starts_with('/') && !segments(&target).any(is_dots), "{target}");
            prop_assert!(target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{target}");
            let url = format!("{to}{target}");
            let again = absolute(&url).unwrap().unwrap();
            prop_assert_eq!(again, (to, target));
        }
    }
}

#[test]
fn pairs_are_taken_out_of_a_query_however_they_are_written() {
    let keys = ["api key".to_owned(), "k".to_owned()];
    for (target, without) in [
        ("/a", "/a"),
        ("/a?k", "/a"),
        ("/a?K=1&b=k&%6B=2", "/a?b=k"),
        ("/a?api+key=1&api%20key=2&apikey=3&&k=%", "/a?apikey=3&"),
        ("/a?%=k&%zz", "/a?%=k&%zz"),
    ] {
        assert_eq!(without_pairs(target, &keys), without, "{target}");
    }
}
