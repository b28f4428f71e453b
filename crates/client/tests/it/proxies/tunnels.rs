//! Tests of tunnels through a proxy, and of TLS with a proxy.

use super::*;

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
    // Without TLS to the origin, the proxy gets the request itself, over TLS.
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
