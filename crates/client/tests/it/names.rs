//! Tests: method names that are known from other clients, and messages that say what is wrong.

use std::error::Error as _;

use futures::StreamExt;
use outbound_client::{Bytes, Client, Delivery, HeaderMap, HeaderValue, Kind, Limit, Limits, Method};
use serde::Serialize;

use crate::support::{OK, answering, in_memory, secs, silence, with_length};

const AGENT: &str = concat!("outbound-client/", env!("CARGO_PKG_VERSION"));

#[tokio::test(start_paused = true)]
async fn every_method_has_its_name() {
    let (builder, seen) = answering(|_| b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    let client = builder.build().unwrap();
    for request in [
        client.get("/"),
        client.head("/"),
        client.post("/"),
        client.put("/"),
        client.patch("/"),
        client.delete("/"),
    ] {
        request.send().await.unwrap().bytes().await.unwrap();
    }
    let methods: Vec<_> =
        seen.requests().iter().map(|seen| seen.line().split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(methods, ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]);
}

#[tokio::test]
async fn a_request_needs_no_client_of_its_own() {
    let server = crate::support::on_socket(|_, mut stream, seen| async move {
        while let Some(request) = crate::support::read_request(&mut stream, 0).await {
            seen.requests.lock().unwrap().push(request);
            crate::support::write(&mut stream, OK).await;
        }
    })
    .await;
    let reply = outbound_client::get(&server.url).send().await.unwrap();
    assert_eq!(reply.url(), format!("{}/", server.url));
    assert_eq!(reply.content_length(), Some(2));
    assert_eq!(reply.text().await.unwrap(), "ok");
    let url = format!("{}/x", server.url);
    assert_eq!(Client::new().get(&url).send().await.unwrap().bytes().await.unwrap(), Bytes::from("ok"));
    assert_eq!(Client::default().limits(), Limits::new());
    assert!(server.seen.requests().iter().all(|request| request.header("user-agent") == Some(AGENT)));
}

#[tokio::test(start_paused = true)]
async fn the_user_agent_goes_everywhere_and_can_be_another() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.user_agent("mine/1").default_header("x-home", "1").build().unwrap();
    for request in
        [client.get("/"), client.get("http://b.test/"), client.get("/").header("user-agent", "own")]
    {
        request.send().await.unwrap().bytes().await.unwrap();
    }
    let requests = seen.requests();
    let agents: Vec<_> = requests.iter().map(|request| request.header("user-agent").unwrap()).collect();
    assert_eq!(agents, ["mine/1", "mine/1", "own"]);
    let homes: Vec<_> = requests.iter().map(|request| request.header("x-home")).collect();
    assert_eq!(homes, [Some("1"), None, Some("1")]);
}

#[tokio::test(start_paused = true)]
async fn queries_and_forms_are_made_of_whatever_serializes() {
    #[derive(Serialize)]
    struct Page<'a> {
        after: Option<&'a str>,
        before: Option<&'a str>,
        limit: u32,
        tags: Vec<&'a str>,
    }
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.build().unwrap();
    let page = Page { after: Some("a b"), before: None, limit: 5, tags: vec!["x", "y&"] };
    let request = client.post("/x").query(&page).query(&[("z", 1)]).query(&()).form(&page);
    request.send().await.unwrap().bytes().await.unwrap();
    let [request] = &seen.requests()[..] else { panic!("one request") };
    assert_eq!(request.line(), "POST /v1/x?after=a%20b&limit=5&tags=x&tags=y%26&z=1 HTTP/1.1");
    assert_eq!(request.body, b"after=a+b&limit=5&tags=x&tags=y%26");

    for request in [client.get("/").query(&1), client.get("/").form(&[["a"]]), client.get("/").query("a=b")] {
        let error = request.send().await.unwrap_err();
        assert!(error.kind() == Kind::Request && error.source().is_some());
        assert!(error.to_string().contains("not made of pairs"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_base_url_with_a_query_sends_it_with_every_path() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.base_url("http://api.test/openai/?api-version=2024 1").build().unwrap();
    let requests = [
        client.get("/chat"),
        client.get("/chat?a=b"),
        client.get("").query(&[("c", "d")]),
        client.get("http://api.test/whole"),
    ];
    for request in requests {
        request.send().await.unwrap().bytes().await.unwrap();
    }
    let lines: Vec<_> = seen.requests().iter().map(|seen| seen.line().to_owned()).collect();
    assert_eq!(
        lines,
        [
            "GET /openai/chat?api-version=2024%201 HTTP/1.1",
            "GET /openai/chat?a=b&api-version=2024%201 HTTP/1.1",
            "GET /openai?api-version=2024%201&c=d HTTP/1.1",
            "GET /whole HTTP/1.1",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_the_whole_and_each_is_every_phase() {
    let (builder, _) = in_memory(|_, pipe, _| silence(pipe));
    let client = builder.timeout(secs(9)).build().unwrap();
    let error = client.get("/x").timeout(secs(2)).send().await.unwrap_err();
    assert_eq!((error.limit(), error.is_timeout()), (Some((Limit::Total, secs(2))), true));
    assert_eq!(client.get("/x").send().await.unwrap_err().limit(), Some((Limit::Total, secs(9))));
    assert_eq!(error.url(), Some("http://api.test/v1/x"));

    let five = Some(secs(5));
    let each = Limits::each(secs(5));
    assert_eq!(
        [each.pool_wait, each.dns, each.connect, each.tls, each.write_idle, each.first_byte, each.idle],
        [five; 7]
    );
    assert_eq!((each.exchange, each.total, each.max_body), (None, None, Limits::new().max_body));
    let error = client.get("/x").limits(each).send().await.unwrap_err();
    assert_eq!(error.limit(), Some((Limit::FirstByte, secs(5))));
}

#[tokio::test(start_paused = true)]
async fn errors_have_the_questions_that_people_ask() {
    let (builder, _) = answering(|request| match request.line().contains("text") {
        true => with_length("200 OK", "no json"),
        false => with_length("404 Not Found", "gone"),
    });
    let client = builder.build().unwrap();
    let get = |path: &str| client.get(path).query(&[("key", "canary")]).send();
    let error = get("/x").await.unwrap().error_for_status().await.unwrap_err();
    assert_eq!((error.status().unwrap().as_u16(), error.is_status(), error.is_decode()), (404, true, false));
    assert_eq!(error.url(), Some("http://api.test/v1/x"));
    let error = get("/text").await.unwrap().json::<u8>().await.unwrap_err();
    assert!(error.is_decode() && error.status().is_none() && !error.is_connect());
    assert!(!format!("{error:?}{error}{:?}", error.url()).contains("canary"));

    let refused = Client::builder().connector(|_: &outbound_client::Origin| async {
        Err::<tokio::io::DuplexStream, _>(std::io::Error::other("no"))
    });
    let error = refused.build().unwrap().get("http://a.test/x?y").send().await.unwrap_err();
    assert!(error.is_connect() && !error.is_timeout() && !error.is_redirect());
    assert_eq!(error.url(), Some("http://a.test/x"));
}

#[tokio::test(start_paused = true)]
async fn bodies_come_as_a_stream_of_bytes_under_its_usual_name() {
    let (builder, _) = answering(|_| OK.to_vec());
    let stream = builder.build().unwrap().get("/x").send().await.unwrap().bytes_stream();
    assert_eq!(stream.map(Result::unwrap).collect::<Vec<Bytes>>().await.concat(), b"ok");
}

#[tokio::test(start_paused = true)]
async fn messages_say_which_part_is_wrong() {
    let (builder, _) = answering(|_| OK.to_vec());
    let client = builder.build().unwrap();
    let mut framing = HeaderMap::new();
    framing.insert("transfer-encoding", HeaderValue::from_static("chunked"));
    for (request, named) in [
        (client.get("/").header("x-mine", "a\nb"), "`x-mine`"),
        (client.get("/").header("host", "b.test"), "`host`"),
        (client.get("/").headers(&framing), "`transfer-encoding`"),
        (client.get("/").header("a b", "c"), "name"),
        (Client::new().get("api.test/v1"), "`http://`"),
        (Client::new().get("localhost:8080/v1"), "`http://`"),
        (client.request(Method::CONNECT, "/"), "CONNECT"),
    ] {
        let error = request.send().await.unwrap_err();
        assert!(error.kind() == Kind::Request && error.to_string().contains(named), "{named}: {error}");
    }
    for (builder, named) in [
        (Client::builder().base_url("api.test"), "`https://`"),
        (Client::builder().default_header("x-mine", "a\nb"), "`x-mine`"),
        (Client::builder().default_header("content-length", "1"), "`content-length`"),
        (Client::builder().secret_header("a b"), "secret header"),
    ] {
        let error = builder.build().unwrap_err();
        assert!(error.kind() == Kind::Config && error.to_string().contains(named), "{named}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn brackets_hold_an_ipv6_address_and_nothing_else() {
    let client = Client::new();
    for host in [
        "[api.test]",
        "[127.0.0.1]",
        "[:1]",
        "[::1",
        "[fe80::1%25eth0]",
        "[[::1]]",
        "[v1.a]",
        "[]",
        "[::1]a",
        "[::1].test:80",
        "a.test:+80",
        "[::1]:+80",
    ] {
        let error = client.get(&format!("http://{host}/")).send().await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (Kind::Request, Delivery::NotSent), "{host}");
    }
    for host in ["[::1]", "[::ffff:127.0.0.1]", "[2001:DB8::1]:8080"] {
        assert!(client.get(&format!("http://{host}/")).origin().is_some(), "{host}");
    }
}
