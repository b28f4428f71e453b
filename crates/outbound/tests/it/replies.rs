//! Unusual replies over real sockets: an answer is bought once, and anything else is tried once more.

use outbound::{ErrorKind, Outcome, Provider, RequestManager};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::stack::{chat, stream};

const WHOLE: &str =
    r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}]}"#;

/// Sends one reply for each connection, in order. Returns how many requests came.
async fn send(replies: Vec<Vec<u8>>, streamed: bool) -> (Outcome, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let server = tokio::spawn(async move {
        let mut served = 0;
        for reply in replies {
            let Ok((mut socket, _)) = listener.accept().await else { return served };
            let mut request = vec![0; 1 << 16];
            let _ = socket.read(&mut request).await;
            let _ = socket.write_all(&reply).await;
            let _ = socket.shutdown().await;
            served += 1;
        }
        // A further connection would be one attempt too many.
        drop(listener);
        served
    });
    let manager = RequestManager::builder()
        .provider(Provider::openai_compatible())
        .base_url(format!("http://{address}/v1"))
        .change_client(outbound::ClientBuilder::no_proxy)
        .deadline(crate::stack::s(20))
        .build()
        .expect("a manager");
    let outcome = manager.send(if streamed { stream(1) } else { chat(1) }).await;
    server.abort();
    let sends = outcome.sends as usize;
    (outcome, sends)
}

fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn answers_that_strict_json_refuses_are_bought_once() {
    let many: String = (0..150).map(|n| format!("x-debug-{n}: v\r\n")).collect();
    let nested = WHOLE.replace("\"fine\"", &format!("\"fine\",\"x\":{}{}", "[".repeat(200), "]".repeat(200)));
    for (what, reply) in [
        ("a mark of the byte order", ok("", &[b"\xef\xbb\xbf", WHOLE.as_bytes()].concat())),
        ("NaN", ok("", WHOLE.replace("\"index\":0", "\"index\":0,\"p\":NaN").as_bytes())),
        ("half an emoji", ok("", WHOLE.replace("fine", "fine\\ud83d").as_bytes())),
        (
            "text that is no UTF-8",
            ok("", &[&WHOLE.as_bytes()[..64], b"\xff", &WHOLE.as_bytes()[64..]].concat()),
        ),
        ("deep nesting", ok("", nested.as_bytes())),
        ("many header fields", ok(&many, WHOLE.as_bytes())),
        ("another content type", ok("content-type: text/html\r\n", WHOLE.as_bytes())),
    ] {
        let (outcome, sends) = send(vec![reply.clone(), reply], false).await;
        assert_eq!(sends, 1, "{what}: {outcome:?}");
        let reply = outcome.result.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(reply.json().is_ok(), "{what}");
    }
}

#[tokio::test]
async fn a_success_that_is_no_answer_is_tried_once_more() {
    for (what, body) in [
        ("cut", &WHOLE[..60]),
        ("a page", "<html><body>Welcome</body></html>"),
        ("no choices", r#"{"choices":null}"#),
        ("nothing", ""),
    ] {
        let bad = ok("", body.as_bytes());
        let (outcome, sends) = send(vec![bad.clone(), ok("", WHOLE.as_bytes())], false).await;
        assert!(outcome.result.is_ok() && sends == 2 && outcome.possible_duplicate, "{what}: {outcome:?}");
        let (outcome, sends) = send(vec![bad.clone(), bad.clone(), bad], false).await;
        assert_eq!((outcome.error_kind(), sends), (Some(ErrorKind::Unreadable), 2), "{what}");
        let error = outcome.result.expect_err("unreadable");
        assert_eq!(
            error.reply().map(|reply| &reply.body[..]),
            Some(body.as_bytes()),
            "{what}: the body is kept"
        );
    }
}

#[tokio::test]
async fn a_coding_that_nobody_asked_for_is_named_and_bought_once() {
    let reply = ok("content-encoding: gzip\r\n", b"\x1f\x8b\x08\x00\x00");
    let (outcome, sends) = send(vec![reply.clone(), reply], false).await;
    assert_eq!((outcome.error_kind(), sends), (Some(ErrorKind::Unreadable), 1), "{outcome:?}");
    assert!(outcome.result.expect_err("unreadable").to_string().contains("gzip"));
}

#[tokio::test]
async fn a_redirect_is_refused_once_and_says_where_it_points() {
    let reply = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /v1/chat/completions/?key=canary\r\n\
        connection: close\r\ncontent-length: 0\r\n\r\n"
        .to_vec();
    let (outcome, sends) = send(vec![reply.clone(), reply], false).await;
    assert_eq!((outcome.error_kind(), sends), (Some(ErrorKind::Rejected), 1), "{outcome:?}");
    let message = outcome.result.expect_err("a redirect").to_string();
    assert!(message.contains("/v1/chat/completions/,") && !message.contains("canary"), "{message}");
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_asked_for_once() {
    let many: String = (0..20_000).map(|n| format!("x-debug-{n}: v\r\n")).collect();
    for (head, named) in [
        ("x-folded: a\r\n b\r\n", "header line"),
        ("x-control: a\x01b\r\n", "header line"),
        (many.as_str(), "max_header_fields"),
    ] {
        let reply = ok(head, WHOLE.as_bytes());
        let (outcome, sends) = send(vec![reply.clone(), reply], false).await;
        assert_eq!((outcome.error_kind(), sends), (Some(ErrorKind::Rejected), 1), "{named}: {outcome:?}");
        let message = outcome.result.expect_err("unreadable").to_string();
        assert!(message.contains(named), "{message}");
    }
}

#[tokio::test]
async fn an_event_may_be_as_large_as_a_reply() {
    let text = "A".repeat(9_000_000);
    let events = format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":\"stop\"}}]}}\n\ndata: [DONE]\n\n"
    );
    let (outcome, sends) =
        send(vec![ok("content-type: text/event-stream\r\n", events.as_bytes())], true).await;
    let reply = outcome.result.expect("an answer");
    assert_eq!((sends, reply.content().map(|text| text.len())), (1, Some(9_000_000)));
}
