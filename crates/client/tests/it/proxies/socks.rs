//! Tests of SOCKS 5 proxies.

use std::net::SocketAddr;

use outbound_client::EgressPolicy;
use tokio::io::AsyncReadExt;

use super::*;

/// A SOCKS server that may require a user, answers with a code, and opens connections to a port on loopback.
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
    // The address in the answer has each type in turn.
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
    // A policy with address rules makes the client look up the name and give the proxy an address.
    let policy = EgressPolicy::new().allow_networks(["192.0.2.0/24"]).allow_proxy("127.0.0.1");
    let url = format!("socks5h://127.0.0.1:{}", port(&proxy));
    let client = Client::builder().resolver(resolver).proxy(url).egress(policy).build().unwrap();
    assert_eq!(get(&client, "http://api.test/x").await.unwrap(), "ok");
    assert!(get(&client, "http://198.51.100.1/x").await.is_err());
    let expected =
        ["api.test 81", "other.test 80", "192.0.2.7 80", "2001:db8::1 80", "192.0.2.9 80", "192.0.2.7 80"];
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
    let client = Client::builder().proxy(format!("socks5h://127.0.0.1:{}", port(&talker))).build().unwrap();
    let error = get(&client, "http://api.test/").await.unwrap_err();
    assert_eq!(error.delivery(), Delivery::NotSent);
    assert!(chain(&error).contains("its answer is not SOCKS 5"), "{}", chain(&error));
}
