//! Tests of the egress policy with loopback sockets.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use outbound_client::{
    Client, ClientBuilder, ConnectFailure, Connected, Delivery, EgressPolicy, Error, Kind, Origin, Phase,
    Resolving,
};

use crate::support::{OK, Seen, Server, on_socket, read_head, read_request, write};

async fn server() -> Server {
    on_socket(|number, mut stream, seen: Arc<Seen>| async move {
        while let Some(request) = read_request(&mut stream, number).await {
            seen.requests.lock().unwrap().push(request);
            write(&mut stream, OK).await;
        }
    })
    .await
}

fn port(server: &Server) -> u16 {
    server.url.rsplit_once(':').unwrap().1.parse().unwrap()
}

async fn get(client: &Client, url: &str) -> Result<String, Error> {
    client.get(url).send().await?.text().await
}

fn direct(policy: EgressPolicy) -> ClientBuilder {
    Client::builder().no_proxy().egress(policy)
}

/// Checks that the request is refused, for which reason, and that nothing was sent.
fn refused(error: &Error, what: &str) {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    assert_eq!((error.kind(), error.phase()), (Kind::Connect, Phase::Connect), "{cause}");
    assert_eq!(error.delivery(), Delivery::NotSent);
    assert_eq!(error.connect_failure(), Some(ConnectFailure::NotAllowed));
    assert!(!ConnectFailure::NotAllowed.can_heal());
    assert!(error.to_string().starts_with("no connection: the egress policy does not allow it ("), "{error}");
    assert_eq!(cause, format!("the egress policy does not allow {what}"));
}

/// A resolver that gives each list of addresses once, and the last one forever.
fn answers(lists: Vec<Vec<&'static str>>, port: u16) -> impl Fn(&str, u16) -> Resolving {
    let asked = AtomicUsize::new(0);
    move |_: &str, _: u16| -> Resolving {
        let turn = asked.fetch_add(1, Ordering::SeqCst).min(lists.len() - 1);
        let found = lists[turn].iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).collect();
        Box::pin(async move { Ok(found) })
    }
}

#[tokio::test]
async fn the_public_internet_is_not_this_machine_however_it_is_written() {
    let server = server().await;
    let port = port(&server);
    let client = direct(EgressPolicy::public_only()).build().unwrap();
    for (host, what) in [
        ("127.0.0.1", "the address 127.0.0.1"),
        ("[::1]", "the address ::1"),
        ("[::ffff:127.0.0.1]", "the address ::ffff:127.0.0.1"),
        ("[64:ff9b::127.0.0.1]", "the address 64:ff9b::7f00:1"),
        ("169.254.169.254", "the address 169.254.169.254"),
        ("2130706433", "the host 2130706433, which is an address in an unusual form"),
        ("0x7f.1", "the host 0x7f.1, which is an address in an unusual form"),
        ("127.1", "the host 127.1, which is an address in an unusual form"),
        ("0177.0.0.1", "the host 0177.0.0.1, which is an address in an unusual form"),
    ] {
        refused(&get(&client, &format!("http://{host}:{port}/")).await.unwrap_err(), what);
    }
    let error = get(&client, &format!("http://localhost:{port}/")).await.unwrap_err();
    assert_eq!(error.connect_failure(), Some(ConnectFailure::NotAllowed), "{error:?}");
    assert_eq!(server.seen.connections(), 0);

    let beside = direct(EgressPolicy::public_only().allow_networks(["127.0.0.0/8"])).build().unwrap();
    assert_eq!(get(&beside, &server.url).await.unwrap(), "ok");
    assert!(format!("{beside:?}").contains("public_only: true"));
}

#[tokio::test]
async fn what_is_dialled_is_what_was_allowed() {
    let server = server().await;
    let policy = || EgressPolicy::new().allow_networks(["127.0.0.1"]);
    // The name has another address by the time of the second dial.
    let resolver = answers(vec![vec!["127.0.0.1"], vec!["127.0.0.2"]], port(&server));
    let client = direct(policy()).resolver(resolver).dns_ttl(std::time::Duration::ZERO).build().unwrap();
    assert_eq!(get(&client, "http://api.test/").await.unwrap(), "ok");
    assert_eq!(get(&client, "http://api.test/").await.unwrap(), "ok", "over the connection that was allowed");
    client.drain().await;
    refused(&get(&client, "http://api.test/").await.unwrap_err(), "the address 127.0.0.2 of api.test");
    // Of several addresses, only the allowed ones are tried.
    let resolver = answers(vec![vec!["127.0.0.2", "127.0.0.1", "::1"]], port(&server));
    let client = direct(policy()).resolver(resolver).build().unwrap();
    let reply = client.get("http://api.test/").send().await.unwrap();
    assert_eq!(reply.connection().remote_addr.unwrap().ip().to_string(), "127.0.0.1");
    assert_eq!(server.seen.connections(), 2);
}

#[tokio::test]
async fn hosts_ports_and_schemes_are_asked_before_the_look_up() {
    let resolver = |_: &str, _: u16| -> Resolving { panic!("nothing is to be looked up") };
    for (policy, what) in [
        (EgressPolicy::new().allow_hosts(["other.test"]), "the host api.test"),
        (EgressPolicy::new().deny_hosts(["api.test"]), "the host api.test"),
        (EgressPolicy::new().deny_ports([81]), "the port 81"),
        (EgressPolicy::new().https_only(), "http"),
    ] {
        let client = direct(policy).resolver(resolver).build().unwrap();
        refused(&get(&client, "http://api.test:81/").await.unwrap_err(), what);
    }
    let error = direct(EgressPolicy::new().deny_networks(["x"])).build().unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
}

/// A proxy that opens connections to where it is asked to.
async fn proxy() -> (Server, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let record = asked.clone();
    let server = on_socket(move |_, mut stream, _| {
        let asked = record.clone();
        async move {
            let Some(head) = read_head(&mut stream).await else { return };
            let target = head.split(' ').nth(1).unwrap().to_owned();
            asked.lock().unwrap().push(head.lines().next().unwrap().to_owned());
            let Ok(mut onwards) = tokio::net::TcpStream::connect(target).await else { return };
            write(&mut stream, "HTTP/1.1 200 OK\r\n\r\n").await;
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut onwards).await;
        }
    })
    .await;
    (server, asked)
}

#[tokio::test]
async fn a_proxy_is_refused_unless_it_is_named_and_then_gets_an_address() {
    let origin = server().await;
    let (proxy, asked) = proxy().await;
    let url = format!("http://api.test:{}/x", port(&origin));
    let policy = || EgressPolicy::new().allow_networks(["127.0.0.1"]);
    let client = |policy, ip| {
        let resolver = answers(vec![vec![ip]], port(&origin));
        Client::builder().resolver(resolver).proxy(&*proxy.url).egress(policy).build().unwrap()
    };
    let error = get(&client(policy(), "127.0.0.1"), &url).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, format!("the egress policy does not allow the proxy {}", proxy.url));
    assert_eq!(proxy.seen.connections(), 0);

    let named = || policy().allow_proxy("127.0.0.1");
    assert_eq!(get(&client(named(), "127.0.0.1"), &url).await.unwrap(), "ok");
    assert_eq!(*asked.lock().unwrap(), [format!("CONNECT 127.0.0.1:{} HTTP/1.1", port(&origin))]);
    let requests = origin.seen.requests();
    assert_eq!(requests[0].line(), "GET /x HTTP/1.1");
    assert_eq!(requests[0].header("host"), Some(&*format!("api.test:{}", port(&origin))));

    let error = get(&client(named(), "10.0.0.1"), &url).await.unwrap_err();
    assert_eq!(error.connect_failure(), Some(ConnectFailure::NotAllowed));
    assert_eq!(
        proxy.seen.connections(),
        1,
        "nothing is asked of the proxy for an address that is not allowed"
    );
    // Without address rules, names are enough, and the proxy may look them up.
    let by_name = client(EgressPolicy::new().allow_hosts(["api.test"]), "127.0.0.1");
    refused_through(&get(&by_name, "http://other.test/").await.unwrap_err(), "the host other.test");
}

fn refused_through(error: &Error, what: &str) {
    assert_eq!(error.connect_failure(), Some(ConnectFailure::NotAllowed));
    assert!(error.proxy().is_some());
    assert!(format!("{error:?}").contains(what), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connector_states_the_address_or_is_refused() {
    let cases = [
        (None, Some("a connection whose address the connector does not state")),
        (Some("10.0.0.1:80"), Some("the address 10.0.0.1")),
        (Some("[::ffff:10.0.0.1]:80"), Some("the address ::ffff:10.0.0.1")),
        (Some("1.1.1.1:80"), None),
    ];
    for (address, what) in cases {
        let heard = Arc::new(AtomicUsize::new(0));
        let count = heard.clone();
        let connector = move |_: &Origin| {
            let (near, mut far) = tokio::io::duplex(4096);
            let count = count.clone();
            tokio::spawn(async move {
                while read_head(&mut far).await.is_some() {
                    count.fetch_add(1, Ordering::SeqCst);
                    write(&mut far, OK).await;
                }
            });
            let connected = Connected::from(near);
            let connected = match address {
                Some(address) => connected.remote_addr(address.parse().unwrap()),
                None => connected,
            };
            async { Ok::<_, io::Error>(connected) }
        };
        let client =
            Client::builder().connector(connector).egress(EgressPolicy::public_only()).build().unwrap();
        match (get(&client, "http://api.test/").await, what) {
            (Ok(text), None) => assert_eq!(text, "ok"),
            (Err(error), Some(what)) => {
                refused(&error, what);
                assert_eq!(heard.load(Ordering::SeqCst), 0);
            }
            (answer, what) => panic!("{answer:?} in place of {what:?}"),
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_has_no_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _listener = tokio::net::UnixListener::bind(&path).unwrap();
    let client = Client::builder().unix_socket(path).egress(EgressPolicy::public_only()).build().unwrap();
    let error = get(&client, "http://api.test/").await.unwrap_err();
    refused(&error, "a connection whose address the connector does not state");
}
