//! Tests: replies as text, JSON, lines and values.

use std::error::Error as _;

use futures::{StreamExt, TryStreamExt};
use outbound_client::{Delivery, Error, Kind, Limits, Lines, Phase};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{answering, with_length};

/// A reply with this body, each piece in a chunk of its own.
fn chunked(pieces: &[&[u8]]) -> Vec<u8> {
    let mut reply = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        reply.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        reply.extend_from_slice(piece);
        reply.extend_from_slice(b"\r\n");
    }
    reply.extend_from_slice(b"0\r\n\r\n");
    reply
}

async fn reply(pieces: &[&[u8]]) -> outbound_client::Reply {
    let reply = chunked(pieces);
    let (builder, _) = answering(move |_| reply.clone());
    builder.build().unwrap().get("/x").limits(Limits::new().max_line(20)).send().await.unwrap()
}

async fn text(content_type: &str, body: &[u8]) -> Result<String, Error> {
    let mut reply =
        format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n", body.len())
            .into_bytes();
    reply.extend_from_slice(body);
    let (builder, _) = answering(move |_| reply.clone());
    builder.build().unwrap().get("/x").send().await.unwrap().text().await
}

#[tokio::test(start_paused = true)]
async fn text_is_in_the_charset_that_it_names() {
    let cases: [(&str, &[u8], &str); 13] = [
        ("text/plain", "grün".as_bytes(), "grün"),
        ("text/plain; charset=utf-8", "grün".as_bytes(), "grün"),
        ("text/plain; Charset=\"UTF-8\"; x=y", "grün".as_bytes(), "grün"),
        ("text/plain; charset=utf-8", b"\xef\xbb\xbfgr\xc3\xbcn", "grün"),
        ("text/plain; charset=iso-8859-1", b"gr\xfcn", "grün"),
        ("text/plain; x=y ; charset = latin1", b"gr\xfcn", "grün"),
        ("text/plain; charset=windows-1252", b"\x80", "€"),
        ("text/plain; charset=shift_jis", b"\x93\xfa\x96\x7b", "日本"),
        ("text/plain; charset=gbk", b"\xd6\xd0", "中"),
        ("text/plain; charset=utf-16le", b"h\0i\0", "hi"),
        // A byte order mark counts more than the content type.
        ("text/plain; charset=iso-8859-1", b"\xef\xbb\xbfgr\xc3\xbcn", "grün"),
        ("text/plain", b"\xfe\xff\0h\0i", "hi"),
        ("", b"", ""),
    ];
    for (content_type, body, expected) in cases {
        assert_eq!(text(content_type, body).await.unwrap(), expected, "{content_type}");
    }
}

#[tokio::test(start_paused = true)]
async fn text_that_is_not_in_its_charset_is_an_error() {
    let cases: [(&str, &[u8], &str); 4] = [
        ("text/plain", b"gr\xfcn", "not UTF-8"),
        ("text/plain; charset=shift_jis", b"\x93", "not in the charset"),
        ("text/plain; charset=utf-16le", b"h", "not in the charset"),
        ("text/plain; charset=klingon", b"a", "not known"),
    ];
    for (content_type, body, expected) in cases {
        let error = text(content_type, body).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.phase(), error.delivery()),
            (Kind::Decode, Phase::Body, Delivery::Replied)
        );
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn json_that_is_not_as_expected_has_an_excerpt_that_nothing_prints_by_itself() {
    let secret = "canary";
    let long =
        format!("{{\n \"a\": \"{}{secret}\", \"b\": oops, \"c\": \"{}\"}}", "ü".repeat(300), "é".repeat(300));
    let body = long.clone();
    let (builder, _) = answering(move |request| match request.line().contains("/wrong") {
        true => with_length("200 OK", &body),
        false => with_length("200 OK", "{\"a\": \"canary\", \"b\": 1}"),
    });
    let client = builder.build().unwrap();
    let error = client.get("/wrong").send().await.unwrap().json::<Value>().await.unwrap_err();
    let excerpt = error.excerpt().unwrap();
    assert!(excerpt.len() <= 80 && excerpt.contains("\"b\": oops"), "{excerpt}");
    assert!(excerpt.contains(secret) && long.contains(excerpt), "{excerpt}");
    assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
    assert!(error.to_string().contains("line 2, column "), "{error}");

    // The source says what was found. Its length does not grow with the reply.
    #[derive(Debug, serde::Deserialize)]
    struct Answer {
        #[expect(dead_code, reason = "read for its type")]
        a: u32,
    }
    let error = client.get("/type").send().await.unwrap().json::<Answer>().await.unwrap_err();
    assert_eq!(
        error.source().unwrap().to_string(),
        "invalid type: string \"canary\", expected u32 at line 1 column 14"
    );
    assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
    assert!(format!("{error:?}").contains("Mismatch(Data, line 1, column 14)"), "{error:?}");
    let reply = chunked(&[format!("{{\"a\": \"{}\"}}", "x".repeat(100_000)).as_bytes()]);
    let (builder, _) = answering(move |_| reply.clone());
    let error = builder.build().unwrap().get("/x").send().await.unwrap().json::<Answer>().await.unwrap_err();
    assert_eq!(error.source().unwrap().to_string().len(), 128);
    assert!(format!("{error:?}").len() < 500);
}

async fn all(mut lines: Lines) -> Vec<Result<String, Kind>> {
    let mut all = Vec::new();
    while let Some(line) = lines.next().await {
        all.push(line.map(|line| line.to_string()).map_err(|error| error.kind()));
    }
    assert!(lines.next().await.is_none());
    all
}

#[tokio::test(start_paused = true)]
async fn lines_end_as_lines_do() {
    let cases: [(&[&[u8]], &[&str]); 7] = [
        (&[b"a\nb\n"], &["a", "b"]),
        (&[b"a\r\nb\r\n\r\n"], &["a", "b", ""]),
        (&[b"a\r", b"\nb", b"c", b"\n\nd"], &["a", "bc", "", "d"]),
        (&[b"a\rb\n"], &["a\rb"]),
        (&[b"\xef\xbb\xbfa\n\xef\xbb\xbfb"], &["a", "\u{feff}b"]),
        (&["gr\u{fc}n\n".as_bytes().split_at(3).0, "gr\u{fc}n\n".as_bytes().split_at(3).1], &["grün"]),
        (&[], &[]),
    ];
    for (pieces, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|line| Ok((*line).to_owned())).collect();
        assert_eq!(all(reply(pieces).await.lines()).await, expected, "{pieces:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_not_utf8_names_its_number_and_the_next_can_be_read() {
    let mut lines = reply(&[b"a\n\xff\nb"]).await.lines();
    assert_eq!(lines.next().await.unwrap().unwrap(), "a");
    let error = lines.next().await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (Kind::Decode, "line 2 of the reply is not UTF-8 (http://api.test)".into())
    );
    assert_eq!(lines.next().await.unwrap().unwrap(), "b");
}

#[tokio::test(start_paused = true)]
async fn a_line_beyond_the_bound_is_an_error_that_names_it_however_it_comes() {
    let line = [b'x'; 21];
    for pieces in [&[&line[..]][..], &[&line[..10], &line[10..]], &[&line[..20], b"x\n"]] {
        let mut lines = reply(pieces).await.lines();
        let error = lines.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), Kind::TooLarge);
        assert!(error.to_string().starts_with("`max_line` of 20 bytes"), "{error}");
        assert!(lines.next().await.is_none());
    }
    assert_eq!(all(reply(&[&line[..20], b"\n", &line[..20]]).await.lines()).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn values_come_one_a_line_and_a_wrong_one_names_its_line() {
    let pieces: &[&[u8]] = &[b"{\"n\":1}\n\r\n", b"  \n{\"n\"", b":2}\r\n[1,\n", b"{\"n\":3}"];
    let mut values = reply(pieces).await.ndjson::<Value>();
    assert_eq!(values.next().await.unwrap().unwrap(), json!({"n": 1}));
    assert_eq!(values.next().await.unwrap().unwrap(), json!({"n": 2}));
    let error = values.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.excerpt()), (Kind::Decode, Some("[1,")));
    assert!(error.to_string().contains("line 5, column 3"), "{error}");
    assert_eq!(values.next().await.unwrap().unwrap(), json!({"n": 3}));
    assert!(values.next().await.is_none());

    let values: Vec<u8> = reply(&[b"1\n2\n3\n"]).await.ndjson::<u8>().try_collect().await.unwrap();
    assert_eq!(values, [1, 2, 3]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_lines_of_the_whole(
        body in "[ab\\n\\rü]{0,40}",
        cuts in proptest::collection::vec(0_usize..80, 0..6),
    ) {
        let bytes = body.as_bytes();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        let reply = chunked(&pieces);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let lines: Vec<String> = runtime.block_on(async {
            let (builder, _) = answering(move |_| reply.clone());
            let lines = builder.build().unwrap().get("/x").send().await.unwrap().lines();
            lines.map(|line| line.unwrap().to_string()).collect().await
        });
        let expected: Vec<_> = body.lines().collect();
        prop_assert_eq!(lines, expected);
    }
}
