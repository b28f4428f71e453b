//! Tests of warm-up, drain, close, and the snapshot that shows them.

use std::{io, time::Duration};

use futures::future::join_all;
use outbound_client::{Client, Delivery, Kind, Limits, Origin, Phase, PoolSnapshot, Version};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{OK, answering, get, in_memory, read_request, secs, serve_http2, settle, write};

fn counts(client: &Client) -> (usize, usize, usize, usize) {
    let [PoolSnapshot { idle, busy, dialing, waiting, .. }] = client.snapshot()[..] else { panic!() };
    (idle, busy, dialing, waiting)
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_shows_what_there_is() {
    let connector = |_: &Origin| async {
        sleep(secs(1)).await;
        let (near, mut far) = tokio::io::duplex(4096);
        tokio::spawn(async move {
            while read_request(&mut far, 0).await.is_some() {
                sleep(secs(1)).await;
                write(&mut far, OK).await;
            }
        });
        Ok::<_, io::Error>(near)
    };
    let builder = Client::builder().base_url("http://api.test").connector(connector);
    let client = builder.max_connections_per_origin(2).build().unwrap();
    assert_eq!(counts(&client), (0, 0, 0, 0));
    let requests = (0..5).map(|_| client.get("/x").send());
    let requests: Vec<_> =
        requests.map(|request| tokio::spawn(async { request.await?.bytes().await })).collect();
    settle().await;
    assert_eq!(counts(&client), (0, 0, 2, 5));
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(counts(&client), (0, 2, 0, 3));
    for request in requests {
        request.await.unwrap().unwrap();
    }
    assert_eq!(counts(&client), (2, 0, 0, 0));
    let pool = &client.snapshot()[0];
    assert_eq!(
        (pool.origin.to_string(), pool.version),
        ("http://api.test".to_owned(), Some(Version::HTTP_11))
    );
}

#[tokio::test(start_paused = true)]
async fn a_warm_client_dials_no_more() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.max_connections_per_origin(8).build().unwrap();
    client.warm_up("/", 5).await.unwrap();
    assert_eq!((counts(&client), seen.connections()), ((5, 0, 0, 0), 5));
    client.warm_up("/", 4).await.unwrap();
    join_all((0..5).map(|_| get(&client))).await;
    assert_eq!(seen.connections(), 5);
    // Never more than the maximum.
    client.warm_up("/", 100).await.unwrap();
    assert_eq!(counts(&client), (8, 0, 0, 0));
    assert_eq!(client.warm_up("/../x", 1).await.unwrap_err().kind(), Kind::Request);
}

#[tokio::test(start_paused = true)]
async fn one_connection_of_http2_is_warm_enough() {
    let (builder, seen) = in_memory(|_, pipe, _| {
        serve_http2(pipe, |_, mut respond| async move {
            respond.send_response(http::Response::new(()), true).unwrap();
        })
    });
    let client = builder.http2_prior_knowledge().build().unwrap();
    client.warm_up("/", 10).await.unwrap();
    client.warm_up("/", 10).await.unwrap();
    client.get("/").send().await.unwrap().bytes().await.unwrap();
    assert_eq!((seen.connections(), counts(&client)), (1, (1, 0, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_warm_up_that_fails_says_why() {
    let client = Client::builder()
        .connector(|_: &Origin| async {
            Err::<tokio::io::DuplexStream, _>(io::Error::from(io::ErrorKind::ConnectionRefused))
        })
        .build()
        .unwrap();
    let error = client.warm_up("http://a.test", 3).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (Kind::Connect, Phase::Connect));
    assert_eq!(counts(&client), (0, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_drain_closes_idle_connections_now_and_others_after_their_request() {
    let (builder, seen) = in_memory(|number, mut pipe, seen| async move {
        while let Some(request) = read_request(&mut pipe, number).await {
            if request.line().contains("slow") {
                sleep(secs(10)).await;
            }
            seen.requests.lock().unwrap().push(request);
            write(&mut pipe, OK).await;
        }
    });
    let client = builder.build().unwrap();
    client.warm_up("/", 3).await.unwrap();
    let slow = tokio::spawn(client.get("/slow").send());
    settle().await;
    let started = Instant::now();
    let drained = client.drain();
    settle().await;
    assert_eq!(counts(&client), (0, 1, 0, 0));
    // A new request gets a new connection, which the drain does not wait for.
    get(&client).await;
    assert_eq!((seen.connections(), counts(&client)), (4, (1, 1, 0, 0)));
    let slow = tokio::spawn(async { slow.await.unwrap().unwrap().text().await.unwrap() });
    drained.await;
    assert_eq!(started.elapsed(), secs(10));
    assert_eq!(slow.await.unwrap(), "ok");
    assert_eq!(counts(&client), (1, 0, 0, 0));
    get(&client).await;
    assert_eq!(seen.connections(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_http2_streams_end() {
    let (builder, seen) = in_memory(|_, pipe, _| {
        serve_http2(pipe, |request, mut respond| async move {
            if request.uri().path().ends_with("slow") {
                sleep(secs(10)).await;
            }
            respond.send_response(http::Response::new(()), true).unwrap();
        })
    });
    let client = builder.http2_prior_knowledge().build().unwrap();
    let slow = tokio::spawn(client.get("/slow").send());
    settle().await;
    let started = Instant::now();
    let drained = client.drain();
    client.get("/").send().await.unwrap().bytes().await.unwrap();
    assert_eq!(seen.connections(), 2);
    slow.await.unwrap().unwrap().bytes().await.unwrap();
    timeout(secs(1), drained).await.unwrap();
    assert_eq!(started.elapsed(), secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_closed_client_fails_who_waits_and_lets_others_end() {
    let (builder, seen) = in_memory(|number, mut pipe, _| async move {
        while read_request(&mut pipe, number).await.is_some() {
            sleep(secs(10)).await;
            write(&mut pipe, OK).await;
        }
    });
    let client = builder.max_connections_per_origin(1).build().unwrap();
    let held = tokio::spawn({
        let client = client.clone();
        async move { get(&client).await }
    });
    settle().await;
    let waits = tokio::spawn(client.get("/x").send());
    settle().await;
    let closed = client.clone().close();
    let failed = [
        waits.await.unwrap().unwrap_err(),
        client.get("/x").send().await.unwrap_err(),
        client.get("http://other.test/").send().await.unwrap_err(),
        client.warm_up("/", 1).await.unwrap_err(),
    ];
    for error in failed {
        assert_eq!(
            (error.kind(), error.phase(), error.delivery()),
            (Kind::ClientClosed, Phase::PoolWait, Delivery::NotSent)
        );
    }
    closed.await;
    assert_eq!(held.await.unwrap(), "ok");
    assert_eq!((counts_of_first(&client), seen.connections()), ((0, 0, 0, 0), 1));
    // There is nothing left to wait for.
    timeout(secs(0), client.close()).await.unwrap();
}

fn counts_of_first(client: &Client) -> (usize, usize, usize, usize) {
    let PoolSnapshot { idle, busy, dialing, waiting, .. } = client.snapshot()[0];
    (idle, busy, dialing, waiting)
}

#[tokio::test(start_paused = true)]
async fn a_closed_client_gives_up_its_dials() {
    let client = Client::builder()
        .limits(Limits::new().connect(None))
        .connector(|_: &Origin| std::future::pending::<io::Result<tokio::io::DuplexStream>>())
        .build()
        .unwrap();
    let waits = tokio::spawn(client.get("http://a.test").send());
    settle().await;
    assert_eq!(counts(&client), (0, 0, 1, 1));
    client.close().await;
    assert_eq!(waits.await.unwrap().unwrap_err().kind(), Kind::ClientClosed);
    assert_eq!(counts(&client), (0, 0, 0, 0));
}
