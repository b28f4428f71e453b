//! Tests: secrets are not sent to another origin by a redirect.

use super::*;

#[tokio::test(start_paused = true)]
async fn secrets_stay_with_their_origin() {
    let elsewhere =
        ["http://other.test/", "http://api.test:81/", "https://api.test/", "http://sub.api.test/"];
    for location in elsewhere {
        let (builder, seen) = answering(move |request| match request.line().contains("/from") {
            true => to(307, location),
            false => OK.to_vec(),
        });
        // TLS in memory is not needed: the pipe's server does not speak TLS, so the handshake fails and nothing is
        // sent.
        let client = builder
            .bearer_auth("canary")
            .default_header("x-home", "canary")
            .secret_header("x-declared")
            .limits(Limits::new().tls(secs(1)))
            .build()
            .unwrap();
        let mut marked = HeaderValue::from_static("canary");
        marked.set_sensitive(true);
        let reply = client
            .get("/from")
            .header("cookie", "canary")
            .header("x-api-key", "canary")
            .header("x-declared", "canary")
            .header("x-marked", marked)
            .header("x-open", "1")
            .send()
            .await;
        let requests = seen.requests();
        assert_eq!(requests[0].head.matches("canary").count(), 6);
        match reply {
            Ok(_) => {
                assert_eq!(requests[1].header("x-open"), Some("1"));
                assert!(!requests[1].head.contains("canary"), "{location}: {}", requests[1].head);
            }
            Err(error) => {
                assert!(location.starts_with("https") && error.is_connect() || error.is_timeout(), "{error}");
                // The first server has seen the request, so it is not proved unsent.
                assert_eq!(error.delivery(), Delivery::MaybeSent);
                assert_eq!(error.url(), Some("https://api.test/"));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_of_the_requests_own_stays_too_and_one_to_the_same_origin_goes_on() {
    let (builder, seen) =
        leading(&[("api.test/v1/a", 302, "/v1/b"), ("api.test/v1/b", 302, "http://other.test/c")]);
    let client = builder.build().unwrap();
    text(client.get("/a").header("authorization", "canary").send().await).await;
    let keys: Vec<_> =
        seen.requests().iter().map(|request| request.header("authorization").is_some()).collect();
    assert_eq!(keys, [true, true, false]);
}

#[tokio::test(start_paused = true)]
async fn chains_that_come_back_stay_stripped() {
    for layered in [false, true] {
        let (other, seen_there) = leading(&[
            ("api.test/v1/a", 302, "http://b.test/1"),
            ("b.test/1", 302, "http://api.test/v1/back"),
            ("api.test/v1/back", 302, "/v1/again"),
            ("api.test/v1/again", 302, "http://b.test/2"),
        ]);
        let builder = other.bearer_auth("canary").default_header("x-home", "canary");
        let nothing = tower::layer::layer_fn(|service: ClientService| service);
        let builder = if layered { builder.layer(nothing) } else { builder };
        let client = builder.build().unwrap();
        let reply = client.get("/a").header("cookie", "canary").send().await.unwrap();
        assert_eq!((reply.url().as_str(), reply.redirects().len()), ("http://b.test/2", 4));
        assert_eq!(reply.text().await.unwrap(), "b.test/2");
        let requests = seen_there.requests();
        assert_eq!(requests.len(), 5);
        assert!(requests[0].head.contains("canary"));
        assert!(requests[1..].iter().all(|request| !request.head.contains("canary")), "{layered}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_in_a_query_is_not_repeated_elsewhere() {
    let (builder, seen) = leading(&[
        ("api.test/v1/a?api%20key=canary&b=1", 302, "/v1/b?Api+Key=canary&b=1"),
        ("api.test/v1/b?Api+Key=canary&b=1", 302, "http://other.test/c?api%20key=canary&b=1&api+key=canary"),
        ("other.test/c?b=1", 302, "http://other.test/d?key=canary"),
    ]);
    let client = builder.secret_query("api key").secret_query("key").build().unwrap();
    text(client.get("/a").query(&[("api key", "canary"), ("b", "1")]).send().await).await;
    let lines: Vec<_> = seen.requests().iter().map(|request| request.line().to_owned()).collect();
    assert_eq!(lines[2], "GET /c?b=1 HTTP/1.1");
    // An origin may repeat its own query.
    assert_eq!(lines[3], "GET /d?key=canary HTTP/1.1");
}

#[tokio::test(start_paused = true)]
async fn a_redirect_of_a_client_without_a_base_keeps_its_secrets_as_well() {
    let seen = Arc::<Seen>::default();
    let on_connect = seen.clone();
    let client = Client::builder()
        .default_header("authorization", "canary")
        .connector(move |_: &Origin| {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            let seen = on_connect.clone();
            tokio::spawn(async move {
                while let Some(request) = read_request(&mut far, 0).await {
                    let first = request.header("host") == Some("a.test");
                    seen.requests.lock().unwrap().push(request);
                    write(&mut far, if first { to(302, "http://b.test/2") } else { OK.to_vec() }).await;
                }
            });
            async { Ok::<_, std::io::Error>(near) }
        })
        .build()
        .unwrap();
    assert_eq!(text(client.get("http://a.test/1").send().await).await, "ok");
    let requests = seen.requests();
    assert!(requests[0].head.contains("canary") && !requests[1].head.contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_writes_a_request_down_shows_no_secret_header() {
    let shown = Arc::<Mutex<String>>::default();
    let told = shown.clone();
    let layer = tower::util::MapRequestLayer::new(move |request: http::Request<outbound_client::Body>| {
        told.lock().unwrap().push_str(&format!("{request:?}"));
        request
    });
    let (builder, seen) = leading(&[]);
    let client = builder.secret_header("x-own").layer(layer).build().unwrap();
    let mut headers = http::HeaderMap::new();
    headers.insert("cookie", HeaderValue::from_static("canary"));
    let request =
        client.get("/a").header("x-own", "canary").header("X-Api-Key", "canary").header("x", "plain");
    assert_eq!(text(request.headers(&headers).send().await).await, "api.test/v1/a");
    let shown = shown.lock().unwrap();
    assert!(shown.contains("plain") && !shown.contains("canary"), "{shown}");
    assert_eq!(seen.requests()[0].head.matches("canary").count(), 3);
}
