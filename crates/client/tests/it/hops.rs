//! Tests: each hop of a redirect chain checks the proxies and the egress policy again.

use std::sync::Arc;

use outbound_client::{
    Client, ClientBuilder, ClientService, ConnectFailure, Delivery, EgressPolicy, HeaderValue, Kind, Phase,
    Proxy,
};
use tower_layer::layer_fn;

use crate::support::{OK, Seen, Server, on_socket, read_request, with_length, write};

const AUTHORIZATION: &str = "proxy-authorization";

/// Answers `/to?URL` with a redirect to that URL, and all other requests with `body`.
async fn leading(body: &'static str) -> Server {
    on_socket(move |number, mut stream, seen: Arc<Seen>| async move {
        while let Some(request) = read_request(&mut stream, number).await {
            let target = request.line().split(' ').nth(1).unwrap().to_owned();
            seen.requests.lock().unwrap().push(request);
            let answer = match target.split_once("/to?") {
                Some((_, url)) => {
                    format!("HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n").into_bytes()
                }
                None => with_length("200 OK", body),
            };
            write(&mut stream, answer).await;
        }
    })
    .await
}

/// A client without a layer, and one with a layer that does nothing.
fn with_and_without_layer(builder: impl Fn() -> ClientBuilder) -> [Client; 2] {
    let layered = builder().layer(layer_fn(|service: ClientService| service));
    [builder().build().unwrap(), layered.build().unwrap()]
}

/// Whether each request to a server had the proxy's password.
fn authorized(server: &Server) -> Vec<bool> {
    server.seen.requests().iter().map(|request| request.header(AUTHORIZATION).is_some()).collect()
}

#[tokio::test]
async fn a_redirect_to_what_the_egress_policy_denies_is_refused() {
    let (allowed, denied) = (leading("allowed").await, leading("denied").await);
    let port = |server: &Server| server.url.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    for client in with_and_without_layer(|| {
        let policy = EgressPolicy::new().deny_ports([port(&denied)]).deny_hosts(["metadata.test"]);
        Client::builder().no_proxy().egress(policy)
    }) {
        for (url, what) in [
            (format!("{}/secret?canary", denied.url), format!("the port {}", port(&denied))),
            ("http://metadata.test/canary".to_owned(), "the host metadata.test".to_owned()),
        ] {
            let error = client.get(&format!("{}/to?{url}", allowed.url)).send().await.unwrap_err();
            assert_eq!((error.kind(), error.phase()), (Kind::Connect, Phase::Connect), "{error}");
            assert_eq!(error.connect_failure(), Some(ConnectFailure::NotAllowed));
            // The request was sent to the first server.
            assert_eq!(error.delivery(), Delivery::MaybeSent);
            let mut shown = format!("{error} | {error:?}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                shown += &format!(" | {error}");
                cause = error.source();
            }
            assert!(shown.contains(&what), "{shown}");
            assert!(!shown.contains("canary"), "{shown}");
        }
        // A chain within what is allowed is followed.
        let reply = client.get(&format!("{0}/to?{0}/there", allowed.url)).send().await.unwrap();
        assert_eq!(reply.text().await.unwrap(), "allowed");
    }
    assert_eq!(denied.seen.connections(), 0);
}

#[tokio::test]
async fn the_proxy_is_asked_for_anew_at_each_hop_and_its_password_is_not_shown_to_servers() {
    let (proxy, direct) = (leading("proxied").await, leading("direct").await);
    for client in with_and_without_layer(|| {
        let proxy = Proxy::new(&proxy.url).unwrap().basic_auth("user", "canary").unwrap();
        Client::builder().proxy(proxy.except("127.0.0.1"))
    }) {
        // Away from the proxy, to the proxy, and through it twice.
        let far = "http://far-away.invalid";
        let (out, into) = (format!("{far}/to?{}/x", direct.url), format!("{}/to?{far}/x", direct.url));
        for (url, body, proxied) in [
            (&out, "direct", false),
            (&into, "proxied", true),
            (&format!("{far}/to?http://further.invalid/x"), "proxied", true),
        ] {
            let reply = client.get(url).send().await.unwrap();
            assert_eq!(reply.connection().proxied, proxied);
            // The address of a proxy is not reported as the server's.
            let port = reply.remote_addr().map(|address| format!("http://{address}"));
            assert_eq!(port, (!proxied).then(|| direct.url.clone()));
            assert!(reply.connection().remote_addr.is_some());
            assert_eq!(reply.text().await.unwrap(), body);
        }
        assert_eq!(authorized(&proxy), [true, true, true, true]);
        assert_eq!(authorized(&direct), [false, false]);
        let lines: Vec<_> = proxy.seen.requests().iter().map(|request| request.line().to_owned()).collect();
        assert_eq!(lines[3], "GET http://further.invalid/x HTTP/1.1");
        proxy.seen.requests.lock().unwrap().clear();
        direct.seen.requests.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn a_requests_own_way_is_that_of_its_redirects_too() {
    let (proxy, other, direct) = (leading("proxied").await, leading("other").await, leading("direct").await);
    for client in with_and_without_layer(|| Client::builder().proxy(&*proxy.url)) {
        let to_direct = format!("{}/to?{}/x", direct.url, direct.url);
        let reply = client.get(&to_direct).no_proxy().send().await.unwrap();
        assert_eq!(reply.text().await.unwrap(), "direct");

        let way = Proxy::new(&other.url).unwrap().basic_auth("user", "canary").unwrap().except("127.0.0.1");
        let reply = client.get("http://a.invalid/to?http://b.invalid/").proxy(&way).send().await.unwrap();
        assert_eq!(reply.text().await.unwrap(), "other");
        let out = format!("http://a.invalid/to?{}/x", direct.url);
        let reply = client.get(&out).proxy(&way).send().await.unwrap();
        assert_eq!(reply.text().await.unwrap(), "direct");
        // As a request value too.
        let request = client.get(&out).proxy(&way).build().unwrap();
        assert_eq!(client.execute(request).await.unwrap().text().await.unwrap(), "direct");
        let mut request = client.get(&to_direct).no_proxy().build().unwrap();
        // Only the client itself writes the proxy's credentials.
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("canary"));
        assert_eq!(client.execute(request).await.unwrap().text().await.unwrap(), "direct");
    }
    assert_eq!(proxy.seen.connections(), 0);
    assert!(authorized(&other).iter().all(|authorized| *authorized));
    assert!(authorized(&direct).iter().all(|authorized| !authorized));
}

#[tokio::test]
async fn an_error_behind_a_redirect_names_the_proxy_of_its_hop() {
    let proxy = leading("proxied").await;
    let cut = on_socket(|number, mut stream, _| async move {
        let _ = read_request(&mut stream, number).await;
        write(&mut stream, &OK[..20]).await;
    })
    .await;
    for client in with_and_without_layer(|| {
        Client::builder().proxy(Proxy::new(&proxy.url).unwrap().except("127.0.0.1"))
    }) {
        let out = format!("http://far-away.invalid/to?{}/x", cut.url);
        let error = client.get(&out).send().await.unwrap_err();
        assert_eq!((error.kind(), error.proxy().is_some()), (Kind::Closed, false), "{error}");
        let error = client.get("http://far-away.invalid/to?gopher://x/").send().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Redirect, "{error}");
    }
}
