//! Tests: servers that never stop sending. Each flood ends with an error or a limit, and uses bounded memory.

use std::time::Duration;

use allocation_counter::measure;
use outbound_client::{Client, Delivery, Error, Kind, Limit, Limits, Phase, Redirects};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::{in_memory, read_head, secs};

/// More than any buffer holds.
const MUCH: usize = 8 << 20;
/// The server itself sends one megabyte at a time.
const BOUND: u64 = 6 << 20;

/// Sends the same bytes again and again, a megabyte in a millisecond, as long as the other side takes them.
async fn flood(pipe: &mut DuplexStream, piece: &[u8]) {
    let piece = piece.repeat((1 << 20) / piece.len());
    for _ in 0..MUCH >> 20 {
        if pipe.write_all(&piece).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Reads the preface, and frames up to the head of a request (RFC 9113, sections 3.4 and 4.1).
async fn read_http2_request(pipe: &mut DuplexStream) {
    const HEADERS: u8 = 1;
    pipe.read_exact(&mut [0; 24]).await.unwrap();
    let mut head = [0; 9];
    while head[3] != HEADERS {
        pipe.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        pipe.read_exact(&mut vec![0; length as usize]).await.unwrap();
    }
}

/// The result of a request to a server that answers with a beginning and then with a flood.
fn flooded(http2: bool, begin: &'static [u8], piece: &'static [u8]) -> Result<usize, Error> {
    let mut outcome = None;
    let used = measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        outcome = Some(runtime.unwrap().block_on(async {
            let (builder, _) = in_memory(move |_, mut pipe, _| async move {
                if http2 {
                    pipe.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
                    read_http2_request(&mut pipe).await;
                } else {
                    read_head(&mut pipe).await;
                }
                pipe.write_all(begin).await.unwrap();
                flood(&mut pipe, piece).await;
            });
            let builder = if http2 { builder.http2_prior_knowledge() } else { builder };
            let limits = Limits::new().first_byte(secs(20)).total(secs(60)).max_body(256 << 10);
            let client = builder.limits(limits).build().unwrap();
            let reply = client.get("/x").send().await?;
            reply.bytes().await.map(|body| body.len())
        }));
    });
    assert!(used.bytes_max < BOUND, "{} bytes", used.bytes_max);
    outcome.unwrap()
}

/// What the flood is, its beginning, what is repeated; and the expected error.
type Case = (&'static str, &'static [u8], &'static [u8], Kind, Phase);

#[test]
fn a_reply_over_http1_that_never_ends_is_an_error() {
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let cases: [Case; 7] = [
        ("headers", b"HTTP/1.1 200 OK\r\n", b"a: bbbbbbbb\r\n", Kind::Protocol, Phase::Head),
        ("one header", b"HTTP/1.1 200 OK\r\nx: ", b"abcdefgh", Kind::Protocol, Phase::Head),
        ("a status line", b"HTTP/1.1 200 ", b"OK again", Kind::Protocol, Phase::Head),
        ("a chunk's extension", CHUNKED, b"1;aaaaaa", Kind::Protocol, Phase::Body),
        (
            "trailers",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
            b"a: bbbbbbbb\r\n",
            Kind::Protocol,
            Phase::Body,
        ),
        ("a body", b"HTTP/1.1 200 OK\r\n\r\n", b"abcdefgh", Kind::TooLarge, Phase::Body),
        ("chunks of a byte", CHUNKED, b"1\r\na\r\n", Kind::TooLarge, Phase::Body),
    ];
    for (what, begin, piece, kind, phase) in cases {
        let error = flooded(false, begin, piece).unwrap_err();
        assert_eq!(
            (error.kind(), error.phase(), error.delivery()),
            (kind, phase, Delivery::Replied),
            "{what}"
        );
    }
}

#[test]
fn informational_replies_without_an_end_cost_no_memory() {
    let error = flooded(false, b"", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").unwrap_err();
    assert!(matches!(error.kind(), Kind::Closed | Kind::Timeout | Kind::Protocol), "{error}");
}

/// Frames of HTTP/2 (RFC 9113, section 4.1), to the first request.
#[test]
fn a_server_over_http2_that_never_ends_is_an_error() {
    let cases: [(&str, &[u8], &[u8]); 7] = [
        // `:status: 200` without the end of headers, then continuations with a header that is not indexed.
        ("continuations", b"\0\0\x01\x01\0\0\0\0\x01\x88", b"\0\0\x05\x09\0\0\0\0\x01\0\x01a\x01b"),
        ("empty continuations", b"\0\0\x01\x01\0\0\0\0\x01\x88", b"\0\0\0\x09\0\0\0\0\x01"),
        ("empty data", b"\0\0\x01\x01\x04\0\0\0\x01\x88", b"\0\0\0\0\0\0\0\0\x01"),
        ("informational heads", b"", b"\0\0\x05\x01\x04\0\0\0\x01\x08\x03103"),
        ("pings", b"", b"\0\0\x08\x06\0\0\0\0\0pingping"),
        ("settings", b"", b"\0\0\0\x04\0\0\0\0\0"),
        ("resets of what is not open", b"", b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08"),
    ];
    for (what, begin, piece) in cases {
        let error = flooded(true, begin, piece).unwrap_err();
        let (kind, phase) = (error.kind(), error.phase());
        assert!(matches!(phase, Phase::Head | Phase::Body), "{what}: {error}");
        assert!(
            matches!(kind, Kind::Protocol | Kind::Closed | Kind::Reset | Kind::TooLarge | Kind::Timeout),
            "{what}: {error}"
        );
        assert_ne!(error.limit().map(|(limit, _)| limit), Some(Limit::Total), "{what}: {error}");
    }
}

/// The body of a redirect or of an error is not what the caller asked for. It is read only as far as that costs
/// nothing.
#[test]
fn the_body_of_a_redirect_and_of_an_error_is_bounded() {
    let mut connections = 0;
    let used = measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        connections = runtime.unwrap().block_on(async {
            let (builder, seen) = in_memory(|_, mut pipe, _| async move {
                let head = read_head(&mut pipe).await.unwrap();
                let status: &[u8] = if head.starts_with("GET /v1/error") { b"500 No" } else { b"302 Found" };
                let begin = [b"HTTP/1.1 ", status, b"\r\nlocation: /v1/error\r\n\r\n"].concat();
                pipe.write_all(&begin).await.unwrap();
                flood(&mut pipe, b"abcdefgh").await;
            });
            let client: Client = builder.redirects(Redirects::default()).build().unwrap();
            let reply = client.get("/x").send().await.unwrap();
            assert_eq!((reply.status().as_u16(), reply.redirects().len()), (500, 1));
            let error = reply.error_for_status().await.unwrap_err();
            let reply = error.reply().unwrap();
            assert_eq!((reply.body.len(), reply.complete), (64 << 10, false));
            seen.connections()
        });
    });
    assert!(used.bytes_max < BOUND, "{} bytes", used.bytes_max);
    assert_eq!(connections, 2);
}
