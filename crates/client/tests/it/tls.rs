//! Tests of TLS: negotiation of HTTP/2, and certificates that are refused.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::join_all;
use outbound_client::{
    Client, ClientBuilder, ConnectFailure, Delivery, Kind, Limit, Limits, Origin, Phase, Version,
};
use rustls::{ClientConfig, RootCertStore, ServerConfig, pki_types::PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::support::{OK, Request, read_request, serve_http2, write};

/// A client of a server in memory that has a certificate for `api.test`, and how often it was connected to.
pub(crate) fn over_tls(server_alpn: &[&str], client_alpn: &[&str]) -> (ClientBuilder, Arc<AtomicUsize>) {
    serving(server_alpn, client_alpn, |_| OK.to_vec())
}

/// The same with its own answers over HTTP/1.1, also to `http` origins.
pub(crate) fn serving(
    server_alpn: &[&str],
    client_alpn: &[&str],
    answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
) -> (ClientBuilder, Arc<AtomicUsize>) {
    let answer = Arc::new(answer);
    let certified = rcgen::generate_simple_self_signed(["api.test".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    server.alpn_protocols = server_alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let mut roots = RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = client_alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();

    let acceptor = TlsAcceptor::from(Arc::new(server));
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let builder = Client::builder().base_url("https://api.test").tls_config(Arc::new(config)).connector(
        move |origin: &Origin| {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            let (near, mut far) = tokio::io::duplex(64 << 10);
            let (acceptor, answer, is_https) = (acceptor.clone(), answer.clone(), origin.is_https());
            tokio::spawn(async move {
                if !is_https {
                    while let Some(request) = read_request(&mut far, number).await {
                        write(&mut far, answer(&request)).await;
                    }
                    return;
                }
                let Ok(mut stream) = acceptor.accept(far).await else { return };
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    let answer = |_, mut respond: h2::server::SendResponse<Bytes>| async move {
                        let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
                        stream.send_data(Bytes::from("ok"), true).unwrap();
                    };
                    return serve_http2(stream, answer).await;
                }
                while let Some(request) = read_request(&mut stream, number).await {
                    write(&mut stream, answer(&request)).await;
                }
            });
            async { Ok::<_, io::Error>(near) }
        },
    );
    (builder, connections)
}

async fn get(client: &Client) -> Version {
    let reply = client.get("/x").send().await.unwrap();
    let version = reply.version();
    assert_eq!(reply.text().await.unwrap(), "ok");
    version
}

#[tokio::test(start_paused = true)]
async fn a_cold_burst_to_an_http2_origin_is_one_dial() {
    let (builder, connections) = over_tls(&["h2", "http/1.1"], &[]);
    let client = builder.build().unwrap();
    let versions = join_all((0..100).map(|_| get(&client))).await;
    assert!(versions.into_iter().all(|version| version == Version::HTTP_2));
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn an_origin_without_http2_gets_a_connection_for_each_request() {
    for server_alpn in [&["http/1.1"][..], &[]] {
        let (builder, connections) = over_tls(server_alpn, &[]);
        let client = builder.build().unwrap();
        let versions = join_all((0..20).map(|_| get(&client))).await;
        assert!(versions.into_iter().all(|version| version == Version::HTTP_11));
        assert!(connections.load(Ordering::SeqCst) <= 20);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waited_for_a_dial_that_served_another_waits_for_a_place() {
    // The first dial shows that the origin does not speak HTTP/2. A second one is not allowed.
    let (builder, connections) = over_tls(&["http/1.1"], &[]);
    let limits = Limits::new().pool_wait(Duration::from_secs(3));
    let client = builder.max_connections_per_origin(1).limits(limits).build().unwrap();
    let (first, second) = tokio::join!(client.get("/x").send(), client.get("/x").timings(true).send());
    let error = second.unwrap_err();
    assert_eq!(error.limit(), Some((Limit::PoolWait, Duration::from_secs(3))));
    assert_eq!((error.phase(), error.delivery()), (Phase::PoolWait, Delivery::NotSent));
    assert_eq!(error.timings().unwrap().pool_wait, Duration::from_secs(3));
    assert_eq!(first.unwrap().text().await.unwrap(), "ok");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_callers_own_list_of_protocols_is_kept() {
    let (builder, _) = over_tls(&["h2", "http/1.1"], &["http/1.1"]);
    assert_eq!(get(&builder.build().unwrap()).await, Version::HTTP_11);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_for_another_name_is_refused_before_anything_is_sent() {
    let (builder, _) = over_tls(&[], &[]);
    let client = builder.build().unwrap();
    let error = client.get("https://other.test/").send().await.unwrap_err();
    assert_eq!((error.kind(), error.phase(), error.delivery()), (Kind::Tls, Phase::Tls, Delivery::NotSent));
    assert_eq!(error.connect_failure(), Some(ConnectFailure::Certificate));
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_nobody_trusts_is_refused() {
    let (builder, _) = over_tls(&[], &[]);
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.enable_sni = true;
    let error = builder.tls_config(Arc::new(config)).build().unwrap().get("/x").send().await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Tls, Delivery::NotSent));
    assert_eq!(error.connect_failure(), Some(ConnectFailure::Certificate));
}

#[tokio::test(start_paused = true)]
async fn a_server_without_tls_is_refused_and_not_talked_to_in_the_clear() {
    let client = Client::builder()
        .connector(|_: &Origin| {
            let (near, mut far) = tokio::io::duplex(4096);
            tokio::spawn(async move { write(&mut far, OK).await });
            async { Ok::<_, io::Error>(near) }
        })
        .tls_config(Arc::new(
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth(),
        ))
        .build()
        .unwrap();
    let error = client.get("https://api.test/").send().await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Tls, Delivery::NotSent));
    assert_eq!(error.connect_failure(), Some(ConnectFailure::NotTls));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_cut_can_heal() {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let client = Client::builder()
        .connector(|_: &Origin| async { Ok::<_, io::Error>(tokio::io::duplex(4096).0) })
        .tls_config(Arc::new(config))
        .build()
        .unwrap();
    let error = client.get("https://api.test/").send().await.unwrap_err();
    assert_eq!((error.kind(), error.phase(), error.delivery()), (Kind::Tls, Phase::Tls, Delivery::NotSent));
    assert_eq!(error.connect_failure(), Some(ConnectFailure::Handshake));
}
