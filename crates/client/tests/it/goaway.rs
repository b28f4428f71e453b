//! Tests: HTTP/2 servers that end their connections. Requests that were not processed are sent again, and none
//! arrives twice.
//!
//! Frames that hyper's and h2's own servers would not send are written by hand.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::join_all;
use h2::server::SendResponse;
use http::{Request, Response};
use outbound_client::{Client, Delivery, Error, Kind};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::support::{Seen, in_memory, on_socket, secs, serve_http2, settle};

async fn post(client: &Client, body: String) -> Result<Bytes, Error> {
    client.post("/x").header("x-number", &body).body(body).send().await?.bytes().await
}

/// How often each body arrived.
type Arrived = Arc<Mutex<BTreeMap<Bytes, usize>>>;

async fn count_and_echo(
    arrived: Arrived,
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let number = Bytes::copy_from_slice(request.headers()["x-number"].as_bytes());
    *arrived.lock().unwrap().entry(number.clone()).or_default() += 1;
    let mut body = request.into_body();
    let mut all = Vec::new();
    while let Some(Ok(piece)) = body.data().await {
        all.extend_from_slice(&piece);
    }
    sleep(Duration::from_millis(1)).await;
    if all == number
        && let Ok(mut stream) = respond.send_response(Response::new(()), false)
    {
        let _ = stream.send_data(number, true);
    }
}

/// Serves five requests, then sends a graceful GOAWAY: streams that cross it are still served.
async fn five_and_a_graceful_goaway<S>(io: S, arrived: Arrived)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let mut connection = h2::server::handshake(io).await.unwrap();
    let mut streams = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        streams.spawn(count_and_echo(arrived.clone(), request, respond));
        if streams.len() == 5 {
            connection.graceful_shutdown();
        }
    }
    while streams.join_next().await.is_some() {}
}

fn assert_each_once(arrived: &Arrived, count: usize) {
    let arrived = arrived.lock().unwrap();
    assert_eq!(arrived.len(), count);
    assert!(arrived.values().all(|times| *times == 1), "{arrived:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_goaway_after_five_loses_none_and_sees_none_twice() {
    for concurrent in [1, 3, 40, 200] {
        let arrived = Arrived::default();
        let on_server = arrived.clone();
        let (builder, seen) =
            in_memory(move |_, pipe, _| five_and_a_graceful_goaway(pipe, on_server.clone()));
        let client = builder.http2_prior_knowledge().build().unwrap();
        for round in 0..1000 / concurrent {
            let posts = (0..concurrent).map(|number| post(&client, format!("{round} {number}")));
            for reply in join_all(posts).await {
                reply.unwrap();
            }
        }
        assert_each_once(&arrived, 1000 / concurrent * concurrent);
        assert!(seen.connections() >= 5, "{}", seen.connections());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_a_socket_that_says_goaway_after_five_loses_none_and_sees_none_twice() {
    let arrived = Arrived::default();
    let on_server = arrived.clone();
    let server = on_socket(move |_, stream, _| five_and_a_graceful_goaway(stream, on_server.clone())).await;
    let client = Client::builder().no_proxy().base_url(&server.url).http2_prior_knowledge().build().unwrap();
    let workers = (0..20).map(|worker| {
        let client = client.clone();
        tokio::spawn(async move {
            for number in 0..100 {
                post(&client, format!("{worker} {number}")).await.unwrap();
            }
        })
    });
    for worker in join_all(workers).await {
        worker.unwrap();
    }
    assert_each_once(&arrived, 2000);
}

const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn goaway(last: u32, reason: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), reason.to_be_bytes()].concat())
}

/// Reads frames up to and including the head of a stream.
async fn read_until_stream(pipe: &mut DuplexStream, stream: u32) {
    loop {
        let mut head = [0; 9];
        pipe.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        pipe.read_exact(&mut payload).await.unwrap();
        let id = u32::from_be_bytes(head[5..].try_into().unwrap());
        match head[3] {
            SETTINGS if head[4] & ACK == 0 => pipe.write_all(&frame(SETTINGS, ACK, 0, &[])).await.unwrap(),
            PING if head[4] & ACK == 0 => pipe.write_all(&frame(PING, ACK, 0, &payload)).await.unwrap(),
            1 if id == stream => return,
            _ => {}
        }
    }
}

/// The first connection takes five requests, writes `last_words` and ends. Later connections behave well.
fn ends_with(last_words: Vec<u8>) -> (Client, Arc<Seen>, Arrived) {
    let arrived = Arrived::default();
    let on_server = arrived.clone();
    let (builder, seen) = in_memory(move |number, mut pipe, _| {
        let (arrived, last_words) = (on_server.clone(), last_words.clone());
        async move {
            if number > 0 {
                return serve_http2(pipe, move |request, respond| {
                    count_and_echo(arrived.clone(), request, respond)
                })
                .await;
            }
            let mut preface = [0; 24];
            pipe.read_exact(&mut preface).await.unwrap();
            pipe.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
            read_until_stream(&mut pipe, 9).await;
            pipe.write_all(&last_words).await.unwrap();
            settle().await;
        }
    });
    (builder.http2_prior_knowledge().build().unwrap(), seen, arrived)
}

/// Which of five concurrent requests failed.
async fn five(client: &Client) -> Vec<usize> {
    let replies = join_all((0..5).map(|number| post(client, number.to_string()))).await;
    let failed = replies.into_iter().enumerate().filter_map(|(number, reply)| {
        let error = reply.err()?;
        assert_eq!((error.kind(), error.delivery()), (Kind::Closed, Delivery::MaybeSent));
        Some(number)
    });
    failed.collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_above_the_last_stream_is_sent_again_and_what_is_below_may_have_been_processed() {
    // Streams 1 and 3 may have been processed; then the connection ends.
    for reason in [0, 2, 11] {
        let (client, seen, arrived) = ends_with(goaway(3, reason));
        assert_eq!(five(&client).await, [0, 1]);
        assert_eq!(seen.connections(), 2);
        assert_each_once(&arrived, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_goaway_that_names_no_stream_sends_all_again() {
    let (client, _, arrived) = ends_with(goaway(0, 0));
    assert_eq!(five(&client).await, [0; 0]);
    assert_each_once(&arrived, 5);
}

#[tokio::test(start_paused = true)]
async fn a_goaway_that_names_all_streams_proves_nothing_until_it_is_followed_by_another() {
    const ALL: u32 = (1 << 31) - 1;
    let (client, _, _) = ends_with(goaway(ALL, 0));
    assert_eq!(five(&client).await, [0, 1, 2, 3, 4]);
    let (client, _, arrived) = ends_with([goaway(ALL, 0), goaway(7, 0)].concat());
    assert_eq!(five(&client).await, [0, 1, 2, 3]);
    assert_each_once(&arrived, 1);
}

#[tokio::test(start_paused = true)]
async fn a_broken_protocol_proves_nothing() {
    // A DATA frame on a stream that does not exist.
    let (client, _, _) = ends_with(frame(0, 0, 2, b"x"));
    let replies = join_all((0..5).map(|number| post(&client, number.to_string()))).await;
    for reply in replies {
        assert_eq!(reply.unwrap_err().delivery(), Delivery::MaybeSent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_only_ever_says_goaway_is_given_up() {
    let (builder, seen) = in_memory(|_, mut pipe, _| async move {
        let mut preface = [0; 24];
        pipe.read_exact(&mut preface).await.unwrap();
        pipe.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        read_until_stream(&mut pipe, 1).await;
        pipe.write_all(&goaway(0, 0)).await.unwrap();
        let _ = pipe.read_to_end(&mut Vec::new()).await;
    });
    let client = builder.http2_prior_knowledge().build().unwrap();
    for reply in join_all((0..10).map(|number| post(&client, number.to_string()))).await {
        let error = reply.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (Kind::Closed, Delivery::NotSent));
    }
    // Each request tries a bounded number of connections. Requests at the same time share them.
    assert!(seen.connections() <= 20, "{}", seen.connections());
}

/// Serves at most `limit` streams at a time, each for a second. Counts the streams at a time and those above the
/// limit.
fn limited(limit: u32) -> (outbound_client::ClientBuilder, Arc<Seen>, Arc<AtomicUsize>) {
    let most = Arc::<AtomicUsize>::default();
    let on_server = most.clone();
    let (builder, seen) = in_memory(move |_, pipe, _| {
        let most = on_server.clone();
        async move {
            let mut builder = h2::server::Builder::new();
            let mut connection =
                builder.max_concurrent_streams(limit).handshake::<_, Bytes>(pipe).await.unwrap();
            let open = Arc::<AtomicUsize>::default();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                let (open, most) = (open.clone(), most.clone());
                tokio::spawn(async move {
                    most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    sleep(secs(1)).await;
                    open.fetch_sub(1, Ordering::SeqCst);
                    let _ = respond.send_response(Response::new(()), true);
                });
            }
        }
    });
    (builder.http2_prior_knowledge(), seen, most)
}

async fn get(client: &Client) {
    client.get("/x").send().await.unwrap().bytes().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn another_connection_is_dialled_where_streams_run_out() {
    let (builder, seen, most) = limited(10);
    let client = builder.build().unwrap();
    get(&client).await;
    let started = Instant::now();
    join_all((0..95).map(|_| get(&client))).await;
    assert_eq!(started.elapsed(), secs(1));
    assert_eq!((seen.connections(), most.load(Ordering::SeqCst)), (10, 10));
    join_all((0..95).map(|_| get(&client))).await;
    assert_eq!(seen.connections(), 10);
}

#[tokio::test(start_paused = true)]
async fn streams_wait_in_order_where_no_other_connection_is_allowed() {
    let (builder, seen, most) = limited(10);
    let client = builder.max_connections_per_origin(2).build().unwrap();
    get(&client).await;
    let started = Instant::now();
    let ended = join_all((0..60).map(|_| async {
        get(&client).await;
        started.elapsed()
    }))
    .await;
    let expected: Vec<_> = (0..60).map(|number| secs(1 + number / 20)).collect();
    assert_eq!(ended, expected);
    assert_eq!((seen.connections(), most.load(Ordering::SeqCst)), (2, 10));
}

#[tokio::test(start_paused = true)]
async fn a_cold_burst_is_served_whatever_the_servers_limit_turns_out_to_be() {
    for limit in [1, 5, 99, 100, 1000] {
        let (builder, seen, most) = limited(limit);
        let client = builder.build().unwrap();
        join_all((0..100).map(|_| get(&client))).await;
        assert!(most.load(Ordering::SeqCst) <= limit as usize);
        let connects = seen.connections();
        assert!(limit < 99 || connects <= 2, "{connects} connects at a limit of {limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_age_takes_no_new_streams_and_ends_with_its_last() {
    let (builder, seen, _) = limited(100);
    let client = builder.max_lifetime(secs(10)).max_requests_per_connection(3).build().unwrap();
    join_all((0..7).map(|_| get(&client))).await;
    assert_eq!(seen.connections(), 3);
    sleep(secs(20)).await;
    assert!(format!("{client:?}").contains("open: 0"), "{client:?}");
}
