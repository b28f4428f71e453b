//! Tests: the builder's defaults, its errors, and the traits of public types.

use std::time::Duration;

use outbound_client::{Client, Delivery, Kind, Limits, Method, Phase, Secret};

use crate::support::{OK, answering, secs};

#[test]
fn limits_have_the_documented_defaults() {
    let limits = Limits::new();
    assert_eq!(limits, Limits::default());
    assert_eq!(limits.pool_wait, None);
    assert_eq!(limits.dns, Some(Duration::from_secs(10)));
    assert_eq!(limits.connect, Some(Duration::from_secs(10)));
    assert_eq!(limits.tls, Some(Duration::from_secs(10)));
    assert_eq!(limits.write_idle, Some(Duration::from_secs(300)));
    assert_eq!(limits.first_byte, Some(Duration::from_secs(600)));
    assert_eq!(limits.idle, Some(Duration::from_secs(300)));
    assert_eq!(limits.exchange, None);
    assert_eq!(limits.total, None);
    assert_eq!(limits.max_body, 64 << 20);
    assert_eq!(limits.max_line, 8 << 20);
    assert_eq!(limits.max_event, 8 << 20);
}

#[test]
fn the_builder_has_the_documented_defaults() {
    let shown = format!("{:?}", Client::builder());
    let rules = "max_connections: None, max_connections_per_origin: None, max_idle_per_origin: 256, \
        idle_timeout: Some(90s), max_lifetime: Some(3600s), max_requests_per_connection: None";
    assert!(shown.contains(rules), "{shown}");
    assert!(shown.contains("http2_prior_knowledge: false, dns_ttl: 30s, timings: false"), "{shown}");
    assert!(shown.contains("redirects: Redirects { max: 10, http: false, bodies: false }"), "{shown}");
    assert!(shown.contains("layers: 0"), "{shown}");
    let client = Client::builder().build().unwrap();
    assert_eq!(client.limits(), Limits::new());
}

#[test]
fn what_does_not_fit_is_said_when_building() {
    let kind = |builder: outbound_client::ClientBuilder| {
        let error = builder.build().unwrap_err();
        assert_eq!((error.phase(), error.delivery()), (Phase::Build, Delivery::NotSent));
        error.kind()
    };
    for url in [
        "",
        "/v1",
        "api.test",
        "ftp://api.test",
        "http://",
        "http://u:p@api.test",
        "http://a:0",
        "http://a:99999",
        "http://a:x",
        "http://a/../b",
        "http://a b/",
        "http://[::1",
        "http://a\\b",
    ] {
        assert_eq!(kind(Client::builder().base_url(url)), Kind::Config, "{url}");
    }
    assert_eq!(kind(Client::builder().bearer_auth("k")), Kind::Config);
    for key in ["a\nb", "a\u{200b}b", "ключ", "a\tb", "\u{7f}"] {
        assert_eq!(kind(Client::builder().base_url("http://a").bearer_auth(key)), Kind::Config, "{key:?}");
    }
    assert_eq!(kind(Client::builder().base_url("http://a").auth("a b", "k")), Kind::Config);
    assert_eq!(kind(Client::builder().max_connections_per_origin(0)), Kind::Config);
    assert_eq!(kind(Client::builder().max_connections(0)), Kind::Config);
    assert_eq!(kind(Client::builder().max_requests_per_connection(0)), Kind::Config);
    let connector = |_: &outbound_client::Origin| async { Ok(tokio::io::duplex(1).0) };
    let resolver = outbound_client::SystemResolver;
    assert_eq!(kind(Client::builder().resolver(resolver).connector(connector)), Kind::Config);
    assert_eq!(kind(Client::builder().default_header("a", "b\r\nc: d")), Kind::Config);
    assert_eq!(kind(Client::builder().default_header("host", "b")), Kind::Config);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_is_said_when_sending_and_nothing_is_sent() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.build().unwrap();
    let requests = [
        client.get("//other.test/x"),
        client.get("\\\\other.test"),
        client.get("/a\\b"),
        client.get("/../admin"),
        client.get("/a/%2E%2e/b"),
        client.get("."),
        client.get("/a#b"),
        client.get("/a\r\nx: y"),
        client.get("/a\0"),
        client.get("http://user@other.test/"),
        client.get("http://good.test\\@other.test/"),
        client.get("gopher://other.test/"),
        client.get("/x").header("content-length", "5"),
        client.get("/x").header("Transfer-Encoding", "chunked"),
        client.get("/x").header("host", "other.test"),
        client.get("/x").header("a", "b\r\nc: d"),
        client.get("/x").header("a\r\n", "b"),
        client.request(Method::CONNECT, "/x"),
    ];
    for request in requests {
        let shown = format!("{request:?}");
        let error = request.send().await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (Kind::Request, Delivery::NotSent), "{shown}");
    }
    let nothing = futures::stream::empty::<Result<_, std::io::Error>>();
    let error = client.post("/x").replayable(true).stream(nothing, None).send().await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Request, Delivery::NotSent));
    assert_eq!(seen.connections(), 0);
    let error = Client::builder().build().unwrap().get("/x").send().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Request);
}

#[tokio::test(start_paused = true)]
async fn paths_are_joined_to_the_base_path_and_encoded() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.build().unwrap();
    let expected = [
        ("", "/v1"),
        ("/", "/v1/"),
        ("a", "/v1/a"),
        ("/a/b?c=d", "/v1/a/b?c=d"),
        ("?c=d", "/v1?c=d"),
        ("/models/a:b@c", "/v1/models/a:b@c"),
        ("/ü x/\"{}", "/v1/%C3%BC%20x/%22%7B%7D"),
        ("/%2Fkept", "/v1/%2Fkept"),
        ("/...", "/v1/..."),
        ("/a?x=http://other.test/", "/v1/a?x=http://other.test/"),
        ("HTTP://API.test:80/other?x#fragment", "/other?x"),
        ("http://api.test", "/"),
        ("http://api.test?x", "/?x"),
    ];
    for (path, _) in expected {
        client.get(path).send().await.unwrap().bytes().await.unwrap();
    }
    for (request, (path, target)) in seen.requests().iter().zip(expected) {
        assert_eq!(request.line(), format!("GET {target} HTTP/1.1"), "{path}");
        assert_eq!(request.header("host"), Some("api.test"));
    }
    // All of them belong to one origin.
    assert_eq!(seen.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_key_goes_to_the_origin_of_the_base_url_and_nowhere_else() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.auth("x-api-key", "canary").default_header("x-other", "canary").build().unwrap();
    let strangers =
        ["http://other.test/", "http://api.test:81/", "http://sub.api.test/", "http://api.test.evil.test/"];
    for url in strangers {
        client.get(url).send().await.unwrap().bytes().await.unwrap();
    }
    for url in ["/x", "http://api.test/y", "http://API.TEST:80/"] {
        client.get(url).send().await.unwrap().bytes().await.unwrap();
    }
    let requests = seen.requests();
    assert!(requests[..4].iter().all(|request| !request.head.contains("canary")));
    assert!(requests[4..].iter().all(|request| request.head.matches("canary").count() == 2));
    assert_eq!(requests.len(), 7);
}

#[tokio::test(start_paused = true)]
async fn secrets_are_in_no_debug_and_no_error() {
    let (builder, _) = answering(|request| match request.line().contains("bad") {
        true => {
            b"HTTP/1.1 401 Unauthorized\r\nset-cookie: canary\r\ncontent-length: 6\r\n\r\ncanary".to_vec()
        }
        false => b"nonsense\r\n\r\n".to_vec(),
    });
    let mut shown = Vec::new();
    let key = Secret::new("canary");
    shown.push(format!("{key:?}"));
    let builder = builder.bearer_auth(key).default_header("x-key", "canary");
    shown.push(format!("{builder:?}"));
    shown.push(format!("{:?}", Client::builder().base_url("http://user:canary@api.test")));
    let client = builder.build().unwrap();
    shown.push(format!("{client:?}"));
    let request = client.get("/bad").query(&[("key", "canary")]).header("x-mine", "canary").body("canary");
    shown.push(format!("{request:?}"));
    let future = request.send();
    shown.push(format!("{future:?}"));
    let reply = future.await.unwrap();
    shown.push(format!("{reply:?}"));
    let mut errors = vec![reply.error_for_status().await.unwrap_err()];
    errors.push(client.get("/x?key=canary").send().await.unwrap_err());
    errors.push(client.get("http://user:canary@api.test/?canary").send().await.unwrap_err());
    errors.push(client.get("/canary\n").send().await.unwrap_err());
    errors.push(client.get("/x").header("a", "canary\n").send().await.unwrap_err());
    errors.push(Client::builder().base_url("http://user:canary@api.test").build().unwrap_err());
    errors.push(Client::builder().base_url("http://a").bearer_auth("canary\n").build().unwrap_err());
    for error in errors {
        shown.push(format!("{error:?}"));
        let mut next: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = next {
            shown.push(error.to_string());
            next = error.source();
        }
    }
    for shown in shown {
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[test]
fn public_types_are_send_sync_and_unpin() {
    fn all<T: Send + Sync + Unpin + std::fmt::Debug>() {}
    fn send<T: Send + Unpin + std::fmt::Debug>() {}
    all::<Client>();
    all::<outbound_client::ClientService>();
    all::<outbound_client::Error>();
    all::<outbound_client::ErrorReply>();
    all::<outbound_client::Event>();
    all::<Limits>();
    all::<Secret>();
    all::<outbound_client::Origin>();
    all::<outbound_client::PoolSnapshot>();
    all::<outbound_client::Drained>();
    all::<outbound_client::ConnectionInfo>();
    all::<outbound_client::Timings>();
    all::<outbound_client::SystemResolver>();
    all::<outbound_client::Proxy>();
    all::<outbound_client::EgressPolicy>();
    // A builder is only ever used from one place at a time, so bodies and connectors in it need not be Sync.
    all::<outbound_client::ClientBuilder>();
    all::<outbound_client::Redirects>();
    all::<outbound_client::Redirect>();
    #[cfg(feature = "cookies")]
    {
        all::<outbound_client::CookieJar>();
        all::<outbound_client::Cookie>();
    }
    send::<outbound_client::Connected>();
    send::<outbound_client::RequestBuilder>();
    send::<outbound_client::Multipart>();
    send::<outbound_client::Part>();
    send::<outbound_client::ReplyFuture>();
    send::<outbound_client::WarmUp>();
    send::<outbound_client::Reply>();
    send::<outbound_client::ReplyBody>();
    send::<outbound_client::Body>();
    send::<outbound_client::ResponseFuture>();
    send::<outbound_client::RequestBuilder<outbound_client::Streamed>>();
    send::<outbound_client::Lines>();
    send::<outbound_client::Ndjson<*const u8>>();
    send::<outbound_client::NextLine<'static>>();
    send::<outbound_client::NextValue<'static, *const u8>>();
    send::<outbound_client::Events>();
    send::<outbound_client::NextEvent<'static>>();
    send::<outbound_client::NextChunk<'static>>();
    send::<outbound_client::ReadBytes>();
    send::<outbound_client::ReadText>();
    send::<outbound_client::ReadJson<*const u8>>();
    send::<outbound_client::ErrorForStatus>();
}

#[tokio::test(start_paused = true)]
async fn limits_are_replaced_or_changed_one_by_one() {
    let own = Limits::new().max_body(10).idle(secs(7));
    let builder = || Client::builder().base_url("http://a.test").limits(own);
    let client = builder().change_limits(|limits| limits.connect(secs(3))).build().unwrap();
    assert_eq!(client.limits(), own.connect(secs(3)));
    assert_eq!(builder().change_limits(|_| Limits::new()).build().unwrap().limits(), Limits::new());

    let (builder, _) = answering(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n01234567890".to_vec());
    let client = builder.limits(own).build().unwrap();
    let changed = client.get("/x").change_limits(|limits| limits.total(secs(9)));
    let error = changed.send().await.unwrap().bytes().await.unwrap_err();
    assert!(error.to_string().starts_with("`max_body` of 10 bytes"), "{error}");
    let twice = client
        .get("/x")
        .change_limits(|limits| limits.max_body(11))
        .change_limits(|limits| limits.idle(None));
    assert_eq!(twice.send().await.unwrap().bytes().await.unwrap().len(), 11);
    let replaced = client.get("/x").limits(Limits::new());
    assert_eq!(replaced.send().await.unwrap().bytes().await.unwrap().len(), 11);
}
