//! Tests: content codings that are undone, and bodies that must not be undone.

use compression_codecs::{
    BrotliEncoder, DeflateEncoder, EncodeV2, GzipEncoder, ZlibEncoder, ZstdEncoder,
    brotli::params::EncoderParams,
    core::{
        Level,
        util::{PartialBuffer, WriteBuffer},
    },
};
use futures::StreamExt;
use outbound_client::{Client, Delivery, Error, Kind, Limits, Phase};

use crate::support::{Request, answering, secs};

fn encoder(coding: &str) -> Box<dyn EncodeV2> {
    let best = || Level::Best.into();
    match coding {
        "gzip" | "x-gzip" => Box::new(GzipEncoder::new(best())),
        "deflate" => Box::new(ZlibEncoder::new(best())),
        "bare" => Box::new(DeflateEncoder::new(best())),
        "br" => Box::new(BrotliEncoder::new(EncoderParams::default().quality(Level::Precise(5)))),
        _ => Box::new(ZstdEncoder::new(3)),
    }
}

fn encode(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = encoder(coding);
    let (mut all, mut input) = (Vec::new(), PartialBuffer::new(bytes));
    let mut is_done = false;
    while !is_done {
        let mut piece = vec![0; 64 << 10];
        let mut output = WriteBuffer::new_initialized(&mut piece);
        if input.unwritten().is_empty() {
            is_done = encoder.finish(&mut output).unwrap();
        } else {
            encoder.encode(&mut input, &mut output).unwrap();
        }
        all.extend_from_slice(output.written());
    }
    all
}

/// A client that decodes, and a server that answers with this body in this coding, in chunks of this many bytes.
fn client(coding: &str, body: &[u8], chunk: usize) -> Client {
    let mut reply =
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ntransfer-encoding: chunked\r\n\r\n")
            .into_bytes();
    for chunk in body.chunks(chunk) {
        reply.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        reply.extend_from_slice(chunk);
        reply.extend_from_slice(b"\r\n");
    }
    reply.extend_from_slice(b"0\r\n\r\n");
    answering(move |_: &Request| reply.clone()).0.decompress().build().unwrap()
}

async fn read(client: &Client) -> Result<Vec<u8>, Error> {
    client.get("/x").send().await.unwrap().bytes().await.map(|bytes| bytes.to_vec())
}

const CODINGS: [(&str, &str); 6] = [
    ("gzip", "gzip"),
    ("x-gzip", "gzip"),
    ("deflate", "deflate"),
    ("deflate", "bare"),
    ("br", "br"),
    ("zstd", "zstd"),
];

fn text() -> Vec<u8> {
    (0..40_000_u32).flat_map(|n| format!("{:x} ", n.wrapping_mul(2_654_435_761)).into_bytes()).collect()
}

#[tokio::test(start_paused = true)]
async fn every_coding_is_asked_for_and_undone_however_it_is_cut() {
    for (coding, made_by) in CODINGS {
        for bytes in [b"".to_vec(), b"x".to_vec(), text()] {
            let coded = encode(made_by, &bytes);
            for chunk in [1, 2, 7, 5000, usize::MAX] {
                if chunk < 100 && bytes.len() > 100 {
                    continue;
                }
                let client = client(coding, &coded, chunk.min(1 << 20));
                let reply = client.get("/x").send().await.unwrap();
                assert_eq!((reply.content_encoding(), reply.content_length()), (None, None));
                assert!(reply.bytes().await.unwrap() == bytes, "{coding} {made_by} {} {chunk}", bytes.len());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_is_what_can_be_undone() {
    let (builder, seen) = answering(|_| crate::support::OK.to_vec());
    let client = builder.decompress().build().unwrap();
    let requests = [
        client.get("/"),
        client.get("http://other.test/"),
        client.get("/").header("range", "bytes=1-"),
        client.get("/").header("accept-encoding", "identity"),
    ];
    for request in requests {
        request.send().await.unwrap().bytes().await.unwrap();
    }
    let asked: Vec<_> =
        seen.requests().iter().map(|seen| seen.header("accept-encoding").map(str::to_owned)).collect();
    let all = Some("zstd, br, gzip, deflate".to_owned());
    assert_eq!(asked, [all.clone(), all, None, Some("identity".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn codings_on_top_of_one_another_are_undone_up_to_three() {
    let coded = encode("br", &encode("gzip", &encode("zstd", b"three")));
    let three = client("zstd, identity, GZIP ,br", &coded, 5);
    assert_eq!(read(&three).await.unwrap(), b"three");
    let four = client("zstd, gzip, br, gzip", &encode("gzip", &coded), 5);
    let error = read(&four).await.unwrap_err();
    assert!(error.is_decode() && error.to_string().contains("more than 3"), "{error}");
    let unknown = read(&client("gzip, compress", &coded, 5)).await.unwrap_err();
    assert!(unknown.is_decode() && unknown.to_string().contains("`compress`"), "{unknown}");
}

#[tokio::test(start_paused = true)]
async fn members_behind_one_another_are_one_body_and_anything_else_is_an_error() {
    for coding in ["gzip", "zstd"] {
        let two = [encode(coding, b"one "), encode(coding, b"two")].concat();
        for chunk in [1, two.len()] {
            assert_eq!(read(&client(coding, &two, chunk)).await.unwrap(), b"one two", "{coding}");
        }
    }
    for (coding, made_by) in CODINGS {
        let behind = [encode(made_by, b"one"), b"\0evil".to_vec()].concat();
        let error = read(&client(coding, &behind, 1 << 20)).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (Kind::Decode, Delivery::Replied), "{coding}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_cut_or_spoiled_is_never_a_whole_one() {
    for (coding, made_by) in CODINGS {
        let coded = encode(made_by, b"a text that is neither long nor short");
        for end in 1..coded.len() {
            let error = read(&client(coding, &coded[..end], 3)).await;
            assert!(error.is_err_and(|error| error.is_decode()), "{coding} {made_by} {end}");
        }
        let error = read(&client(coding, b"\xfe\xed\xfa\xce no such thing at all", 3)).await.unwrap_err();
        assert!(error.is_decode() && error.to_string().contains(coding), "{coding}: {error}");
        assert_eq!(error.url(), Some("http://api.test/v1/x"));
    }
}

/// A piece of decoded data may be full exactly when the input that has come is used up.
#[tokio::test(start_paused = true)]
async fn a_full_piece_at_the_end_of_what_came_is_no_error() {
    let letters = vec![b'a'; 1 << 20];
    for (coding, made_by) in CODINGS {
        let coded = encode(made_by, &letters);
        for chunk in [1, 2, 3, 7, 100] {
            assert!(
                read(&client(coding, &coded, chunk)).await.unwrap() == letters,
                "{coding} {made_by}: {chunk}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bomb_stays_within_its_bounds() {
    let zeros = vec![0; 64 << 20];
    for (coding, made_by) in CODINGS {
        let bomb = encode(made_by, &zeros);
        let client = client(coding, &bomb, bomb.len());
        // Read in pieces: no more than the allowed megabyte and one piece.
        let mut reply = client.get("/x").send().await.unwrap();
        let mut size = 0;
        let error = loop {
            match reply.chunk().await.expect("no end") {
                Ok(piece) => {
                    assert!(piece.len() <= 32 << 10);
                    size += piece.len();
                }
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), error.phase()), (Kind::TooLarge, Phase::Body), "{coding}: {error}");
        let bound = (1 << 20).max(251 * bomb.len());
        assert!(size <= bound + (32 << 10), "{coding}: {size} of {}", bomb.len());
        // The bound on whole bodies counts decoded bytes.
        let limits = Limits::new().max_body(100_000);
        let error = client.get("/x").limits(limits).send().await.unwrap().bytes().await.unwrap_err();
        assert!(error.to_string().contains("`max_body` of 100000"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bomb_in_a_bomb_has_the_bounds_of_one() {
    let zeros = vec![0; 64 << 20];
    for (coding, made_by) in CODINGS {
        let bomb = encode("gzip", &encode(made_by, &zeros));
        let mut reply = client(&format!("{coding}, gzip"), &bomb, bomb.len()).get("/x").send().await.unwrap();
        let mut size = 0;
        let error = loop {
            match reply.chunk().await.expect("no end") {
                Ok(piece) => size += piece.len(),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), Kind::TooLarge, "{coding}: {error}");
        let bound = (1 << 20).max(251 * bomb.len());
        assert!(size <= bound + (32 << 10), "{coding}: {size} of {}", bomb.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_brotli_has_not_is_refused() {
    // An empty body after a window of 2^30 bytes, which is an extension of brotli (RFC 7932, section 9.1, has at most
    // 2^24 bytes): 0010001 and a reserved bit, six bits of the size, and the last, empty block.
    let error = read(&client("br", &[0x11, 0b1101_1110], 2)).await.unwrap_err();
    assert!(error.is_decode(), "{error}");
    // The largest window of the format itself.
    assert_eq!(read(&client("br", &[0b0011_1111], 1)).await.unwrap(), b"");
}

#[tokio::test(start_paused = true)]
async fn lines_and_limits_work_on_what_is_decoded() {
    let coded = encode("gzip", b"one\ntwo\n");
    let lines = client("gzip", &coded, 4).get("/x").send().await.unwrap().lines();
    assert_eq!(lines.map(|line| line.unwrap().to_string()).collect::<Vec<_>>().await, ["one", "two"]);

    // A coded body that stalls has the same limits as any other.
    let (builder, _) = answering(move |_| {
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", coded.len());
        [head.as_bytes(), &coded[..coded.len() - 3]].concat()
    });
    let client = builder.build().unwrap();
    let reply = client.get("/x").limits(Limits::new().idle(secs(4))).send().await.unwrap();
    assert_eq!(reply.bytes().await.unwrap_err().limit().map(|(_, limit)| limit), Some(secs(4)));
}

/// A client whose server sends a body back as it came, with its coding.
fn mirror() -> (Client, std::sync::Arc<crate::support::Seen>) {
    let (builder, seen) = answering(|request: &Request| {
        let body = if request.header("transfer-encoding").is_some() {
            unchunked(&request.body)
        } else {
            request.body.clone()
        };
        let coding =
            request.header("content-encoding").map(|coding| format!("content-encoding: {coding}\r\n"));
        let head = format!(
            "HTTP/1.1 200 OK\r\n{}content-length: {}\r\n\r\n",
            coding.unwrap_or_default(),
            body.len()
        );
        [head.into_bytes(), body].concat()
    });
    (builder.build().unwrap(), seen)
}

fn unchunked(mut chunks: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let end = chunks.windows(2).position(|bytes| bytes == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return all;
        }
        all.extend_from_slice(&chunks[end + 2..][..length]);
        chunks = &chunks[end + 2 + length + 2..];
    }
}

type Coded<B> = (&'static str, fn(outbound_client::RequestBuilder<B>) -> outbound_client::RequestBuilder<B>);

fn codings_of_requests<B>() -> [Coded<B>; 3] {
    [
        ("gzip", |request| request.gzip()),
        ("br", |request| request.brotli()),
        ("zstd", |request| request.zstd()),
    ]
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_request_is_coded_where_that_is_asked_for() {
    let text: String = (0..100_000_u32).map(|number| number.to_string()).collect();
    let (client, seen) = mirror();
    for (coding, coded) in codings_of_requests() {
        // Set before the body or after it.
        for request in [coded(client.post("/x")).text(&*text), coded(client.post("/x").text(&*text))] {
            let reply = request.replayable(true).send().await.unwrap();
            assert!(reply.text().await.unwrap() == text, "{coding}");
            let request = seen.requests().pop().unwrap();
            assert_eq!(request.header("content-encoding"), Some(coding));
            assert_eq!(request.header("content-type"), Some("text/plain; charset=utf-8"));
            assert_eq!(request.header("content-length"), Some(&*request.body.len().to_string()));
            assert!(request.body.len() < text.len() / 2, "{coding}: {}", request.body.len());
        }
        // There is no body to encode.
        coded(client.get("/x")).send().await.unwrap().text().await.unwrap();
        assert_eq!(seen.requests().pop().unwrap().header("content-encoding"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_read_while_it_is_sent_is_coded_then() {
    let pieces: Vec<Vec<u8>> = (0..100_u8).map(|number| vec![number; 5000]).collect();
    let (client, seen) = mirror();
    for (coding, coded) in codings_of_requests() {
        for length in [None, Some(500_000)] {
            let body =
                futures::stream::iter(pieces.clone()).map(|piece| Ok::<_, std::io::Error>(piece.into()));
            let reply = coded(client.post("/x").stream(body, length)).send().await.unwrap();
            assert!(reply.bytes().await.unwrap() == pieces.concat(), "{coding}");
            let request = seen.requests().pop().unwrap();
            assert_eq!(request.header("content-encoding"), Some(coding));
            assert_eq!(request.header("content-length"), None);
        }
        // An error of the stream is reported as without a coding.
        let short = || futures::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"abc"))]);
        let error = coded(client.post("/x").stream(short(), Some(4))).send().await.unwrap_err();
        assert_eq!(error.kind(), Kind::RequestBody);
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("1 bytes before"));
        let broken = futures::stream::iter([Err::<bytes::Bytes, _>(std::io::Error::other("disk"))]);
        let error = coded(client.post("/x").stream(broken, None)).send().await.unwrap_err();
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "disk");
    }
}

/// In memory, for callers that take bodies as they come.
#[test]
fn a_body_in_memory_is_undone_if_it_can_be() {
    use outbound_client::{Bytes, HeaderMap, HeaderValue, decode};

    let text = "An answer of some length. ".repeat(200);
    let headers = |coding: &'static str| {
        HeaderMap::from_iter([(http::header::CONTENT_ENCODING, HeaderValue::from_static(coding))])
    };
    for (coding, name) in
        [("gzip", "gzip"), ("gzip", "x-gzip"), ("deflate", "deflate"), ("br", "br"), ("zstd", "zstd")]
    {
        let coded = Bytes::from(encode(coding, text.as_bytes()));
        assert_eq!(decode(&headers(name), &coded, 1 << 20).as_deref(), Some(text.as_bytes()), "{name}");
        assert_eq!(decode(&headers(name), &coded, text.len() - 1), None, "{name}: too large");
        assert_eq!(decode(&headers(name), &coded.slice(..coded.len() - 3), 1 << 20), None, "{name}: cut");
        assert_eq!(decode(&HeaderMap::new(), &coded, 1 << 20), None, "{name}: not said");
    }
    let twice = Bytes::from(encode("br", &encode("gzip", text.as_bytes())));
    assert_eq!(decode(&headers("gzip, br"), &twice, 1 << 20).as_deref(), Some(text.as_bytes()));
    let members = Bytes::from([encode("gzip", b"one "), encode("gzip", b"after another")].concat());
    assert_eq!(decode(&headers("gzip"), &members, 1 << 20).as_deref(), Some(&b"one after another"[..]));
    assert_eq!(
        decode(&headers("br"), &Bytes::from_static(&[0x11, 0b1101_1110]), 1 << 20),
        None,
        "a window of 1 GiB"
    );
    assert_eq!(decode(&headers("gzip"), &Bytes::new(), 1 << 20), None, "nothing");
    let plain = Bytes::from(text);
    assert_eq!(decode(&headers("gzip"), &plain, 1 << 20), None, "it only says so");
    assert_eq!(decode(&headers("secret"), &plain, 1 << 20), None, "unknown");
}
