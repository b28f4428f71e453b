//! Decoding of bodies whose coding was not asked for.

use http::HeaderValue;

use super::*;

fn coded(coding: Option<&'static str>) -> HeaderMap {
    coding.map(|coding| (CONTENT_ENCODING, HeaderValue::from_static(coding))).into_iter().collect()
}

/// The bytes stay, and so does the header that names their coding.
#[test]
fn what_cannot_be_undone_stays_as_it_is() {
    let body = Bytes::from_static(b"{\"plain\":1}");
    for coding in [None, Some("identity"), Some("unheard-of"), Some("gzip")] {
        let mut headers = coded(coding);
        assert_eq!(undo_coding(&mut headers, body.clone(), 1 << 10), body, "{coding:?}");
        assert_eq!(headers, coded(coding));
    }
}

/// The word "plain" as `gzip` (RFC 1952), with the check sum and the length at its end.
#[cfg(feature = "gzip")]
#[test]
fn what_can_be_undone_is_plain_and_says_so() {
    let body = Bytes::from_static(
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x2b\xc8\x49\xcc\xcc\x03\x00\xcf\x62\x20\x19\x05\x00\x00\x00",
    );
    for (max, plain) in [(1 << 10, true), (2, false)] {
        let mut headers = coded(Some("gzip"));
        let undone = undo_coding(&mut headers, body.clone(), max);
        assert_eq!(&undone[..] == b"plain", plain);
        assert_eq!(headers.is_empty(), plain);
    }
}
