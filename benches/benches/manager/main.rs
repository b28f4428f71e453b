//! 64 chats, 16 at a time, through pipes in memory: the manager beside loops over our client and over hyper-util's, which
//! have no limits, no retries and no accounts. Each answer is parsed. The server's part is in all of them, and is the same.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use futures::future::BoxFuture;
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use outbound::{Client, ClientBuilder, Origin, Provider, RequestManager};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::Instant};

#[path = "../client/pipe.rs"]
mod pipe;

const CHATS: usize = 64;
const AT_ONCE: usize = 16;
const PATH: &str = "/v1/chat/completions";
const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn chats(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("manager/64 chats");
    group.throughput(Throughput::Elements(CHATS as u64));
    let reply = pipe::reply("application/json", &answer().to_string());
    let body = Bytes::from(question().to_string());

    let (client, json) = (pipe::hyper_util(reply.clone()), body.clone());
    bench(&mut group, "hyper-util, a loop", move || {
        at_once((0..AT_ONCE).map(|_| {
            let (client, json) = (client.clone(), json.clone());
            async move {
                for _ in 0..CHATS / AT_ONCE {
                    let reply = client.request(request(json.clone())).await.expect("a reply");
                    assert!(reply.status().is_success());
                    assert_text(&reply.into_body().collect().await.expect("a whole body").to_bytes());
                }
            }
        }))
    });

    let (client, json) = (client_of(reply.clone()).build().expect("a client"), body.clone());
    bench(&mut group, "outbound-client, a loop", move || {
        at_once((0..AT_ONCE).map(|_| {
            let (client, json) = (client.clone(), json.clone());
            async move {
                for _ in 0..CHATS / AT_ONCE {
                    let request = client.post(PATH).header(header::CONTENT_TYPE, JSON).body(json.clone());
                    let reply = request.send().await.expect("a reply");
                    assert!(reply.status().is_success());
                    assert_text(&reply.bytes().await.expect("a whole body"));
                }
            }
        }))
    });

    let manager = RequestManager::builder()
        .provider(Provider::openai())
        .base_url("http://bench.test/v1")
        .key("sk-of-nobody")
        .client(client_of(reply))
        .max_concurrent(AT_ONCE)
        .requests_per_minute(1 << 40)
        .build();
    let manager = Arc::new(manager.expect("a manager"));
    bench(&mut group, "outbound, the manager", move || {
        let (manager, json) = (Arc::clone(&manager), body.clone());
        async move {
            let request = |_| outbound::Request::post_raw("/chat/completions", json.clone());
            let mut batch = manager.batch((0..CHATS).map(request));
            let mut count = 0;
            while let Some(outcome) = batch.next().await {
                count += usize::from(outcome.result.expect("an answer").content().is_some());
            }
            assert_eq!(count, CHATS);
        }
    });
    group.finish();
}

/// All the chats of a round in a task, as in a program: the runtime's first future is no place to measure.
fn bench<F>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, run: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| {
            runtime.block_on(async {
                let started = Instant::now();
                for _ in 0..rounds {
                    tokio::spawn(run()).await.expect("no panic");
                }
                started.elapsed()
            })
        });
    });
}

/// Each worker in a task of its own.
fn at_once<F>(workers: impl Iterator<Item = F>) -> BoxFuture<'static, ()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let workers: Vec<F> = workers.collect();
    Box::pin(async {
        let workers: JoinSet<()> = workers.into_iter().collect();
        assert_eq!(workers.join_all().await.len(), AT_ONCE);
    })
}

fn client_of(reply: Bytes) -> ClientBuilder {
    let connector = move |_: &Origin| {
        let reply = reply.clone();
        async move { Ok(pipe::dial(reply)) }
    };
    Client::builder().connector(connector).base_url("http://bench.test")
}

fn request(body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("http://bench.test/v1/chat/completions");
    let headers = request.headers_mut();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer sk-of-nobody"));
    headers.insert(header::CONTENT_TYPE, JSON);
    request
}

fn assert_text(body: &[u8]) {
    let answer: Value = serde_json::from_slice(body).expect("JSON");
    assert!(answer.pointer("/choices/0/message/content").is_some_and(Value::is_string));
}

/// Of about 1 KiB.
fn question() -> Value {
    let content = "word ".repeat(190);
    json!({"model": "small", "temperature": 0, "messages": [{"role": "user", "content": content}]})
}

/// Of about 1 KiB.
fn answer() -> Value {
    json!({
        "id": "chatcmpl-0123456789", "object": "chat.completion", "created": 1_790_000_000, "model": "small",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": "word ".repeat(130), "refusal": null},
            "logprobs": null,
            "finish_reason": "stop",
        }],
        "usage": {"prompt_tokens": 200, "completion_tokens": 130, "total_tokens": 330},
    })
}

/// Says what is measured, before it is.
fn about(_: &mut Criterion) {
    println!(
        "manager: 64 chats, 16 at a time, through pipes in memory; ours beside loops without limits and retries"
    );
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots().measurement_time(Duration::from_secs(3));
    targets = about, chats
}
criterion_main!(benches);
