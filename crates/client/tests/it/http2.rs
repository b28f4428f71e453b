//! Tests of HTTP/2: shared connections, resets, pings, and runtimes.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures::future::join_all;
use h2::{Reason, server::SendResponse};
use http::{Request, Response};
use outbound_client::{Client, Delivery, Kind, Limit, Limits, Origin, Phase, Version};
use tokio::time::sleep;

use crate::support::{in_memory, secs, serve_http2, settle};

fn ok() -> Response<()> {
    Response::new(())
}

/// Reads a request's body to its end and answers with it.
async fn echo(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
    let mut body = request.into_body();
    let mut all = Vec::new();
    while let Some(Ok(piece)) = body.data().await {
        let _ = body.flow_control().release_capacity(piece.len());
        all.extend_from_slice(&piece);
    }
    let mut stream = respond.send_response(ok(), false).unwrap();
    stream.send_data(all.into(), true).unwrap();
}

async fn post(client: &Client, body: &'static str) -> Result<Bytes, outbound_client::Error> {
    client.post("/x").body(body).send().await?.bytes().await
}

#[tokio::test(start_paused = true)]
async fn prior_knowledge_shares_one_connection() {
    let (builder, seen) = in_memory(|_, pipe, _| serve_http2(pipe, echo));
    let client = builder.http2_prior_knowledge().build().unwrap();
    let replies = join_all((0..100).map(|_| post(&client, "hello"))).await;
    assert!(replies.into_iter().all(|reply| reply.unwrap() == "hello"));
    let reply = client.get("/y").send().await.unwrap();
    assert_eq!(reply.version(), Version::HTTP_2);
    assert_eq!(seen.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_request_names_scheme_authority_and_path_and_no_host() {
    let (builder, _) = in_memory(|_, pipe, _| {
        serve_http2(pipe, |request, mut respond| async move {
            assert_eq!(request.uri(), "http://api.test/v1/x?a=b");
            assert!(!request.headers().contains_key("host"));
            respond.send_response(Response::builder().status(204).body(()).unwrap(), true).unwrap();
        })
    });
    let client = builder.http2_prior_knowledge().build().unwrap();
    let reply = client.get("/x").query(&[("a", "b")]).send().await.unwrap();
    assert_eq!(reply.status().as_u16(), 204);
}

#[tokio::test(start_paused = true)]
async fn a_large_body_goes_there_and_back() {
    let (builder, _) = in_memory(|_, pipe, _| serve_http2(pipe, echo));
    let client = builder.http2_prior_knowledge().build().unwrap();
    let body: Vec<u8> = (0..500_009_u32).map(|n| (n % 251) as u8).collect();
    let reply = client.post("/x").body(body.clone()).send().await.unwrap();
    // It is larger than a stream's window, so the server waits until it is read.
    assert_eq!(reply.bytes().await.unwrap(), body);
}

#[tokio::test(start_paused = true)]
async fn a_refused_stream_was_not_sent_and_is_sent_again_a_few_times() {
    let streams = Arc::new(AtomicUsize::new(0));
    let counted = streams.clone();
    let (builder, seen) = in_memory(move |_, pipe, _| {
        let streams = counted.clone();
        serve_http2(pipe, move |request, mut respond| {
            let number = streams.fetch_add(1, Ordering::SeqCst);
            async move {
                match number % 4 {
                    0..3 => respond.send_reset(Reason::REFUSED_STREAM),
                    _ => echo(request, respond).await,
                }
            }
        })
    });
    let client = builder.http2_prior_knowledge().build().unwrap();
    let error = client.post("/x").body("a").send().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.phase(), error.delivery()),
        (Kind::Reset, Phase::Head, Delivery::NotSent)
    );
    assert_eq!((seen.connections(), streams.load(Ordering::SeqCst)), (1, 3));
    assert_eq!(post(&client, "b").await.unwrap(), "b");
    streams.store(1, Ordering::SeqCst);
    assert_eq!(post(&client, "c").await.unwrap(), "c");
    // A stream cannot be read twice, so the caller has to send it again.
    let stream = futures::stream::iter([Ok::<_, io::Error>(Bytes::from("d"))]);
    let error = client.post("/x").stream(stream, None).send().await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Reset, Delivery::NotSent));
    assert_eq!((seen.connections(), streams.load(Ordering::SeqCst)), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn another_reset_may_have_been_sent_and_a_late_one_was_replied() {
    let (builder, _) = in_memory(|_, pipe, _| {
        serve_http2(pipe, |request, mut respond| async move {
            if request.uri().path().ends_with("late") {
                let mut stream = respond.send_response(ok(), false).unwrap();
                stream.send_data(Bytes::from("a"), false).unwrap();
                sleep(secs(1)).await;
                stream.send_reset(Reason::REFUSED_STREAM);
            } else {
                respond.send_reset(Reason::INTERNAL_ERROR);
            }
        })
    });
    let client = builder.http2_prior_knowledge().build().unwrap();
    let error = client.get("/early").send().await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Reset, Delivery::MaybeSent));
    let error = client.get("/late").send().await.unwrap().bytes().await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Reset, Delivery::Replied));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_request_resets_its_stream_and_no_other() {
    let resets = Arc::new(AtomicUsize::new(0));
    let counted = resets.clone();
    let (builder, seen) = in_memory(move |_, pipe, _| {
        let resets = counted.clone();
        serve_http2(pipe, move |request, mut respond| {
            let resets = resets.clone();
            async move {
                if request.uri().path().ends_with("hang") {
                    let reason = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
                    assert_eq!(reason.unwrap(), Reason::CANCEL);
                    resets.fetch_add(1, Ordering::SeqCst);
                } else {
                    sleep(secs(5)).await;
                    echo(request, respond).await;
                }
            }
        })
    });
    let client = builder.http2_prior_knowledge().build().unwrap();
    let slow = tokio::spawn({
        let client = client.clone();
        async move { post(&client, "slow").await }
    });
    let limits = Limits::new().first_byte(secs(2));
    let error = client.get("/hang").limits(limits).send().await.unwrap_err();
    assert_eq!(error.limit(), Some((Limit::FirstByte, secs(2))));
    settle().await;
    assert_eq!(resets.load(Ordering::SeqCst), 1);
    assert_eq!(slow.await.unwrap().unwrap(), "slow");
    assert_eq!(seen.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_is_replaced_by_one_dial_for_all() {
    let (builder, seen) = in_memory(|number, pipe, _| async move {
        if number > 0 {
            return serve_http2(pipe, echo).await;
        }
        let mut connection = h2::server::handshake(pipe).await.unwrap();
        let (request, respond) = connection.accept().await.unwrap().unwrap();
        tokio::spawn(echo(request, respond));
        connection.graceful_shutdown();
        while connection.accept().await.is_some() {}
    });
    let client = builder.http2_prior_knowledge().build().unwrap();
    assert_eq!(post(&client, "first").await.unwrap(), "first");
    settle().await;
    let replies = join_all((0..50).map(|_| post(&client, "next"))).await;
    assert!(replies.into_iter().all(|reply| reply.unwrap() == "next"));
    assert_eq!(seen.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_cut_under_its_streams_is_closed_for_each_of_them() {
    let (builder, _) = in_memory(|_, pipe, _| async move {
        let mut connection = h2::server::handshake(pipe).await.unwrap();
        let held = (connection.accept().await, connection.accept().await);
        drop(connection);
        drop(held);
    });
    let client = builder.http2_prior_knowledge().build().unwrap();
    for error in join_all((0..2).map(|_| post(&client, "x"))).await {
        let error = error.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (Kind::Closed, Delivery::MaybeSent));
    }
}

#[tokio::test(start_paused = true)]
async fn an_unused_connection_is_closed_in_time_and_a_used_one_is_not() {
    let (builder, seen) = in_memory(|_, pipe, _| {
        serve_http2(pipe, |request, respond| async move {
            sleep(secs(200)).await;
            echo(request, respond).await;
        })
    });
    let client = builder.http2_prior_knowledge().idle_timeout(secs(30)).build().unwrap();
    assert_eq!(post(&client, "long").await.unwrap(), "long");
    sleep(secs(29)).await;
    assert!(format!("{client:?}").contains("open: 1"), "{client:?}");
    sleep(secs(2)).await;
    settle().await;
    assert!(format!("{client:?}").contains("open: 0"), "{client:?}");
    assert_eq!(post(&client, "again").await.unwrap(), "again");
    assert_eq!(seen.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_went_dark_is_found_by_pings() {
    // Answers the handshake, takes the request, and then sends no byte more, like a connection that a NAT has
    // forgotten.
    let client = Client::builder()
        .base_url("http://a.test")
        .http2_prior_knowledge()
        .limits(Limits::new().first_byte(None).idle(None))
        .connector(|_: &Origin| {
            let (near, far) = tokio::io::duplex(64 << 10);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(far).await.unwrap();
                let request = connection.accept().await;
                sleep(secs(3600)).await;
                drop((request, connection));
            });
            async { Ok::<_, io::Error>(near) }
        })
        .build()
        .unwrap();
    let started = tokio::time::Instant::now();
    let error = client.get("/x").send().await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Closed, Delivery::MaybeSent));
    assert!(started.elapsed() <= secs(81), "{:?}", started.elapsed());
}

#[test]
fn a_connection_serves_requests_of_a_runtime_that_ends_before_it() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (builder, seen) = in_memory(|_, pipe, _| serve_http2(pipe, echo));
    let client = builder.http2_prior_knowledge().build().unwrap();
    let both = async |client: &Client| {
        let (one, two) = tokio::join!(post(client, "one"), post(client, "two"));
        assert_eq!((one.unwrap(), two.unwrap()), ("one".into(), "two".into()));
    };
    let home = runtime();
    home.block_on(async { assert_eq!(post(&client, "first").await.unwrap(), "first") });
    for _ in 0..3 {
        // What these requests leave for later ones must belong to the connection's runtime, not to their own.
        let other = runtime();
        other.block_on(both(&client));
        drop(other);
        home.block_on(both(&client));
    }
    assert_eq!(seen.connections(), 1);
}
