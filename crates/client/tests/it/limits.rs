//! Tests of all limits: which one ends a request, in which phase, and which time does not count.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use outbound_client::{Delivery, Kind, Limit, Limits, Phase};
use tokio::{
    io::AsyncReadExt,
    time::{Instant, sleep},
};

use crate::support::{OK, answering, in_memory, read_request, secs, settle, silence, write};

fn none() -> Limits {
    Limits::new().dns(None).connect(None).tls(None).write_idle(None).first_byte(None).idle(None)
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_hangs_ends_with_the_connect_limit() {
    let client = outbound_client::Client::builder()
        .connector(|_: &outbound_client::Origin| {
            std::future::pending::<std::io::Result<tokio::io::DuplexStream>>()
        })
        .build()
        .unwrap();
    let started = Instant::now();
    let error = client.get("http://a.test/").send().await.unwrap_err();
    assert_eq!(started.elapsed(), secs(10));
    assert_eq!(error.limit(), Some((Limit::Connect, secs(10))));
    assert_eq!(
        (error.kind(), error.phase(), error.delivery()),
        (Kind::Timeout, Phase::Connect, Delivery::NotSent)
    );
    assert!(error.is_timeout());
    assert_eq!(error.to_string(), "the limit `connect` of 10s passed while connecting (http://a.test)");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_ends_with_the_first_byte_limit() {
    let (builder, _) = in_memory(|_, pipe, _| silence(pipe));
    let client = builder.limits(none().first_byte(secs(60))).build().unwrap();
    let started = Instant::now();
    let error = client.get("/x").send().await.unwrap_err();
    assert_eq!(started.elapsed(), secs(60));
    assert_eq!(error.limit(), Some((Limit::FirstByte, secs(60))));
    assert_eq!((error.phase(), error.delivery()), (Phase::Head, Delivery::MaybeSent));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_ends_with_the_idle_limit_and_a_slow_one_does_not() {
    let (builder, _) = in_memory(|_, mut pipe, _| async move {
        read_request(&mut pipe, 0).await;
        write(&mut pipe, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        for _ in 0..3 {
            sleep(secs(9)).await;
            write(&mut pipe, "1\r\na\r\n").await;
        }
        silence(pipe).await;
    });
    let client = builder.limits(none().idle(secs(10))).build().unwrap();
    let started = Instant::now();
    let mut reply = client.get("/x").send().await.unwrap();
    for _ in 0..3 {
        assert_eq!(reply.chunk().await.unwrap().unwrap(), "a");
    }
    let error = reply.chunk().await.unwrap().unwrap_err();
    assert_eq!(started.elapsed(), secs(37));
    assert_eq!(error.limit(), Some((Limit::Idle, secs(10))));
    assert_eq!((error.phase(), error.delivery()), (Phase::Body, Delivery::Replied));
    assert!(reply.chunk().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_a_stalled_server() {
    let (builder, _) = answering(|_| {
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n".to_vec()
    });
    let client = builder.limits(none().idle(secs(10))).build().unwrap();
    let mut reply = client.get("/x").send().await.unwrap();
    sleep(secs(100)).await;
    assert_eq!(reply.chunk().await.unwrap().unwrap(), "a");
    sleep(secs(100)).await;
    assert_eq!(reply.chunk().await.unwrap().unwrap(), "b");
    sleep(secs(100)).await;
    assert!(reply.chunk().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn exchange_and_total_span_the_reading_of_the_body() {
    for (limits, expected) in [
        (none().exchange(secs(20)), (Limit::Exchange, secs(20))),
        (none().total(secs(20)), (Limit::Total, secs(20))),
        (none().total(secs(21)).exchange(secs(20)).idle(secs(22)), (Limit::Exchange, secs(20))),
    ] {
        let (builder, _) = in_memory(|_, mut pipe, _| async move {
            read_request(&mut pipe, 0).await;
            sleep(secs(9)).await;
            write(&mut pipe, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
            loop {
                sleep(secs(3)).await;
                write(&mut pipe, "1\r\na\r\n").await;
            }
        });
        let client = builder.limits(limits).build().unwrap();
        let started = Instant::now();
        let error = client.get("/x").send().await.unwrap().bytes().await.unwrap_err();
        assert_eq!(started.elapsed(), secs(20));
        assert_eq!(error.limit(), Some(expected));
        assert_eq!(error.phase(), Phase::Body);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_spans_phases_names_the_phase_it_ended_in() {
    let (builder, _) = in_memory(|_, pipe, _| silence(pipe));
    let client = builder.limits(none().total(secs(5))).max_connections_per_origin(1).build().unwrap();
    let first = tokio::spawn(client.get("/x").limits(none().total(secs(7))).send());
    tokio::task::yield_now().await;
    let error = client.get("/x").send().await.unwrap_err();
    assert_eq!((error.phase(), error.delivery()), (Phase::PoolWait, Delivery::NotSent));
    let error = first.await.unwrap().unwrap_err();
    assert_eq!((error.phase(), error.delivery()), (Phase::Head, Delivery::MaybeSent));
}

#[tokio::test(start_paused = true)]
async fn waiting_in_one_phase_never_counts_against_another() {
    // 8 s of dialling, 8 s in the queue, 8 s until the head, 8 s until the body. Each is below its limit of 10 s.
    let (builder, _) = in_memory(|_, mut pipe, _| async move {
        while read_request(&mut pipe, 0).await.is_some() {
            sleep(secs(4)).await;
            write(&mut pipe, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n").await;
            sleep(secs(4)).await;
            write(&mut pipe, "a").await;
        }
    });
    let limits =
        Limits::new().pool_wait(secs(9)).connect(secs(5)).first_byte(secs(5)).idle(secs(5)).exchange(secs(9));
    let client = builder.limits(limits).max_connections_per_origin(1).build().unwrap();
    let started = Instant::now();
    let get = || {
        let request = client.get("/x").send();
        async { request.await?.text().await }
    };
    let (first, second) = tokio::join!(get(), get());
    assert_eq!((first.unwrap(), second.unwrap()), ("a".into(), "a".into()));
    assert_eq!(started.elapsed(), secs(16));
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_place_ends_with_its_own_limit() {
    let (builder, seen) = in_memory(|_, pipe, _| silence(pipe));
    let client = builder.limits(none().pool_wait(secs(3))).max_connections_per_origin(1).build().unwrap();
    let first = tokio::spawn(client.get("/x").send());
    tokio::task::yield_now().await;
    let started = Instant::now();
    let error = client.get("/x").send().await.unwrap_err();
    assert_eq!(started.elapsed(), secs(3));
    assert_eq!(error.limit(), Some((Limit::PoolWait, secs(3))));
    assert_eq!((error.phase(), error.delivery()), (Phase::PoolWait, Delivery::NotSent));
    assert_eq!(seen.connections(), 1);
    first.abort();
}

#[tokio::test(start_paused = true)]
async fn a_long_upload_does_not_count_as_a_slow_head() {
    // Takes a megabyte in 2 s, 64 KiB at a time, then answers 4 s after the last byte.
    let (builder, _) = in_memory(|_, mut pipe, _| async move {
        let mut left = 1 << 20;
        while left > 0 {
            sleep(secs(2)).await;
            let mut piece = vec![0; 64 << 10];
            let read = pipe.read(&mut piece).await.unwrap();
            left -= read.min(left);
        }
        sleep(secs(4)).await;
        write(&mut pipe, OK).await;
        silence(pipe).await;
    });
    let client = builder.limits(none().first_byte(secs(20)).write_idle(secs(15))).build().unwrap();
    let started = Instant::now();
    let reply = client.post("/x").body(vec![0; 1 << 20]).send().await.unwrap();
    assert!(started.elapsed() > secs(30), "{:?}", started.elapsed());
    assert_eq!(reply.text().await.unwrap(), "ok");
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_the_server_does_not_take_ends_with_the_write_idle_limit() {
    let (builder, _) = in_memory(|_, pipe, _| async move {
        sleep(secs(3600)).await;
        drop(pipe);
    });
    let client =
        builder.limits(none().first_byte(secs(5)).idle(secs(1)).write_idle(secs(15))).build().unwrap();
    let started = Instant::now();
    let error = client.post("/x").body(vec![0; 4 << 20]).send().await.unwrap_err();
    assert_eq!(error.limit(), Some((Limit::WriteIdle, secs(15))));
    assert_eq!((error.phase(), error.delivery()), (Phase::Upload, Delivery::MaybeSent));
    assert_eq!(started.elapsed(), secs(15));
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_limit_begins_when_the_upload_ends_and_is_not_late() {
    let (builder, _) = in_memory(|_, pipe, _| silence(pipe));
    let client = builder.limits(none().first_byte(secs(5)).write_idle(secs(60))).build().unwrap();
    // The caller takes 100 s to produce the body, longer than any limit. No limit counts this time.
    let pieces = futures::stream::unfold(0, |n| async move {
        sleep(secs(50)).await;
        (n < 2).then(|| (Ok::<_, std::io::Error>(Bytes::from("piece")), n + 1))
    });
    let started = Instant::now();
    let error = client.post("/x").stream(pieces, Some(10)).send().await.unwrap_err();
    assert_eq!(error.limit(), Some((Limit::FirstByte, secs(5))));
    assert_eq!(started.elapsed(), secs(105));
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_all_time_is_none() {
    let (builder, _) = answering(|_| OK.to_vec());
    let all = Duration::MAX;
    let limits = Limits::new()
        .pool_wait(all)
        .dns(all)
        .connect(all)
        .tls(all)
        .write_idle(all)
        .first_byte(all)
        .idle(all)
        .exchange(all)
        .total(all);
    let client = builder.limits(limits).idle_timeout(all).build().unwrap();
    for _ in 0..2 {
        assert_eq!(client.get("/x").send().await.unwrap().text().await.unwrap(), "ok");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_beyond_the_bound_is_an_error_that_names_it() {
    let (builder, _) = answering(|request| {
        if request.line().contains("/length") {
            return b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nx".to_vec();
        }
        let mut reply = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for _ in 0..11 {
            reply.extend_from_slice(b"a\r\n0123456789\r\n");
        }
        reply.extend_from_slice(b"0\r\n\r\n");
        reply
    });
    let client = builder.build().unwrap();
    for path in ["/chunked", "/length"] {
        let request = client.get(path).limits(Limits::new().max_body(100));
        let error = request.send().await.unwrap().bytes().await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (Kind::TooLarge, Delivery::Replied));
        assert!(error.to_string().starts_with("`max_body` of 100 bytes"), "{error}");
    }
    let request = client.get("/chunked").limits(Limits::new().max_body(110));
    assert_eq!(request.send().await.unwrap().bytes().await.unwrap().len(), 110);
}

#[tokio::test(start_paused = true)]
async fn an_endless_head_is_bounded() {
    let (builder, _) = in_memory(|_, mut pipe, _| async move {
        read_request(&mut pipe, 0).await;
        write(&mut pipe, "HTTP/1.1 200 OK\r\n").await;
        loop {
            if tokio::io::AsyncWriteExt::write_all(&mut pipe, b"a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n")
                .await
                .is_err()
            {
                return;
            }
        }
    });
    let client = builder.build().unwrap();
    let error = client.get("/x").send().await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (Kind::Protocol, Phase::Head));
}

#[tokio::test(start_paused = true)]
async fn total_holds_also_where_there_is_always_more_to_read() {
    const PIECE: usize = 16 << 10;
    let (builder, _) = in_memory(|_, mut pipe, _| async move {
        read_request(&mut pipe, 0).await;
        write(&mut pipe, "HTTP/1.1 200 OK\r\n\r\n").await;
        while tokio::io::AsyncWriteExt::write_all(&mut pipe, &[b'a'; PIECE]).await.is_ok() {}
    });
    let client = builder.limits(none().total(secs(20))).build().unwrap();
    let mut reply = client.get("/x").send().await.unwrap();
    for _ in 0..4 {
        tokio::time::advance(secs(4)).await;
        settle().await;
        // Ready at once: no time passes in it, and no timer fires.
        assert!(!reply.chunk().now_or_never().unwrap().unwrap().unwrap().is_empty());
    }
    tokio::time::advance(secs(5)).await;
    settle().await;
    // Data that can have arrived before the limit passed is given, and nothing more.
    let mut read = 0;
    let error = loop {
        match reply.chunk().await.unwrap() {
            Ok(piece) => read += piece.len(),
            Err(error) => break error,
        }
    };
    assert_eq!(error.limit(), Some((Limit::Total, secs(20))));
    assert!(read > 64 << 10 && read <= 8 << 20, "{read}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_has_arrived_is_given_whole_after_the_limit_and_one_that_has_not_is_not() {
    for whole in [true, false] {
        let (builder, _) = in_memory(move |_, mut pipe, _| async move {
            read_request(&mut pipe, 0).await;
            let last = if whole { "0\r\n\r\n" } else { "" };
            let pieces = "1\r\na\r\n".repeat(100);
            write(&mut pipe, format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{pieces}{last}"))
                .await;
            silence(pipe).await;
        });
        let client = builder.limits(none().exchange(secs(20))).build().unwrap();
        let mut reply = client.get("/x").send().await.unwrap();
        tokio::time::advance(secs(25)).await;
        for _ in 0..100 {
            assert_eq!(reply.chunk().await.unwrap().unwrap(), "a");
        }
        match reply.chunk().await {
            None => assert!(whole),
            Some(end) => {
                assert_eq!((end.unwrap_err().limit(), whole), (Some((Limit::Exchange, secs(20))), false));
            }
        }
    }
}
