//! Tests: data that has arrived counts more than a limit that has passed. With threads that are blocked while an
//! answer arrives, and with slow readers.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::join_all;
use http::Response;
use outbound_client::{Client, Error, Limit, Limits};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    time::{Instant, sleep},
};

use crate::support::{read_request, serve_http2, write};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What a server sends, each part after this many milliseconds: the head, and pieces of the body.
#[derive(Clone, Copy, Debug)]
struct Script {
    http2: bool,
    head: u64,
    pieces: &'static [u64],
    /// Whether the body ends after the pieces, or continues as long as there is a reader.
    ends: bool,
}

/// How many requests have reached a server, and how many it has answered.
#[derive(Default)]
struct Served {
    arrived: AtomicUsize,
    answered: AtomicUsize,
    last_answer: Mutex<Option<Instant>>,
}

impl Served {
    fn answer(&self) {
        *self.last_answer.lock().unwrap() = Some(Instant::now());
        self.answered.fetch_add(1, Ordering::SeqCst);
    }
}

/// A server on a thread of its own, which nothing blocks.
fn serve(script: Script) -> (SocketAddr, Arc<Served>) {
    let served = Arc::<Served>::default();
    let count = served.clone();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let count = count.clone();
                if script.http2 {
                    tokio::spawn(serve_http2(stream, move |_, mut respond| {
                        count.arrived.fetch_add(1, Ordering::SeqCst);
                        let count = count.clone();
                        async move {
                            sleep(millis(script.head)).await;
                            let mut body = respond.send_response(Response::new(()), false).unwrap();
                            for (piece, pause) in script.pieces.iter().enumerate() {
                                sleep(millis(*pause)).await;
                                let last = script.ends && piece + 1 == script.pieces.len();
                                let _ = body.send_data(Bytes::from("data: x\n\n"), last);
                            }
                            count.answer();
                            if !script.ends {
                                sleep(millis(60_000)).await;
                            }
                        }
                    }));
                } else {
                    tokio::spawn(async move {
                        let mut stream = stream;
                        while read_request(&mut stream, 0).await.is_some() {
                            count.arrived.fetch_add(1, Ordering::SeqCst);
                            sleep(millis(script.head)).await;
                            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                                 transfer-encoding: chunked\r\n\r\n";
                            write(&mut stream, head).await;
                            for pause in script.pieces {
                                sleep(millis(*pause)).await;
                                write(&mut stream, "9\r\ndata: x\n\n\r\n").await;
                            }
                            if script.ends {
                                write(&mut stream, "0\r\n\r\n").await;
                            }
                            count.answer();
                        }
                    });
                }
            }
        });
    });
    (address, served)
}

fn client(script: Script, limits: Limits) -> (Client, Arc<Served>) {
    let (address, served) = serve(script);
    let builder = Client::builder().no_proxy().base_url(format!("http://{address}")).limits(limits);
    (if script.http2 { builder.http2_prior_knowledge() } else { builder }.build().unwrap(), served)
}

fn runtimes() -> [Runtime; 3] {
    [
        Builder::new_current_thread().enable_all().build().unwrap(),
        Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
        Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
    ]
}

#[expect(clippy::disallowed_methods, reason = "to hold a thread of the runtime up is what it is for")]
fn block(time: Duration) {
    std::thread::sleep(time);
}

/// Blocks all threads of a runtime from when this many requests have arrived, until a time, and until this many are
/// answered.
async fn hold_up(served: &Arc<Served>, [arrived, answered]: [usize; 2], until: Instant) {
    let threads = tokio::runtime::Handle::current().metrics().num_workers();
    join_all((0..threads).map(|_| {
        let served = served.clone();
        tokio::spawn(async move {
            while served.arrived.load(Ordering::SeqCst) < arrived {
                // On a slow machine, a limit may pass before the requests arrive. Then they never arrive.
                if Instant::now() >= until {
                    return;
                }
                sleep(millis(1)).await;
            }
            while Instant::now() < until || served.answered.load(Ordering::SeqCst) < answered {
                block(millis(5));
            }
            block(millis(50));
        })
    }))
    .await;
}

async fn text(client: &Client) -> Result<String, Error> {
    client.get("/x").send().await?.text().await
}

/// In the runtime's first future and in tasks; with one request, and with so many that the scheduler needs some time.
fn all_succeed(script: Script, limits: [Limits; 3]) {
    std::thread::scope(|scope| {
        for limits in limits {
            for runtime in runtimes() {
                scope.spawn(move || {
                    for requests in [1, 40] {
                        // If the machine is so slow that a server answers after the limit, the attempt proves
                        // nothing.
                        let tells = (0..10).any(|_| some_succeed(script, limits, &runtime, requests));
                        assert!(tells, "the server was too slow ten times");
                    }
                });
            }
        }
    });
}

/// Returns whether the server had answered in time.
fn some_succeed(script: Script, limits: Limits, runtime: &Runtime, requests: usize) -> bool {
    let (client, served) = client(script, limits);
    for in_tasks in [false, true] {
        let started = Instant::now();
        let all = served.answered.load(Ordering::SeqCst) + requests;
        let results: Vec<_> = runtime.block_on(async {
            let held_up = hold_up(&served, [all; 2], started + HELD_UP);
            if in_tasks {
                let request = |client: Client| tokio::spawn(async move { text(&client).await });
                let tasks: Vec<_> = (0..requests).map(|_| request(client.clone())).collect();
                tokio::join!(join_all(tasks), held_up).0.into_iter().map(Result::unwrap).collect()
            } else {
                tokio::join!(join_all((0..requests).map(|_| text(&client))), held_up).0
            }
        });
        let in_time = served.last_answer.lock().unwrap().is_some_and(|last| last < started + LIMIT);
        if !in_time || served.answered.load(Ordering::SeqCst) < all {
            return false;
        }
        for result in results {
            let text = result.unwrap_or_else(|error| panic!("{script:?}, {limits:?}, {requests}: {error}"));
            assert_eq!(text.len(), 9 * script.pieces.len());
        }
    }
    true
}

/// The limits, and how long the threads are blocked. Answers come after a fraction of that time.
const LIMIT: Duration = millis(1_500);
const HELD_UP: Duration = millis(1_700);

const fn none() -> Limits {
    let mut limits = Limits::new();
    (limits.first_byte, limits.write_idle, limits.idle) = (None, None, None);
    limits
}

#[test]
fn a_head_that_arrived_while_the_threads_were_held_up_is_read() {
    for http2 in [false, true] {
        let script = Script { http2, head: 100, pieces: &[0], ends: true };
        all_succeed(script, [none().first_byte(LIMIT), none().exchange(LIMIT), none().total(LIMIT)]);
    }
}

#[test]
fn a_body_that_arrived_while_the_threads_were_held_up_is_read() {
    for http2 in [false, true] {
        let script = Script { http2, head: 0, pieces: &[100, 2, 2, 2, 2, 2, 2, 2], ends: true };
        all_succeed(script, [none().idle(LIMIT), none().exchange(LIMIT), none().total(LIMIT)]);
    }
}

#[test]
fn what_did_not_arrive_is_still_missed() {
    for http2 in [false, true] {
        for (script, limits, limit) in [
            (
                Script { http2, head: 60_000, pieces: &[], ends: true },
                none().first_byte(millis(300)),
                Limit::FirstByte,
            ),
            (Script { http2, head: 0, pieces: &[0, 2], ends: false }, none().idle(millis(300)), Limit::Idle),
            (
                Script { http2, head: 0, pieces: &[0, 2], ends: false },
                none().total(millis(300)),
                Limit::Total,
            ),
        ] {
            for runtime in runtimes() {
                for held_up in [false, true] {
                    let (client, served) = client(script, limits);
                    let started = Instant::now();
                    let result = runtime.block_on(async {
                        let held_up = async {
                            if held_up {
                                hold_up(&served, [1, 0], started + millis(800)).await;
                            }
                        };
                        tokio::join!(text(&client), held_up).0
                    });
                    assert_eq!(result.unwrap_err().limit(), Some((limit, millis(300))));
                    let least = if held_up { 800 } else { 300 };
                    // Long before the server would answer. How much later than the limit depends on how busy the
                    // machine is: other tests block its threads.
                    let spent = started.elapsed();
                    assert!(spent >= millis(least) && spent < millis(30_000), "{spent:?}, {script:?}");
                }
            }
        }
    }
}

#[test]
fn a_slow_reader_has_all_events_that_came_in_time() {
    const PIECES: &[u64] = &[1; 40];
    for http2 in [false, true] {
        for runtime in runtimes() {
            // All data is there after a tenth of a second. It is read during four tenths, by a task that does not
            // poll in between.
            let script = Script { http2, head: 0, pieces: PIECES, ends: true };
            for limits in [none().idle(millis(200)), none().exchange(millis(200)), none().total(millis(200))]
            {
                let (client, _) = client(script, limits);
                runtime.block_on(async {
                    let mut reply = client.get("/x").send().await.unwrap();
                    let mut read = 0;
                    while let Some(piece) = reply.chunk().await {
                        read += piece.unwrap_or_else(|error| panic!("{read} read: {error}")).len();
                        block(millis(10));
                    }
                    assert_eq!(read, 9 * PIECES.len());
                });
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_never_ends_is_cut_in_time_all_the_same() {
    const PIECES: &[u64] = &[2; 5_000];
    for http2 in [false, true] {
        let script = Script { http2, head: 0, pieces: PIECES, ends: false };
        let (client, _) = client(script, none().total(millis(400)));
        let started = Instant::now();
        let error = text(&client).await.unwrap_err();
        assert_eq!(error.limit(), Some((Limit::Total, millis(400))));
        // Less than what the server would send.
        assert!(started.elapsed() < millis(8_000), "{:?}", started.elapsed());
    }
}
