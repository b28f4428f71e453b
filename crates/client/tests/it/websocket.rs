//! Tests of WebSocket: the handshake, and the ways a connection is made.

mod cases;
mod frames;
mod server;
mod time;

use std::error::Error as _;

use futures::{SinkExt, StreamExt};
use outbound_client::{
    Body, Client, ClientBuilder, Delivery, EgressPolicy, HeaderName, HeaderValue, Kind, Message, Phase,
    StatusCode, WebSocket,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_http::set_header::SetRequestHeaderLayer;

use self::server::{accept_key, echo, switch, websocket_server};
use crate::{
    proxies::{port, tls, tunnelling},
    support::{Request, answering, in_memory, on_socket, read_request, write},
};

/// A client whose server sends back everything that comes.
fn echoing() -> ClientBuilder {
    websocket_server(|_, socket| echo(socket)).0
}

async fn exchange(socket: &mut WebSocket, message: impl Into<Message>) {
    let message = message.into();
    socket.send(message.clone()).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap() == message);
}

#[tokio::test(start_paused = true)]
async fn messages_go_both_ways() {
    let client = echoing().build().unwrap();
    let mut socket = client.websocket("/feed").connect().await.unwrap();
    exchange(&mut socket, "hello").await;
    exchange(&mut socket, "").await;
    exchange(&mut socket, vec![0_u8, 255]).await;
    exchange(&mut socket, "ä".repeat(1 << 20)).await;
    exchange(&mut socket, vec![7_u8; 5 << 20]).await;
    assert_eq!(socket.protocol(), None);
    socket.close().await.unwrap();
    assert!(socket.next().await.is_none());
    assert_eq!(socket.close_frame().unwrap().code, 1000);
    socket.close().await.unwrap();
    let error = socket.send("more").await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Closed, Delivery::NotSent));
}

#[tokio::test(start_paused = true)]
async fn the_handshake_is_a_request_like_any_other_but_for_what_it_switches() {
    let (builder, seen) = websocket_server(|_, socket| echo(socket));
    let client = builder.bearer_auth("canary-key").build().unwrap();
    let opening = client.websocket("/feed").query(&[("a", "b c")]).header("x-own", "1");
    let socket = opening.protocols(["v2", "v1"]).connect().await.unwrap();
    let request = seen.requests().pop().unwrap();
    assert_eq!(request.line(), "GET /v1/feed?a=b%20c HTTP/1.1");
    for (name, value) in [
        ("host", "api.test"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "v2, v1"),
        ("authorization", "Bearer canary-key"),
        ("x-own", "1"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    assert_eq!(request.header("sec-websocket-key").unwrap().len(), 24);
    assert_eq!(request.header("sec-websocket-extensions"), None);
    assert_eq!(request.header("content-length"), None);
    assert_eq!(socket.protocol(), Some("v2"));
    assert!(!format!("{socket:?}").contains("canary"));
}

/// The error for an answer to the handshake. `KEY` in it is replaced by the correct proof.
async fn refusal(head: &'static str) -> outbound_client::Error {
    let (builder, _) = answering(move |request: &Request| {
        let key = accept_key(request.header("sec-websocket-key").unwrap());
        head.replace("KEY", &key).replace('\n', "\r\n").into_bytes()
    });
    let client = builder.build().unwrap();
    let opening = client.websocket("/feed").protocols(["v1"]);
    opening.connect().await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_proves_nothing_is_none() {
    const CASES: [(&str, &str); 11] = [
        (
            "connection: upgrade\nupgrade: websocket\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n",
            "not the answer to the request's key",
        ),
        ("connection: upgrade\nupgrade: websocket\n", "not the answer to the request's key"),
        (
            "connection: upgrade\nupgrade: websocket\nsec-websocket-accept: KEY\nsec-websocket-accept: KEY\n",
            "not the answer to the request's key",
        ),
        ("connection: upgrade\nsec-websocket-accept: KEY\n", "another protocol"),
        ("connection: upgrade\nupgrade: h2c\nsec-websocket-accept: KEY\n", "another protocol"),
        ("upgrade: websocket\nsec-websocket-accept: KEY\n", "without `connection: upgrade`"),
        (
            "connection: close\nupgrade: websocket\nsec-websocket-accept: KEY\n",
            "without `connection: upgrade`",
        ),
        (
            "connection: upgrade\nupgrade: websocket\nsec-websocket-accept: KEY\nsec-websocket-extensions: permessage-deflate\n",
            "extension that was not offered",
        ),
        (
            "connection: upgrade\nupgrade: websocket\nsec-websocket-accept: KEY\nsec-websocket-protocol: v2\n",
            "protocol that was not offered",
        ),
        (
            "connection: upgrade\nupgrade: websocket\nsec-websocket-accept: KEY\nsec-websocket-protocol: v1, v1\n",
            "protocol that was not offered",
        ),
        (
            "connection: upgrade\nupgrade: websocket\nsec-websocket-accept: KEY\nsec-websocket-protocol: \n",
            "protocol that was not offered",
        ),
    ];
    for (headers, why) in CASES {
        let head = format!("HTTP/1.1 101 Switching Protocols\n{headers}\n").leak();
        let error = refusal(head).await;
        assert_eq!((error.kind(), error.phase()), (Kind::Protocol, Phase::Head), "{headers}");
        assert_eq!(error.delivery(), Delivery::Replied);
        assert!(error.to_string().contains(why), "{headers}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_answers_than_a_switch_are_errors_with_their_status() {
    let error = refusal("HTTP/1.1 200 OK\ncontent-length: 2\n\nok").await;
    assert_eq!(error.kind(), Kind::Protocol);
    assert!(error.to_string().contains("did not switch to WebSocket"), "{error}");

    let error = refusal("HTTP/1.1 401 Unauthorized\ncontent-length: 5\n\nno.no").await;
    assert_eq!((error.kind(), error.status()), (Kind::Status, Some(StatusCode::UNAUTHORIZED)));
    assert_eq!(&error.reply().unwrap().body[..], b"no.no");

    let error = refusal("HTTP/1.1 302 Found\nlocation: ws://other.test/\ncontent-length: 0\n\n").await;
    assert_eq!((error.kind(), error.status()), (Kind::Status, Some(StatusCode::FOUND)));

    let error = refusal("HTTP/1.1 426 Upgrade Required\ncontent-length: 0\n\n").await;
    assert_eq!(error.status(), Some(StatusCode::UPGRADE_REQUIRED));
}

#[tokio::test(start_paused = true)]
async fn a_refused_handshake_leaves_a_connection_that_can_be_used() {
    let (builder, seen) = answering(|_| b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nno".to_vec());
    let client = builder.build().unwrap();
    for _ in 0..3 {
        client.websocket("/feed").connect().await.unwrap_err();
    }
    assert_eq!(seen.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_comes_with_the_head_is_not_lost() {
    let (builder, _) = in_memory(|number, mut pipe, _| async move {
        let request = read_request(&mut pipe, number).await.unwrap();
        let mut answer = switch(&request);
        answer.extend_from_slice(b"\x81\x02hi\x81\x02ho");
        write(&mut pipe, answer).await;
        let _ = pipe.read_to_end(&mut Vec::new()).await;
    });
    let client = builder.build().unwrap();
    let mut socket = client.websocket("/feed").connect().await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::from("hi"));
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::from("ho"));
}

#[tokio::test(start_paused = true)]
async fn an_open_websocket_holds_its_place_and_gives_it_back() {
    let (builder, seen) = websocket_server(|_, socket| echo(socket));
    let client = builder.max_connections(1).build().unwrap();
    let socket = client.websocket("/feed").connect().await.unwrap();
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.websocket("/feed").connect().await }
    });
    crate::support::settle().await;
    assert!(!waiting.is_finished());
    drop(socket);
    let mut socket = waiting.await.unwrap().unwrap();
    exchange(&mut socket, "x").await;
    assert_eq!(seen.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_is_a_stream_and_a_sink_for_two_tasks() {
    let client = echoing().build().unwrap();
    let socket = client.websocket("/feed").connect().await.unwrap();
    let (mut sink, stream) = socket.split();
    // More than the pipes hold, so that neither side can continue without the other.
    let sending = tokio::spawn(async move {
        for number in 0..2_000_u32 {
            sink.feed(Message::from(number.to_be_bytes().repeat(1000))).await.unwrap();
        }
        sink.flush().await.unwrap();
        sink.close().await.unwrap();
    });
    let received: Vec<_> = stream.map(Result::unwrap).collect().await;
    sending.await.unwrap();
    assert_eq!(received.len(), 2_000);
    for (number, message) in (0_u32..).zip(&received) {
        assert!(message.as_bytes() == number.to_be_bytes().repeat(1000));
    }
}

#[tokio::test]
async fn through_a_proxy_it_is_a_tunnel_also_in_the_clear() {
    let origin = on_socket(|number, mut stream, _| async move {
        let request = read_request(&mut stream, number).await.unwrap();
        write(&mut stream, switch(&request)).await;
        echo(server::websocket(stream).await).await;
    })
    .await;
    let (proxy, asked) = tunnelling(port(&origin)).await;
    let client = Client::builder().proxy(&*proxy.url).build().unwrap();
    let mut socket = client.websocket("ws://far-away.invalid/feed").connect().await.unwrap();
    exchange(&mut socket, "through").await;
    assert!(asked.lock().unwrap()[0].starts_with("CONNECT far-away.invalid:80 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn over_tls_it_is_http1_though_the_server_prefers_http2() {
    let (acceptor, config) = tls(&[b"h2", b"http/1.1"]);
    let origin = on_socket(move |number, stream, seen| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
            let request = read_request(&mut stream, number).await.unwrap();
            write(&mut stream, switch(&request)).await;
            seen.requests.lock().unwrap().push(request);
            echo(server::websocket(stream).await).await;
        }
    })
    .await;
    let url = format!("wss://localhost:{}/feed", port(&origin));
    let client = Client::builder().tls_config(config).no_proxy().build().unwrap();
    let mut socket = client.websocket(&url).connect().await.unwrap();
    exchange(&mut socket, "secret").await;
    socket.close().await.unwrap();
}

#[tokio::test]
async fn an_egress_policy_holds_for_it() {
    let client = Client::builder().egress(EgressPolicy::public_only()).no_proxy().build().unwrap();
    let error = client.websocket("ws://127.0.0.1:9/feed").connect().await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Connect, Delivery::NotSent));
    assert!(error.source().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_url_of_another_kind_is_an_error() {
    let client = echoing().build().unwrap();
    for url in ["ftp://a.test/", "wss://", "//a.test/x"] {
        let error = client.websocket(url).connect().await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (Kind::Request, Phase::Build), "{url}");
    }
}

#[tokio::test(start_paused = true)]
async fn layers_see_the_handshake_and_the_client_switches() {
    let name = HeaderName::from_static("x-layer");
    let layer = SetRequestHeaderLayer::overriding(name, HeaderValue::from_static("seen"));
    let (builder, seen) = websocket_server(|_, socket| echo(socket));
    let client = builder.layer(layer).build().unwrap();
    let mut socket = client.websocket("/feed").connect().await.unwrap();
    exchange(&mut socket, "x").await;
    let request = seen.requests().pop().unwrap();
    assert_eq!((request.header("x-layer"), request.header("upgrade")), (Some("seen"), Some("websocket")));
}

#[tokio::test(start_paused = true)]
async fn a_request_as_a_value_switches_where_its_builder_asked_for_that_and_not_by_its_headers() {
    let (builder, seen) = answering(|_| crate::support::OK.to_vec());
    let client = builder.build().unwrap();
    let asked = client.get("/x").upgrade("own").build().unwrap();
    client.execute(asked).await.unwrap().text().await.unwrap();
    let mut request = http::Request::new(Body::empty());
    *request.uri_mut() = http::Uri::from_static("http://api.test/x");
    request.headers_mut().insert("upgrade", HeaderValue::from_static("own"));
    request.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
    client.execute(request).await.unwrap().text().await.unwrap();
    let requests = seen.requests();
    let switches = requests.iter().map(|request| (request.header("upgrade"), request.header("connection")));
    assert_eq!(switches.collect::<Vec<_>>(), [(Some("own"), Some("upgrade")), (None, None)]);
}

#[tokio::test(start_paused = true)]
async fn any_protocol_can_be_switched_to() {
    let (builder, seen) = in_memory(|number, mut pipe, seen| async move {
        let request = read_request(&mut pipe, number).await.unwrap();
        seen.requests.lock().unwrap().push(request);
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: own\r\n\r\n";
        write(&mut pipe, [head.as_bytes(), b"early"].concat()).await;
        let mut line = [0; 4];
        pipe.read_exact(&mut line).await.unwrap();
        write(&mut pipe, line).await;
    });
    let client = builder.build().unwrap();
    let reply = client.post("/x").upgrade("own").body("abc").send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut connection = reply.upgrade().await.unwrap();
    connection.write_all(b"ping").await.unwrap();
    let mut all = String::new();
    connection.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "earlyping");
    let request = seen.requests().pop().unwrap();
    assert_eq!((request.header("upgrade"), &request.body[..]), (Some("own"), &b"abc"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_does_not_switch_has_no_other_connection() {
    let (builder, _) = answering(|_| crate::support::OK.to_vec());
    let client = builder.build().unwrap();
    let reply = client.get("/x").upgrade("own").send().await.unwrap();
    let error = reply.upgrade().await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Protocol, Delivery::Replied));
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_nobody_asked_for_ends_the_connection() {
    let (builder, seen) = in_memory(|number, mut pipe, seen| async move {
        let request = read_request(&mut pipe, number).await.unwrap();
        write(&mut pipe, "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")
            .await;
        let rest = pipe.read_to_end(&mut Vec::new()).await;
        assert!(matches!(rest, Ok(0)), "{rest:?}");
        seen.requests.lock().unwrap().push(request);
    });
    let client = builder.build().unwrap();
    drop(client.get("/x").send().await.unwrap());
    crate::support::settle().await;
    assert_eq!(seen.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_in_the_handshake_is_closed_and_may_have_been_sent() {
    let (builder, _) = in_memory(|number, mut pipe, _| async move {
        read_request(&mut pipe, number).await;
        write(&mut pipe, "HTTP/1.1 101 Swi").await;
    });
    let client = builder.build().unwrap();
    let error = client.websocket("/feed").connect().await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Closed, Delivery::MaybeSent));
}

#[cfg(feature = "digest")]
#[tokio::test(start_paused = true)]
async fn a_challenge_to_the_handshake_is_answered() {
    let (builder, seen) = in_memory(|number, mut pipe, seen| async move {
        while let Some(request) = read_request(&mut pipe, number).await {
            let is_answer = request.header("authorization").is_some();
            seen.requests.lock().unwrap().push(request.clone());
            if is_answer {
                write(&mut pipe, switch(&request)).await;
                return echo(server::websocket(pipe).await).await;
            }
            let challenge =
                "www-authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256";
            write(
                &mut pipe,
                format!("HTTP/1.1 401 Unauthorized\r\n{challenge}\r\ncontent-length: 0\r\n\r\n"),
            )
            .await;
        }
    });
    let client = builder.build().unwrap();
    let mut socket = client.websocket("/feed").digest_auth("user", "secret").connect().await.unwrap();
    exchange(&mut socket, "x").await;
    let requests = seen.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].header("authorization").unwrap().starts_with("Digest "));
    assert_eq!(requests[1].header("upgrade"), Some("websocket"));
}
