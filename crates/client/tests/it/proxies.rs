//! Tests of proxies: on loopback sockets, and in memory if time matters.

mod failures;
#[cfg(feature = "socks")]
mod socks;
mod tunnels;

use std::{
    io,
    sync::{Arc, Mutex},
};

use outbound_client::{
    Client, ClientBuilder, ConnectFailure, Connecting, Delivery, Error, Kind, Limit, Limits, Origin, Phase,
    Proxy, Version,
};
use rustls::{ClientConfig, RootCertStore, ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::support::{
    OK, Seen, Server, on_socket, read_head, read_request, secs, silence, with_length, write,
};

/// A proxy that answers each request itself, with a text that says so.
pub(crate) async fn forwarding() -> Server {
    on_socket(|number, mut stream, seen: Arc<Seen>| async move {
        while let Some(request) = read_request(&mut stream, number).await {
            seen.requests.lock().unwrap().push(request);
            write(&mut stream, with_length("200 OK", "proxied")).await;
        }
    })
    .await
}

/// The targets that a tunnelling proxy was asked for.
pub(crate) type Asked = Arc<Mutex<Vec<String>>>;

/// Answers `CONNECT`, and always opens the tunnel to a port on loopback.
async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, port: u16, asked: Asked) {
    let Some(head) = read_head(&mut stream).await else { return };
    asked.lock().unwrap().push(head);
    let mut onwards = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    write(&mut stream, "HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n").await;
    let _ = copy_bidirectional(&mut stream, &mut onwards).await;
}

pub(crate) async fn tunnelling(port: u16) -> (Server, Asked) {
    let asked = Asked::default();
    let shared = asked.clone();
    (on_socket(move |_, stream, _| tunnel(stream, port, shared.clone())).await, asked)
}

/// A certificate for `api.test` and `localhost`, and a client configuration that trusts it.
pub(crate) fn tls(alpn: &[&[u8]]) -> (TlsAcceptor, Arc<ClientConfig>) {
    let certified =
        rcgen::generate_simple_self_signed(["api.test".to_owned(), "localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    server.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let mut roots = RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server)), Arc::new(client))
}

/// An origin that speaks HTTP/1.1 over TLS.
async fn origin_over_tls(acceptor: TlsAcceptor) -> Server {
    on_socket(move |number, stream, seen: Arc<Seen>| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            while let Some(request) = read_request(&mut stream, number).await {
                seen.requests.lock().unwrap().push(request);
                write(&mut stream, OK).await;
            }
        }
    })
    .await
}

pub(crate) fn port(server: &Server) -> u16 {
    server.url.rsplit_once(':').unwrap().1.parse().unwrap()
}

async fn get(client: &Client, url: &str) -> Result<String, Error> {
    client.get(url).send().await?.text().await
}

/// An error and all its sources, as a log shows them.
fn chain(error: &Error) -> String {
    let mut text = format!("{error} | {error:?}");
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        text += &format!(" | {error}");
        next = error.source();
    }
    text
}

#[tokio::test]
async fn an_http_request_is_given_to_the_proxy_with_its_whole_url() {
    let proxy = forwarding().await;
    let url = proxy.url.replace("http://", "http://user:p%40ss@");
    let client = Client::builder().base_url("http://far-away.invalid/v1").proxy(url).build().unwrap();
    let reply = client.post("/x?a=b").body("abc").send().await.unwrap();
    let connection = reply.connection();
    assert!(connection.proxied);
    assert_eq!(connection.remote_addr.map(|address| address.port()), Some(port(&proxy)));
    assert_eq!(reply.text().await.unwrap(), "proxied");
    get(&client, "http://far-away.invalid:8080/").await.unwrap();
    get(&client, "http://far-away.invalid/y").await.unwrap();

    let requests = proxy.seen.requests();
    assert_eq!(requests[0].line(), "POST http://far-away.invalid/v1/x?a=b HTTP/1.1");
    assert_eq!(requests[0].header("host"), Some("far-away.invalid"));
    assert_eq!(requests[0].header("proxy-authorization"), Some("Basic dXNlcjpwQHNz"));
    assert_eq!(requests[0].body, b"abc");
    assert_eq!(requests[1].line(), "GET http://far-away.invalid:8080/ HTTP/1.1");
    assert_eq!(requests[1].header("host"), Some("far-away.invalid:8080"));
    assert_eq!(requests[2].line(), "GET http://far-away.invalid/y HTTP/1.1");
    assert_eq!(requests[2].connection, requests[0].connection);
}

/// A client whose connector is asked for a connection to the proxy, and records for what.
fn by_connector<F, Fut>(serve: F) -> (ClientBuilder, Arc<Mutex<Vec<String>>>)
where
    F: Fn(tokio::io::DuplexStream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let dialled = Arc::<Mutex<Vec<String>>>::default();
    let record = dialled.clone();
    let builder = Client::builder().connector(move |origin: &Origin| -> Connecting {
        record.lock().unwrap().push(origin.to_string());
        let (near, far) = tokio::io::duplex(4096);
        tokio::spawn(serve(far));
        Box::pin(async { Ok(near.into()) })
    });
    (builder, dialled)
}

#[tokio::test(start_paused = true)]
async fn a_connector_is_asked_for_the_proxy_and_a_silent_proxy_ends_with_the_limit() {
    let (builder, dialled) = by_connector(silence);
    let limits = Limits::new().connect(secs(3));
    let client = builder.proxy("http://proxy.test:3128").limits(limits).build().unwrap();
    let error = get(&client, "https://api.test/").await.unwrap_err();
    assert_eq!(error.limit(), Some((Limit::Connect, secs(3))));
    assert_eq!(
        error.to_string(),
        "the limit `connect` of 3s passed while connecting (https://api.test through http://proxy.test:3128)"
    );
    assert_eq!(*dialled.lock().unwrap(), ["http://proxy.test:3128"]);
}

#[tokio::test(start_paused = true)]
async fn the_exceptions_of_a_proxy_are_reached_without_it() {
    let (builder, dialled) = by_connector(|mut pipe| async move {
        while read_head(&mut pipe).await.is_some() {
            write(&mut pipe, OK).await;
        }
    });
    let proxy = Proxy::new("proxy.test").unwrap().except("direct.test, 10.0.0.0/8, a.test:8080");
    let client = builder.proxy(proxy).build().unwrap();
    for url in ["http://x.direct.test/", "http://10.1.2.3/", "http://a.test:8080/", "http://a.test/"] {
        get(&client, url).await.unwrap();
    }
    let expected = ["http://x.direct.test", "http://10.1.2.3", "http://a.test:8080", "http://proxy.test"];
    assert_eq!(*dialled.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_request_can_go_another_way_and_shares_no_connection_with_those_that_do_not() {
    let (proxy, other) = (forwarding().await, forwarding().await);
    let direct = on_socket(|number, mut stream, _| async move {
        while read_request(&mut stream, number).await.is_some() {
            write(&mut stream, OK).await;
        }
    })
    .await;
    let client = Client::builder().base_url(&direct.url).proxy(&*proxy.url).build().unwrap();
    let other_proxy = Proxy::new(&other.url).unwrap();
    for _ in 0..2 {
        assert_eq!(get(&client, "/").await.unwrap(), "proxied");
        let reply = client.get("/").no_proxy().send().await.unwrap();
        assert!(!reply.connection().proxied);
        assert_eq!(reply.text().await.unwrap(), "ok");
        let reply = client.get("/").proxy(&other_proxy).send().await.unwrap();
        assert_eq!(reply.text().await.unwrap(), "proxied");
    }
    assert_eq!([&proxy, &other, &direct].map(|server| server.seen.connections()), [1, 1, 1]);
    let shown: Vec<_> = client.snapshot().into_iter().map(|pool| (pool.proxy.is_some(), pool.idle)).collect();
    assert_eq!(shown.iter().filter(|pool| **pool == (true, 1)).count(), 2, "{shown:?}");
    assert_eq!(shown.iter().filter(|pool| **pool == (false, 1)).count(), 1, "{shown:?}");
}
