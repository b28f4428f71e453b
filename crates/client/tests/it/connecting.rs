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

/// A resolver that always gives these, and how often it was asked.
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

/// A pipe to a server that answers everything.
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
    // Nobody listens there: the server's port is taken on IPv4 only. Without IPv6 it fails as well.
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

/// Dials that take so long, and how many began.
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
    // The dial is there for the next, who has to wait for the rest of it only.
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
    // The second dial is there first and serves the first request; nobody waits for a place.
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

#[tokio::test(start_paused = true)]
async fn the_reply_tells_the_story_of_its_connection() {
    let (connector, _) = slow(secs(1));
    let client = Client::builder().base_url("http://api.test").connector(connector).build().unwrap();
    for n in 1..=3 {
        let reply = client.get("/x").send().await.unwrap();
        let connection = reply.connection();
        assert_eq!((connection.reused, connection.requests), (n > 1, n));
        assert_eq!(connection.age, secs(5 * (n - 1)));
        assert_eq!(connection.version, outbound_client::Version::HTTP_11);
        assert_eq!(connection.remote_addr, None);
        reply.text().await.unwrap();
        sleep(secs(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn timings_are_recorded_where_they_are_asked_for() {
    let client = Client::builder()
        .base_url("http://api.test")
        .max_connections_per_origin(1)
        .connector(|_: &Origin| async {
            sleep(secs(3)).await;
            let (near, mut far) = tokio::io::duplex(4096);
            tokio::spawn(async move {
                while read_request(&mut far, 0).await.is_some() {
                    sleep(secs(4)).await;
                    write(&mut far, OK).await;
                }
            });
            Ok(near)
        })
        .build()
        .unwrap();
    let get = async || {
        let reply = client.get("/x").timings(true).send().await.unwrap();
        let timings = reply.timings().unwrap();
        reply.text().await.unwrap();
        timings
    };
    let (first, second) = tokio::join!(get(), get());
    assert_eq!((first.pool_wait, first.connect), (secs(0), secs(3)));
    assert_eq!((first.upload, first.first_byte, first.total), (secs(0), secs(4), secs(7)));
    assert_eq!((first.dns, first.tls), (secs(0), secs(0)));
    assert_eq!((second.pool_wait, second.connect), (secs(7), secs(0)));
    assert_eq!((second.first_byte, second.total), (secs(4), secs(11)));

    // The stream takes 6 s; the server answers 4 s after its end.
    let pieces = futures::stream::unfold(0, |n| async move {
        sleep(secs(2)).await;
        (n < 2).then(|| (Ok::<_, io::Error>("piece".into()), n + 1))
    });
    let reply = client.post("/x").stream(pieces, None).timings(true).send().await.unwrap();
    let timings = reply.timings().unwrap();
    assert_eq!((timings.upload, timings.first_byte, timings.total), (secs(6), secs(4), secs(10)));
    assert_eq!((timings.pool_wait, timings.connect), (secs(0), secs(0)));
    reply.text().await.unwrap();

    assert_eq!(client.get("/x").send().await.unwrap().timings(), None);
}

#[tokio::test(start_paused = true)]
async fn a_client_can_ask_for_all_timings_and_a_request_for_none() {
    let (connector, _) = slow(secs(1));
    let client =
        Client::builder().base_url("http://api.test").connector(connector).timings(true).build().unwrap();
    let reply = client.get("/x").send().await.unwrap();
    assert_eq!(reply.timings().unwrap().total, secs(1));
    assert_eq!(client.get("/x").timings(false).send().await.unwrap().timings(), None);
}

/// When a request begins and how long it connects at most, in seconds.
type Plan = (u64, u64);

/// Runs requests over dials of these times, of which some refuse; what came of each: its time, its timings, its limit.
async fn run(
    http2: bool,
    max: Option<usize>,
    dials: Vec<(u64, bool)>,
    plans: Vec<Plan>,
) -> Vec<(Duration, Timings, Option<(Limit, Duration)>)> {
    let next = AtomicUsize::new(0);
    let builder = Client::builder().base_url("http://api.test").connector(move |_: &Origin| {
        let (time, works) = dials[next.fetch_add(1, Ordering::SeqCst) % dials.len()];
        async move {
            sleep(secs(time)).await;
            if !works {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            if !http2 {
                return Ok(pipe());
            }
            let (near, far) = tokio::io::duplex(4096);
            tokio::spawn(serve_http2(far, |_, mut respond: h2::server::SendResponse<_>| async move {
                respond.send_response(http::Response::new(()), true).unwrap();
            }));
            Ok(near)
        }
    });
    let builder = builder.max_connections_per_origin(max).timings(true);
    let client = if http2 { builder.http2_prior_knowledge() } else { builder }.build().unwrap();
    join_all(plans.into_iter().map(async |(begins, limit)| {
        sleep(secs(begins)).await;
        let started = Instant::now();
        match client.get("/x").limits(client.limits().connect(secs(limit))).send().await {
            Ok(reply) => {
                let (took, timings) = (started.elapsed(), reply.timings().unwrap());
                reply.bytes().await.unwrap();
                (took, timings, None)
            }
            Err(error) => (started.elapsed(), error.timings().unwrap(), error.limit()),
        }
    }))
    .await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whoever is served by which dial: the phases add up, connecting ends with the request's own limit and no later,
    /// and where connections have no maximum nobody waits for a place.
    #[test]
    fn every_wait_is_accounted_for(
        http2: bool,
        max in prop::option::of(1..4_usize),
        dials in prop::collection::vec((0..20_u64, prop::bool::weighted(0.8)), 1..6),
        plans in prop::collection::vec((0..20_u64, 1..15_u64), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let outcomes = runtime.block_on(run(http2, max, dials, plans.clone()));
        for ((took, timings, limit), (_, own)) in outcomes.into_iter().zip(plans) {
            let parts = timings.pool_wait + timings.connect + timings.upload + timings.first_byte;
            prop_assert_eq!((parts, timings.total), (took, took), "{:?}", timings);
            prop_assert!(timings.connect <= secs(own), "{:?} of {}", timings, own);
            prop_assert!(limit.is_none_or(|limit| limit == (Limit::Connect, timings.connect)), "{:?}", limit);
            prop_assert!(max.is_some() || timings.pool_wait.is_zero(), "{:?}", timings);
        }
    }
}

#[cfg(unix)]
mod unix {
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_unix_socket_is_what_all_requests_go_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("daemon.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = tokio::spawn(async move {
            let mut hosts = Vec::new();
            for number in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream, number).await.unwrap();
                hosts.push(request.header("host").unwrap().to_owned());
                write(&mut stream, OK).await;
            }
            hosts
        });
        let client = Client::builder().base_url("http://daemon").unix_socket(&path).build().unwrap();
        for url in ["/info", "http://127.0.0.1:1/x"] {
            let reply = client.get(url).send().await.unwrap();
            assert_eq!(reply.connection().remote_addr, None);
            assert_eq!(reply.text().await.unwrap(), "ok");
        }
        assert_eq!(server.await.unwrap(), ["daemon", "127.0.0.1:1"]);
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nobody.sock");
        let client = Client::builder().base_url("http://daemon").unix_socket(path).build().unwrap();
        let error = client.get("/x").send().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.phase(), error.delivery()),
            (Kind::Connect, Phase::Connect, Delivery::NotSent)
        );
    }
}
