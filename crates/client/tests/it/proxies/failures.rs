//! Tests of proxies that refuse, answer wrongly or are not there.

use super::*;

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
