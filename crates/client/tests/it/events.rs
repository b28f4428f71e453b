//! Tests of server-sent events: the rules of the standard, limits, ends, and a model.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use outbound_client::{Delivery, Event, Events, Kind, Limit, Limits, Phase};
use proptest::prelude::*;
use tokio::time::sleep;

use crate::support::{OK, answering, in_memory, read_head, settle, silence, write};

pub(crate) const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";

/// A reply with these chunks.
pub(crate) fn chunked(chunks: &[&[u8]]) -> Vec<u8> {
    let mut reply = HEAD.as_bytes().to_vec();
    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
        reply.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        reply.extend_from_slice(chunk);
        reply.extend_from_slice(b"\r\n");
    }
    reply.extend_from_slice(b"0\r\n\r\n");
    reply
}

pub(crate) async fn events(chunks: &[&[u8]]) -> Events {
    let reply = chunked(chunks);
    let (builder, _) = answering(move |_| reply.clone());
    builder.build().unwrap().post("/x").send().await.unwrap().events().unwrap()
}

async fn all(bytes: &[u8]) -> Vec<Plain> {
    events(&[bytes]).await.map(|event| plain(&event.unwrap())).collect().await
}

/// An event as (type, data, id).
pub(crate) type Plain = (String, String, String);

fn plain(event: &Event) -> Plain {
    (event.event.to_string(), event.data.to_string(), event.id.to_string())
}

fn event(event: &str, data: &str, id: &str) -> Plain {
    (event.into(), data.into(), id.into())
}

#[tokio::test(start_paused = true)]
async fn the_examples_of_the_standard() {
    assert_eq!(all(b"data: YHOO\ndata: +2\ndata: 10\n\n").await, [event("message", "YHOO\n+2\n10", "")]);
    let second =
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
    assert_eq!(
        all(second).await,
        [
            event("message", "first event", "1"),
            event("message", "second event", ""),
            event("message", " third event", "")
        ]
    );
    assert_eq!(
        all(b"data\n\ndata\ndata\n\ndata:").await,
        [event("message", "", ""), event("message", "\n", "")]
    );
    assert_eq!(
        all(b"data:test\n\ndata: test\n\n").await,
        [event("message", "test", ""), event("message", "test", "")]
    );
    assert_eq!(
        all(b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n").await,
        [event("add", "73857293", ""), event("remove", "2153", ""), event("add", "113411", "")]
    );
}

#[tokio::test(start_paused = true)]
async fn the_rules_at_their_edges() {
    let cases: [(&[u8], &[Plain]); 12] = [
        (b"\xef\xbb\xbfdata: a\n\n", &[event("message", "a", "")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", &[]),
        (
            b"data: a\r\n\r\ndata: b\r\rdata: c\n\n",
            &[event("message", "a", ""), event("message", "b", ""), event("message", "c", "")],
        ),
        // A type without data is no event, and does not apply to the next one.
        (b"event: x\n\ndata: a\n\n", &[event("message", "a", "")]),
        // An id applies to later events. An id with NUL is ignored.
        (
            b"id: 7\n\ndata: a\n\nid: b\0\ndata: c\n\n",
            &[event("message", "a", "7"), event("message", "c", "7")],
        ),
        // Names are exact, and unknown names are ignored.
        (b"Data: a\ndata : b\nfoo: c\ndata: d\n\n", &[event("message", "d", "")]),
        (b"data:  two spaces\n\n", &[event("message", " two spaces", "")]),
        (b"data: a:b: c\n\n", &[event("message", "a:b: c", "")]),
        (b":\n:x\ndata: a\n: y\ndata: b\n\n", &[event("message", "a\nb", "")]),
        (b"data: \xff\xe2\x82\n\n", &[event("message", "\u{fffd}\u{fffd}", "")]),
        (b"data: never ended\n", &[]),
        (b"\n\n\n", &[]),
    ];
    for (bytes, expected) in cases {
        assert_eq!(all(bytes).await, expected, "{}", bytes.escape_ascii());
    }
}

#[tokio::test(start_paused = true)]
async fn retry_and_comments_are_told() {
    let mut events =
        events(&[b"retry: 1500\n: one\ndata: a\n\n:two\n:three\nretry: x\nretry: 99999999999999999999\n\n"])
            .await;
    assert_eq!(events.next().await.unwrap().unwrap().data, "a");
    assert_eq!((events.retry(), events.comments()), (Some(Duration::from_millis(1500)), 1));
    assert!(events.next().await.is_none());
    assert_eq!((events.retry(), events.comments()), (Some(Duration::from_millis(1500)), 3));
    assert!(!events.ended_inside_event());
}

#[tokio::test(start_paused = true)]
async fn an_end_inside_an_event_is_told() {
    for bytes in [&b"data: a\n\ndata: b\n"[..], b"data: a\n\ndata: b", b"data: a\n\nda"] {
        let mut events = events(&[bytes]).await;
        assert!(events.next().await.is_some());
        assert!(!events.ended_inside_event());
        assert!(events.next().await.is_none());
        assert!(events.ended_inside_event(), "{}", bytes.escape_ascii());
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_beyond_the_bound_is_an_error_and_comments_do_not_add_up() {
    let reply = |event: String| async move {
        let reply = chunked(&[event.as_bytes()]);
        let (builder, _) = answering(move |_| reply.clone());
        let request = builder.build().unwrap().get("/x").limits(Limits::new().max_event(100));
        request.send().await.unwrap().events().unwrap()
    };
    for event in [
        "x".repeat(200),
        "data: abcdefgh\n".repeat(20),
        "data\n".repeat(200),
        format!("id: {}\n", "x".repeat(101)),
    ] {
        let mut events = reply(event).await;
        let error = events.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (Kind::TooLarge, Delivery::Replied));
        assert!(error.to_string().starts_with("`max_event` of 100 bytes"), "{error}");
        assert!(events.next().await.is_none());
    }
    let mut events = reply(": comment\n".repeat(100) + "data: a\n\n").await;
    assert_eq!(events.next().await.unwrap().unwrap().data, "a");
}

#[tokio::test(start_paused = true)]
async fn only_a_success_of_the_right_type_has_events() {
    let (builder, _) = answering(|request| match request.line() {
        line if line.contains("plain") => OK.to_vec(),
        line if line.contains("error") => HEAD.replace("200 OK", "503 No").into_bytes(),
        _ => HEAD.replace("text/event-stream; charset", "Text/Event-Stream;x").into_bytes(),
    });
    let client = builder.build().unwrap();
    let error = client.get("/plain").send().await.unwrap().events().unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::ContentType, Delivery::Replied));
    let error = client.get("/error").send().await.unwrap().events().unwrap_err();
    assert_eq!((error.kind(), error.reply().unwrap().status.as_u16()), (Kind::Status, 503));
    assert!(client.get("/fine").send().await.unwrap().events().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stalls_ends_with_the_idle_limit_and_comments_are_life() {
    let (builder, _) = in_memory(|_, mut pipe, _| async move {
        read_head(&mut pipe).await;
        write(&mut pipe, HEAD).await;
        write(&mut pipe, "9\r\ndata: a\n\n\r\n").await;
        for _ in 0..3 {
            sleep(Duration::from_secs(8)).await;
            write(&mut pipe, "3\r\n:x\n\r\n").await;
        }
        silence(pipe).await;
    });
    let client = builder.limits(Limits::new().idle(Duration::from_secs(10))).build().unwrap();
    let mut events = client.get("/x").send().await.unwrap().events().unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().data, "a");
    let started = tokio::time::Instant::now();
    let error = events.next().await.unwrap().unwrap_err();
    assert_eq!(started.elapsed(), Duration::from_secs(34));
    assert_eq!((error.limit(), error.phase()), (Some((Limit::Idle, Duration::from_secs(10))), Phase::Body));
    assert_eq!(events.comments(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_cut_stream_is_an_error_and_not_an_end() {
    let (builder, _) = in_memory(|_, mut pipe, _| async move {
        read_head(&mut pipe).await;
        write(&mut pipe, HEAD).await;
        write(&mut pipe, "9\r\ndata: a\n\n\r\n").await;
    });
    let mut events = builder.build().unwrap().get("/x").send().await.unwrap().events().unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().data, "a");
    let error = events.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Closed, Delivery::Replied));
}

#[tokio::test(start_paused = true)]
async fn leaving_at_the_last_event_keeps_the_connection_if_the_end_has_come() {
    let reply = chunked(&[b"data: [DONE]\n\n"]);
    let (builder, seen) = answering(move |_| reply.clone());
    let client = builder.build().unwrap();
    for _ in 0..3 {
        let mut events = client.get("/x").send().await.unwrap().events().unwrap();
        assert_eq!(events.next().await.unwrap().unwrap().data, "[DONE]");
        settle().await;
    }
    assert_eq!(seen.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_next_loses_no_event() {
    let (builder, _) = in_memory(|_, mut pipe, _| async move {
        read_head(&mut pipe).await;
        write(&mut pipe, HEAD).await;
        for byte in b"data: a\n\ndata: b\n\n" {
            sleep(Duration::from_secs(1)).await;
            write(&mut pipe, [b"1\r\n", &[*byte][..], b"\r\n"].concat()).await;
        }
        write(&mut pipe, "0\r\n\r\n").await;
    });
    let mut events = builder.build().unwrap().get("/x").send().await.unwrap().events().unwrap();
    let mut seen = Vec::new();
    for _ in 0..100 {
        match tokio::time::timeout(Duration::from_millis(300), events.next()).await {
            Ok(Some(event)) => seen.push(event.unwrap().data.to_string()),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    assert_eq!(seen, ["a", "b"]);
}

/// The rules again, for the whole text at once and as simple as possible.
pub(crate) fn model(bytes: &[u8]) -> Vec<Plain> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
    let (mut kind, mut data, mut id, mut events) = (String::new(), String::new(), String::new(), Vec::new());
    let mut lines: Vec<_> = text.split('\n').collect();
    lines.pop();
    for line in lines {
        if line.is_empty() {
            if let Some(data) = data.strip_suffix('\n') {
                let kind = if kind.is_empty() { "message" } else { &kind };
                events.push(event(kind, data, &id));
            }
            kind.clear();
            data.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => kind = value.into(),
            "data" => data += &format!("{value}\n"),
            "id" if !value.contains('\0') => id = value.into(),
            _ => {}
        }
    }
    events
}

/// The events, and the kind of the error after them, if there is one.
pub(crate) fn read(chunks: &[&[u8]], max: usize) -> (Vec<Plain>, Option<Kind>) {
    let reply = chunked(chunks);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (builder, _) = answering(move |_| reply.clone());
        let request = builder.build().unwrap().get("/x").limits(Limits::new().max_event(max));
        let mut events = request.send().await.unwrap().events().unwrap();
        let (mut seen, mut failed) = (Vec::new(), None);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => seen.push(plain(&event)),
                Err(error) => failed = Some(error.kind()),
            }
        }
        (seen, failed)
    })
}

fn split<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect()
}

fn lines() -> impl Strategy<Value = Vec<&'static str>> {
    let pieces = vec![
        "data",
        "data: a",
        "data:b",
        "data:",
        "event: x",
        "event",
        "id: 1",
        "id",
        "id: a\0b",
        "retry: 5",
        "retry: 5x",
        ":",
        ": c",
        " ",
        "\n",
        "\n",
        "\n\n",
        "\r",
        "\r\n",
        "\r\n\r\n",
        "\u{feff}",
        "ü€",
        "\0",
        "x",
    ];
    proptest::collection::vec(proptest::sample::select(pieces), 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_events_of_the_whole(
        pieces in lines(),
        cuts in proptest::collection::vec(0_usize..1000, 0..6),
    ) {
        let bytes = pieces.concat().into_bytes();
        prop_assert_eq!(read(&split(&bytes, &cuts), 1 << 20), (model(&bytes), None));
        let single: Vec<_> = bytes.chunks(1).collect();
        prop_assert_eq!(read(&single, 1 << 20), (model(&bytes), None));
    }

    #[test]
    fn any_split_meets_the_bound_at_the_same_event(
        pieces in lines(),
        cuts in proptest::collection::vec(0_usize..1000, 0..6),
        max in 1_usize..24,
    ) {
        let bytes = pieces.concat().into_bytes();
        let whole = read(&[&bytes], max);
        prop_assert!(whole.1.is_none_or(|kind| kind == Kind::TooLarge));
        prop_assert!(model(&bytes).starts_with(&whole.0));
        prop_assert_eq!(read(&split(&bytes, &cuts), max), whole);
    }

    #[test]
    fn no_bytes_break_it(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(&b"\r\n:d"[..])], 0..200),
        cuts in proptest::collection::vec(0_usize..1000, 0..6),
    ) {
        prop_assert_eq!(read(&split(&bytes, &cuts), 1 << 20), (model(&bytes), None));
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_in_one_line_is_not_copied() {
    let stream = b"id: 7\ndata: one\n\ndata: two\n\n";
    let mut events = events(&[stream]).await;
    let (one, two) = (events.next().await.unwrap().unwrap(), events.next().await.unwrap().unwrap());
    // All three point into the chunk.
    let place = |text: &outbound_client::ByteString| text.as_ptr() as usize;
    assert_eq!(place(&two.data) - place(&one.data), "one\n\ndata: ".len());
    assert_eq!(place(&one.data) - place(&one.id), "7\ndata: ".len());
}

#[test]
fn reading_what_has_arrived_needs_no_waiting() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut events = events(&[b"data: a\n\ndata: b\n\n"]).await;
        assert_eq!(events.next().await.unwrap().unwrap().data, "a");
        assert_eq!(events.next().now_or_never().unwrap().unwrap().unwrap().data, "b");
    });
}
