//! Tests: an HTTP/2 connection on which a limit has passed gets no new streams until it answers a ping.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures::FutureExt;
use h2::server::SendResponse;
use http::{Request, Response};
use outbound_client::{Client, Limit, Limits};
use tokio::{io::DuplexStream, time::Instant};

use crate::support::{Seen, in_memory, secs, serve_http2, settle};

/// Answers all requests except those for `/slow`. For `/body` it sends only the head.
async fn answer(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
    let path = request.uri().path().to_owned();
    if path.ends_with("slow") {
        return std::future::pending().await;
    }
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    if path.ends_with("body") {
        return std::future::pending().await;
    }
    stream.send_data(Bytes::from("ok"), true).unwrap();
}

/// A client whose first connection can be stopped: nothing is then read from it or written to it, but it stays open.
fn stoppable() -> (Client, Arc<Seen>, Arc<AtomicBool>) {
    let stopped = Arc::<AtomicBool>::default();
    let stop = stopped.clone();
    let (builder, seen) = in_memory(move |number, pipe: DuplexStream, _| {
        let stop = stop.clone();
        async move {
            let mut serving = Box::pin(serve_http2(pipe, answer));
            std::future::poll_fn(|cx| match number == 0 && stop.load(Ordering::SeqCst) {
                true => Poll::Pending,
                false => serving.poll_unpin(cx),
            })
            .await;
        }
    });
    (builder.http2_prior_knowledge().build().unwrap(), seen, stopped)
}

async fn ok(client: &Client) {
    assert_eq!(client.get("/x").send().await.unwrap().text().await.unwrap(), "ok");
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_gets_no_more_requests_after_the_first_limit() {
    for limits in
        [Limits::new().first_byte(secs(5)), Limits::new().exchange(secs(5)), Limits::new().total(secs(5))]
    {
        let (client, seen, stopped) = stoppable();
        ok(&client).await;
        // Another request is under way, so the connection is not simply closed.
        let other = tokio::spawn(client.get("/slow").send());
        settle().await;
        stopped.store(true, Ordering::SeqCst);
        let error = client.get("/x").limits(limits).send().await.unwrap_err();
        assert!(error.is_timeout());
        let begun = Instant::now();
        for _ in 0..20 {
            ok(&client).await;
        }
        assert_eq!((seen.connections(), begun.elapsed()), (2, Duration::ZERO));
        // It is not kept for 80 s either: 20 s without an answer are enough.
        assert!(other.await.unwrap().is_err());
        assert!(begun.elapsed() <= secs(21), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_answers_goes_on_serving() {
    let (client, seen, _) = stoppable();
    for waited in [1, 30, 45] {
        let other = tokio::spawn(client.get("/slow").send());
        settle().await;
        let limits = Limits::new().first_byte(secs(waited));
        let error = client.get("/slow").limits(limits).send().await.unwrap_err();
        assert_eq!(error.limit(), Some((Limit::FirstByte, secs(waited))));
        settle().await;
        ok(&client).await;
        assert_eq!(seen.connections(), 1, "{waited}");
        other.abort();
        let _ = other.await;
    }
}

#[tokio::test(start_paused = true)]
async fn with_one_place_a_request_waits_for_the_answer() {
    let (builder, seen) = in_memory(|_, pipe, _| serve_http2(pipe, answer));
    let client = builder.http2_prior_knowledge().max_connections_per_origin(1).build().unwrap();
    let other = tokio::spawn(client.get("/slow").send());
    settle().await;
    let mut body = client.get("/body").limits(Limits::new().idle(secs(2))).send().await.unwrap();
    assert!(body.chunk().await.unwrap().unwrap_err().is_timeout());
    // At once, before the ping can have been answered.
    let begun = Instant::now();
    ok(&client).await;
    assert_eq!((seen.connections(), begun.elapsed()), (1, Duration::ZERO));
    other.abort();
}

#[tokio::test(start_paused = true)]
async fn a_suspect_without_a_request_is_let_go() {
    let (client, seen, _) = stoppable();
    let limits = Limits::new().first_byte(secs(5));
    assert!(client.get("/slow").limits(limits).send().await.unwrap_err().is_timeout());
    ok(&client).await;
    ok(&client).await;
    assert_eq!(seen.connections(), 2);
    settle().await;
    let snapshot = &client.snapshot()[0];
    assert_eq!((snapshot.idle, snapshot.busy), (1, 0));
}
