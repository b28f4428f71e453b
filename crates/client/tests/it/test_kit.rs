//! Tests of the test kit: servers in memory, faults, and tapes.

use std::{error::Error as _, fs, time::Duration};

use bytes::Bytes;
use outbound_client::{
    Client, ClientBuilder, ConnectFailure, Delivery, Error, Kind, Limit, Limits, Secret,
    test_kit::{Fault, Faults, Mock, Request, Response, StatusCode, Tape},
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::support::secs;

/// Answers with what it was asked (for `/slow` after a minute), or with 5,000 bytes.
fn echo() -> Mock {
    Mock::new(|request: Request<Bytes>| async move {
        if request.uri().path() == "/slow" {
            sleep(secs(60)).await;
        }
        let mut text = format!("{} {} {}", request.method(), request.uri().path(), request.body().len());
        if request.uri().path() == "/long" {
            text = "x".repeat(5_000);
        }
        let mut reply = Response::new(text.into());
        reply.headers_mut().insert("set-cookie", "session=canary".parse().unwrap());
        reply
    })
}

fn client(connector: impl outbound_client::Connect) -> ClientBuilder {
    Client::builder().base_url("http://api.test").connector(connector)
}

#[tokio::test(start_paused = true)]
async fn a_mock_answers_over_both_versions_and_keeps_what_it_was_asked() {
    for http2 in [false, true] {
        let server = if http2 { echo().http2() } else { echo() };
        let builder = client(server.clone());
        let client = if http2 { builder.http2_prior_knowledge() } else { builder }.build().unwrap();
        let begun = Instant::now();
        for path in ["/a", "/slow"] {
            let reply = client.post(path).header("x-a", "b").body("12345").send().await.unwrap();
            assert_eq!(reply.text().await.unwrap(), format!("POST {path} 5"));
        }
        assert_eq!(begun.elapsed(), secs(60));
        let requests = server.requests();
        assert_eq!((requests.len(), server.connections()), (2, 1));
        assert_eq!(
            (&requests[0].body()[..], requests[0].headers()["x-a"].as_bytes()),
            (&b"12345"[..], &b"b"[..])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_mock_that_goes_away_loses_no_request() {
    for http2 in [false, true] {
        let server = if http2 { echo().http2() } else { echo() }.go_away_after(3);
        let builder = client(server.clone());
        let client = if http2 { builder.http2_prior_knowledge() } else { builder }.build().unwrap();
        for _ in 0..9 {
            assert_eq!(client.get("/a").send().await.unwrap().status(), StatusCode::OK);
        }
        assert_eq!((server.requests().len(), server.connections()), (9, 3), "HTTP/2: {http2}");
    }
}

async fn with(fault: Fault) -> (Result<String, Error>, Duration) {
    let limits = Limits::new().first_byte(secs(30)).idle(secs(20));
    let faults = Faults::new(echo(), move |connection| (connection == 0).then_some(fault));
    let client = client(faults).limits(limits).build().unwrap();
    let begun = Instant::now();
    let answer = async { client.get("/long").send().await?.text().await }.await;
    let spent = begun.elapsed();
    // The next connection has no fault.
    assert_eq!(client.get("/b").send().await.unwrap().text().await.unwrap(), "GET /b 0");
    (answer, spent)
}

#[tokio::test(start_paused = true)]
async fn each_fault_is_the_error_that_it_is_on_a_network() {
    let error = with(Fault::Refuse).await.0.unwrap_err();
    assert_eq!(
        (error.connect_failure(), error.delivery()),
        (Some(ConnectFailure::Refused), Delivery::NotSent)
    );

    // The head is shorter than 500 bytes and longer than 20.
    for (after, limit, waited) in
        [(0, Limit::FirstByte, 30), (20, Limit::FirstByte, 30), (500, Limit::Idle, 20)]
    {
        let (answer, spent) = with(Fault::Stall { after }).await;
        assert_eq!(answer.unwrap_err().limit(), Some((limit, secs(waited))));
        assert_eq!(spent, secs(waited));
    }
    for (after, delivery) in [(0, Delivery::MaybeSent), (500, Delivery::Replied), (5_000, Delivery::Replied)]
    {
        for fault in [Fault::Cut { after }, Fault::Reset { after }] {
            let error = with(fault).await.0.unwrap_err();
            assert_eq!((error.kind(), error.delivery()), (Kind::Closed, delivery), "{fault:?}");
        }
    }
    let (answer, spent) = with(Fault::Drip { bytes: 100, every: secs(1) }).await;
    assert_eq!(answer.unwrap().len(), 5_000);
    assert!((secs(51)..secs(55)).contains(&spent), "{spent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_tape_has_the_same_replies_and_no_secrets() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("api.jsonl");
    let server = Mock::new(|request: Request<Bytes>| async move {
        let number = request.headers()["x-number"].to_str().unwrap().to_owned();
        let mut reply = Response::new(format!("{number}: your key is canary-12345678").into());
        reply.headers_mut().insert("set-cookie", "session=canary".parse().unwrap());
        reply.headers_mut().insert("x-number", number.parse().unwrap());
        *reply.status_mut() = StatusCode::IM_A_TEAPOT;
        reply
    });
    let ask = async |client: &Client, number: u32, path: &str, body: &'static [u8]| {
        let request = client.post(path).header("x-number", number).header("x-api-key", "canary").body(body);
        let reply = request.send().await?;
        assert_eq!(reply.status(), StatusCode::IM_A_TEAPOT);
        assert_eq!(reply.headers()["x-number"], number.to_string());
        reply.text().await
    };
    const ASKED: [(&str, &[u8]); 4] =
        [("/a", b"x"), ("/a", b"x"), ("/b?key=canary&n=1", b"canary-12345678"), ("/c", b"\xff\xfe")];

    let tape = Tape::record(&path).unwrap().redact("canary-12345678");
    let client_of = |tape: Tape| client(server.clone()).bearer_auth("canary").layer(tape).build().unwrap();
    let recording = client_of(tape);
    for (number, (path, body)) in (0..).zip(ASKED) {
        let text = ask(&recording, number, path, body).await.unwrap();
        assert_eq!(text, format!("{number}: your key is canary-12345678"));
    }
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 4);
    assert!(!text.contains("canary"), "{text}");
    assert!(Tape::record(&path).is_err(), "a recording takes no other's place");

    let asked = server.requests().len();
    let replaying = client_of(Tape::replay(&path).unwrap().redact(Secret::new("canary-12345678")));
    // Equal requests get their replies in order; the others in any order.
    for number in [3, 0, 2, 1] {
        let (path, body) = ASKED[number];
        let text = ask(&replaying, number as u32, path, body).await.unwrap();
        assert_eq!(text, format!("{number}: your key is [redacted]"));
    }
    let error = ask(&replaying, 0, "/b?key=canary&n=1", b"canary").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Layer);
    let why = error.source().unwrap().to_string();
    assert_eq!(why, "the tape has no reply left for POST http://api.test/b");
    assert_eq!(server.requests().len(), asked, "nothing was sent");
}

#[test]
fn public_types_are_send_sync_and_unpin() {
    fn both<T: Send + Sync + Unpin + std::fmt::Debug>() {}
    both::<Mock>();
    both::<Fault>();
    both::<Faults<Mock>>();
    both::<Tape>();
    both::<outbound_client::test_kit::TapeService>();
}
