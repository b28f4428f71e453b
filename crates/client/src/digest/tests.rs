//! Tests of answers to `Digest` challenges: the examples of the RFCs, and random challenges.

use http::{HeaderMap, HeaderValue, Method, header};
use http_auth::digest::Algorithm;
use proptest::prelude::*;

use super::{Credentials, challenge};
use crate::{origin::Origin, secret::Secret};

fn mufasa(password: &str) -> Credentials {
    let origin = Origin::of(&http::Uri::from_static("http://www.example.org/")).unwrap();
    Credentials { user: "Mufasa".into(), password: Secret::new(password), origin }
}

fn asked(challenges: &[&'static str]) -> HeaderMap {
    challenges.iter().map(|text| (header::WWW_AUTHENTICATE, HeaderValue::from_static(text))).collect()
}

fn answer(credentials: &Credentials, headers: &HeaderMap, target: &str, cnonce: &str) -> String {
    let mut client = challenge(headers).unwrap();
    client.respond_with_testing_cnonce(&credentials.params(&Method::GET, target), cnonce).unwrap()
}

/// RFC 7616, section 3.9.1: a server that offers both algorithms.
#[test]
fn the_example_of_the_rfc_is_answered_with_sha_256() {
    const SHA_256: &str = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, \
        nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
    const MD5: &str = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=MD5, \
        nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
    let (user, cnonce) = (mufasa("Circle of Life"), "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ");
    for both in [asked(&[SHA_256, MD5]), asked(&[MD5, SHA_256])] {
        let answer = answer(&user, &both, "/dir/index.html", cnonce);
        assert!(
            answer.starts_with("Digest username=\"Mufasa\", realm=\"http-auth@example.org\""),
            "{answer}"
        );
        for part in [
            "uri=\"/dir/index.html\"",
            "algorithm=SHA-256",
            "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\"",
            "nc=00000001",
            "qop=auth",
            "cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\"",
            "response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\"",
            "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
        ] {
            assert!(
                answer.split(", ").any(|found| found.trim_start_matches("Digest ") == part),
                "{part} in {answer}"
            );
        }
    }
    let answer = answer(&user, &asked(&[MD5]), "/dir/index.html", cnonce);
    assert!(answer.contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""), "{answer}");
}

/// RFC 2617, section 3.5.
#[test]
fn the_example_of_the_older_rfc_is_answered_with_md5() {
    let headers = asked(&["Basic realm=\"x\", Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
         nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\""]);
    let answer = answer(&mufasa("Circle Of Life"), &headers, "/dir/index.html", "0a4f113b");
    assert!(answer.contains("response=\"6629fae49393a05397450978507c4ef1\""), "{answer}");
}

#[test]
fn what_cannot_be_answered_is_no_challenge() {
    for text in [
        "Basic realm=\"x\"",
        "Digest",
        "Digest realm=\"x\"",
        "Digest realm=\"x\", nonce=\"y\", qop=\"auth-int\"",
        "Digest realm=\"x\", nonce=\"y\", algorithm=TOKEN",
        "Digest realm=\"x, nonce=",
        "Digest realm=x nonce=y",
    ] {
        assert!(challenge(&asked(&[text])).is_none(), "{text}");
    }
    // It does not hide a challenge that can be answered.
    let found =
        challenge(&asked(&["Digest realm=\"x, nonce=", "Negotiate, digest realm=x, nonce=y, qop=auth"]));
    assert_eq!(found.unwrap().algorithm(), Algorithm::Md5);
    assert!(challenge(&HeaderMap::new()).is_none());
}

#[test]
fn an_answer_is_another_one_each_time_and_does_not_show_itself() {
    let headers = asked(&["Digest realm=\"x\\\"y\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256"]);
    let user = mufasa("canary");
    let answers = [(); 2].map(|()| user.answer(&headers, &Method::PUT, "/a?b=c").unwrap());
    assert_ne!(answers[0], answers[1]);
    assert!(answers[0].is_sensitive());
    let text = answers[0].to_str().unwrap();
    assert!(text.contains("realm=\"x\\\"y\"") && text.contains("uri=\"/a?b=c\""), "{text}");
    // A user name that is not ASCII is sent in another form.
    let user = Credentials { user: "Jäsøn Doe".into(), ..mufasa("canary") };
    assert!(
        user.answer(&headers, &Method::GET, "/")
            .unwrap()
            .to_str()
            .unwrap()
            .contains("username*=UTF-8''J%C3%A4")
    );
}

proptest! {
    #[test]
    fn any_challenge_is_fine(pieces in proptest::collection::vec(proptest::sample::select(vec![
        "Digest", "digest", "Basic", " ", ",", "=", "\"", "\\", "realm=", "\"a\"", "nonce=\"n\"", "qop=", "\"auth\"",
        "auth", "algorithm=", "MD5", "SHA-256-sess", "SHA-512-256", "userhash=true", "charset=UTF-8", "realm=\"x\\\"y\"",
        "realm=\"\", nonce=\"\"", "\t", "opaque=\"\"", "stale=", "domain=", "token68==", "a", "\x7f", "(",
    ]), 0..24)) {
        let text = pieces.concat();
        if let Ok(value) = HeaderValue::from_str(&text) {
            let headers: HeaderMap = [(header::WWW_AUTHENTICATE, value)].into_iter().collect();
            let answer = mufasa("p").answer(&headers, &Method::GET, "/x?y=\"z\"");
            prop_assert!(answer.is_none_or(|answer| answer.is_sensitive()));
        }
    }
}
