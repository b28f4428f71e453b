//! One request over HTTP/1.1, and a stream of events.

use std::sync::Arc;

use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures::StreamExt;
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::{
    client::legacy::{Client as HyperUtil, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use outbound_client::Client;
use tokio::{net::TcpStream, sync::Mutex};

use crate::{
    case::{Case, Group},
    http::{
        AT_ONCE, at_once, case,
        server::{EVENTS, SMALL, address},
    },
};

const BODY: Bytes = Bytes::from_static(&[b'x'; 1024]);

pub(crate) fn groups() -> Vec<Group> {
    vec![
        Group {
            name: "client/get",
            about: "A request and its answer of 200 bytes over a connection that is open: time on the processor. The \
                    floor is a connection of hyper's that the caller holds.",
            rounds: 256,
            is_counted: false,
            cases: vec![
                case(
                    "outbound",
                    async || ours(),
                    |client, rounds| async move {
                        for _ in 0..rounds {
                            get_ours(&client).await;
                        }
                    },
                )
                .ours(),
                case(
                    "hyper-util",
                    async || hyper_util(),
                    |client, rounds| async move {
                        for _ in 0..rounds {
                            by_hyper_util(&client, Method::GET, Bytes::new()).await;
                        }
                    },
                ),
                case(
                    "reqwest",
                    async || reqwest(),
                    |client, rounds| async move {
                        for _ in 0..rounds {
                            let reply = client.get(url("/small")).send().await.expect("a reply");
                            assert!(reply.status().is_success());
                            assert_eq!(reply.bytes().await.expect("a whole body").len(), SMALL);
                        }
                    },
                ),
                case(
                    "hyper connection",
                    async || Raw::connect(1).await,
                    |connections, rounds| async move {
                        let mut connection = connections[0].lock().await;
                        for _ in 0..rounds {
                            assert_eq!(connection.request(Method::GET, "/small", Bytes::new()).await, SMALL);
                        }
                    },
                )
                .floor(),
            ],
        },
        Group {
            name: "client/post, 16 at once",
            about: "Requests of 1 KiB, 16 at a time, each answered with 200 bytes; for one, time on the processor.",
            rounds: 512,
            is_counted: false,
            cases: vec![
                case(
                    "outbound",
                    async || ours(),
                    |client, rounds| at_once(rounds, move |_, share| post_ours(client.clone(), share)),
                )
                .ours(),
                case(
                    "hyper-util",
                    async || hyper_util(),
                    |client, rounds| {
                        at_once(rounds, move |_, share| {
                            let client = client.clone();
                            async move {
                                for _ in 0..share {
                                    by_hyper_util(&client, Method::POST, BODY).await;
                                }
                            }
                        })
                    },
                ),
                case(
                    "reqwest",
                    async || reqwest(),
                    |client, rounds| at_once(rounds, move |_, share| post_reqwest(client.clone(), share)),
                ),
                case(
                    "hyper connections",
                    async || Raw::connect(AT_ONCE).await,
                    |connections, rounds| {
                        at_once(rounds, move |number, share| {
                            let connections = Arc::clone(&connections);
                            async move {
                                let mut connection = connections[number].lock().await;
                                for _ in 0..share {
                                    assert_eq!(connection.request(Method::POST, "/small", BODY).await, SMALL);
                                }
                            }
                        })
                    },
                )
                .floor(),
            ],
        },
        Group {
            name: "client/100 events",
            about: "A stream of 100 server-sent events, each in a chunk of its own; the whole stream, time on the \
                    processor. The floor reads the frames and parses no event.",
            rounds: 64,
            is_counted: false,
            cases: events(),
        },
    ]
}

fn events() -> Vec<Case> {
    vec![
        case(
            "outbound",
            async || ours(),
            |client, rounds| async move {
                for _ in 0..rounds {
                    let mut events =
                        client.get("/events").send().await.expect("a reply").events().expect("events");
                    let mut count = 0;
                    while let Some(event) = events.next().await {
                        count += usize::from(!event.expect("an event").data.is_empty());
                    }
                    assert_eq!(count, EVENTS);
                }
            },
        )
        .ours(),
        case(
            "reqwest, eventsource-stream",
            async || reqwest(),
            |client, rounds| async move {
                for _ in 0..rounds {
                    let reply = client.get(url("/events")).send().await.expect("a reply");
                    let mut events = reply.bytes_stream().eventsource();
                    let mut count = 0;
                    while let Some(event) = events.next().await {
                        count += usize::from(!event.expect("an event").data.is_empty());
                    }
                    assert_eq!(count, EVENTS);
                }
            },
        ),
        case(
            "hyper connection, frames",
            async || Raw::connect(1).await,
            |connections, rounds| async move {
                let mut connection = connections[0].lock().await;
                for _ in 0..rounds {
                    assert!(connection.request(Method::GET, "/events", Bytes::new()).await > 10 * EVENTS);
                }
            },
        )
        .floor(),
    ]
}

fn url(path: &str) -> String {
    format!("http://{}{path}", address())
}

fn ours() -> Client {
    Client::builder().no_proxy().base_url(url("")).build().expect("a client")
}

async fn get_ours(client: &Client) {
    let reply = client.get("/small").send().await.expect("a reply");
    assert!(reply.status().is_success());
    assert_eq!(reply.bytes().await.expect("a whole body").len(), SMALL);
}

async fn post_ours(client: Client, share: u64) {
    for _ in 0..share {
        let reply = client.post("/small").header(header::CONTENT_TYPE, JSON).body(BODY).send().await;
        let reply = reply.expect("a reply");
        assert!(reply.status().is_success());
        assert_eq!(reply.bytes().await.expect("a whole body").len(), SMALL);
    }
}

fn reqwest() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

async fn post_reqwest(client: reqwest::Client, share: u64) {
    for _ in 0..share {
        let reply = client.post(url("/small")).header(header::CONTENT_TYPE, JSON).body(BODY).send().await;
        let reply = reply.expect("a reply");
        assert!(reply.status().is_success());
        assert_eq!(reply.bytes().await.expect("a whole body").len(), SMALL);
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(crate) fn hyper_util() -> HyperUtil<HttpConnector, Full<Bytes>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    HyperUtil::builder(TokioExecutor::new()).build(connector)
}

async fn by_hyper_util(client: &HyperUtil<HttpConnector, Full<Bytes>>, method: Method, body: Bytes) {
    let uri = url("/small").parse().expect("a URI");
    let reply = client.request(request(method, uri, body)).await.expect("a reply");
    assert_eq!(read(reply).await, SMALL);
}

/// A connection that its user holds.
struct Raw(http1::SendRequest<Full<Bytes>>);

impl Raw {
    /// So many, each for one user at a time.
    async fn connect(count: u64) -> Arc<Vec<Mutex<Self>>> {
        let mut connections = Vec::new();
        for _ in 0..count {
            let stream = TcpStream::connect(address()).await.expect("a connection");
            stream.set_nodelay(true).expect("a socket");
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a connection");
            tokio::spawn(connection);
            connections.push(Mutex::new(Self(sender)));
        }
        Arc::new(connections)
    }

    /// The size of the reply's body.
    async fn request(&mut self, method: Method, path: &'static str, body: Bytes) -> usize {
        self.0.ready().await.expect("an open connection");
        let request = request(method, Uri::from_static(path), body);
        read(self.0.send_request(request).await.expect("a reply")).await
    }
}

fn request(method: Method, uri: Uri, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("bench.test"));
    if *request.method() == Method::POST {
        request.headers_mut().insert(header::CONTENT_TYPE, JSON);
    }
    request
}

async fn read(reply: http::Response<Incoming>) -> usize {
    assert!(reply.status().is_success());
    reply.into_body().collect().await.expect("a whole body").to_bytes().len()
}
