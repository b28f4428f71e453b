//! Tests: bodies of requests. Which can be sent a second time, and what happens if the reply comes first.

use std::{io, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use outbound_client::{Kind, Multipart, Part, StatusCode};
use tokio::{io::AsyncReadExt, time::sleep};

use crate::support::{OK, answering, in_memory, read_head, silence, write};

#[tokio::test(start_paused = true)]
async fn each_body_has_its_content_type_unless_one_is_set() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.build().unwrap();
    let post = || client.post("/x");
    client.get("/x").send().await.unwrap().bytes().await.unwrap();
    for request in [
        post(),
        post().body("a"),
        post().text("ä"),
        post().json(&[1, 2]),
        post().form(&[("a", "b")]),
        post().header("content-type", "a/b").text("ä"),
        post().text("ä").header("content-type", "a/b"),
    ] {
        request.send().await.unwrap().bytes().await.unwrap();
    }
    let requests = seen.requests();
    let shown: Vec<_> = requests
        .iter()
        .map(|request| (request.header("content-type"), request.header("content-length"), &request.body[..]))
        .collect();
    let text = Some("text/plain; charset=utf-8");
    let form = Some("application/x-www-form-urlencoded");
    assert_eq!(
        shown,
        [
            (None, None, &b""[..]),
            (None, Some("0"), b""),
            (None, Some("1"), b"a"),
            (text, Some("2"), "ä".as_bytes()),
            (Some("application/json"), Some("5"), b"[1,2]"),
            (form, Some("3"), b"a=b"),
            (Some("a/b"), Some("2"), "ä".as_bytes()),
            (Some("a/b"), Some("2"), "ä".as_bytes()),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn json_of_any_length_arrives_whole_also_where_writing_it_writes_another() {
    /// A value that serializes another value while it is serialized.
    struct Nested(usize);
    impl serde::Serialize for Nested {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let client =
                outbound_client::Client::builder().no_proxy().base_url("http://b.test").build().unwrap();
            let inner = client.post("/").json("inner");
            assert_eq!(inner.bytes(), b"\"inner\"");
            serializer.serialize_str(&"x".repeat(self.0))
        }
    }
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.build().unwrap();
    let lengths = [200_000, 3, 100, 70_000, 0];
    for length in lengths {
        client.post("/x").json(&("outer", Nested(length))).send().await.unwrap().bytes().await.unwrap();
    }
    for (request, length) in seen.requests().iter().zip(lengths) {
        assert_eq!(request.body, format!("[\"outer\",\"{}\"]", "x".repeat(length)).as_bytes());
    }
}

#[tokio::test(start_paused = true)]
async fn a_multipart_body_with_a_stream_of_unknown_length_goes_in_chunks() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.build().unwrap();
    let pieces = stream::iter(["ab", "cd"].map(|piece| Ok::<_, io::Error>(Bytes::from(piece))));
    let body = Multipart::new()
        .text("a", "b")
        .part("file", Part::stream(pieces, None).file_name("x"))
        .part("large", Part::bytes(vec![b'l'; 100_000]));
    client.post("/files").multipart(body).send().await.unwrap().bytes().await.unwrap();

    let [request] = &seen.requests()[..] else { panic!("one request") };
    assert_eq!(request.header("transfer-encoding"), Some("chunked"));
    assert_eq!(request.header("content-length"), None);
    let body = String::from_utf8_lossy(&request.body);
    assert!(body.contains("\r\nab\r\n2\r\ncd\r\n") && body.matches('l').count() >= 100_000);
}

#[tokio::test(start_paused = true)]
async fn a_request_tells_what_it_is_made_of() {
    let (builder, _) = answering(|_| OK.to_vec());
    let client = builder.default_header("a", "b").build().unwrap();
    let request = client.post("/x y").query(&[("q", "1")]).body("body");
    assert_eq!(request.method().as_str(), "POST");
    assert_eq!(request.origin().unwrap().to_string(), "http://api.test");
    assert_eq!(request.target(), "/v1/x%20y?q=1");
    // The client's own headers are added when it is sent.
    assert!(request.headers_ref().is_empty());
    assert_eq!(request.bytes(), b"body");
    let wrong = client.post("//x").body("body");
    assert_eq!((wrong.method().as_str(), wrong.bytes()), ("POST", &b"body"[..]));
    assert!(wrong.origin().is_none() && wrong.target().is_empty());
}

/// Answers 413 once the head is there, and never reads another byte.
fn too_large() -> (outbound_client::ClientBuilder, std::sync::Arc<crate::support::Seen>) {
    in_memory(|number, mut pipe, _| async move {
        read_head(&mut pipe).await;
        if number == 0 {
            write(&mut pipe, "HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\n\r\nstop").await;
            // The connection stays open, and its buffer is full.
            sleep(Duration::from_secs(3600)).await;
        } else {
            write(&mut pipe, OK).await;
            silence(pipe).await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn an_answer_during_the_upload_is_seen_and_its_connection_not_used_again() {
    let (builder, seen) = too_large();
    let client = builder.build().unwrap();
    let reply = client.post("/x").body(vec![0; 4 << 20]).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(reply.text().await.unwrap(), "stop");
    assert_eq!(client.get("/x").send().await.unwrap().text().await.unwrap(), "ok");
    assert_eq!(seen.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_stream_that_goes_on_is_seen_and_ends_the_stream() {
    let (builder, seen) = too_large();
    let client = builder.build().unwrap();
    let (alive, mut dropped) = tokio::sync::mpsc::channel::<()>(1);
    let endless = stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from(vec![0; 4096]))).then(move |piece| {
        let alive = alive.clone();
        async move {
            sleep(Duration::from_millis(10)).await;
            drop(alive);
            piece
        }
    });
    let error = client.post("/x").stream(endless, None).send().await.unwrap().error_for_status().await;
    let error = error.unwrap_err();
    assert_eq!((error.kind(), &error.reply().unwrap().body[..]), (Kind::Status, &b"stop"[..]));
    // The stream is dropped with the connection.
    assert!(dropped.recv().await.is_none());
    assert_eq!(client.get("/x").send().await.unwrap().text().await.unwrap(), "ok");
    assert_eq!(seen.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_early_but_not_before_the_upload_is_done_keeps_the_connection() {
    let (builder, seen) = in_memory(|_, mut pipe, _| async move {
        for _ in 0..2 {
            read_head(&mut pipe).await;
            write(&mut pipe, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
            pipe.read_exact(&mut vec![0; 200_000]).await.unwrap();
            write(&mut pipe, "ok").await;
        }
    });
    let client = builder.build().unwrap();
    for _ in 0..2 {
        let reply = client.post("/x").body(vec![0; 200_000]).send().await.unwrap();
        assert_eq!(reply.text().await.unwrap(), "ok");
    }
    assert_eq!(seen.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_announces_nothing_and_has_nothing_is_an_empty_body() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.build().unwrap();
    for _ in 0..2 {
        let nothing = stream::empty::<Result<_, io::Error>>();
        let reply = client.post("/x").stream(nothing, Some(0)).send().await.unwrap();
        assert_eq!(reply.text().await.unwrap(), "ok");
    }
    assert_eq!(seen.requests()[0].header("content-length"), Some("0"));
    assert_eq!(seen.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_wants_any_more_does_not_keep_its_connection_open() {
    for length in [Some(1000), None] {
        let (builder, seen) = in_memory(|_, mut pipe, seen| async move {
            read_head(&mut pipe).await;
            write(&mut pipe, OK).await;
            // This ends with the connection.
            let _ = pipe.read_to_end(&mut Vec::new()).await;
            seen.connect();
        });
        let client = builder.build().unwrap();
        // The stream gives its first piece and then nothing, forever.
        let first = stream::once(async { Ok::<_, io::Error>(Bytes::from_static(b"abc")) });
        let body = first.chain(stream::pending()).boxed();
        let reply = client.post("/x").stream(body, length).send().await.unwrap();
        assert_eq!(reply.text().await.unwrap(), "ok");
        sleep(Duration::from_secs(1)).await;
        // Sent once for the connection, and once for its end.
        assert_eq!(seen.connections(), 2, "{length:?}");
    }
}
