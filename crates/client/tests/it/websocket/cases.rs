//! Frames as a conformance suite for WebSocket sends them: each case as a whole, in pieces and byte by byte.

use bytes::Bytes;
use outbound_client::{Kind, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::server::pipe;

/// What is sent, and what is expected: messages, then the end or an error with the code that the server gets.
struct Case {
    what: String,
    bytes: Vec<u8>,
    gives: Vec<Message>,
    fails: Option<(Kind, u16)>,
}

fn case(what: impl Into<String>, bytes: Vec<u8>) -> Case {
    Case { what: what.into(), bytes, gives: Vec::new(), fails: None }
}

impl Case {
    fn gives(mut self, message: impl Into<Message>) -> Self {
        self.gives.push(message.into());
        self
    }

    fn fails(mut self, code: u16) -> Self {
        self.fails = Some((Kind::Protocol, code));
        self
    }
}

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// A frame of a server: its first byte and its payload.
fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(short as u8),
        middle @ 126..=0xffff => {
            frame.push(126);
            frame.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            frame.push(127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// A message in frames with these payloads.
fn fragments(first: u8, payloads: &[&[u8]]) -> Vec<u8> {
    let last = payloads.len() - 1;
    let of = |at: usize| (if at == 0 { first & 0x0f } else { 0 }) | (if at == last { 0x80 } else { 0 });
    payloads.iter().enumerate().flat_map(|(at, payload)| frame(of(at), payload)).collect()
}

fn sizes() -> Vec<Case> {
    let mut cases = Vec::new();
    for size in [0, 1, 125, 126, 127, 128, 65_535, 65_536] {
        let text = "*".repeat(size);
        cases.push(case(format!("text of {size}"), frame(TEXT, &text)).gives(text.clone()));
        cases.push(case(format!("bytes of {size}"), frame(BINARY, vec![0xfe; size])).gives(vec![0xfe; size]));
    }
    let large = "ü".repeat(1 << 20);
    cases.push(case("2 MiB of text", frame(TEXT, &large)).gives(large.clone()));
    for size in [64, 1024, 65_536] {
        let parts: Vec<&[u8]> = large.as_bytes().chunks(size).collect();
        cases.push(case(format!("2 MiB in {size}"), fragments(TEXT, &parts)).gives(large.clone()));
    }
    cases
}

fn control() -> Vec<Case> {
    let message = frame(TEXT, "hi");
    let around = |frames: Vec<u8>| [frames, message.clone()].concat();
    let mut cases = Vec::new();
    for (what, first) in [("ping", PING), ("pong", PONG)] {
        for size in [0, 1, 125] {
            cases.push(case(format!("{what} of {size}"), around(frame(first, vec![0xfe; size]))).gives("hi"));
        }
        cases.push(case(format!("ten of {what}"), around(frame(first, "x").repeat(10))).gives("hi"));
        cases.push(case(format!("{what} of 126"), around(frame(first, vec![7; 126]))).fails(1002));
        cases.push(case(format!("{what} in fragments"), around(fragments(first, &[b"a", b"b"]))).fails(1002));
        let between = [frame(0x01, "he"), frame(first, "x"), frame(0x80, "llo")].concat();
        cases.push(case(format!("{what} between fragments"), between).gives("hello"));
    }
    for bits in 1..8_u8 {
        for (what, first) in [("text", TEXT), ("ping", PING), ("close", CLOSE)] {
            let bytes = [message.clone(), frame(first | (bits << 4), "")].concat();
            cases.push(case(format!("reserved bits {bits} in {what}"), bytes).gives("hi").fails(1002));
        }
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let bytes = [message.clone(), frame(0x80 | opcode, "x"), frame(PING, "")].concat();
        cases.push(case(format!("opcode {opcode}"), bytes).gives("hi").fails(1002));
    }
    for (what, first) in [("text", TEXT), ("ping", PING), ("close", CLOSE)] {
        cases.push(case(format!("masked {what}"), vec![first, 0x81, 1, 2, 3, 4, 7]).fails(1002));
    }
    cases
}

fn fragmented() -> Vec<Case> {
    let whole = frame(TEXT, "whole");
    vec![
        case("two", fragments(TEXT, &[b"he", b"llo"])).gives("hello"),
        case("empty ones", fragments(TEXT, &[b"", b"", b""])).gives(""),
        case("empty ones around", fragments(BINARY, &[b"", b"x", b""])).gives(vec![b'x']),
        case("two messages", [fragments(TEXT, &[b"a", b"b"]), fragments(BINARY, &[b"c", b"d"])].concat())
            .gives("ab")
            .gives(vec![b'c', b'd']),
        case("an end of nothing", [frame(0x80, "x"), whole.clone()].concat()).fails(1002),
        case("a middle of nothing", [frame(0x00, "x"), whole.clone()].concat()).fails(1002),
        case("an end after the end", [fragments(TEXT, &[b"a", b"b"]), frame(0x80, "c")].concat())
            .gives("ab")
            .fails(1002),
        case("a whole one inside", [frame(0x01, "a"), whole.clone()].concat()).fails(1002),
        case("a beginning inside", [frame(0x01, "a"), frame(0x02, "b")].concat()).fails(1002),
        case("a close inside", [frame(0x01, "a"), frame(CLOSE, [0x03, 0xe8])].concat()),
    ]
}

/// Texts, and whether they are UTF-8 (RFC 3629).
const TEXTS: [(&[u8], bool); 34] = [
    ("Hello-µ@ßöäüàá-UTF-8!!".as_bytes(), true),
    ("κόσμε".as_bytes(), true),
    (b"\x00\x7f", true),
    (b"\xc2\x80", true),
    (b"\xdf\xbf", true),
    (b"\xe0\xa0\x80", true),
    (b"\xed\x9f\xbf", true),
    (b"\xee\x80\x80", true),
    (b"\xef\xbf\xbd", true),
    (b"\xef\xbf\xbf", true),
    (b"\xf0\x90\x80\x80", true),
    (b"\xf4\x8f\xbf\xbf", true),
    // Continuation bytes only, or none where one is required.
    (b"a\x80", false),
    (b"\xbf\x80", false),
    (b"\xc3(", false),
    (b"\xe2\x82(", false),
    (b"\xf0\x9f\x92(", false),
    // Incomplete.
    (b"\xce", false),
    (b"\xce\xba\xe1\xbd", false),
    (b"\xf0\x9f\x92", false),
    // Longer than necessary.
    (b"\xc0\x80", false),
    (b"\xc1\xbf", false),
    (b"\xe0\x80\xaf", false),
    (b"\xe0\x9f\xbf", false),
    (b"\xf0\x80\x80\x80", false),
    (b"\xf0\x8f\xbf\xbf", false),
    // Surrogate halves.
    (b"\xed\xa0\x80", false),
    (b"\xed\xaf\xbf", false),
    (b"\xed\xa0\x80\xed\xb0\x80", false),
    // Beyond Unicode, or not a valid first byte.
    (b"\xf4\x90\x80\x80", false),
    (b"\xf7\xbf\xbf\xbf", false),
    (b"\xf8\x88\x80\x80\x80", false),
    (b"\xfe", false),
    (b"a\xffb", false),
];

/// Each text as a whole, and in two fragments split at each position.
fn utf8() -> Vec<Case> {
    let mut cases = Vec::new();
    for (text, is_valid) in TEXTS {
        for at in 0..text.len() {
            let bytes =
                if at == 0 { frame(TEXT, text) } else { fragments(TEXT, &[&text[..at], &text[at..]]) };
            let what = format!("{} at {at}", text.escape_ascii());
            cases.push(match str::from_utf8(text) {
                Ok(text) if is_valid => case(what, bytes).gives(text),
                _ => case(what, bytes).fails(1007),
            });
        }
    }
    cases
}

fn closing() -> Vec<Case> {
    let close = |code: u16, reason: &[u8]| frame(CLOSE, [&code.to_be_bytes()[..], reason].concat());
    let mut cases = vec![
        case("no code", frame(CLOSE, "")),
        case("a frame behind it", [close(1000, b""), frame(TEXT, "late")].concat()),
        case("a long reason", close(1000, &[b'x'; 123])),
        case("one byte", frame(CLOSE, "x")).fails(1002),
        case("too long a reason", close(1000, &[b'x'; 124])).fails(1002),
        case("a reason that is no text", close(1000, b"\xce\xba\xed\xa0\x80")).fails(1007),
        case("in fragments", [fragments(CLOSE, &[b"\x03\xe8", b"x"]), frame(PING, "")].concat()).fails(1002),
    ];
    for code in [1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        let mut case = case(format!("code {code}"), close(code, b"why"));
        // Code 1001 is a normal end too.
        case.fails = (code != 1001).then_some((Kind::Closed, code));
        cases.push(case);
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        let mut case = case(format!("code {code}, which nobody sends"), close(code, b""));
        case.fails = Some((Kind::Closed, 1002));
        cases.push(case);
    }
    cases
}

/// The payload of the close frame among the frames of a client.
fn close_of(mut sent: &[u8]) -> Option<Vec<u8>> {
    while let [first, second, rest @ ..] = sent {
        let length = usize::from(second & 0x7f);
        assert!(second & 0x80 != 0 && length < 126, "short and masked");
        let (mask, rest) = rest.split_at(4);
        let (payload, rest) = rest.split_at(length);
        if *first == CLOSE {
            assert!(rest.is_empty(), "nothing is sent behind it");
            return Some(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect());
        }
        sent = rest;
    }
    None
}

async fn run(case: &Case, pieces: usize) {
    let what = format!("{} in pieces of {pieces}", case.what);
    let (mut socket, pipe) = pipe(|limits| limits).await;
    let (mut from_client, mut to_client) = tokio::io::split(pipe);
    let is_end = case.fails.is_none() && !case.what.contains("code");
    let bytes =
        if is_end { [&case.bytes[..], &frame(CLOSE, [0x03, 0xe8])].concat() } else { case.bytes.clone() };
    let sending = tokio::spawn(async move {
        for piece in bytes.chunks(pieces) {
            if to_client.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        to_client
    });
    let receiving = tokio::spawn(async move {
        let mut sent = Vec::new();
        let _ = from_client.read_to_end(&mut sent).await;
        sent
    });
    for expected in &case.gives {
        let message = socket.next().await.unwrap_or_else(|| panic!("{what}: the end")).unwrap();
        assert!(message == *expected, "{what}: another message");
    }
    let end = socket.next().await.transpose();
    assert!(socket.next().await.is_none(), "{what}: something behind the end");
    drop(socket);
    drop(sending.await.unwrap());
    let closed = close_of(&receiving.await.unwrap()).unwrap_or_else(|| panic!("{what}: no close frame"));
    match (end, case.fails) {
        (Ok(None), None) => {
            assert!(closed.is_empty() || closed[..2] < [0x03, 0xea][..], "{what}: {closed:?}");
        }
        (Err(error), Some((kind, code))) => {
            assert_eq!(error.kind(), kind, "{what}: {error}");
            assert_eq!(closed[..2], code.to_be_bytes(), "{what}");
        }
        (end, _) => panic!("{what}: {end:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn every_case_has_its_end() {
    let groups = [sizes(), control(), fragmented(), utf8(), closing()];
    for case in groups.iter().flatten() {
        run(case, case.bytes.len().max(1)).await;
        run(case, 997).await;
        if case.bytes.len() < 2000 {
            run(case, 1).await;
        }
    }
    assert!(groups.iter().map(Vec::len).sum::<usize>() > 200);
}

#[tokio::test(start_paused = true)]
async fn bytes_of_a_message_are_not_read_as_text() {
    for (text, _) in TEXTS {
        let case = case("bytes", frame(BINARY, text)).gives(Bytes::copy_from_slice(text));
        run(&case, 1).await;
    }
}
