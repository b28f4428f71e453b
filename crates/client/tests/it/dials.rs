//! Tests: which requests wait for a dial, and what happens to it when they give up or it fails.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use outbound_client::{Client, Delivery, Kind, Origin, Phase};
use tokio::{
    io::DuplexStream,
    time::{Instant, sleep},
};

use crate::support::{OK, get, read_request, secs, settle, write};

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_strands_nobody_and_leaves_its_dial_to_the_pool() {
    let dials = Arc::new(AtomicUsize::new(0));
    let counted = dials.clone();
    let client = Client::builder()
        .base_url("http://a.test")
        .max_connections_per_origin(1)
        .connector(move |_: &Origin| {
            counted.fetch_add(1, Ordering::SeqCst);
            async {
                sleep(secs(5)).await;
                let (near, mut far) = tokio::io::duplex(4096);
                tokio::spawn(async move {
                    while read_request(&mut far, 0).await.is_some() {
                        write(&mut far, OK).await;
                    }
                });
                Ok::<DuplexStream, io::Error>(near)
            }
        })
        .build()
        .unwrap();
    let started = Instant::now();
    let first = tokio::spawn(client.get("/x").send());
    settle().await;
    let second = tokio::spawn({
        let client = client.clone();
        async move { get(&client).await }
    });
    settle().await;
    first.abort();
    assert_eq!(second.await.unwrap(), "ok");
    assert_eq!((started.elapsed(), dials.load(Ordering::SeqCst)), (secs(5), 1));

    // Nobody waits any more when the next dial ends, but its connection serves the next request.
    sleep(secs(100)).await;
    let third = tokio::spawn(client.get("/x").send());
    settle().await;
    third.abort();
    sleep(secs(6)).await;
    let started = Instant::now();
    assert_eq!(get(&client).await, "ok");
    assert_eq!((started.elapsed(), dials.load(Ordering::SeqCst)), (Duration::ZERO, 2));
}

#[tokio::test(start_paused = true)]
async fn a_failed_dial_makes_room_for_the_next() {
    let dials = Arc::new(AtomicUsize::new(0));
    let counted = dials.clone();
    let client = Client::builder()
        .base_url("http://a.test")
        .max_connections_per_origin(1)
        .connector(move |_: &Origin| {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                sleep(secs(1)).await;
                if number < 3 {
                    return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
                }
                let (near, mut far) = tokio::io::duplex(4096);
                tokio::spawn(async move {
                    while read_request(&mut far, 0).await.is_some() {
                        write(&mut far, OK).await;
                    }
                });
                Ok(near)
            }
        })
        .build()
        .unwrap();
    let get = || {
        let request = client.get("/x").send();
        async { request.await?.text().await }
    };
    let mut failed = 0;
    for result in join_all((0..5).map(|_| get())).await {
        match result {
            Ok(text) => assert_eq!(text, "ok"),
            Err(error) => {
                failed += 1;
                assert_eq!(
                    (error.kind(), error.phase(), error.delivery()),
                    (Kind::Connect, Phase::Connect, Delivery::NotSent)
                );
            }
        }
    }
    assert_eq!((failed, dials.load(Ordering::SeqCst)), (3, 4));
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_fails_its_request_and_nothing_else() {
    let client = Client::builder()
        .base_url("http://a.test")
        .max_connections_per_origin(1)
        .connector(|_: &Origin| async {
            tokio::task::yield_now().await;
            if true {
                panic!("on purpose");
            }
            Ok::<DuplexStream, io::Error>(tokio::io::duplex(1).0)
        })
        .build()
        .unwrap();
    for _ in 0..2 {
        let error = client.get("/x").send().await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (Kind::Connect, Delivery::NotSent));
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_dial_of_another_has_a_connect_limit_of_its_own() {
    // It is not known that the origin speaks HTTP/1.1, so all requests wait for one dial.
    let client = Client::builder()
        .base_url("https://a.test")
        .connector(|_: &Origin| std::future::pending::<io::Result<DuplexStream>>())
        .build()
        .unwrap();
    let started = Instant::now();
    let waits = [0, 4, 8].map(|delay| {
        let request = client.get("/x");
        async move {
            sleep(secs(delay)).await;
            let error = request.send().await.unwrap_err();
            (started.elapsed(), error.phase())
        }
    });
    let ended = join_all(waits).await;
    assert_eq!(ended, [10, 14, 18].map(|at| (secs(at), Phase::Connect)));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_answers_all_who_waited_for_the_dial() {
    let dials = Arc::new(AtomicUsize::new(0));
    let counted = dials.clone();
    let client = Client::builder()
        .base_url("https://a.test")
        .connector(move |_: &Origin| {
            counted.fetch_add(1, Ordering::SeqCst);
            async {
                sleep(secs(1)).await;
                Err::<DuplexStream, _>(io::Error::from(io::ErrorKind::ConnectionRefused))
            }
        })
        .build()
        .unwrap();
    let started = Instant::now();
    for result in join_all((0..20).map(|_| client.get("/x").send())).await {
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (Kind::Connect, Delivery::NotSent));
    }
    assert_eq!((started.elapsed(), dials.load(Ordering::SeqCst)), (secs(1), 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_with_shorter_limits_does_not_wait_for_a_dial_that_took_longer() {
    // Packets are dropped for 10 s. Earlier dials notice the end of this late, later dials at once.
    let started = Instant::now();
    let dials = Arc::new(AtomicUsize::new(0));
    let counted = dials.clone();
    let client = Client::builder()
        .base_url("http://a.test")
        .limits(outbound_client::Limits::new().connect(secs(60)))
        .connector(move |_: &Origin| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                sleep(if started.elapsed() < secs(10) { secs(50) } else { Duration::ZERO }).await;
                let (near, mut far) = tokio::io::duplex(4096);
                tokio::spawn(async move {
                    while read_request(&mut far, 0).await.is_some() {
                        write(&mut far, OK).await;
                    }
                });
                Ok::<DuplexStream, io::Error>(near)
            }
        })
        .build()
        .unwrap();
    let probe = || client.get("/x").change_limits(|limits| limits.connect(secs(3))).send();
    for count in 1..=3 {
        assert!(probe().await.unwrap_err().is_timeout());
        assert_eq!((started.elapsed(), dials.load(Ordering::SeqCst)), (secs(4 * count - 1), count as usize));
        sleep(secs(1)).await;
    }
    probe().await.unwrap().bytes().await.unwrap();
    assert_eq!((started.elapsed(), dials.load(Ordering::SeqCst)), (secs(12), 4));
    // A request with a longer limit waits for the dials that exist.
    sleep(secs(200)).await;
    assert!(format!("{client:?}").contains("dialing: 0"), "{client:?}");
}
