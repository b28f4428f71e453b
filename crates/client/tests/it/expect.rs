//! Tests of `Expect: 100-continue`: bodies that wait until the server asks for them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use outbound_client::{Body, Client, Delivery, Kind, RequestBuilder, Streamed};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::{Instant, sleep, timeout},
};

use crate::support::{OK, in_memory, read_head, read_request, secs, serve_http2, write};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A body of three bytes, and whether any of it was read.
fn body() -> (Arc<AtomicBool>, Body) {
    let read = Arc::new(AtomicBool::new(false));
    let shared = read.clone();
    let pieces = stream::once(async move {
        shared.store(true, Ordering::SeqCst);
        Ok::<_, std::io::Error>(Bytes::from_static(b"abc"))
    });
    (read, Body::stream(pieces.boxed(), Some(3)))
}

fn upload(client: &Client, body: Body) -> RequestBuilder<Streamed> {
    client.post("/x").with_body(body).expect_continue()
}

/// Reads a head with `expect: 100-continue`.
async fn read_expecting(pipe: &mut DuplexStream) {
    let head = read_head(pipe).await.unwrap();
    assert!(head.contains("expect: 100-continue\r\n"), "{head}");
    assert!(head.contains("content-length: 3\r\n"), "{head}");
}

async fn read_body(pipe: &mut DuplexStream) {
    let mut body = [0; 3];
    pipe.read_exact(&mut body).await.unwrap();
    assert_eq!(&body, b"abc");
}

#[tokio::test(start_paused = true)]
async fn the_body_goes_when_it_is_asked_for_and_not_before() {
    let (builder, seen) = in_memory(|_, mut pipe, _| async move {
        for _ in 0..2 {
            read_expecting(&mut pipe).await;
            // Other interim responses do not ask for the body.
            write(&mut pipe, "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n").await;
            assert!(timeout(Duration::from_millis(500), pipe.read_u8()).await.is_err());
            write(&mut pipe, CONTINUE).await;
            read_body(&mut pipe).await;
            write(&mut pipe, OK).await;
        }
    });
    let client = builder.build().unwrap();
    for _ in 0..2 {
        let begun = Instant::now();
        let reply = upload(&client, body().1).send().await.unwrap();
        assert_eq!(begun.elapsed(), Duration::from_millis(500));
        reply.text().await.unwrap();
    }
    assert_eq!(seen.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_gets_it_after_a_second() {
    let (builder, _) = in_memory(|number, mut pipe, _| async move {
        let begun = Instant::now();
        assert_eq!(read_request(&mut pipe, number).await.unwrap().body, b"abc");
        assert_eq!(begun.elapsed(), secs(1));
        // Too late to have an effect.
        write(&mut pipe, [CONTINUE, OK].concat()).await;
    });
    let client = builder.build().unwrap();
    upload(&client, body().1).send().await.unwrap().text().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_replies_at_once_gets_none_of_it_and_the_connection_is_closed() {
    for status in ["401 Unauthorized", "413 Content Too Large", "417 Expectation Failed", "200 OK"] {
        let (builder, seen) = in_memory(move |_, mut pipe, seen| async move {
            read_expecting(&mut pipe).await;
            write(&mut pipe, format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\n\r\nlo")).await;
            // Longer than a client waits without an answer.
            sleep(secs(5)).await;
            write(&mut pipe, "ng").await;
            let mut rest = Vec::new();
            pipe.read_to_end(&mut rest).await.unwrap();
            assert!(rest.is_empty(), "{rest:?}");
            seen.connect();
        });
        let client = builder.build().unwrap();
        let (read, body) = body();
        let reply = upload(&client, body).send().await.unwrap();
        assert_eq!(reply.status().as_str(), &status[..3]);
        assert_eq!(reply.text().await.unwrap(), "long");
        // Sent once for the connection, and once for its end.
        timeout(secs(60), async {
            while seen.connections() < 2 {
                sleep(secs(1)).await;
            }
        })
        .await
        .unwrap();
        assert!(!read.load(Ordering::SeqCst), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_dropped_before_the_body_was_asked_for_ends_the_connection() {
    let (builder, seen) = in_memory(|_, mut pipe, seen| async move {
        read_expecting(&mut pipe).await;
        write(&mut pipe, "HTTP/1.1 403 Forbidden\r\ncontent-length: 400\r\n\r\n").await;
        assert_eq!(pipe.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        seen.connect();
    });
    let client = builder.build().unwrap();
    drop(upload(&client, body().1).send().await.unwrap());
    sleep(secs(10)).await;
    assert_eq!(seen.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn bytes_can_wait_too_and_are_sent_once() {
    let (builder, _) = in_memory(|_, mut pipe, _| async move {
        read_expecting(&mut pipe).await;
        write(&mut pipe, CONTINUE).await;
        read_body(&mut pipe).await;
        pipe.write_all(OK).await.unwrap();
    });
    let client = builder.build().unwrap();
    upload(&client, Body::bytes("abc")).send().await.unwrap().text().await.unwrap();
    // There is no body to hold back.
    let (builder, seen) = in_memory(|number, mut pipe, seen| async move {
        let request = read_request(&mut pipe, number).await.unwrap();
        seen.requests.lock().unwrap().push(request);
        write(&mut pipe, OK).await;
    });
    let client = builder.build().unwrap();
    upload(&client, Body::empty()).send().await.unwrap().text().await.unwrap();
    assert_eq!(seen.requests()[0].header("expect"), None);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_while_the_body_waits_may_have_brought_the_head() {
    let (builder, _) = in_memory(|_, mut pipe, _| async move { read_expecting(&mut pipe).await });
    let client = builder.build().unwrap();
    let (read, body) = body();
    let error = upload(&client, body).send().await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Closed, Delivery::MaybeSent));
    assert!(!read.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn http2_does_not_wait() {
    let (builder, _) = in_memory(|_, pipe, _| async move {
        let begun = Instant::now();
        serve_http2(pipe, move |mut request, mut respond| async move {
            assert!(!request.headers().contains_key("expect"));
            assert_eq!(request.body_mut().data().await.unwrap().unwrap(), "abc");
            assert_eq!(begun.elapsed(), Duration::ZERO);
            let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
            stream.send_data(Bytes::from("ok"), true).unwrap();
        })
        .await;
    });
    let client = builder.http2_prior_knowledge().build().unwrap();
    assert_eq!(upload(&client, body().1).send().await.unwrap().text().await.unwrap(), "ok");
}
