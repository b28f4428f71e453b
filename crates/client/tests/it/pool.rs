//! Tests of the pool: reuse, order, maxima, and runtimes.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use outbound_client::{Client, Limits, Origin};
use tokio::{
    io::DuplexStream,
    time::{Instant, sleep},
};

use crate::support::{
    OK, answering, counting_open, get, in_memory, on_socket, read_request, secs, settle, silence, write,
};

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_again() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.build().unwrap();
    for _ in 0..100 {
        get(&client).await;
    }
    assert_eq!((seen.connections(), seen.requests().len()), (1, 100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_need_no_more_connections_than_there_are_workers() {
    let server = on_socket(|number, mut stream, _| async move {
        while read_request(&mut stream, number).await.is_some() {
            write(&mut stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
            tokio::task::yield_now().await;
            write(&mut stream, "2\r\nok\r\n").await;
            tokio::task::yield_now().await;
            write(&mut stream, "0\r\n\r\n").await;
        }
    })
    .await;
    let client = Client::builder().no_proxy().base_url(&server.url).build().unwrap();
    let workers = (0..32).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            for _ in 0..50 {
                assert_eq!(get(&client).await, "ok");
            }
        })
    });
    for worker in join_all(workers).await {
        worker.unwrap();
    }
    assert!(server.seen.connections() <= 32, "{}", server.seen.connections());
}

#[tokio::test(start_paused = true)]
async fn concurrency_is_what_is_seen_on_the_wire() {
    let (builder, seen) = in_memory(|number, mut pipe, _| async move {
        while read_request(&mut pipe, number).await.is_some() {
            sleep(secs(1)).await;
            write(&mut pipe, OK).await;
        }
    });
    let client = builder.build().unwrap();
    let started = Instant::now();
    join_all((0..300).map(|_| get(&client))).await;
    assert_eq!(started.elapsed(), secs(1));
    assert_eq!(seen.connections(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_maximum_holds_and_the_queue_is_first_come_first_served() {
    let (builder, seen) = in_memory(|number, mut pipe, seen| async move {
        while let Some(request) = read_request(&mut pipe, number).await {
            seen.requests.lock().unwrap().push(request);
            sleep(secs(1)).await;
            write(&mut pipe, OK).await;
        }
    });
    let client = builder.max_connections_per_origin(3).build().unwrap();
    let started = Instant::now();
    let all = (0..30).map(|n| {
        let request = client.get(&format!("/{n}")).send();
        async { request.await.unwrap().text().await.unwrap() }
    });
    join_all(all).await;
    assert_eq!(started.elapsed(), secs(10));
    assert_eq!(seen.connections(), 3);
    let order: Vec<usize> =
        seen.requests().iter().map(|r| r.line()[8..].split(' ').next().unwrap().parse().unwrap()).collect();
    for (turn, group) in order.chunks(3).enumerate() {
        let mut group = group.to_vec();
        group.sort_unstable();
        assert_eq!(group, [turn * 3, turn * 3 + 1, turn * 3 + 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_connection_used_last_is_used_first() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.build().unwrap();
    join_all((0..5).map(|_| get(&client))).await;
    let last = seen.requests().len();
    for _ in 0..10 {
        get(&client).await;
    }
    let used: Vec<_> = seen.requests()[last..].iter().map(|request| request.connection).collect();
    assert!(used.iter().all(|connection| *connection == used[0]), "{used:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reply_dropped_early_closes_its_connection_unless_its_end_has_come() {
    let (builder, seen) = answering(|request| match request.line().contains("/long") {
        true => b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\npart".to_vec(),
        false => OK.to_vec(),
    });
    let client = builder.build().unwrap();
    drop(client.get("/long").send().await.unwrap());
    get(&client).await;
    assert_eq!(seen.connections(), 2);
    let reply = client.get("/x").send().await.unwrap();
    settle().await;
    drop(reply);
    get(&client).await;
    assert_eq!(seen.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_early_reply_is_seen_and_its_connection_not_used_again() {
    let (builder, seen) = in_memory(|number, mut pipe, seen| async move {
        let head = crate::support::read_head(&mut pipe).await.unwrap();
        if head.starts_with("PUT") {
            write(&mut pipe, "HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno").await;
            silence(pipe).await;
        } else {
            write(&mut pipe, OK).await;
            while read_request(&mut pipe, number).await.is_some() {
                write(&mut pipe, OK).await;
            }
        }
        drop(seen);
    });
    let client = builder.build().unwrap();
    let endless = futures::stream::pending::<Result<bytes::Bytes, io::Error>>();
    let reply = client.put("/x").stream(endless, None).send().await.unwrap();
    assert_eq!(reply.status().as_u16(), 413);
    assert_eq!(reply.text().await.unwrap(), "no");
    assert_eq!(get(&client).await, "ok");
    assert_eq!(seen.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_served_to_one_who_leaves_goes_to_the_next() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.max_connections_per_origin(1).build().unwrap();
    let holder = client.get("/x").send().await.unwrap();
    let mut leaves = client.get("/x").send();
    let mut stays = Box::pin(get(&client));
    assert!(futures::poll!(&mut leaves).is_pending());
    assert!(futures::poll!(stays.as_mut()).is_pending());
    holder.bytes().await.unwrap();
    drop(leaves);
    assert_eq!(stays.await, "ok");
    assert_eq!(seen.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn everything_ends_with_the_client() {
    let (builder, open) = counting_open();
    let client = builder.build().unwrap();
    join_all((0..5).map(|_| get(&client))).await;
    assert_eq!(open.load(Ordering::SeqCst), 5);
    let reply = client.get("/x").send().await.unwrap();
    drop(client);
    settle().await;
    assert_eq!(reply.text().await.unwrap(), "ok");
    settle().await;
    assert_eq!(open.load(Ordering::SeqCst), 0);

    // A dial that is under way is cancelled as well.
    struct Gone(Arc<AtomicUsize>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let dialing = open.clone();
    let client = Client::builder()
        .limits(Limits::new().connect(None))
        .connector(move |_: &Origin| {
            dialing.fetch_add(1, Ordering::SeqCst);
            let gone = Gone(dialing.clone());
            async move {
                let _gone = gone;
                std::future::pending::<io::Result<DuplexStream>>().await
            }
        })
        .build()
        .unwrap();
    let request = tokio::spawn(client.get("http://a.test/").send());
    settle().await;
    assert_eq!(open.load(Ordering::SeqCst), 1);
    request.abort();
    drop(client);
    settle().await;
    assert_eq!(open.load(Ordering::SeqCst), 0);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn a_client_outlives_the_runtime_of_its_connections() {
    let servers = runtime();
    let server = servers.block_on(on_socket(|number, mut stream, _| async move {
        while read_request(&mut stream, number).await.is_some() {
            write(&mut stream, OK).await;
        }
    }));
    let client = Client::builder().no_proxy().base_url(&server.url).build().unwrap();
    for round in 1..=5 {
        let runtime = runtime();
        for _ in 0..3 {
            assert_eq!(runtime.block_on(get(&client)), "ok");
        }
        assert_eq!(server.seen.connections(), round);
    }
}

#[test]
fn a_connection_serves_requests_of_another_runtime_with_their_limits() {
    let servers = runtime();
    let server = servers.block_on(on_socket(|number, mut stream, _| async move {
        while let Some(request) = read_request(&mut stream, number).await {
            if request.line().contains("silent") {
                return silence(stream).await;
            }
            write(&mut stream, OK).await;
        }
    }));
    let client = Client::builder().no_proxy().base_url(&server.url).build().unwrap();
    let (first, second) = (runtime(), runtime());
    assert_eq!(first.block_on(get(&client)), "ok");
    assert_eq!(second.block_on(get(&client)), "ok");
    let request = client.get("/silent").limits(Limits::new().first_byte(Duration::from_millis(30)));
    let error = second.block_on(request.send()).unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(server.seen.connections(), 1);
}
