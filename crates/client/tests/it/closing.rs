//! Tests: servers on sockets that close connections early, announced or not. No request fails without being sent, and
//! none arrives twice.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use outbound_client::{Client, ClientBuilder, ConnectFailure, Delivery, Error, Kind, Limits, Origin, Phase};
use tokio::{
    io::DuplexStream,
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

use crate::support::{OK, in_memory, read_request, secs, write};

/// How a server ends its connections.
#[derive(Clone, Copy, Debug)]
struct Closing {
    reply: &'static str,
    /// Requests that are served on one connection.
    each: usize,
    /// Connections that are closed as soon as they are accepted, at the start.
    refused: usize,
}

const PLAIN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const CLOSE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: Foo, Close\r\n\r\nok";
const OLD: &str = "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A server on a thread of its own, and how often each body arrived.
struct Raw {
    address: SocketAddr,
    arrived: Arc<Mutex<HashMap<Vec<u8>, usize>>>,
    accepted: Arc<AtomicUsize>,
}

impl Raw {
    fn start(closing: Closing) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let arrived = Arc::<Mutex<HashMap<_, usize>>>::default();
        let accepted = Arc::<AtomicUsize>::default();
        let (on_arrival, on_accept) = (arrived.clone(), accepted.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    if on_accept.fetch_add(1, Ordering::SeqCst) >= closing.refused {
                        tokio::spawn(serve(stream, closing, on_arrival.clone()));
                    }
                }
            });
        });
        Self { address, arrived, accepted }
    }

    fn client(&self) -> ClientBuilder {
        Client::builder().no_proxy().base_url(format!("http://{}", self.address))
    }
}

async fn serve(mut stream: TcpStream, closing: Closing, arrived: Arc<Mutex<HashMap<Vec<u8>, usize>>>) {
    for _ in 0..closing.each {
        let Some(request) = read_request(&mut stream, 0).await else { return };
        *arrived.lock().unwrap().entry(request.body).or_default() += 1;
        write(&mut stream, closing.reply).await;
    }
}

/// Sends this many numbered requests, eight at a time. Returns the errors.
async fn posts(client: &Client, count: usize) -> Vec<Error> {
    stream::iter(0..count)
        .map(|number| {
            let request = client.post("/x").body(number.to_string());
            tokio::spawn(async move { request.send().await?.bytes().await })
        })
        .buffer_unordered(8)
        .filter_map(|result| async { result.unwrap().err() })
        .collect()
        .await
}

async fn all_arrive_once(closing: Closing, count: usize, build: impl Fn(ClientBuilder) -> ClientBuilder) {
    let server = Raw::start(closing);
    let client = build(server.client()).build().unwrap();
    let failures = posts(&client, count).await;
    let unsent = failures.iter().filter(|error| error.delivery() == Delivery::NotSent).count();
    assert_eq!(unsent, 0, "{closing:?}: {:?}", failures.first());
    // If the server announces that it closes, no request crosses the close. If not, the client learns it from a few
    // that do.
    let crossed = if closing.reply == PLAIN { 20 } else { 0 };
    assert!(failures.len() <= crossed, "{closing:?}: {} of {count}, {:?}", failures.len(), failures.first());
    let arrived = server.arrived.lock().unwrap();
    assert!(arrived.values().all(|times| *times == 1), "{closing:?}");
    assert!(arrived.len() + failures.len() >= count, "{closing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_that_it_closes_costs_no_request() {
    for reply in [CLOSE, OLD] {
        let closing = Closing { reply, each: 1, refused: 0 };
        all_arrive_once(closing, 1_000, |client| client).await;
        all_arrive_once(closing, 1_000, |client| client.max_connections(2)).await;
        all_arrive_once(closing, 500, |client| client.max_connections_per_origin(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_closes_unsaid_gives_no_request_back() {
    for each in [1, 3] {
        let closing = Closing { reply: PLAIN, each, refused: 0 };
        all_arrive_once(closing, 1_000, |client| client).await;
        all_arrive_once(closing, 1_000, |client| client.max_connections_per_origin(2)).await;
    }
}

#[tokio::test]
async fn one_thread_is_enough_for_a_server_that_closes_unsaid() {
    for each in [1, 3] {
        let closing = Closing { reply: PLAIN, each, refused: 0 };
        all_arrive_once(closing, 1_000, |client| client).await;
        all_arrive_once(closing, 1_000, |client| client.max_connections(2)).await;
    }
}

#[tokio::test]
async fn a_server_that_closes_as_it_accepts_is_tried_until_it_does_not() {
    let closing = Closing { reply: PLAIN, each: 1_000_000, refused: 40 };
    let server = Raw::start(closing);
    let client = server.client().build().unwrap();
    let failures = posts(&client, 200).await;
    // A request that was being written when the connection closed may have been sent, so the caller gets its error.
    assert!(failures.iter().all(|error| error.delivery() == Delivery::MaybeSent), "{failures:?}");
    assert!(server.accepted.load(Ordering::SeqCst) > 40);
    assert!(server.arrived.lock().unwrap().values().all(|times| *times == 1));
}

/// A client for which `closes` says which connections are closed at once, and the times of its dials.
fn closed_at_once(
    closes: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> (ClientBuilder, Arc<Mutex<Vec<Instant>>>) {
    let dials = Arc::<Mutex<Vec<Instant>>>::default();
    let on_dial = dials.clone();
    let builder = Client::builder().base_url("http://a.test").connector(move |_: &Origin| {
        let number = on_dial.lock().unwrap().len();
        on_dial.lock().unwrap().push(Instant::now());
        let (near, mut far) = tokio::io::duplex(4096);
        if !closes(number) {
            tokio::spawn(async move {
                while read_request(&mut far, 0).await.is_some() {
                    write(&mut far, OK).await;
                }
            });
        }
        async { Ok::<DuplexStream, io::Error>(near) }
    });
    (builder, dials)
}

#[tokio::test(start_paused = true)]
async fn new_connections_that_end_at_once_are_dialled_at_a_growing_distance() {
    let (builder, dials) = closed_at_once(|number| number < 12);
    let client = builder.build().unwrap();
    let started = Instant::now();
    let reply = client.post("/x").body("1").send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), "ok");
    let dials = dials.lock().unwrap();
    let gaps: Vec<_> = dials.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps.len(), 12);
    assert!(gaps[0] < Duration::from_millis(2) && gaps[11] >= Duration::from_millis(900), "{gaps:?}");
    assert!(gaps.iter().all(|gap| *gap <= Duration::from_millis(1_100)), "{gaps:?}");
    assert!(started.elapsed() < secs(10));
}

#[tokio::test(start_paused = true)]
async fn new_connections_that_end_at_once_are_part_of_connecting_and_bounded_by_its_limit() {
    for limit in [secs(3), secs(10)] {
        let (builder, dials) = closed_at_once(|_| true);
        let client = builder.limits(Limits::new().connect(limit)).build().unwrap();
        let started = Instant::now();
        let error = client.post("/x").body("1").send().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.phase(), error.delivery()),
            (Kind::Closed, Phase::Connect, Delivery::NotSent)
        );
        assert_eq!(error.connect_failure(), Some(ConnectFailure::Handshake));
        assert!((limit..limit + secs(2)).contains(&started.elapsed()), "{:?}", started.elapsed());
        assert!(dials.lock().unwrap().len() < 20);
    }
    // Without that limit, other limits end it.
    let (builder, _) = closed_at_once(|_| true);
    let client = builder.limits(Limits::new().connect(None).total(secs(60))).build().unwrap();
    let started = Instant::now();
    let error = client.post("/x").body("1").send().await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Timeout, Delivery::NotSent));
    assert_eq!(started.elapsed(), secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_was_not_begun_is_sent_on_the_next_connection_too() {
    let (builder, dials) = closed_at_once(|number| number < 3);
    let client = builder.build().unwrap();
    let body = stream::iter([Ok::<_, io::Error>(bytes::Bytes::from("abc"))]);
    let reply = client.post("/x").stream(body, None).send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), "ok");
    assert_eq!(dials.lock().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_not_used_again_after_a_reply_that_ends_it() {
    for (reply, connections) in [
        ("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", 3),
        ("HTTP/1.1 200 OK\r\nconnection: x\r\nconnection: y , CLOSE\r\ncontent-length: 2\r\n\r\nok", 3),
        ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", 3),
        ("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nok", 1),
        ("HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok", 1),
        ("HTTP/1.1 200 OK\r\nx-connection: close\r\ncontent-length: 2\r\n\r\nok", 1),
    ] {
        // The server itself would continue.
        let (builder, seen) = in_memory(move |number, mut pipe, _| async move {
            while read_request(&mut pipe, number).await.is_some() {
                write(&mut pipe, reply).await;
            }
        });
        let client = builder.max_connections_per_origin(1).build().unwrap();
        let three = (0..3).map(|_| async { client.get("/x").send().await.unwrap().text().await.unwrap() });
        assert_eq!(futures::future::join_all(three).await, ["ok"; 3]);
        sleep(secs(1)).await;
        assert_eq!(seen.connections(), connections, "{reply}");
    }
}
