//! Tests: how long a connection is used. By the client's settings, by what the server says, and by what it was seen
//! to do.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use outbound_client::{Client, ClientBuilder, Delivery, Kind, Origin};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::support::{
    OK, Seen, answering, counting_open, draws, get, in_memory, on_socket, read_request, secs, settle, write,
};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_in_time_and_above_their_number() {
    let (builder, open) = counting_open();
    let client = builder.max_idle_per_origin(4).idle_timeout(secs(30)).build().unwrap();
    join_all((0..10).map(|_| get(&client))).await;
    settle().await;
    assert_eq!(open.load(Ordering::SeqCst), 4);
    sleep(secs(29)).await;
    assert_eq!(open.load(Ordering::SeqCst), 4);
    get(&client).await;
    sleep(secs(2)).await;
    settle().await;
    assert_eq!(open.load(Ordering::SeqCst), 1);
    sleep(secs(29)).await;
    settle().await;
    assert_eq!(open.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_servers_keep_alive_time_is_obeyed() {
    let (builder, seen) = answering(|_| {
        b"HTTP/1.1 200 OK\r\nkeep-alive: max=5, timeout=5\r\ncontent-length: 2\r\n\r\nok".to_vec()
    });
    let client = builder.build().unwrap();
    get(&client).await;
    sleep(Duration::from_millis(3900)).await;
    get(&client).await;
    assert_eq!(seen.connections(), 1);
    sleep(Duration::from_millis(4100)).await;
    get(&client).await;
    assert_eq!(seen.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_not_used() {
    let server = on_socket(|number, mut stream, seen| async move {
        let request = read_request(&mut stream, number).await;
        seen.requests.lock().unwrap().extend(request);
        write(&mut stream, OK).await;
    })
    .await;
    let client = Client::builder().no_proxy().base_url(&server.url).build().unwrap();
    for _ in 0..20 {
        assert_eq!(get(&client).await, "ok");
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server.seen.requests().len(), 20);
    assert_eq!(server.seen.connections(), 20);
}

#[tokio::test(start_paused = true)]
async fn connection_close_is_obeyed() {
    let (builder, seen) =
        answering(|_| b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok".to_vec());
    let client = builder.build().unwrap();
    get(&client).await;
    get(&client).await;
    assert_eq!(seen.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_keep_alive_header_that_makes_no_sense_changes_nothing() {
    for header in
        ["", "timeout", "timeout=", "timeout=-1", "timeout=99999999999", "max=3", "=,=,;", "timeout=x"]
    {
        let (builder, seen) = answering(move |_| {
            format!("HTTP/1.1 200 OK\r\nkeep-alive: {header}\r\ncontent-length: 2\r\n\r\nok").into_bytes()
        });
        let client = builder.build().unwrap();
        get(&client).await;
        sleep(secs(80)).await;
        get(&client).await;
        assert_eq!(seen.connections(), 1, "{header}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_past_its_lifetime_is_closed_but_never_under_a_request() {
    let open = Arc::new(AtomicUsize::new(0));
    let counted = open.clone();
    let (builder, seen) = in_memory(move |number, mut pipe, seen| {
        let open = counted.clone();
        async move {
            open.fetch_add(1, Ordering::SeqCst);
            while let Some(request) = read_request(&mut pipe, number).await {
                if request.line().contains("slow") {
                    sleep(secs(100)).await;
                }
                seen.requests.lock().unwrap().push(request);
                write(&mut pipe, OK).await;
            }
            open.fetch_sub(1, Ordering::SeqCst);
        }
    });
    let client = builder.max_lifetime(secs(60)).build().unwrap();
    get(&client).await;
    sleep(secs(59)).await;
    // Begun in time, and ended long after it.
    assert_eq!(client.get("/slow").send().await.unwrap().text().await.unwrap(), "ok");
    settle().await;
    assert_eq!((seen.connections(), open.load(Ordering::SeqCst)), (1, 0));
    // An idle connection is closed without another request.
    get(&client).await;
    sleep(secs(59)).await;
    assert_eq!(open.load(Ordering::SeqCst), 1);
    sleep(secs(2)).await;
    assert_eq!(open.load(Ordering::SeqCst), 0);
    get(&client).await;
    assert_eq!(seen.connections(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_connection_takes_its_number_of_requests() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.max_requests_per_connection(3).build().unwrap();
    for _ in 0..10 {
        get(&client).await;
    }
    let used: Vec<_> = seen.requests().iter().map(|request| request.connection).collect();
    assert_eq!(used, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_servers_last_request_is_the_last() {
    let left = AtomicUsize::new(1);
    let (builder, seen) = answering(move |_| {
        let left = 3_usize.saturating_sub(left.fetch_add(1, Ordering::SeqCst));
        format!("HTTP/1.1 200 OK\r\nkeep-alive: timeout=60, max={left}\r\ncontent-length: 2\r\n\r\nok")
            .into_bytes()
    });
    let client = builder.build().unwrap();
    for _ in 0..3 {
        get(&client).await;
    }
    assert_eq!(seen.connections(), 1);
    get(&client).await;
    assert_eq!(seen.connections(), 2);
}

/// A pipe on which every byte, and the end, takes `LAG` in each direction.
fn distant() -> (DuplexStream, DuplexStream) {
    let ((near, near_relay), (far_relay, far)) = (tokio::io::duplex(64 << 10), tokio::io::duplex(64 << 10));
    let (near_read, near_write) = tokio::io::split(near_relay);
    let (far_read, far_write) = tokio::io::split(far_relay);
    tokio::spawn(relay(near_read, far_write));
    tokio::spawn(relay(far_read, near_write));
    (near, far)
}

const LAG: Duration = millis(40);

async fn relay(mut from: impl AsyncReadExt + Unpin + Send + 'static, mut to: impl AsyncWriteExt + Unpin) {
    let (give, mut pieces) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let mut piece = vec![0; 4096];
            let read = from.read(&mut piece).await.unwrap_or(0);
            piece.truncate(read);
            if give.send((Instant::now() + LAG, piece)).is_err() || read == 0 {
                return;
            }
        }
    });
    while let Some((at, piece)) = pieces.recv().await {
        sleep_until(at).await;
        if piece.is_empty() || to.write_all(&piece).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

/// A server, two lags away, that closes a connection which was idle for `patience`.
fn impatient(patience: Duration, reply: &'static [u8]) -> (ClientBuilder, Arc<Seen>) {
    let seen = Arc::<Seen>::default();
    let on_connect = seen.clone();
    let builder = Client::builder().base_url("http://a.test").connector(move |_: &Origin| {
        let (near, mut far) = distant();
        let number = on_connect.connect();
        let seen = on_connect.clone();
        tokio::spawn(async move {
            while let Ok(Some(request)) = timeout(patience, read_request(&mut far, number)).await {
                seen.requests.lock().unwrap().push(request);
                write(&mut far, reply).await;
            }
        });
        async { Ok::<_, io::Error>(near) }
    });
    (builder, seen)
}

/// Sends numbered POSTs with pauses of about two seconds. Counts failures, and requests that arrived more than once.
async fn paced(client: &Client, seen: &Seen, count: usize, replayable: bool) -> (usize, usize) {
    let mut failures = 0;
    for number in 0..count {
        // The moment of closing is hit again and again: pauses from 1.84 s to 2.16 s, and some short ones.
        let draw = number.wrapping_mul(2_654_435_761) >> 7;
        sleep(if draw % 8 == 0 { millis(50) } else { millis(1840 + (draw % 321) as u64) }).await;
        let request = client.post("/x").body(number.to_string()).replayable(replayable);
        match request.send().await {
            Ok(reply) => assert_eq!(reply.text().await.unwrap(), "ok"),
            Err(error) => {
                assert_eq!((error.kind(), error.delivery()), (Kind::Closed, Delivery::MaybeSent));
                failures += 1;
            }
        }
    }
    let mut arrived: Vec<_> = seen.requests().into_iter().map(|request| request.body).collect();
    let all = arrived.len();
    arrived.sort_unstable();
    arrived.dedup();
    assert!(arrived.len() + failures >= count);
    (failures, all - arrived.len())
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_idle_connections_costs_no_more_than_it_takes_to_learn_when() {
    let (builder, seen) = impatient(secs(2), OK);
    let client = builder.build().unwrap();
    let (failures, twice) = paced(&client, &seen, 10_000, false).await;
    assert!(failures <= 3 && twice == 0, "{failures} failed, {twice} arrived twice");
    // Safe connections are still used.
    assert!(seen.connections() < 9_000, "{}", seen.connections());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_idle_connections_and_says_so_costs_none() {
    const HINT: &[u8] = b"HTTP/1.1 200 OK\r\nkeep-alive: timeout=2\r\ncontent-length: 2\r\n\r\nok";
    let (builder, seen) = impatient(secs(2), HINT);
    let client = builder.build().unwrap();
    assert_eq!(paced(&client, &seen, 10_000, false).await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_idle_connections_costs_none_that_may_be_replayed() {
    let (builder, seen) = impatient(secs(2), OK);
    let client = builder.build().unwrap();
    let (failures, twice) = paced(&client, &seen, 10_000, true).await;
    assert!(failures == 0 && twice <= 3, "{failures} failed, {twice} arrived twice");
}

#[tokio::test]
async fn a_server_on_a_socket_that_closes_idle_connections_costs_none_once_that_is_learned() {
    const PATIENCE: Duration = millis(1_200);
    let server = on_socket(|number, mut stream, seen| async move {
        while let Ok(Some(request)) = timeout(PATIENCE, read_request(&mut stream, number)).await {
            seen.requests.lock().unwrap().push(request);
            write(&mut stream, OK).await;
        }
    })
    .await;
    let clients = (0..32_u64).map(|_| {
        let client = Client::builder().no_proxy().base_url(&server.url).build().unwrap();
        async move {
            let mut failures = 0;
            // Three closings while nothing is sent; then a request at the same moment.
            for pause in [50, 50, 50, 50, 0, 1, 2].map(millis) {
                sleep(PATIENCE - millis(1) + pause).await;
                let reply = client.post("/x").body("1").send().await;
                failures += usize::from(reply.is_err());
                if let Ok(reply) = reply {
                    reply.bytes().await.unwrap();
                }
            }
            failures
        }
    });
    let failures = join_all(clients).await;
    assert!(failures.iter().all(|failures| *failures == 0), "{failures:?}");
    assert_eq!(server.seen.requests().len(), 32 * 7);
}

#[tokio::test(start_paused = true)]
async fn what_was_learned_is_overruled_by_a_connection_that_lives_longer() {
    // Closes the first three connections at 3 s, as if that were its limit, and keeps the others.
    let (builder, seen) = in_memory(|number, mut pipe, _| async move {
        let patience = if number < 3 { secs(3) } else { secs(3600) };
        while let Ok(Some(_)) = timeout(patience, read_request(&mut pipe, number)).await {
            write(&mut pipe, OK).await;
        }
    });
    let client = builder.build().unwrap();
    for _ in 0..3 {
        get(&client).await;
        sleep(secs(4)).await;
    }
    // Learned: two seconds at most. So requests at this pace need a new connection each time.
    for connections in 4..8 {
        get(&client).await;
        assert_eq!(seen.connections(), connections);
        sleep(secs(3)).await;
    }
    // The connection that was kept for observation has outlived the limit when the client closes it.
    sleep(secs(100)).await;
    for _ in 0..5 {
        get(&client).await;
        sleep(secs(30)).await;
    }
    assert_eq!(seen.connections(), 8);
}

#[tokio::test(start_paused = true)]
async fn two_ends_of_idle_connections_and_any_number_of_resets_teach_nothing() {
    // One request in two hundred is answered with the end of its connection, and two idle connections end at 2 s.
    let arrived = Arc::new(AtomicUsize::new(0));
    let counted = arrived.clone();
    let (builder, seen) = in_memory(move |number, mut pipe, _| {
        let arrived = counted.clone();
        async move {
            let patience = if number < 2 { secs(2) } else { secs(3600) };
            while let Ok(Some(_)) = timeout(patience, read_request(&mut pipe, number)).await {
                if arrived.fetch_add(1, Ordering::SeqCst) % 200 == 199 {
                    return;
                }
                sleep(millis(20)).await;
                write(&mut pipe, OK).await;
            }
        }
    });
    let client = builder.build().unwrap();
    let workers = (0..16_u64).map(|worker| {
        let client = &client;
        async move {
            let mut draw = draws(worker);
            for _ in 0..125 {
                sleep(millis(draw(4_000))).await;
                if let Ok(reply) = client.post("/x").body("1").send().await {
                    reply.bytes().await.unwrap();
                }
            }
        }
    });
    join_all(workers).await;
    assert_eq!(arrived.load(Ordering::SeqCst), 2_000);
    assert!(seen.connections() <= 32, "{}", seen.connections());
}

#[tokio::test(start_paused = true)]
async fn connections_too_old_to_be_used_do_not_pile_up_nor_stand_in_the_way() {
    let open = Arc::new(AtomicUsize::new(0));
    let counted = open.clone();
    let (builder, _) = in_memory(move |number, mut pipe, _| {
        let open = counted.clone();
        async move {
            open.fetch_add(1, Ordering::SeqCst);
            let patience = if number < 3 { secs(2) } else { secs(60) };
            while let Ok(Some(_)) = timeout(patience, read_request(&mut pipe, number)).await {
                write(&mut pipe, OK).await;
            }
            open.fetch_sub(1, Ordering::SeqCst);
        }
    });
    let client = builder.max_connections_per_origin(3).build().unwrap();
    for _ in 0..3 {
        get(&client).await;
        sleep(secs(3)).await;
    }
    for _ in 0..100 {
        get(&client).await;
        sleep(millis(1_100)).await;
        assert!(open.load(Ordering::SeqCst) <= 2, "one to look at, one that was just used");
    }
    // All three permits are free.
    join_all((0..3).map(|_| get(&client))).await;
}
