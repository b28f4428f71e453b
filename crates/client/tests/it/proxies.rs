//! Proxies on loopback sockets, and in memory where time counts.

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

/// What a tunnelling proxy was asked for.
pub(crate) type Asked = Arc<Mutex<Vec<String>>>;

/// Answers `CONNECT` and carries bytes to a port on loopback, whatever it was asked for.
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

/// A certificate for `api.test` and `localhost`, and a client's configuration that trusts it.
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

/// An origin that speaks TLS, and HTTP/1.1 inside it.
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

/// An error and all that caused it, as a log shows them.
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

#[tokio::test]
async fn an_https_request_goes_through_a_tunnel_that_does_not_show_it() {
    let (acceptor, config) = tls(&[]);
    let origin = origin_over_tls(acceptor).await;
    let (proxy, asked) = tunnelling(port(&origin)).await;
    let proxy = Proxy::new(&proxy.url).unwrap().basic_auth("user", "canary").unwrap();
    let client = Client::builder().tls_config(config).proxy(proxy).build().unwrap();
    for _ in 0..3 {
        assert_eq!(get(&client, "https://api.test/x").await.unwrap(), "ok");
    }
    let asked = asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        [
            "CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\nProxy-Authorization: Basic dXNlcjpjYW5hcnk=\r\n\r\n"
        ]
    );
    let requests = origin.seen.requests();
    assert_eq!((requests.len(), requests[0].line()), (3, "GET /x HTTP/1.1"));
    assert!(requests.iter().all(|request| request.header("proxy-authorization").is_none()));
}

#[tokio::test]
async fn http2_is_agreed_on_through_a_tunnel() {
    let (acceptor, config) = tls(&[b"h2"]);
    let origin = on_socket(move |_, stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let answer = |_, mut respond: h2::server::SendResponse<bytes::Bytes>| async move {
                let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
                stream.send_data("ok".into(), true).unwrap();
            };
            crate::support::serve_http2(stream, answer).await;
        }
    })
    .await;
    let (proxy, asked) = tunnelling(port(&origin)).await;
    let client = Client::builder().tls_config(config).proxy(&*proxy.url).build().unwrap();
    let replies = futures::future::join_all((0..20).map(|_| client.get("https://api.test/").send())).await;
    for reply in replies {
        let reply = reply.unwrap();
        assert!(reply.connection().proxied);
        assert_eq!(reply.version(), Version::HTTP_2);
    }
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn http2_in_the_clear_goes_through_a_tunnel_too() {
    let origin = on_socket(|_, stream, _| async move {
        let answer = |request: http::Request<h2::RecvStream>,
                      mut respond: h2::server::SendResponse<bytes::Bytes>| async move {
            assert_eq!(request.uri(), "http://api.test/x");
            assert!(request.headers().get("proxy-authorization").is_none());
            let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
            stream.send_data("ok".into(), true).unwrap();
        };
        crate::support::serve_http2(stream, answer).await;
    })
    .await;
    let (proxy, asked) = tunnelling(port(&origin)).await;
    let url = proxy.url.replace("http://", "http://user:canary@");
    let client = Client::builder().http2_prior_knowledge().proxy(url).build().unwrap();
    for _ in 0..2 {
        assert_eq!(get(&client, "http://api.test/x").await.unwrap(), "ok");
    }
    assert_eq!(asked.lock().unwrap().len(), 1);
    assert!(asked.lock().unwrap()[0].starts_with("CONNECT api.test:80 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_proxy_that_speaks_tls_carries_tls() {
    let (acceptor, config) = tls(&[]);
    let origin = origin_over_tls(acceptor.clone()).await;
    let asked = Asked::default();
    let (shared, to) = (asked.clone(), port(&origin));
    let proxy = on_socket(move |number, stream, seen: Arc<Seen>| {
        let (acceptor, asked) = (acceptor.clone(), shared.clone());
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            if number == 0 {
                return tunnel(stream, to, asked).await;
            }
            while let Some(request) = read_request(&mut stream, number).await {
                seen.requests.lock().unwrap().push(request);
                write(&mut stream, OK).await;
            }
        }
    })
    .await;
    let url = format!("https://localhost:{}", port(&proxy));
    let client = Client::builder().tls_config(config).proxy(url).build().unwrap();
    assert_eq!(get(&client, "https://api.test/x").await.unwrap(), "ok");
    assert!(asked.lock().unwrap()[0].starts_with("CONNECT api.test:443 HTTP/1.1\r\n"));
    assert_eq!(origin.seen.requests()[0].line(), "GET /x HTTP/1.1");
    // Without TLS to the origin, the proxy is given the request itself, over TLS.
    assert_eq!(get(&client, "http://api.test/y").await.unwrap(), "ok");
    assert_eq!(proxy.seen.requests()[0].line(), "GET http://api.test/y HTTP/1.1");
}

#[tokio::test]
async fn a_proxy_whose_certificate_nobody_trusts_gets_nothing() {
    let (acceptor, _) = tls(&[]);
    let (_, other) = tls(&[]);
    let proxy = origin_over_tls(acceptor).await;
    let url = format!("https://user:canary@localhost:{}", port(&proxy));
    let client = Client::builder().tls_config(other).proxy(url).build().unwrap();
    let error = get(&client, "http://api.test/").await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Connect, Delivery::NotSent));
    assert_eq!(error.connect_failure(), Some(ConnectFailure::Certificate));
    assert!(
        chain(&error).contains("the TLS handshake with the proxy https://localhost:"),
        "{}",
        chain(&error)
    );
    assert!(!chain(&error).contains("canary"));
    assert!(proxy.seen.requests().is_empty());
}

#[tokio::test]
async fn a_refusal_names_the_proxy_and_its_status() {
    let table = [
        (
            "HTTP/1.1 407 Proxy Authentication Required",
            ConnectFailure::ProxyRefused,
            "407 Proxy Authentication Required",
        ),
        ("HTTP/1.1 403 No", ConnectFailure::ProxyRefused, "answered CONNECT with 403 Forbidden"),
        ("HTTP/1.1 502 Bad Gateway", ConnectFailure::Unreachable, "answered CONNECT with 502 Bad Gateway"),
        ("HTTP/1.0 504 x", ConnectFailure::TimedOut, "504 Gateway Timeout"),
        ("HTTP/1.1 500 x", ConnectFailure::Other, "500"),
        ("SSH-2.0-OpenSSH", ConnectFailure::Other, "not HTTP/1.1"),
        ("HTTP/1.1 x", ConnectFailure::Other, "has no status"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No", ConnectFailure::ProxyRefused, "403 Forbidden"),
    ];
    for (answer, failure, text) in table {
        let proxy = on_socket(move |_, mut stream, _| async move {
            read_head(&mut stream).await;
            write(&mut stream, format!("{answer}\r\ncontent-length: 6\r\n\r\ncanary")).await;
            silence(stream).await;
        })
        .await;
        let url = proxy.url.replace("http://", "http://canary:canary@");
        let client = Client::builder().proxy(url).build().unwrap();
        let error = get(&client, "https://api.test/?canary").await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (Kind::Connect, Phase::Connect), "{answer}");
        assert_eq!(error.delivery(), Delivery::NotSent);
        assert_eq!(error.connect_failure(), Some(failure), "{answer}");
        assert_eq!(error.proxy().unwrap().to_string(), proxy.url);
        let shown = chain(&error);
        assert!(shown.contains(text) && shown.contains(&proxy.url) && !shown.contains("canary"), "{shown}");
        assert!(shown.contains("https://api.test through http://127.0.0.1:"), "{shown}");
    }
}

#[tokio::test]
async fn an_endless_or_cut_answer_to_connect_is_an_error() {
    for endless in [true, false] {
        let proxy = on_socket(move |_, mut stream, _| async move {
            read_head(&mut stream).await;
            write(&mut stream, "HTTP/1.1 200 OK\r\n").await;
            while endless && stream.write_all(&[b'a'; 4096]).await.is_ok() {}
        })
        .await;
        let client = Client::builder().proxy(&*proxy.url).build().unwrap();
        let error = get(&client, "https://api.test/").await.unwrap_err();
        let (failure, text) = if endless {
            (ConnectFailure::Other, "longer than 64 KiB")
        } else {
            (ConnectFailure::Handshake, "no connection to the proxy")
        };
        assert_eq!((error.connect_failure(), error.delivery()), (Some(failure), Delivery::NotSent));
        assert!(chain(&error).contains(text), "{}", chain(&error));
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in ["http://api.test/", "https://api.test/"] {
        let client = Client::builder().proxy(format!("http://{free}")).build().unwrap();
        let error = get(&client, url).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (Kind::Connect, Delivery::NotSent));
        assert_eq!(error.connect_failure(), Some(ConnectFailure::Refused));
        assert!(
            chain(&error).contains(&format!("no connection to the proxy http://{free}")),
            "{}",
            chain(&error)
        );
    }
    let nowhere = |_: &str, _: u16| async { Err(io::Error::from(io::ErrorKind::NotFound)) };
    let client = Client::builder().resolver(nowhere).proxy("http://proxy.test:3128").build().unwrap();
    let error = get(&client, "http://127.0.0.1/").await.unwrap_err();
    assert_eq!((error.phase(), error.connect_failure()), (Phase::Dns, Some(ConnectFailure::NameNotFound)));
    assert!(chain(&error).contains("proxy http://proxy.test:3128"), "{}", chain(&error));
}

/// A client whose connector is asked for the proxy, and records for what.
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

#[test]
fn what_cannot_be_a_proxy_is_said_when_building_and_no_debug_shows_the_password() {
    let error = Client::builder().proxy("gopher://u:canary@p").build().unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(!chain(&error).contains("canary"));
    let builder = || Client::builder().proxy("http://canary:canary@p");
    let client = builder().build().unwrap();
    let request = client.get("http://a.test/");
    for shown in [format!("{:?}", builder()), format!("{client:?}"), format!("{request:?}")] {
        assert!(!shown.contains("canary"), "{shown}");
    }
    assert!(format!("{:?}", builder()).contains("Proxy(http://p)"));
}

#[cfg(feature = "socks")]
mod socks {
    use std::net::SocketAddr;

    use outbound_client::EgressPolicy;
    use tokio::io::AsyncReadExt;

    use super::*;

    /// A SOCKS server that wants a user or none, answers with a code, and carries bytes to a port on loopback.
    async fn socks(user: Option<(&'static str, &'static str)>, code: u8, to: u16) -> (Server, Asked) {
        let asked = Asked::default();
        let shared = asked.clone();
        let server = on_socket(move |_, mut stream, _| {
            let asked = shared.clone();
            async move {
                let _ = serve(&mut stream, user, code, to, asked).await;
            }
        })
        .await;
        (server, asked)
    }

    async fn serve(
        stream: &mut TcpStream,
        user: Option<(&str, &str)>,
        code: u8,
        to: u16,
        asked: Asked,
    ) -> io::Result<()> {
        assert_eq!(stream.read_u8().await?, 5);
        let mut methods = vec![0; usize::from(stream.read_u8().await?)];
        stream.read_exact(&mut methods).await?;
        let wanted = if user.is_some() { 2 } else { 0 };
        if !methods.contains(&wanted) {
            return stream.write_all(&[5, 0xff]).await;
        }
        stream.write_all(&[5, wanted]).await?;
        if let Some((name, password)) = user {
            assert_eq!(stream.read_u8().await?, 1);
            let given = (text(stream).await?, text(stream).await?);
            let right = given == (name.to_owned(), password.to_owned());
            stream.write_all(&[1, u8::from(!right)]).await?;
        }
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        assert_eq!(head[..3], [5, 1, 0]);
        let host = match head[3] {
            1 => std::net::Ipv4Addr::from(stream.read_u32().await?).to_string(),
            4 => std::net::Ipv6Addr::from(stream.read_u128().await?).to_string(),
            _ => text(stream).await?,
        };
        let port = stream.read_u16().await?;
        asked.lock().unwrap().push(format!("{host} {port}"));
        let mut onwards = TcpStream::connect(("127.0.0.1", to)).await?;
        // The address in it is of each type in turn.
        let bound = match asked.lock().unwrap().len() % 3 {
            0 => [&[3, 3][..], b"abc"].concat(),
            1 => vec![1, 127, 0, 0, 1],
            _ => [&[4][..], &[0; 16]].concat(),
        };
        stream.write_all(&[&[5, code, 0][..], &bound, &[0, 80]].concat()).await?;
        copy_bidirectional(stream, &mut onwards).await?;
        Ok(())
    }

    async fn text(stream: &mut TcpStream) -> io::Result<String> {
        let mut text = vec![0; usize::from(stream.read_u8().await?)];
        stream.read_exact(&mut text).await?;
        Ok(String::from_utf8(text).unwrap())
    }

    async fn answering() -> Server {
        on_socket(|number, mut stream, seen: Arc<Seen>| async move {
            while let Some(request) = read_request(&mut stream, number).await {
                seen.requests.lock().unwrap().push(request);
                write(&mut stream, OK).await;
            }
        })
        .await
    }

    #[tokio::test]
    async fn names_are_looked_up_by_the_proxy_or_here() {
        let origin = answering().await;
        let (proxy, asked) = socks(None, 0, port(&origin)).await;
        let resolver = |host: &str, port: u16| {
            let found: [SocketAddr; 2] =
                [([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7], port).into(), ([192, 0, 2, 7], port).into()];
            let name = host.to_owned();
            async move { if name == "api.test" { Ok(found.to_vec()) } else { Err(io::Error::other("asked")) } }
        };
        for (scheme, url) in [
            ("socks5h", "http://api.test:81/x"),
            ("socks5h", "http://other.test/x"),
            ("socks5", "http://api.test/x"),
            ("socks5", "http://[2001:db8::1]/x"),
            ("socks5h", "http://192.0.2.9/x"),
        ] {
            let url_of_proxy = format!("{scheme}://127.0.0.1:{}", port(&proxy));
            let client = Client::builder().resolver(resolver).proxy(url_of_proxy).build().unwrap();
            assert_eq!(get(&client, url).await.unwrap(), "ok", "{scheme} {url}");
        }
        // A policy on addresses makes the proxy get one.
        let policy = EgressPolicy::new().allow_networks(["192.0.2.0/24"]).allow_proxy("127.0.0.1");
        let url = format!("socks5h://127.0.0.1:{}", port(&proxy));
        let client = Client::builder().resolver(resolver).proxy(url).egress(policy).build().unwrap();
        assert_eq!(get(&client, "http://api.test/x").await.unwrap(), "ok");
        assert!(get(&client, "http://198.51.100.1/x").await.is_err());
        let expected = [
            "api.test 81",
            "other.test 80",
            "192.0.2.7 80",
            "2001:db8::1 80",
            "192.0.2.9 80",
            "192.0.2.7 80",
        ];
        assert_eq!(*asked.lock().unwrap(), expected);
        assert!(origin.seen.requests().iter().all(|request| request.line() == "GET /x HTTP/1.1"));
    }

    #[tokio::test]
    async fn tls_runs_through_it() {
        let (acceptor, config) = tls(&[]);
        let origin = origin_over_tls(acceptor).await;
        let (proxy, _) = socks(None, 0, port(&origin)).await;
        let url = format!("socks5h://127.0.0.1:{}", port(&proxy));
        let client = Client::builder().tls_config(config).proxy(url).build().unwrap();
        let reply = client.get("https://api.test/").send().await.unwrap();
        assert!(reply.connection().proxied);
    }

    #[tokio::test]
    async fn users_are_known_or_refused() {
        let origin = answering().await;
        let (proxy, _) = socks(Some(("user", "canary")), 0, port(&origin)).await;
        for (user, works) in [("user:canary@", true), ("user:canary-too@", false), ("", false)] {
            let url = format!("socks5h://{user}127.0.0.1:{}", port(&proxy));
            let client = Client::builder().proxy(url).build().unwrap();
            match get(&client, "http://api.test/").await {
                Ok(text) => assert!(works && text == "ok"),
                Err(error) => {
                    assert!(!works, "{}", chain(&error));
                    assert_eq!(error.connect_failure(), Some(ConnectFailure::ProxyRefused));
                    assert!(!chain(&error).contains("canary"), "{}", chain(&error));
                    assert!(chain(&error).contains("did not accept the user"), "{}", chain(&error));
                }
            }
        }
    }

    #[tokio::test]
    async fn its_replies_are_told_apart() {
        let origin = answering().await;
        for (code, failure, text) in [
            (1, ConnectFailure::Other, "general failure"),
            (2, ConnectFailure::ProxyRefused, "not allowed"),
            (3, ConnectFailure::Unreachable, "network unreachable"),
            (4, ConnectFailure::Unreachable, "host unreachable"),
            (5, ConnectFailure::Refused, "connection refused"),
            (6, ConnectFailure::TimedOut, "TTL expired"),
            (200, ConnectFailure::Other, "unassigned"),
        ] {
            let (proxy, _) = socks(None, code, port(&origin)).await;
            let client =
                Client::builder().proxy(format!("socks5h://127.0.0.1:{}", port(&proxy))).build().unwrap();
            let error = get(&client, "http://api.test/").await.unwrap_err();
            assert_eq!((error.connect_failure(), error.delivery()), (Some(failure), Delivery::NotSent));
            assert!(chain(&error).contains(text), "{}", chain(&error));
        }
        let talker = on_socket(|_, mut stream, _| async move {
            write(&mut stream, OK).await;
            silence(stream).await;
        })
        .await;
        let client =
            Client::builder().proxy(format!("socks5h://127.0.0.1:{}", port(&talker))).build().unwrap();
        let error = get(&client, "http://api.test/").await.unwrap_err();
        assert_eq!(error.delivery(), Delivery::NotSent);
        assert!(chain(&error).contains("its answer is not SOCKS 5"), "{}", chain(&error));
    }
}
