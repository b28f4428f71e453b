//! One request over HTTP/1.1 through a pipe in memory: ours beside hyper-util's client, and beside a connection of hyper's
//! that the caller holds. The server's part is in all of them, and is the same.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use outbound::{Client, Origin};
use tokio::{runtime::Runtime, sync::Mutex, time::Instant};

mod pipe;

const EVENTS: usize = 100;
const SMALL: usize = 200;

fn get(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("client/get");
    let reply = pipe::reply("application/json", &"x".repeat(SMALL));
    raw(&mut group, "hyper connection", &reply, SMALL);
    let client = pipe::hyper_util(reply.clone());
    bench(&mut group, "hyper-util", move |rounds| {
        let client = client.clone();
        async move {
            for _ in 0..rounds {
                let request = request(Uri::from_static("http://bench.test/"));
                assert_eq!(read(client.request(request).await.expect("a reply")).await, SMALL);
            }
        }
    });
    let client = ours(reply);
    bench(&mut group, "outbound", move |rounds| {
        let client = client.clone();
        async move {
            for _ in 0..rounds {
                let reply = client.get("/").send().await.expect("a reply");
                assert!(reply.status().is_success());
                assert_eq!(reply.bytes().await.expect("a whole body").len(), SMALL);
            }
        }
    });
    group.finish();
}

fn events(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("client/100 events");
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"token\"}}]}\n\n".repeat(EVENTS);
    let reply = pipe::reply("text/event-stream", &body);
    raw(&mut group, "hyper connection, bytes alone", &reply, body.len());
    let client = ours(reply);
    bench(&mut group, "outbound", move |rounds| {
        let client = client.clone();
        async move {
            for _ in 0..rounds {
                let mut events = client.get("/").send().await.expect("a reply").events().expect("events");
                let mut count = 0;
                while let Some(event) = events.next().await {
                    count += usize::from(!event.expect("an event").data.is_empty());
                }
                assert_eq!(count, EVENTS);
            }
        }
    });
    group.finish();
}

/// The floor.
fn raw(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, reply: &Bytes, size: usize) {
    let connection = Arc::new(Mutex::new(None));
    let reply = reply.clone();
    bench(group, name, move |rounds| {
        let (connection, reply) = (Arc::clone(&connection), reply.clone());
        async move {
            let mut connection = connection.lock().await;
            if connection.is_none() {
                let (sender, driver) = http1::handshake(TokioIo::new(pipe::dial(reply))).await.expect("open");
                tokio::spawn(driver);
                *connection = Some(sender);
            }
            let sender = connection.as_mut().expect("just opened");
            for _ in 0..rounds {
                sender.ready().await.expect("an open connection");
                let reply = sender.send_request(request(Uri::from_static("/"))).await.expect("a reply");
                assert_eq!(read(reply).await, size);
            }
        }
    });
}

/// So many rounds at a time in a task, as in a program: the runtime's first future is no place to measure.
fn bench<F>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, run: impl Fn(u64) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime: Runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| {
            runtime.block_on(async {
                let started = Instant::now();
                tokio::spawn(run(rounds)).await.expect("no panic");
                started.elapsed()
            })
        });
    });
}

fn ours(reply: Bytes) -> Client {
    let connector = move |_: &Origin| {
        let reply = reply.clone();
        async move { Ok(pipe::dial(reply)) }
    };
    Client::builder().connector(connector).base_url("http://bench.test").build().expect("a client")
}

fn request(uri: Uri) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = uri;
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("bench.test"));
    request
}

async fn read(reply: http::Response<Incoming>) -> usize {
    assert!(reply.status().is_success());
    reply.into_body().collect().await.expect("a whole body").to_bytes().len()
}

/// Says what is measured, before it is.
fn about(_: &mut Criterion) {
    println!(
        "client: one request, and a stream of events, through a pipe in memory; ours beside hyper and hyper-util"
    );
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots().measurement_time(Duration::from_secs(3));
    targets = about, get, events
}
criterion_main!(benches);
