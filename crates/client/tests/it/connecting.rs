//! Tests: opening connections. Resolvers, several addresses, limits of dials, and how long each phase took.

mod timings;
#[cfg(unix)]
mod unix;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use outbound_client::{
    Client, ConnectFailure, Connecting, Delivery, Kind, Limit, Limits, Origin, Phase, Resolving, Timings,
};
use proptest::prelude::*;
use tokio::{
    io::DuplexStream,
    net::TcpListener,
    time::{Instant, sleep},
};

use crate::support::{OK, Server, on_socket, read_request, secs, serve_http2, silence, write};

/// Answers every request, each on a connection of its own.
async fn server() -> Server {
    on_socket(|number, mut stream, seen| async move {
        let request = read_request(&mut stream, number).await;
        seen.requests.lock().unwrap().extend(request);
        write(&mut stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await;
    })
    .await
}

fn address_of(server: &Server) -> SocketAddr {
    server.url.trim_start_matches("http://").parse().unwrap()
}

/// A resolver that always gives these addresses, and how often it was asked.
fn always(addresses: Vec<SocketAddr>) -> (impl Fn(&str, u16) -> Resolving, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let resolver = move |_: &str, _: u16| -> Resolving {
        counted.fetch_add(1, Ordering::SeqCst);
        let addresses = addresses.clone();
        Box::pin(async move {
            sleep(Duration::from_millis(20)).await;
            Ok(addresses)
        })
    };
    (resolver, asked)
}

/// A pipe to a server that answers every request.
fn pipe() -> DuplexStream {
    let (near, mut far) = tokio::io::duplex(4096);
    tokio::spawn(async move {
        while read_request(&mut far, 0).await.is_some() {
            write(&mut far, OK).await;
        }
    });
    near
}

#[tokio::test]
async fn a_drained_client_looks_its_names_up_again() {
    let server = server().await;
    let (resolver, asked) = always(vec![address_of(&server)]);
    let client = Client::builder().no_proxy().base_url("http://api.test").resolver(resolver).build().unwrap();
    let send = async || client.get("/x").send().await.unwrap().text().await.unwrap();
    send().await;
    send().await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    client.drain().await;
    send().await;
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_resolver_says_where_a_name_leads_and_is_asked_once_for_a_burst_and_after_it() {
    let server = server().await;
    let (resolver, asked) = always(vec![address_of(&server)]);
    let client = Client::builder().no_proxy().base_url("http://api.test").resolver(resolver).build().unwrap();
    for reply in join_all((0..20).map(|_| client.get("/x").send())).await {
        let reply = reply.unwrap();
        assert_eq!(reply.connection().remote_addr, Some(address_of(&server)));
        assert_eq!(reply.text().await.unwrap(), "ok");
    }
    client.get("/x").send().await.unwrap().text().await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(server.seen.connections(), 21);
    assert!(server.seen.requests().iter().all(|request| request.header("host") == Some("api.test")));
}

#[tokio::test]
async fn an_address_that_refuses_is_passed_over() {
    let server = server().await;
    let works = address_of(&server);
    // Nothing listens there: the server's port is used on IPv4 only. Without IPv6 it fails as well.
    let refuses = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], works.port()));
    let (resolver, _) = always(vec![refuses, works]);
    let client = Client::builder().no_proxy().base_url("http://api.test").resolver(resolver).build().unwrap();
    let reply = client.get("/x").send().await.unwrap();
    assert_eq!(reply.connection().remote_addr, Some(works));
}

#[tokio::test]
async fn addresses_that_all_refuse_are_counted_and_not_kept() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (resolver, asked) = always(vec![closed, closed, closed]);
    let client = Client::builder().no_proxy().base_url("http://api.test").resolver(resolver).build().unwrap();
    for round in 1..=2 {
        let error = client.get("/x").send().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.phase(), error.delivery()),
            (Kind::Connect, Phase::Connect, Delivery::NotSent)
        );
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.to_string().starts_with("none of 3 addresses"), "{source}");
        assert!(source.source().unwrap().to_string().contains("refused"), "{source:?}");
        assert_eq!(asked.load(Ordering::SeqCst), round);
    }
}

#[tokio::test]
async fn a_host_that_is_an_address_is_not_looked_up() {
    let server = server().await;
    let (resolver, asked) = always(vec![]);
    let client = Client::builder().no_proxy().base_url(&server.url).resolver(resolver).build().unwrap();
    client.get("/x").send().await.unwrap().text().await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_hangs_or_fails_says_so() {
    let hangs = |_: &str, _: u16| std::future::pending::<io::Result<Vec<SocketAddr>>>();
    let client = Client::builder().no_proxy().base_url("http://api.test").resolver(hangs).build().unwrap();
    let started = Instant::now();
    let error = client.get("/x").send().await.unwrap_err();
    assert_eq!(started.elapsed(), secs(10));
    assert_eq!(error.limit(), Some((Limit::Dns, secs(10))));
    assert_eq!((error.phase(), error.delivery()), (Phase::Dns, Delivery::NotSent));
    assert_eq!(
        error.to_string(),
        "the limit `dns` of 10s passed while looking up the name (http://api.test)"
    );

    let fails = |_: &str, _: u16| async { Err(io::Error::other("no server answered")) };
    let client = Client::builder().no_proxy().base_url("http://api.test").resolver(fails).build().unwrap();
    let error = client.get("/x").send().await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (Kind::Connect, Phase::Dns));
    assert_eq!(error.to_string(), "no connection: the name could not be looked up (http://api.test)");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no server answered");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_hangs_ends_with_the_tls_limit_whatever_connecting_took() {
    let client = Client::builder()
        .base_url("https://api.test")
        .limits(Limits::new().connect(secs(10)).tls(secs(3)))
        .connector(|_: &Origin| async {
            sleep(secs(9)).await;
            let (near, far) = tokio::io::duplex(4096);
            tokio::spawn(silence(far));
            Ok(near)
        })
        .build()
        .unwrap();
    let started = Instant::now();
    let error = client.get("/x").timings(true).send().await.unwrap_err();
    assert_eq!(started.elapsed(), secs(12));
    assert_eq!(error.limit(), Some((Limit::Tls, secs(3))));
    assert_eq!((error.phase(), error.delivery()), (Phase::Tls, Delivery::NotSent));
    assert_eq!(error.connect_failure(), Some(ConnectFailure::TimedOut));
    let timings = error.timings().unwrap();
    assert_eq!((timings.connect, timings.tls, timings.total), (secs(9), secs(3), secs(12)));
}

#[tokio::test(start_paused = true)]
async fn a_request_leaves_in_time_a_stage_that_it_was_not_told_of() {
    let client = Client::builder()
        .base_url("https://api.test")
        .connector(|_: &Origin| async {
            sleep(secs(5)).await;
            let (near, far) = tokio::io::duplex(4096);
            tokio::spawn(silence(far));
            Ok(near)
        })
        .build()
        .unwrap();
    let started = Instant::now();
    let error = client.get("/x").limits(client.limits().tls(secs(2))).send().await.unwrap_err();
    assert_eq!((started.elapsed(), error.limit()), (secs(7), Some((Limit::Tls, secs(2)))));
}

#[tokio::test(start_paused = true)]
async fn a_span_that_ends_in_a_dial_names_its_stage() {
    let client = Client::builder()
        .base_url("https://api.test")
        .limits(Limits::new().total(secs(9)))
        .connector(|_: &Origin| async {
            sleep(secs(8)).await;
            let (near, far) = tokio::io::duplex(4096);
            tokio::spawn(silence(far));
            Ok(near)
        })
        .build()
        .unwrap();
    let error = client.get("/x").send().await.unwrap_err();
    assert_eq!((error.limit(), error.phase()), (Some((Limit::Total, secs(9))), Phase::Tls));
}

/// Dials that take this long, and how many of them began.
fn slow(time: Duration) -> (impl Fn(&Origin) -> Connecting, Arc<AtomicUsize>) {
    let dials = Arc::new(AtomicUsize::new(0));
    let counted = dials.clone();
    let connector = move |_: &Origin| -> Connecting {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            sleep(time).await;
            Ok(pipe().into())
        })
    };
    (connector, dials)
}

#[tokio::test(start_paused = true)]
async fn a_request_leaves_a_dial_at_its_own_limit_and_the_dial_goes_on() {
    let (connector, dials) = slow(secs(5));
    let client = Client::builder().base_url("http://api.test").connector(connector).build().unwrap();
    let started = Instant::now();
    let error = client.get("/x").limits(client.limits().connect(secs(2))).send().await.unwrap_err();
    assert_eq!((started.elapsed(), error.limit()), (secs(2), Some((Limit::Connect, secs(2)))));
    // The next request uses the same dial, and waits only for the rest of it.
    let reply = client.get("/x").timings(true).send().await.unwrap();
    assert_eq!((started.elapsed(), dials.load(Ordering::SeqCst)), (secs(5), 1));
    let timings = reply.timings().unwrap();
    assert_eq!((timings.pool_wait, timings.connect, timings.total), (secs(0), secs(3), secs(3)));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_has_more_patience_than_the_client_gets_it() {
    let (connector, dials) = slow(secs(15));
    let client = Client::builder().base_url("http://api.test").connector(connector).build().unwrap();
    let patient = client.limits().connect(secs(30));
    let started = Instant::now();
    let (patient, default) = tokio::join!(client.get("/x").limits(patient).send(), client.get("/x").send());
    assert_eq!(patient.unwrap().status().as_u16(), 200);
    assert_eq!(default.unwrap_err().limit(), Some((Limit::Connect, secs(10))));
    assert_eq!(started.elapsed(), secs(15));
    assert_eq!(dials.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn who_gives_its_connection_to_one_in_front_has_the_dial_of_that_one() {
    // The second dial is ready first and serves the first request. No request waits for a permit.
    let dials = AtomicUsize::new(0);
    let client = Client::builder()
        .base_url("http://api.test")
        .limits(Limits::new().pool_wait(secs(1)).connect(secs(9)))
        .connector(move |_: &Origin| {
            let time = if dials.fetch_add(1, Ordering::SeqCst) == 0 { secs(8) } else { secs(1) };
            async move {
                sleep(time).await;
                Ok(pipe())
            }
        })
        .build()
        .unwrap();
    let get = || client.get("/x").timings(true).send();
    let replies = tokio::try_join!(get(), get()).unwrap();
    let (first, second) = (replies.0.timings().unwrap(), replies.1.timings().unwrap());
    assert_eq!((first.pool_wait, first.connect), (secs(0), secs(1)));
    assert_eq!((second.pool_wait, second.connect), (secs(0), secs(8)));
}
