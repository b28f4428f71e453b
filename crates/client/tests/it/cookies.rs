//! Tests: who may set a cookie, and which requests get it.

mod model;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use futures::StreamExt;
use outbound_client::{ClientBuilder, ClientService, CookieJar, HeaderValue, Redirects, SameSite};
use proptest::prelude::*;
use tower_layer::layer_fn;
use url::Url;

use crate::support::{Request, Seen, answering, secs};

const NOW: u64 = 1_800_000_000;

fn jar() -> CookieJar {
    CookieJar::with_wall_clock(UNIX_EPOCH + Duration::from_secs(NOW))
}

/// The `cookie` header to a URL, of a jar with these cookies, each set at its URL.
fn sent(set: &[(&str, &str)], url: &str) -> String {
    let jar = jar();
    for (url, cookie) in set {
        jar.add(url, cookie).unwrap();
    }
    header(&jar, url)
}

fn header(jar: &CookieJar, url: &str) -> String {
    jar.header(url).unwrap().map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn a_cookie_goes_where_its_domain_and_path_say() {
    let at = "http://www.example.com/shop/list?x=/y";
    for (cookie, yes, no) in [
        (
            "a=b",
            vec!["http://www.example.com/shop", "https://www.example.com:8443/shop/"],
            vec![
                "http://example.com/shop",
                "http://a.www.example.com/shop",
                "http://www.example.com/shopping",
            ],
        ),
        (
            "a=b; Domain=example.com; Path=/",
            vec!["http://example.com/", "http://x.y.example.com/z"],
            vec!["http://badexample.com/", "http://example.com.bad.test/", "http://com/"],
        ),
        (
            "a=b; Domain=.WWW.example.com; Path=/shop/",
            vec!["http://www.example.com/shop/x"],
            vec!["http://www.example.com/shop", "http://example.com/shop/x"],
        ),
        (
            "a=b; Domain=; Path=nowhere",
            vec!["http://www.example.com/shop"],
            vec!["http://x.www.example.com/shop"],
        ),
    ] {
        for url in yes {
            assert_eq!(sent(&[(at, cookie)], url), "a=b", "{cookie} to {url}");
        }
        for url in no {
            assert_eq!(sent(&[(at, cookie)], url), "", "{cookie} to {url}");
        }
    }
}

#[tokio::test]
async fn no_server_sets_a_cookie_for_others() {
    for (at, cookie) in [
        ("http://a.example.com/", "a=b; Domain=b.example.com"),
        ("http://example.com/", "a=b; Domain=a.example.com"),
        ("http://example.com/", "a=b; Domain=com"),
        ("http://example.co.uk/", "a=b; Domain=co.uk"),
        ("http://me.github.io/", "a=b; Domain=github.io"),
        ("http://api.test/", "a=b; Domain=test"),
        ("http://api.test/", "a=b; Domain=test."),
        ("http://api.test/", "a=b; Domain=..api.test"),
        ("http://127.0.0.1/", "a=b; Domain=0.0.1"),
        ("http://example.com/", "a=b; Domain=éxample.com"),
        ("http://example.com/", "a=b; Domain=example.com:80"),
    ] {
        let jar = jar();
        assert!(!jar.add(at, cookie).unwrap(), "{at} {cookie}");
        assert!(jar.cookies().is_empty());
    }
    // A public suffix and an address may set cookies for themselves only.
    for (at, domain, below) in [
        ("http://github.io/", "github.io", "http://me.github.io/"),
        ("http://localhost/", "localhost", "http://a.localhost/"),
        ("http://127.0.0.1/", "127.0.0.1", "http://1.127.0.0.1/"),
        ("http://[::1]/", "::1", "http://localhost/"),
    ] {
        let cookie = format!("a=b; Domain={domain}");
        assert_eq!(sent(&[(at, &cookie)], at), "a=b", "{at}");
        assert_eq!(sent(&[(at, &cookie)], below), "", "{at}");
    }
}

#[tokio::test]
async fn secure_cookies_are_set_and_sent_over_tls_only() {
    let (http, https) = ("http://a.example.com/x", "https://a.example.com/x");
    assert_eq!(sent(&[(https, "a=b; Secure")], http), "");
    assert_eq!(sent(&[(https, "a=b; Secure")], https), "a=b");
    assert_eq!(sent(&[(http, "a=b; Secure")], https), "");
    // A cookie without TLS can neither replace a secure one nor stand beside it.
    let secure = (https, "a=b; Secure; Path=/x; Domain=example.com");
    for cookie in ["a=evil; Domain=example.com; Path=/x", "a=evil; Path=/x/y", "a=evil; Max-Age=0; Path=/x"] {
        assert_eq!(sent(&[secure, (http, cookie)], "https://a.example.com/x/y"), "a=b", "{cookie}");
    }
    assert_eq!(sent(&[secure, (http, "a=c; Path=/")], "https://a.example.com/x/y"), "a=b; a=c");
    assert_eq!(sent(&[secure, (https, "a=c; Path=/x")], "https://a.example.com/x"), "a=b; a=c");
}

#[tokio::test]
async fn names_with_a_prefix_keep_what_they_promise() {
    let https = "https://example.com/x";
    for cookie in [
        "__Secure-a=b; Secure",
        "__Host-a=b; Secure; Path=/",
        "__host-a=b; Secure; Path=/",
        "a=b; SameSite=None; Secure",
        "__Hosta=b",
    ] {
        assert!(jar().add(https, cookie).unwrap(), "{cookie}");
    }
    for cookie in [
        "__Secure-a=b",
        "__SECURE-a=b",
        "__Host-a=b; Path=/",
        "__Host-a=b; Secure; Path=/x",
        "__Host-a=b; Secure",
        "__Host-a=b; Secure; Path=/; Domain=example.com",
        "=__Host-a=b; Secure; Path=/",
        "__Secure-a; Secure",
        "a=b; SameSite=None",
    ] {
        assert!(!jar().add(https, cookie).unwrap(), "{cookie}");
    }
}

#[tokio::test(start_paused = true)]
async fn cookies_expire_by_tokios_clock() {
    let (url, jar) = ("http://example.com/", jar());
    jar.add(url, "a=1; Max-Age=60").unwrap();
    jar.add(url, "b=1; Expires=Fri, 15 Jan 2027 08:01:00 GMT").unwrap();
    jar.add(url, "c=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT").unwrap();
    jar.add(url, "d=1; Expires=not a date").unwrap();
    jar.add(url, "e=1; Max-Age=999999999999").unwrap();
    assert_eq!(header(&jar, url), "a=1; b=1; c=1; d=1; e=1");
    tokio::time::advance(secs(59)).await;
    assert_eq!(header(&jar, url), "a=1; b=1; c=1; d=1; e=1");
    tokio::time::advance(secs(1)).await;
    assert_eq!(header(&jar, url), "d=1; e=1");
    jar.add(url, "d=; Max-Age=0").unwrap();
    assert_eq!(header(&jar, url), "e=1");
    // No cookie lives longer than 400 days.
    tokio::time::advance(secs(400 * 86_400)).await;
    assert!(jar.cookies().is_empty());
}

/// A server for all names. It sets the cookies of its table and redirects as the table says.
fn serving(table: &'static [(&'static str, &'static str)]) -> (ClientBuilder, Arc<Seen>) {
    answering(move |request: &Request| {
        let at = format!("{}{}", request.header("host").unwrap(), request.line().split(' ').nth(1).unwrap());
        let found = table.iter().find(|(from, _)| *from == at);
        let (status, headers) = match found {
            Some((_, headers)) if headers.contains("location") => ("307 Elsewhere", *headers),
            Some((_, headers)) => ("200 OK", *headers),
            None => ("200 OK", ""),
        };
        format!("HTTP/1.1 {status}\r\n{headers}content-length: 2\r\n\r\nok").into_bytes()
    })
}

#[tokio::test(start_paused = true)]
async fn each_hop_sets_and_gets_its_own() {
    for layered in [false, true] {
        let (builder, seen) = serving(&[
            (
                "a.example.com/login",
                "set-cookie: session=1; Domain=example.com\r\nset-cookie: own=1\r\nlocation: /next\r\n",
            ),
            (
                "a.example.com/next",
                "set-cookie: own=2; SameSite=Strict\r\nlocation: http://b.example.com/\r\n",
            ),
            ("b.example.com/", "location: http://other.test/\r\nset-cookie: strict=1; SameSite=Strict\r\n"),
            ("other.test/", "set-cookie: theirs=1\r\nlocation: http://b.example.com/back\r\n"),
        ]);
        let jar = jar();
        let builder = builder.cookies(jar.clone());
        let client =
            if layered { builder.layer(layer_fn(|service: ClientService| service)) } else { builder };
        let client = client.build().unwrap();
        let own = [("cookie", "mine=1"), ("cookie", "other=1")]
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        let own = own.into_iter().collect();
        drop(client.get("http://a.example.com/login").headers(&own).send().await.unwrap());
        drop(client.get("http://b.example.com/").redirects(Redirects::none()).send().await.unwrap());
        drop(client.get("http://other.test/x").send().await.unwrap());
        let cookies: Vec<_> = seen
            .requests()
            .iter()
            .map(|request| {
                let lines = request.head.lines().filter_map(|line| line.strip_prefix("cookie: "));
                lines.collect::<Vec<_>>().join(" | ")
            })
            .collect();
        assert_eq!(
            cookies,
            [
                "mine=1 | other=1",
                "mine=1; other=1; session=1; own=1",
                // The caller's own cookie stays with its origin. The jar's cookies follow the jar's rules.
                "session=1",
                "",
                // Another site has redirected here, so no strict cookie is sent.
                "session=1",
                "session=1; strict=1",
                "theirs=1",
            ]
        );
        let names: Vec<_> = jar.cookies().into_iter().map(|cookie| (cookie.name, cookie.same_site)).collect();
        assert!(names.contains(&("own".to_owned(), SameSite::Strict)), "{names:?}");
        assert!(!format!("{client:?}{jar:?}{:?}", jar.cookies()).contains("=1"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_site_has_caused_gets_few_cookies() {
    let jar = jar();
    let target = "https://bank.example/pay";
    for cookie in
        ["none=1; SameSite=None; Secure", "lax=1; SameSite=Lax", "plain=1", "strict=1; SameSite=Strict"]
    {
        jar.add(target, cookie).unwrap();
    }
    jar.add("http://bank.example/pay", "http=1").unwrap();
    let (builder, seen) = serving(&[("evil.test/", "location: http://bank.example/pay\r\n")]);
    let client = builder.cookies(jar).redirects(Redirects::default().allow_bodies()).build().unwrap();
    drop(client.get("http://evil.test/").send().await.unwrap());
    drop(client.post("http://evil.test/").send().await.unwrap());
    drop(client.post("http://bank.example/pay").send().await.unwrap());
    let cookies: Vec<_> =
        seen.requests().iter().map(|request| request.header("cookie").map(str::to_owned)).collect();
    let of_bank = "lax=1; plain=1; strict=1; http=1";
    assert_eq!(
        cookies,
        [None, Some("lax=1; plain=1; http=1".to_owned()), None, None, Some(of_bank.to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn expiry_is_read_against_the_servers_clock() {
    // The server's clock is two days behind, and the cookie shall live for an hour.
    let (builder, _) = serving(&[(
        "a.test/",
        "date: Wed, 13 Jan 2027 08:00:00 GMT\r\nset-cookie: a=1; Expires=Wed, 13 Jan 2027 09:00:00 GMT\r\n",
    )]);
    let jar = jar();
    let client = builder.cookies(jar.clone()).build().unwrap();
    drop(client.get("http://a.test/").send().await.unwrap());
    assert_eq!(jar.cookies()[0].expires, Some(i64::try_from(NOW).unwrap() + 3600));
}

#[tokio::test(start_paused = true)]
async fn requests_at_the_same_time_share_the_jar() {
    let (builder, seen) = answering(|request| {
        let number = request.line().rsplit('/').nth(1).unwrap().split(' ').next().unwrap();
        format!("HTTP/1.1 200 OK\r\nset-cookie: n{number}=1; Path=/\r\ncontent-length: 0\r\n\r\n")
            .into_bytes()
    });
    let jar = jar();
    let client = builder.cookies(jar.clone()).build().unwrap();
    let requests = (0..40).map(|number| client.get(&format!("/{number}")).send());
    futures::stream::iter(requests)
        .buffer_unordered(8)
        .for_each(|reply| async { drop(reply.unwrap()) })
        .await;
    assert_eq!((jar.cookies().len(), seen.requests().len()), (40, 40));
}

#[tokio::test]
async fn a_jar_can_be_stored() {
    let jar = CookieJar::new();
    let url = "https://www.example.com/a/b";
    for cookie in [
        "a=1",
        "b=\"ü\"; Max-Age=1000; Domain=example.com; HttpOnly",
        "__Host-c=3; Secure; Path=/; SameSite=Strict",
        "nameless",
    ] {
        assert!(jar.add(url, cookie).unwrap());
    }
    let text = serde_json::to_string(&jar).unwrap();
    let again: CookieJar = serde_json::from_str(&text).unwrap();
    assert_eq!(again.cookies(), jar.cookies());
    assert_eq!(again.header(url).unwrap(), jar.header(url).unwrap());
    assert!(again.remove(&jar.cookies()[0]));
    assert_eq!(again.cookies().len(), 3);
    again.clear();
    assert!(again.cookies().is_empty());

    // A cookie that no server could have set is not taken from a file either.
    let good = serde_json::json!({"name": "a", "value": "b", "domain": "example.com", "host_only": false, "path": "/",
        "expires": null, "secure": false, "http_only": false, "same_site": "unset"});
    for (field, value) in [
        ("value", "x\r\nevil: 1".into()),
        ("value", "x; y".into()),
        ("name", "x=".into()),
        ("name", "__Secure-x".into()),
        ("domain", "com".into()),
        ("domain", "".into()),
        ("domain", "Example.com".into()),
        ("path", "".into()),
        ("same_site", "none".into()),
        ("expires", 5.into()),
        ("value", "x".repeat(5000).into()),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let jar: CookieJar = serde_json::from_value(serde_json::json!([bad])).unwrap();
        assert!(jar.cookies().is_empty(), "{bad}");
    }
    let jar: CookieJar = serde_json::from_value(serde_json::json!([good])).unwrap();
    assert_eq!(jar.cookies().len(), 1);
}

#[tokio::test]
async fn a_url_that_is_none_is_an_error() {
    assert!(jar().add("ftp://example.com/", "a=b").is_err());
    assert!(jar().header("/path").is_err());
}
