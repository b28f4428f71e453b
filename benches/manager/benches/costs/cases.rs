//! The cases: so many chats, sixteen at a time, over connections that are kept.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use outbound::{
    Metrics, Request, RequestManager, RequestManagerBuilder,
    client::{Client, Limits},
    provider::Provider,
};
use serde_json::{Value, json};
use tokio::time::Instant;

const AT_ONCE: usize = 16;
/// In each stream.
pub(super) const EVENTS: usize = 100;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const KEY: HeaderValue = HeaderValue::from_static("outbound-0123456789abcdef0123456789abcdef");

/// One way to send chats.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub(super) enum Case {
    HyperUtil(HyperClient<HttpConnector, Full<Bytes>>, String, Bytes),
    Client(Client, Bytes),
    /// Of bytes that are JSON already.
    Manager(RequestManager, Bytes),
    /// Of a value that is made JSON for each request.
    Chat(RequestManager, Value),
    ClientEvents(Client, Bytes),
    /// A stream, handed on item by item.
    Stream(RequestManager, Bytes),
}

impl Case {
    /// `path` says whether the server tells its limits.
    pub(super) fn new(name: &str, server: SocketAddr) -> Self {
        let path = match name {
            name if name.ends_with(", limits told") => "limits",
            name if name.ends_with(", events") => "events",
            _ => "plain",
        };
        let base_url = format!("http://{server}/{path}");
        let json = Bytes::from(question().to_string());
        match name.trim_end_matches(", limits told") {
            "hyper-util" => {
                let mut connector = HttpConnector::new();
                connector.set_nodelay(true);
                let client = HyperClient::builder(TokioExecutor::new()).build(connector);
                Self::HyperUtil(client, format!("{base_url}/chat/completions"), json)
            }
            "client" | "client, events" => {
                let secs = Duration::from_secs;
                let limits = Limits::new().connect(secs(10)).exchange(secs(600)).total(secs(1_800));
                let client =
                    Client::builder().no_proxy().base_url(base_url).bearer_auth("sk-a-key").limits(limits);
                let client = client.build().expect("a client");
                if path == "events" { Self::ClientEvents(client, json) } else { Self::Client(client, json) }
            }
            "manager, events" => {
                let mut body = question();
                body["stream"] = json!(true);
                Self::Stream(manager(Provider::openai(), base_url), Bytes::from(body.to_string()))
            }
            "manager" => Self::Manager(manager(Provider::openai(), base_url), json),
            "manager, Metrics" => {
                let manager = builder(Provider::openai(), base_url).observer(Metrics::default());
                Self::Manager(manager.build().expect("a manager"), json)
            }
            "manager, plain HTTP" => Self::Manager(manager(Provider::http(), base_url), json),
            "manager, body from a value" => Self::Chat(manager(Provider::openai(), base_url), question()),
            _ => panic!("no case is called {name}"),
        }
    }

    /// Sends so many of them.
    pub(super) async fn repeat(&self, requests: usize) {
        match self {
            Self::HyperUtil(client, url, json) => {
                let url: http::Uri = url.parse().expect("a URL");
                at_once(|_| hyper_util(client.clone(), url.clone(), json.clone(), requests / AT_ONCE)).await;
            }
            Self::Client(client, json) => {
                at_once(|_| ours(client.clone(), json.clone(), requests / AT_ONCE)).await;
            }
            Self::Manager(manager, json) => {
                let request = |_| Request::post_raw("/chat/completions", json.clone());
                all(manager, (0..requests).map(request)).await;
            }
            Self::ClientEvents(..) | Self::Stream(..) => {
                for _ in 0..requests {
                    self.first_item().await;
                }
            }
            Self::Chat(manager, value) => all(manager, (0..requests).map(|_| Request::chat(value))).await,
        }
    }
}

impl Case {
    /// Reads a stream to its end, and says how long its first item took.
    pub(super) async fn first_item(&self) -> Duration {
        let began = Instant::now();
        let mut first = None;
        let mut items = 0;
        match self {
            Self::ClientEvents(client, json) => {
                let request = client
                    .post("/chat/completions")
                    .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
                    .header(IDEMPOTENCY_KEY, KEY)
                    .body(json.clone());
                let mut events = request.send().await.expect("a reply").events().expect("events");
                while let Some(event) = events.next().await {
                    first.get_or_insert_with(|| began.elapsed());
                    items += usize::from(event.expect("an event").data != "[DONE]");
                }
            }
            Self::Stream(manager, json) => {
                let mut stream = manager.stream(Request::post_raw("/chat/completions", json.clone()));
                while let Some(item) = stream.next().await {
                    first.get_or_insert_with(|| began.elapsed());
                    items += usize::from(item.is_ok());
                }
                assert!(stream.outcome().await.result.is_ok());
            }
            _ => panic!("it is no stream"),
        }
        assert_eq!(items, EVENTS);
        first.expect("an item")
    }
}

fn manager(provider: Provider, base_url: String) -> RequestManager {
    builder(provider, base_url).build().expect("a manager")
}

fn builder(provider: Provider, base_url: String) -> RequestManagerBuilder {
    let manager = RequestManager::builder().provider(provider).base_url(base_url).key("sk-a-key");
    let manager = manager.change_client(outbound::ClientBuilder::no_proxy);
    manager.max_concurrent(AT_ONCE)
}

async fn all(manager: &RequestManager, requests: impl Iterator<Item = Request>) {
    let mut batch = manager.batch(requests);
    while let Some(outcome) = batch.next().await {
        assert!(outcome.result.is_ok(), "{outcome:?}");
    }
}

async fn hyper_util(
    client: HyperClient<HttpConnector, Full<Bytes>>,
    url: http::Uri,
    json: Bytes,
    requests: usize,
) {
    for _ in 0..requests {
        let mut request = http::Request::new(Full::new(json.clone()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = url.clone();
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer sk-a-key"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(IDEMPOTENCY_KEY, KEY);
        let reply = client.request(request).await.expect("a reply");
        assert!(reply.status().is_success());
        let body = reply.into_body().collect().await.expect("a whole body").to_bytes();
        assert!(body.len() > 900);
    }
}

async fn ours(client: Client, json: Bytes, requests: usize) {
    for _ in 0..requests {
        let request = client
            .post("/chat/completions")
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(IDEMPOTENCY_KEY, KEY)
            .body(json.clone());
        let reply = request.send().await.expect("a reply");
        assert!(reply.status().is_success());
        assert!(reply.bytes().await.expect("a whole body").len() > 900);
    }
}

async fn at_once<F>(worker: impl Fn(usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let workers: Vec<_> = (0..AT_ONCE).map(|number| tokio::spawn(worker(number))).collect();
    for worker in workers {
        worker.await.expect("no panic");
    }
}

/// Of about 1 KiB.
fn question() -> Value {
    let content = "word ".repeat(190);
    json!({"model": "small", "temperature": 0, "messages": [{"role": "user", "content": content}]})
}
