//! Tests: the maxima of connections, over all origins and for one. Which request gets a permit, and when.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use outbound_client::{Client, ClientBuilder, Delivery, Limit, Limits, Origin, Phase};
use tokio::{
    io::AsyncReadExt,
    time::{Instant, sleep},
};

use crate::support::{OK, draws, read_request, secs, settle, write};

/// What the servers of all origins saw: the requests in order, and how many connections there were at a time.
#[derive(Default)]
struct Seen {
    hosts: Mutex<Vec<String>>,
    open: AtomicUsize,
    most: AtomicUsize,
    dials: Mutex<Vec<String>>,
}

impl Seen {
    fn dials(&self, host: &str) -> usize {
        self.dials.lock().unwrap().iter().filter(|dialled| *dialled == host).count()
    }
}

/// Servers that take `pause` for each reply.
fn servers(pause: Duration) -> (ClientBuilder, Arc<Seen>) {
    let seen = Arc::<Seen>::default();
    let on_connect = seen.clone();
    let builder = Client::builder().connector(move |origin: &Origin| {
        let (near, mut far) = tokio::io::duplex(4096);
        let (seen, host) = (on_connect.clone(), origin.host().to_owned());
        seen.dials.lock().unwrap().push(host.clone());
        seen.most.fetch_max(seen.open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::spawn(async move {
            while let Some(request) = read_request(&mut far, 0).await {
                seen.hosts.lock().unwrap().push(request.header("host").unwrap().to_owned());
                tokio::select! {
                    () = sleep(pause) => write(&mut far, OK).await,
                    // The client is gone.
                    _ = far.read_u8() => break,
                }
            }
            seen.open.fetch_sub(1, Ordering::SeqCst);
        });
        async { Ok::<_, io::Error>(near) }
    });
    (builder, seen)
}

async fn get(client: &Client, host: &str) {
    let reply = client.get(&format!("http://{host}/")).send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), "ok");
}

#[tokio::test(start_paused = true)]
async fn the_maximum_over_all_origins_holds_and_all_are_served() {
    let (builder, seen) = servers(secs(1));
    let client = builder.max_connections(10).build().unwrap();
    let started = Instant::now();
    let hosts: Vec<_> = (0..200).map(|number| format!("{}.test", number % 20)).collect();
    join_all(hosts.iter().map(|host| get(&client, host))).await;
    assert_eq!(seen.most.load(Ordering::SeqCst), 10);
    // Ten run at a time. An origin keeps its connection as long as no origin without one waits.
    assert_eq!(started.elapsed(), secs(20));
    assert_eq!(seen.hosts.lock().unwrap().len(), 200);
}

#[tokio::test(start_paused = true)]
async fn the_longest_idle_connection_of_any_origin_makes_room() {
    let (builder, seen) = servers(Duration::ZERO);
    let client = builder.max_connections(3).build().unwrap();
    for host in ["a", "b", "c"] {
        get(&client, host).await;
        sleep(secs(1)).await;
    }
    get(&client, "a").await;
    sleep(secs(1)).await;
    // The connection to b was unused for longest.
    get(&client, "d").await;
    for host in ["a", "c", "d"] {
        get(&client, host).await;
        assert_eq!(seen.dials(host), 1, "{host}");
    }
    get(&client, "b").await;
    assert_eq!((seen.dials("b"), seen.most.load(Ordering::SeqCst)), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_is_always_busy_does_not_starve_another() {
    let (builder, _) = servers(secs(1));
    let client = builder.max_connections(2).build().unwrap();
    let busy = (0..4).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            loop {
                get(&client, "busy").await;
            }
        })
    });
    let busy: Vec<_> = busy.collect();
    sleep(Duration::from_millis(3500)).await;
    let started = Instant::now();
    get(&client, "other").await;
    // At 4 s, requests continue that waited before it came. At 5 s it gets its permit, and takes one second.
    assert_eq!(started.elapsed(), Duration::from_millis(2500));
    busy.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn origins_that_wait_are_served_in_order_of_arrival() {
    let (builder, seen) = servers(secs(1));
    let client = builder.max_connections(1).build().unwrap();
    let hosts = ["a", "b", "c", "d", "e"];
    let all = hosts.iter().enumerate().map(|(number, host)| {
        let client = &client;
        async move {
            sleep(Duration::from_millis(number as u64)).await;
            get(client, host).await;
        }
    });
    join_all(all).await;
    assert_eq!(*seen.hosts.lock().unwrap(), hosts);
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_place_has_its_own_limit_and_is_not_sent() {
    let (builder, seen) = servers(secs(100));
    let limits = Limits::new().pool_wait(secs(5)).connect(secs(1)).first_byte(None);
    let client = builder.max_connections(1).limits(limits).build().unwrap();
    let holder = tokio::spawn(client.get("http://a/").send());
    settle().await;
    let started = Instant::now();
    let error = client.get("http://b/").send().await.unwrap_err();
    assert_eq!(error.limit(), Some((Limit::PoolWait, secs(5))));
    assert_eq!((error.phase(), error.delivery()), (Phase::PoolWait, Delivery::NotSent));
    assert_eq!(started.elapsed(), secs(5));
    // A request that gave up does not get the permit; the next one does.
    holder.abort();
    settle().await;
    let next = tokio::spawn(client.get("http://c/").send());
    settle().await;
    assert_eq!((seen.dials("b"), seen.dials("c")), (0, 1));
    next.abort();
}

#[tokio::test(start_paused = true)]
async fn dials_that_fail_return_their_place() {
    let client = Client::builder()
        .max_connections(2)
        .connector(|_: &Origin| async {
            sleep(secs(1)).await;
            Err::<tokio::io::DuplexStream, _>(io::Error::from(io::ErrorKind::ConnectionRefused))
        })
        .build()
        .unwrap();
    let started = Instant::now();
    let urls: Vec<_> = (0..20).map(|number| format!("http://{number}.test/")).collect();
    for result in join_all(urls.iter().map(|url| client.get(url).send())).await {
        assert_eq!(result.unwrap_err().delivery(), Delivery::NotSent);
    }
    assert_eq!(started.elapsed(), secs(10));
    assert!(client.snapshot().iter().all(|pool| pool.dialing + pool.busy + pool.waiting == 0));
}

#[tokio::test(start_paused = true)]
async fn places_survive_any_order_of_requests_and_departures() {
    for seed in 0..20_u64 {
        let (builder, seen) = servers(Duration::from_millis(3));
        let client = builder.max_connections(4).max_connections_per_origin(3).build().unwrap();
        let mut random = draws(seed);
        let mut held = Vec::new();
        for _ in 0..500 {
            let client = client.clone();
            let host = format!("{}.test", random(9));
            let patience = Duration::from_millis(random(20));
            held.push(tokio::spawn(async move {
                let _ = tokio::time::timeout(patience, get(&client, &host)).await;
            }));
            if random(3) == 0 {
                sleep(Duration::from_millis(random(4))).await;
            }
        }
        join_all(held).await;
        settle().await;
        assert!(seen.most.load(Ordering::SeqCst) <= 4);
        for pool in client.snapshot() {
            assert_eq!((pool.busy, pool.dialing, pool.waiting), (0, 0, 0), "seed {seed}: {pool:?}");
        }
        // All four permits are free.
        let started = Instant::now();
        join_all(["w", "x", "y", "z"].map(|host| get(&client, host))).await;
        assert_eq!(started.elapsed(), Duration::from_millis(3), "seed {seed}");
    }
}
