//! Tests of redirects: methods, bodies, and which redirects are followed.

mod secrets;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use outbound_client::{
    Client, ClientBuilder, ClientService, Delivery, Error, HeaderValue, Kind, Limit, Limits, Method,
    Multipart, Origin, Phase, Redirects, Reply, StatusCode,
};

use crate::support::{
    OK, Request, Seen, answering, in_memory, read_request, secs, silence, with_length, write,
};

const KINDS: [(&str, u16); 5] =
    [("Moved", 301), ("Found", 302), ("See Other", 303), ("Temporary", 307), ("Permanent", 308)];

fn to(status: u16, location: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 4\r\n\r\nhere")
        .into_bytes()
}

/// A server for all names. Its table says where `name/path` redirects to; all else is a final page.
fn leading(table: &'static [(&'static str, u16, &'static str)]) -> (ClientBuilder, Arc<Seen>) {
    answering(move |request: &Request| {
        let target = request.line().split(' ').nth(1).unwrap();
        let at = format!("{}{target}", request.header("host").unwrap());
        match table.iter().find(|(from, ..)| *from == at) {
            Some((_, status, location)) => to(*status, location),
            None => with_length("200 OK", &at),
        }
    })
}

async fn text(reply: Result<Reply, Error>) -> String {
    reply.unwrap().text().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn methods_and_bodies_go_by_the_status() {
    for (name, status) in KINDS {
        let (builder, seen) = answering(move |request| match request.line().contains("/v1/from") {
            true if request.line().starts_with("HEAD") => {
                format!("HTTP/1.1 {status} No\r\nlocation: /to\r\n\r\n").into_bytes()
            }
            true => to(status, "/to"),
            false if request.line().starts_with("HEAD") => b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
            false => OK.to_vec(),
        });
        let client = builder.build().unwrap();
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"] {
            let sends_body = !matches!(method, "GET" | "HEAD");
            let request =
                client.request(Method::from_bytes(method.as_bytes()).unwrap(), "/from").header("x", "1");
            let request = if sends_body { request.json(&[1]) } else { request };
            let mut reply = request.send().await.unwrap();
            assert_eq!(reply.status(), StatusCode::OK);
            while reply.chunk().await.is_some() {}
            let sent = seen.requests().pop().unwrap();
            let becomes_get =
                (status == 303 && method != "HEAD") || (method == "POST" && matches!(status, 301 | 302));
            let expected = if becomes_get { "GET" } else { method };
            assert_eq!(sent.line(), format!("{expected} /to HTTP/1.1"), "{name} {method}");
            assert_eq!(sent.header("x"), Some("1"));
            let has_body = sends_body && !becomes_get;
            assert_eq!(sent.body, if has_body { &b"[1]"[..] } else { b"" }, "{name} {method}");
            assert_eq!(sent.header("content-type").is_some(), has_body);
        }
        // The bodies of the redirects were read, so their connection was used again.
        assert_eq!(seen.connections(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_knows_where_it_came_from_and_how() {
    let (builder, seen) = leading(&[
        ("api.test/v1/a/b?c=d", 302, "../x/./y"),
        ("api.test/v1/x/y", 301, "?q=ü#part"),
        ("api.test/v1/x/y?q=%C3%BC", 308, "//other.test:81"),
        ("other.test:81/", 307, "HTTP://Third.test/z"),
    ]);
    let client = builder.build().unwrap();
    let reply = client.get("/a/b").query(&[("c", "d")]).send().await.unwrap();
    assert_eq!(reply.url(), "http://third.test/z");
    let hops = reply.redirects().iter().map(|hop| format!("{} {}", hop.status.as_u16(), hop.url));
    assert_eq!(
        hops.collect::<Vec<_>>(),
        [
            "302 http://api.test/v1/a/b?c=d",
            "301 http://api.test/v1/x/y",
            "308 http://api.test/v1/x/y?q=%C3%BC",
            "307 http://other.test:81/",
        ]
    );
    assert!(!format!("{:?}", reply.redirects()).contains("c=d"));
    assert_eq!(reply.text().await.unwrap(), "third.test/z");
    assert_eq!(seen.requests().len(), 5);
    let reply = client.get("/plain").send().await.unwrap();
    assert_eq!((reply.url().as_str(), reply.redirects()), ("http://api.test/v1/plain", &[][..]));
}

#[tokio::test(start_paused = true)]
async fn the_policy_is_the_clients_or_the_requests() {
    let endless = || answering(|_| to(302, "/v1/x")).0;
    let client = endless().build().unwrap();
    let error = client.get("/x").query(&[("k", "canary")]).send().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.phase(), error.delivery()),
        (Kind::Redirect, Phase::Head, Delivery::Replied)
    );
    assert_eq!((error.status(), error.is_redirect()), (Some(StatusCode::FOUND), true));
    assert_eq!(error.url(), Some("http://api.test/v1/x"));
    assert!(error.to_string().starts_with("too many redirects"), "{error}");

    let (builder, seen) = answering(|_| to(302, "/v1/x"));
    let client = builder.redirects(Redirects::up_to(3)).build().unwrap();
    assert!(client.get("/x").send().await.unwrap_err().is_redirect());
    assert_eq!(seen.requests().len(), 4);
    let reply = client.get("/x").redirects(Redirects::none()).send().await.unwrap();
    assert_eq!((reply.status(), reply.headers()["location"].as_bytes()), (StatusCode::FOUND, &b"/v1/x"[..]));
    let error = reply.error_for_status().await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (Kind::Status, Some(StatusCode::FOUND)));
    assert!(error.to_string().contains("a redirect that was not followed"), "{error}");
    assert_eq!(error.reply().unwrap().body, "here");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_redirect_is_a_reply() {
    for head in [
        "304 Not Modified\r\n",
        "300 Choices\r\nlocation: /v1/y\r\n",
        "302 Found\r\n",
        "305 P\r\nlocation: /p\r\n",
    ] {
        let reply = format!("HTTP/1.1 {head}content-length: 0\r\n\r\n");
        let (builder, seen) = answering(move |_| reply.clone().into_bytes());
        let reply = builder.build().unwrap().get("/x").send().await.unwrap();
        assert_eq!((reply.status().as_str(), seen.requests().len()), (&head[..3], 1));
        assert!(reply.error_for_status().await.unwrap_err().is_status());
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_followed_is_an_error_and_nothing_is_sent() {
    for location in [
        "ftp://a.test/",
        "javascript:alert(1)",
        "mailto:a@b.test",
        "http://user:canary@api.test/",
        "http://",
        "http://a.test:0/",
        "/a\\b",
        "//api.test\\@evil.test/",
        "http:/x",
        "http:x",
    ] {
        let (builder, seen) = answering(move |_| to(302, location));
        let error = builder.build().unwrap().get("/x").send().await.unwrap_err();
        assert_eq!((error.kind(), seen.requests().len()), (Kind::Redirect, 1), "{location}");
        assert!(!format!("{error:?} {error}").contains("canary"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_read_twice_is_not_sent_again() {
    let client =
        leading(&[("api.test/v1/a", 307, "/v1/b"), ("api.test/v1/c", 303, "/v1/b")]).0.build().unwrap();
    let stream = || futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from("abc"))]);
    let error = client.post("/a").stream(stream(), Some(3)).send().await.unwrap_err();
    assert!(error.is_redirect() && error.to_string().contains("a stream"), "{error}");
    let error = client.post("/a").multipart(Multipart::new().text("a", "b")).send().await;
    // Parts that are all in memory are also read while they are sent.
    assert!(error.unwrap_err().is_redirect());
    assert_eq!(text(client.post("/c").stream(stream(), Some(3)).send().await).await, "api.test/v1/b");
}

#[tokio::test(start_paused = true)]
async fn a_body_goes_to_another_origin_only_where_it_may() {
    let (builder, seen) = leading(&[("api.test/v1/a", 308, "http://other.test/b")]);
    let client = builder.build().unwrap();
    let error = client.post("/a").body("abc").send().await.unwrap_err();
    assert!(error.is_redirect() && error.to_string().contains("another origin"), "{error}");
    let allowed = Redirects::default().allow_bodies();
    assert_eq!(text(client.post("/a").body("abc").redirects(allowed).send().await).await, "other.test/b");
    assert_eq!(text(client.post("/a").send().await).await, "other.test/b");
    assert_eq!(text(client.get("/a").send().await).await, "other.test/b");
    let requests = seen.requests();
    assert_eq!((requests.len(), &requests[2].body[..]), (7, &b"abc"[..]));
    assert_eq!(requests[4].header("content-length"), Some("0"));
}

#[tokio::test(start_paused = true)]
async fn https_never_falls_to_http_unless_told() {
    let heads = Arc::<Mutex<Vec<String>>>::default();
    let seen = heads.clone();
    let (builder, _) = crate::tls::serving(&[], &[], move |request| {
        seen.lock().unwrap().push(request.head.clone());
        match request.line().contains("/from") {
            true => to(302, "http://api.test/"),
            false => OK.to_vec(),
        }
    });
    let client = builder.bearer_auth("canary").build().unwrap();
    let error = client.get("/from").send().await.unwrap_err();
    assert!(error.is_redirect() && error.to_string().contains("from https to http"), "{error}");
    assert_eq!(heads.lock().unwrap().len(), 1);
    let reply = client.get("/from").redirects(Redirects::default().allow_http()).send().await.unwrap();
    assert_eq!(reply.url(), "http://api.test/");
    // Another scheme is another origin.
    assert!(!heads.lock().unwrap()[2].contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn the_total_limit_spans_the_hops_and_timings_add_up() {
    let (builder, seen) = in_memory(|number, mut pipe, seen| async move {
        while let Some(request) = read_request(&mut pipe, number).await {
            let is_last = request.line().contains("/v1/4");
            let next = seen.requests.lock().unwrap().len() + 1;
            seen.requests.lock().unwrap().push(request);
            if is_last {
                return silence(pipe).await;
            }
            tokio::time::sleep(secs(2)).await;
            write(&mut pipe, to(302, &format!("/v1/{next}"))).await;
        }
    });
    let client = builder.build().unwrap();
    let begun = tokio::time::Instant::now();
    let request = client.get("/0").limits(Limits::new().total(secs(7))).timings(true);
    let error = request.send().await.unwrap_err();
    assert_eq!((error.limit(), begun.elapsed()), (Some((Limit::Total, secs(7))), secs(7)));
    assert_eq!(error.timings().unwrap().total, secs(7));
    assert_eq!(error.url(), Some("http://api.test/v1/3"));
    assert_eq!(seen.requests().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn layers_see_each_hop() {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let told = lines.clone();
    let layer = tower::util::MapRequestLayer::new(move |request: http::Request<outbound_client::Body>| {
        told.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
        request
    });
    let (builder, seen) =
        leading(&[("api.test/v1/a", 307, "http://other.test/b"), ("other.test/b", 303, "c")]);
    let client = builder.redirects(Redirects::default().allow_bodies()).layer(layer).build().unwrap();
    let reply = client.post("/a").json(&1).send().await.unwrap();
    assert_eq!((reply.url().as_str(), reply.redirects().len()), ("http://other.test/c", 2));
    assert_eq!(reply.text().await.unwrap(), "other.test/c");
    let expected = ["POST http://api.test/v1/a", "POST http://other.test/b", "GET http://other.test/c"];
    assert_eq!(*lines.lock().unwrap(), expected);
    assert_eq!(seen.requests()[1].body, b"1");
}

#[tokio::test(start_paused = true)]
async fn an_http2_redirect_is_one_like_any_other() {
    let (builder, seen) = in_memory(|_, pipe, _| {
        crate::support::serve_http2(pipe, |request, mut respond| async move {
            let mut response = http::Response::new(());
            if request.uri().path() == "/v1/a" {
                *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
                response.headers_mut().insert("location", HeaderValue::from_static("/v1/b"));
            }
            respond.send_response(response, true).unwrap();
        })
    });
    let client = builder.http2_prior_knowledge().build().unwrap();
    let reply = client.post("/a").json(&1).send().await.unwrap();
    assert_eq!((reply.status(), reply.url().as_str()), (StatusCode::OK, "http://api.test/v1/b"));
    assert_eq!(seen.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_url_with_a_query_and_no_path_is_one_of_the_root() {
    let (builder, seen) = leading(&[("api.test/?x=1", 302, "next")]);
    let client = builder.build().unwrap();
    let request = http::Request::get("http://api.test?x=1").body(outbound_client::Body::empty()).unwrap();
    assert_eq!(text(client.execute(request).await).await, "api.test/next");
    assert_eq!(seen.requests()[0].line(), "GET /?x=1 HTTP/1.1");
}
