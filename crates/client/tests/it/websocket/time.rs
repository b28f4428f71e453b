//! Tests of time limits and cancellation, on the paused clock.

use std::{future::pending, time::Duration};

use futures::{FutureExt, SinkExt, StreamExt};
use outbound_client::{Delivery, Kind, Limit, Message, Phase};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message as ServerMessage;

use super::server::{pair, pipe};
use crate::support::{secs, settle};

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_pinged_and_found_dead() {
    for (limit, ping_after) in [(secs(300), secs(30)), (secs(20), secs(10))] {
        let (mut socket, mut pipe) = pipe(|limits| limits.idle(limit)).await;
        let begun = Instant::now();
        let reading =
            tokio::spawn(async move { (socket.next().await.unwrap().unwrap_err(), begun.elapsed()) });
        // An empty ping, masked.
        let mut ping = [0; 6];
        pipe.read_exact(&mut ping).await.unwrap();
        assert_eq!((begun.elapsed(), &ping[..2]), (ping_after, &b"\x89\x80"[..]));
        let (error, elapsed) = reading.await.unwrap();
        assert_eq!((error.kind(), error.limit()), (Kind::Timeout, Some((Limit::Idle, limit))));
        assert_eq!((error.phase(), error.delivery(), elapsed), (Phase::Upgraded, Delivery::Replied, limit));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_answers_pings_is_waited_for_and_without_a_limit_any_is() {
    let (mut socket, mut server) = pair(|limits| limits.idle(secs(60))).await;
    let serving = tokio::spawn(async move {
        let answering = async { while server.next().await.is_some() {} };
        let _ = timeout(secs(3600), answering).await;
        server.send(ServerMessage::text("late")).await.unwrap();
    });
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::from("late"));
    serving.await.unwrap();

    let (mut socket, _pipe) = pipe(|limits| limits.idle(None)).await;
    assert!(timeout(secs(100_000), socket.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn who_polls_late_finds_what_came_and_gives_the_server_time_to_answer() {
    let (mut socket, mut server) = pair(|limits| limits.idle(secs(60))).await;
    assert!(socket.next().now_or_never().is_none());
    sleep(secs(3600)).await;
    server.send(ServerMessage::text("hi")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::from("hi"));

    assert!(socket.next().now_or_never().is_none());
    sleep(secs(3600)).await;
    let serving = tokio::spawn(async move {
        // Takes the ping and answers it.
        assert!(matches!(server.next().await, Some(Ok(ServerMessage::Ping(_)))));
        server.send(ServerMessage::text("still here")).await.unwrap();
        pending::<()>().await;
    });
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::from("still here"));
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_read_fails_a_send() {
    let (mut socket, _pipe) = pipe(|limits| limits.write_idle(secs(5))).await;
    let begun = Instant::now();
    let error = socket.send(vec![0_u8; 1 << 20]).await.unwrap_err();
    assert_eq!((error.kind(), error.limit()), (Kind::Timeout, Some((Limit::WriteIdle, secs(5)))));
    assert_eq!((error.delivery(), begun.elapsed()), (Delivery::MaybeSent, secs(5)));
    assert_eq!(socket.send("x").await.unwrap_err().delivery(), Delivery::NotSent);
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_that_goes_on_reading_fails_none() {
    let (mut socket, mut pipe) = pipe(|limits| limits.write_idle(secs(5))).await;
    let reading = tokio::spawn(async move {
        let mut buffer = vec![0; 32 << 10];
        let mut read = 0;
        while read < 1 << 20 {
            sleep(secs(4)).await;
            read += pipe.read(&mut buffer).await.unwrap();
        }
        pipe
    });
    socket.send(vec![0_u8; 1 << 20]).await.unwrap();
    reading.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_next_that_is_dropped_loses_nothing() {
    let (mut socket, mut pipe) = pipe(|limits| limits).await;
    for piece in [&b"\x01\x02hi"[..], b"\x00\x01", b"!\x80", b"\x00"] {
        assert!(socket.next().now_or_never().is_none());
        pipe.write_all(piece).await.unwrap();
        settle().await;
    }
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::from("hi!"));
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_dropped_leaves_whole_messages_only() {
    let (mut socket, mut server) = pair(|limits| limits).await;
    // More than the pipe holds: it is queued and partly sent.
    assert!(socket.send(vec![1_u8; 200_000]).now_or_never().is_none());
    // It is not queued, because too much is queued before it.
    assert!(socket.send(vec![2_u8; 10]).now_or_never().is_none());
    let reading = tokio::spawn(async move {
        let mut lengths = Vec::new();
        while let Some(Ok(message)) = server.next().await {
            if let ServerMessage::Binary(bytes) = message {
                lengths.push((bytes[0], bytes.len()));
            }
        }
        lengths
    });
    socket.send(vec![3_u8; 20]).await.unwrap();
    socket.close().await.unwrap();
    assert_eq!(reading.await.unwrap(), [(1, 200_000), (3, 20)]);
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_ten_seconds_for_its_answer() {
    let (mut socket, _pipe) = pipe(|limits| limits).await;
    let begun = Instant::now();
    let error = socket.close().await.unwrap_err();
    assert_eq!((error.kind(), begun.elapsed()), (Kind::Closed, secs(10)));
    assert!(error.to_string().contains("did not answer"), "{error}");

    let (mut socket, pipe) = pipe(|limits| limits).await;
    tokio::spawn(async move {
        sleep(Duration::from_millis(1)).await;
        drop(pipe);
    });
    assert_eq!(socket.close().await.unwrap_err().kind(), Kind::Closed);
}

#[tokio::test(start_paused = true)]
async fn messages_under_way_do_not_keep_it_from_closing() {
    let (mut socket, mut server) = pair(|limits| limits).await;
    let serving = tokio::spawn(async move {
        for _ in 0..100 {
            server.send(ServerMessage::text("x".repeat(5000))).await.unwrap();
        }
        let mut closed = None;
        while let Some(Ok(message)) = server.next().await {
            if let ServerMessage::Close(Some(frame)) = message {
                closed = Some((u16::from(frame.code), frame.reason.to_string()));
            }
        }
        closed
    });
    socket.close_with(4001, "done").await.unwrap();
    assert_eq!(serving.await.unwrap(), Some((4001, "done".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_code_that_no_client_sends_closes_nothing() {
    let (mut socket, mut server) = pair(|limits| limits).await;
    for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        let error = socket.close_with(code, "").await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (Kind::Request, Delivery::NotSent), "{code}");
    }
    assert_eq!(socket.close_with(1000, &"x".repeat(124)).await.unwrap_err().kind(), Kind::Request);
    socket.send("still open").await.unwrap();
    assert_eq!(server.next().await.unwrap().unwrap(), ServerMessage::text("still open"));
}

#[tokio::test(start_paused = true)]
async fn a_drop_in_the_middle_ends_the_connection() {
    let (mut socket, mut pipe) = pipe(|limits| limits).await;
    assert!(socket.send(vec![0_u8; 100_000]).now_or_never().is_none());
    drop(socket);
    let mut all = Vec::new();
    pipe.read_to_end(&mut all).await.unwrap();
    assert!(all.len() < 100_000);
}
