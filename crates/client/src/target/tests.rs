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
        if let Ok(target) = join("/v1", &path) {
            prop_assert!(target == "/v1" || target.starts_with("/v1/") || target.starts_with("/v1?"), "{target}");
            prop_assert!(target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{target}");
            prop_assert!(!segments(&target).any(is_dots), "{target}");
            let finished = finish(target.clone());
            // What the parser of the request line makes of it is what was checked.
            prop_assert!(finished.is_ok_and(|finished| finished.as_str() == target));
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
        push_pairs(&mut encoded, &pairs, "+");
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
