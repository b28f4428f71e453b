//! The same requests through the client.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, header};
use outbound_client::{Client, ClientBuilder, Limits, Method, RequestBuilder};
use serde_json::{Value, json};

pub(super) fn plain(address: SocketAddr) -> ClientBuilder {
    Client::builder().no_proxy().base_url(format!("http://{address}"))
}

/// A key, a header of every request, and a limit on each phase.
pub(super) fn usual(address: SocketAddr) -> ClientBuilder {
    let secs = Duration::from_secs;
    let limits = Limits::new().pool_wait(secs(30)).exchange(secs(120)).total(secs(300));
    plain(address).bearer_auth("a-key").default_header("user-agent", "bench").limits(limits)
}

/// The size of the reply's body.
pub(super) async fn request(client: &Client, method: Method, path: &str, body: Bytes) -> usize {
    let mut request = client.request(method, path);
    if !body.is_empty() {
        request =
            request.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body);
    }
    read(request).await
}

/// As LLM providers are asked: four headers, and a body of JSON.
pub(super) async fn llm(client: &Client, body: &Value) -> usize {
    read(client.post("/v1/chat/completions").idempotency_key("0123456789abcdef").json(body)).await
}

/// Of about 1 KiB.
pub(super) fn question() -> Value {
    let content = "word ".repeat(190);
    json!({"model": "small", "temperature": 0, "messages": [{"role": "user", "content": content}]})
}

async fn read(request: RequestBuilder) -> usize {
    let reply = request.send().await.expect("a reply");
    assert!(reply.status().is_success());
    reply.bytes().await.expect("a whole body").len()
}

/// How many events a stream has.
pub(super) async fn events(client: &Client, path: &str) -> usize {
    let mut events = client.get(path).send().await.expect("a reply").events().expect("events");
    let mut count = 0;
    while let Some(event) = events.next().await {
        assert!(!event.expect("an event").data.is_empty());
        count += 1;
    }
    count
}
