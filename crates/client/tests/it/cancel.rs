//! Tests: requests that are dropped at random points. No permit, no task and no file descriptor must be left.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::join_all;
use outbound_client::{Client, ClientBuilder};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Handle,
    time::timeout,
};

use crate::support::{draws, in_memory, on_socket, read_request, serve_http2, settle, write};

const SEEDS: u64 = 5;
/// A hundred thousand over all seeds and both versions of HTTP.
const REQUESTS: u64 = 100_000 / (2 * SEEDS);

/// Answers each request with the last part of its path, in two pieces.
async fn serve_http1<S: AsyncRead + AsyncWrite + Unpin>(mut io: S, open: Arc<AtomicUsize>) {
    open.fetch_add(1, Ordering::SeqCst);
    while let Some(request) = read_request(&mut io, 0).await {
        let name = request.line().split(' ').nth(1).unwrap();
        let name = format!("{:>8}", name.rsplit('/').next().unwrap());
        tokio::task::yield_now().await;
        write(&mut io, format!("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{}", &name[..4])).await;
        tokio::task::yield_now().await;
        write(&mut io, &name[4..]).await;
    }
    open.fetch_sub(1, Ordering::SeqCst);
}

async fn get(client: Client, number: u64) {
    let reply = client.get(&format!("/{number}")).send().await.unwrap().text().await.unwrap();
    assert_eq!(reply.trim(), number.to_string(), "the reply of another request");
}

/// Starts requests and drops most of them after a random number of steps. Returns how many were completed.
async fn drop_at_random(client: &Client, seed: u64, requests: u64) -> u64 {
    let mut draw = draws(seed);
    let mut whole = 0;
    let mut held = Vec::new();
    for number in 0..requests {
        let mut request = Box::pin(get(client.clone(), number));
        for _ in 0..draw(24) {
            if futures::poll!(request.as_mut()).is_ready() {
                whole += 1;
                break;
            }
            tokio::task::yield_now().await;
        }
        // Some are kept for a while, so that others have to wait.
        match draw(7) {
            0 if held.len() < 6 => held.push(request),
            1 => held.clear(),
            _ => {}
        }
    }
    whole
}

async fn nothing_is_left(builder: ClientBuilder, seed: u64, requests: u64) {
    let tasks = Handle::current().metrics();
    let before = tasks.num_alive_tasks();
    let client = builder.max_connections(5).max_connections_per_origin(4).build().unwrap();
    let whole = drop_at_random(&client, seed, requests).await;
    assert!((requests / 50..requests).contains(&whole), "{whole} of {requests}");
    settle().await;
    let pool = client.snapshot().remove(0);
    assert_eq!((pool.busy, pool.dialing, pool.waiting), (0, 0, 0), "seed {seed}: {pool:?}");
    // All permits are free again.
    join_all((0..4).map(|number| get(client.clone(), number))).await;
    drop(client);
    settle().await;
    assert_eq!(tasks.num_alive_tasks(), before, "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn requests_dropped_over_http1_leave_nothing() {
    for seed in 0..SEEDS {
        let open = Arc::<AtomicUsize>::default();
        let counted = open.clone();
        let (builder, _) = in_memory(move |_, pipe, _| serve_http1(pipe, counted.clone()));
        nothing_is_left(builder, seed, REQUESTS).await;
        assert_eq!(open.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_dropped_over_http2_leave_nothing() {
    for seed in 0..SEEDS {
        let (builder, _) = in_memory(|_, pipe, _| {
            serve_http2(pipe, |request, mut respond| async move {
                let name = Bytes::copy_from_slice(&request.uri().path().as_bytes()[4..]);
                tokio::task::yield_now().await;
                if let Ok(mut stream) = respond.send_response(http::Response::new(()), false) {
                    tokio::task::yield_now().await;
                    let _ = stream.send_data(name, true);
                }
            })
        });
        nothing_is_left(builder.http2_prior_knowledge(), seed, REQUESTS).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_dropped_over_sockets_leave_no_descriptor() {
    let open = Arc::<AtomicUsize>::default();
    let counted = open.clone();
    let server = on_socket(move |_, stream, _| serve_http1(stream, counted.clone())).await;
    let port = server.url.rsplit(':').next().unwrap().parse().unwrap();
    let client = Client::builder().no_proxy().base_url(&server.url).max_connections(20).build().unwrap();
    let workers = (0..40).map(|worker| {
        let client = client.clone();
        tokio::spawn(async move {
            let mut draw = draws(worker);
            for number in 0..100 {
                let patience = Duration::from_micros(draw(2000));
                let _ = timeout(patience, get(client.clone(), number)).await;
            }
        })
    });
    for worker in join_all(workers).await {
        worker.unwrap();
    }
    let drained = client.close();
    timeout(Duration::from_secs(5), drained).await.expect("all connections are closed");
    let pool = client.snapshot().remove(0);
    assert_eq!((pool.idle, pool.busy, pool.dialing, pool.waiting), (0, 0, 0, 0));
    assert_eq!(sockets_to(port), 0);
}

/// How many sockets on this machine that are held by a descriptor are connected to a local port.
fn sockets_to(port: u16) -> usize {
    let Ok(table) = std::fs::read_to_string("/proc/net/tcp") else { return 0 };
    let remote = format!(":{port:04X}");
    let held = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        // An entry without an inode is not a socket any more, as in TIME_WAIT.
        fields[2].ends_with(&remote) && fields[9] != "0"
    };
    table.lines().skip(1).filter(held).count()
}
