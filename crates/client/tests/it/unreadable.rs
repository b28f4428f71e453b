//! Tests: replies whose head or framing cannot be read. Each error says what is wrong, and none is reported as a lost
//! connection.

use outbound_client::{Client, Delivery, Error, Kind, Phase};
use tokio::io::AsyncReadExt;

use crate::support::{answering, in_memory, read_head, write};

/// A client whose server sends this, and then waits or ends the connection.
fn replying(reply: impl Into<Vec<u8>>, ends: bool) -> Client {
    let reply = reply.into();
    let (builder, _) = in_memory(move |_, mut pipe, _| {
        let reply = reply.clone();
        async move {
            read_head(&mut pipe).await;
            write(&mut pipe, reply).await;
            if !ends {
                let _ = pipe.read_to_end(&mut Vec::new()).await;
            }
        }
    });
    builder.build().unwrap()
}

fn verdict(error: &Error) -> (Kind, Phase, Delivery) {
    (error.kind(), error.phase(), error.delivery())
}

#[tokio::test(start_paused = true)]
async fn a_malformed_chunk_is_a_broken_protocol() {
    for chunks in [
        "zz\r\nab\r\n0\r\n\r\n",
        "-2\r\nab\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nab\r\n",
        "2\r\nabc\r\n0\r\n\r\n",
        "2 2\r\nab\r\n0\r\n\r\n",
        "\r\n\r\n",
    ] {
        for ends in [false, true] {
            let reply = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
            let reply = replying(reply, ends).get("/x").send().await;
            // A part of the body may come before the head is given.
            let error = match reply {
                Ok(reply) => reply.bytes().await.unwrap_err(),
                Err(error) => error,
            };
            assert_eq!(verdict(&error), (Kind::Protocol, Phase::Body, Delivery::Replied), "{chunks:?}");
            assert!(error.to_string().contains("chunk"), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tls_alert_says_that_the_port_speaks_tls() {
    // "unexpected message", and what servers send to a client whose TLS version they do not know.
    for alert in [&b"\x15\x03\x01\x00\x02\x02\x0a"[..], b"\x15\x03\x03\x00\x02\x02\x46", b"\x15"] {
        for ends in [false, true] {
            let error = replying(alert, ends).get("/x").send().await.unwrap_err();
            assert_eq!(verdict(&error), (Kind::Protocol, Phase::Head, Delivery::Replied));
            assert!(error.to_string().starts_with("this port speaks TLS: use https://"), "{error}");
        }
    }
    let error = replying(&b"\x15\x04"[..], true).get("/x").send().await.unwrap_err();
    assert!(error.to_string().contains("status line"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_is_cut_is_a_connection_that_ended() {
    for chunks in ["", "2", "2\r\n", "2\r\na", "2\r\nab", "2\r\nab\r\n", "2\r\nab\r\n0\r\n"] {
        let reply = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
        let reply = replying(reply, true).get("/x").send().await.unwrap();
        let error = reply.bytes().await.unwrap_err();
        assert_eq!(verdict(&error), (Kind::Closed, Phase::Body, Delivery::Replied), "{chunks:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_head_names_the_line_or_the_bound() {
    let fields = |count: usize| "a: b\r\n".repeat(count);
    let long = "x".repeat(500 << 10);
    for (head, named) in [
        ("nonsense\r\n\r\n".to_owned(), "status line"),
        ("HTTP/1.1 99 No\r\n\r\n".to_owned(), "status line"),
        ("HTTP/1.1 200 OK\r\na: b\x01c\r\n\r\n".to_owned(), "header line"),
        ("HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n".to_owned(), "header line"),
        ("HTTP/1.1 200 OK\r\na b: c\r\n\r\n".to_owned(), "header line"),
        ("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n".to_owned(), "`content-length`"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_owned(), "`content-length`"),
        (format!("HTTP/1.1 200 OK\r\n{}\r\n", fields(120)), "`max_header_fields`"),
        (format!("HTTP/1.1 200 OK\r\na: {long}\r\n\r\n"), "400 KiB"),
    ] {
        let error = replying(head.clone(), false).get("/x").send().await.unwrap_err();
        let head = &head[..head.len().min(60)];
        assert_eq!(verdict(&error), (Kind::Protocol, Phase::Head, Delivery::Replied), "{head:?}");
        assert!(error.to_string().contains(named), "{head:?}: {error}");
        assert!(!error.to_string().contains("folded\r"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_coded_for_its_way_is_an_error_that_names_the_coding() {
    for (said, coding) in [
        ("transfer-encoding: gzip, chunked", Some("gzip")),
        ("transfer-encoding: x-own\r\ntransfer-encoding: chunked", Some("x-own")),
        ("transfer-encoding: chunked, , CHUNKED", None),
        ("transfer-encoding: Identity, Chunked", None),
    ] {
        let client = replying(format!("HTTP/1.1 200 OK\r\n{said}\r\n\r\n2\r\nok\r\n0\r\n\r\n"), false);
        let read = client.get("/x").send().await.unwrap().text().await;
        let Some(coding) = coding else {
            assert_eq!(read.unwrap(), "ok", "{said}");
            continue;
        };
        let error = read.unwrap_err();
        assert_eq!(verdict(&error), (Kind::Decode, Phase::Body, Delivery::Replied), "{said}");
        assert!(error.to_string().contains(&format!("transfer coding `{coding}`")), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_length_beside_chunks_does_not_count_and_the_connection_is_not_used_again() {
    let reply =
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let (builder, seen) = answering(|_| reply.as_bytes().to_vec());
    let client = builder.build().unwrap();
    for _ in 0..3 {
        assert_eq!(client.get("/x").send().await.unwrap().text().await.unwrap(), "ok");
    }
    assert_eq!(seen.connections(), 3);
}
