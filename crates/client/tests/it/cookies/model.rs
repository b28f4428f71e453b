//! Tests with random cookies: another implementation must agree, and the bounds must hold.

use super::*;

fn hosts() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "example.com",
        "a.example.com",
        "b.a.example.com",
        "other.com",
        "xexample.com",
        // Not a loopback address: the other jar sends secure cookies to those without TLS.
        "192.0.2.7",
    ])
}

fn urls() -> impl Strategy<Value = String> {
    let paths = prop::sample::select(vec!["/", "/x", "/x/", "/x/y", "/xy", "/x/y/z?q=/a"]);
    (prop::bool::ANY, hosts(), paths)
        .prop_map(|(tls, host, path)| format!("{}://{host}{path}", if tls { "https" } else { "http" }))
}

fn set_cookies() -> impl Strategy<Value = String> {
    let pair = prop::sample::select(vec!["a=1", "a=2", "b=3", " c = 4 ", "d="]);
    let domain = prop::option::of((prop::bool::ANY, hosts()));
    let path = prop::option::of(prop::sample::select(vec!["/", "/x", "/x/", "/x/y", "x"]));
    let age = prop::option::of(prop::sample::select(vec!["0", "-1", "100", "x"]));
    (pair, domain, path, age, prop::bool::weighted(0.3)).prop_map(|(pair, domain, path, age, secure)| {
        let mut text = pair.to_owned();
        if let Some((dot, domain)) = domain {
            // The other jar confuses a cookie of a host with one of the domain of the same name.
            text.make_ascii_uppercase();
            text += &format!("; Domain={}{domain}", if dot { "." } else { "" });
        }
        text += &path.map(|path| format!("; Path={path}")).unwrap_or_default();
        text += &age.map(|age| format!("; max-age={age}")).unwrap_or_default();
        text + if secure { "; Secure" } else { "" }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// Another implementation sends the same cookies.
    #[test]
    fn another_jar_agrees(set in prop::collection::vec((urls(), set_cookies()), 0..12), to in urls()) {
        let (ours, mut other) = (jar(), cookie_store::CookieStore::new());
        for (url, cookie) in &set {
            let ours = ours.add(url, cookie).unwrap();
            // The other jar lets an insecure origin set cookies beside secure ones. This is not compared here.
            let url = Url::parse(url).unwrap();
            if ours || url.scheme() == "https" {
                let _ = other.parse(cookie, &url);
            }
        }
        let ours: BTreeSet<String> =
            header(&ours, &to).split("; ").filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
        let url = Url::parse(&to).unwrap();
        let other: BTreeSet<String> =
            other.get_request_values(&url).map(|(name, value)| format!("{name}={value}")).collect();
        prop_assert_eq!(ours, other);
    }

    /// Whatever a server sends: what is kept is within the bounds and can be sent.
    #[test]
    fn no_text_breaks_the_jar(texts in prop::collection::vec("[ -~\t\u{e9}]{0,60}", 0..20)) {
        let jar = jar();
        for text in &texts {
            jar.add("https://a.example.com/x", text).unwrap();
            jar.add("http://a.example.com/x", &format!("a=b;{text}")).unwrap();
        }
        for cookie in jar.cookies() {
            prop_assert!("a.example.com".ends_with(&cookie.domain));
        }
        jar.header("https://a.example.com/x").unwrap();
    }
}
