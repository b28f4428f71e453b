//! The connections of the client: phases and their limits, the pool, HTTP/2, TLS, proxies, and addresses that are not to be
//! reached.
//!
//! ```sh
//! cargo run --example http_connections
//! ```
//!
//! It talks to servers of its own on the loopback interface, in real time.

use std::{
    future::pending,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use futures::future::try_join_all;
use outbound::{
    Client,
    client::{
        ConnectFailure, Delivery, EgressPolicy, Error, Kind, Limit, Limits, Phase, Proxy, Version,
        rustls::ProtocolVersion,
    },
};
use outbound_examples::{EchoServer, Result, heading};
use serde_json::Value;
use tokio::time::sleep;

#[tokio::main]
async fn main() -> Result {
    let server = EchoServer::start().await?;
    timings(&server).await?;
    phase_limits().await?;
    pool(&server).await?;
    http2(&server).await?;
    tls().await?;
    proxy(&server).await?;
    egress(&server).await
}

async fn timings(server: &EchoServer) -> Result {
    heading("Where the time went");
    // A name that only this program knows.
    let address: SocketAddr = server.url().trim_start_matches("http://").parse()?;
    let client = Client::builder()
        .base_url("http://echo.test")
        .resolver(move |_: &str, _: u16| async move {
            sleep(Duration::from_millis(20)).await;
            Ok(vec![address])
        })
        .timings(true)
        .build()?;
    for round in 1..=2 {
        let reply = client.get("/chunks").send().await?;
        let (timings, connection) = (reply.timings().ok_or("they were asked for")?, reply.connection());
        println!("name {:?}, TCP {:?}, first byte {:?}", timings.dns, timings.connect, timings.first_byte);
        println!("  over {:?}, request {} of its connection", connection.version, connection.requests);
        assert_eq!((connection.reused, connection.remote_addr), (round == 2, Some(address)));
        assert_eq!(timings.dns >= Duration::from_millis(20), round == 1);
        assert!(timings.dns + timings.connect + timings.first_byte <= timings.total);
        reply.bytes().await?;
    }
    server.take_connections();
    Ok(())
}

async fn phase_limits() -> Result {
    heading("Each phase has a limit of its own, and its error names it");
    let soon = Duration::from_millis(50);
    // It takes connections and says nothing, not even for TLS.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let address = silent.local_addr()?;
    let client = Client::builder().limits(Limits::new().dns(soon).tls(soon).first_byte(soon)).build()?;
    for (scheme, limit, delivery) in
        [("https", Limit::Tls, Delivery::NotSent), ("http", Limit::FirstByte, Delivery::MaybeSent)]
    {
        let url = format!("{scheme}://{address}/");
        let error = client.get(&url).send().await.err().ok_or("nobody answers")?;
        println!("{error}; delivery: {:?}", error.delivery());
        assert_eq!((error.limit(), error.delivery()), (Some((limit, soon)), delivery));
    }

    let lost = Client::builder().resolver(|_: &str, _: u16| pending()).limits(client.limits()).build()?;
    let error = lost.get("http://echo.test/").send().await.err().ok_or("the name is never found")?;
    println!("{error}; delivery: {:?}", error.delivery());
    assert_eq!((error.phase(), error.delivery()), (Phase::Dns, Delivery::NotSent));
    Ok(())
}

async fn pool(server: &EchoServer) -> Result {
    heading("The pool: opened early, bounded, renewed, looked at, let go");
    server.take_connections();
    let client = Client::builder()
        .base_url(server.url())
        .max_connections_per_origin(4)
        .idle_timeout(Duration::from_secs(30))
        .max_lifetime(Duration::from_secs(600))
        .build()?;
    // The first requests find connections that are open.
    client.warm_up("/", 3).await?;
    let replies =
        try_join_all((0..20).map(|_| async { client.get("/chunks").send().await?.bytes().await })).await?;
    println!("{} replies over {} connections", replies.len(), server.take_connections());
    for pool in client.snapshot() {
        println!("{} idle, {} busy, {} waiting", pool.idle, pool.busy, pool.waiting);
        assert_eq!((pool.idle, pool.busy), (4, 0));
    }
    // `drain` lets these connections go, and new requests get new ones. `close` is for good.
    client.drain().await;
    client.get("/echo").send().await?.bytes().await?;
    println!("after a drain: {} new connection", server.take_connections());
    client.close().await;
    let error = client.get("/echo").send().await.err().ok_or("it is closed")?;
    println!("after a close: {error}; delivery: {:?}", error.delivery());
    assert_eq!(error.kind(), Kind::ClientClosed);
    Ok(())
}

async fn http2(server: &EchoServer) -> Result {
    heading("HTTP/2: many requests over one connection");
    // Over TLS the two sides agree on the version by themselves (ALPN); in the clear one has to know.
    let client = Client::builder().base_url(server.url()).http2_prior_knowledge().build()?;
    let versions = try_join_all((0..20).map(|_| async {
        let reply = client.get("/chunks").send().await?;
        let version = reply.version();
        reply.bytes().await?;
        Ok::<_, Error>(version)
    }));
    let versions = versions.await?;
    let dialled = server.take_connections();
    println!("20 replies of 100 ms, {:?}: {dialled} connection", versions[0]);
    assert!(versions.iter().all(|version| *version == Version::HTTP_2) && dialled == 1);
    Ok(())
}

async fn tls() -> Result {
    heading("TLS: an authority of one's own");
    let (server, certificate) = EchoServer::start_tls().await?;
    let client = Client::builder()
        .base_url(server.url())
        // Nothing else is trusted: no certificate of the system's.
        .add_root_pem(&certificate)
        .only_added_roots()
        .min_tls_version(ProtocolVersion::TLSv1_3)
        .build()?;
    let reply = client.get("/echo").send().await?;
    println!("{} over {:?}", reply.status(), reply.version());
    // Both sides have agreed on HTTP/2 in the handshake.
    assert_eq!(reply.version(), Version::HTTP_2);

    let other = EchoServer::start_tls().await?.0;
    let error = client.get(&format!("{}/echo", other.url())).send().await.err().ok_or("it is not trusted")?;
    println!("another certificate: {error}; delivery: {:?}", error.delivery());
    assert_eq!(error.connect_failure(), Some(ConnectFailure::Certificate));
    Ok(())
}

async fn proxy(server: &EchoServer) -> Result {
    heading("Through a proxy");
    // The server stands in for one: it is given requests with their whole URL, whatever host they name. Without a word
    // about it, a client asks the environment (`http_proxy`, `no_proxy`).
    let proxy = Proxy::new(server.url())?.basic_auth("user", "a-password")?.except("127.0.0.1");
    let client = Client::builder().proxy(proxy).build()?;
    let reply = client.get("http://far.test/echo").send().await?;
    assert!(reply.connection().proxied && reply.remote_addr().is_none());
    let seen: Value = reply.json().await?;
    println!("the proxy was asked for {} of {}", seen["path"], seen["headers"]["host"]);
    assert_eq!(seen["headers"]["host"], "far.test");
    assert!(seen["headers"]["proxy-authorization"].as_str().is_some_and(|user| user.starts_with("Basic ")));

    let reply = client.get(&format!("{}/echo", server.url())).send().await?;
    println!("an exception is reached without the proxy: {:?}", reply.remote_addr());
    assert!(!reply.connection().proxied);
    Ok(())
}

async fn egress(server: &EchoServer) -> Result {
    heading("Where requests may not go: for URLs that others choose");
    let client = Client::builder().egress(EgressPolicy::public_only().deny_ports([25])).build()?;
    // The address counts, and not the name: here the server is in this machine's own network.
    let error = client.get(&format!("{}/echo", server.url())).send().await.err().ok_or("it is private")?;
    println!("{error}; delivery: {:?}", error.delivery());
    assert_eq!(error.connect_failure(), Some(ConnectFailure::NotAllowed));
    Ok(())
}
