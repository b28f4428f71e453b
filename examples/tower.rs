//! Our limits, retries and timeouts around a service of somebody else's, as tower layers.
//!
//! ```sh
//! cargo run --example tower
//! ```
//!
//! The service speaks HTTP to a hyper server over a pipe in memory, on tokio's paused clock: the waits are exact, and take
//! no time.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, client, server, service::service_fn as hyper_service};
use hyper_util::rt::TokioIo;
use outbound::{
    limiter::{ConcurrencyLimiter, Rate, RateLimiter},
    retry::{Budget, Retry, Wait},
};
use outbound_examples::{Result, heading};
use outbound_tower::{BoxError, LimitLayer, RetryLayer, TimeoutLayer, retry_http};
use tokio::{
    io::duplex,
    time::{Instant, sleep},
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

const POLICY: Retry =
    Retry::attempts(4).within(Duration::from_secs(60)).wait(Wait::fixed(Duration::from_secs(1)));

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result {
    println!("(on the paused clock)");
    let server = Server::default();
    let (permits, rate) = (ConcurrencyLimiter::new(2), RateLimiter::new(Rate::per_second(5).burst(1)));
    let budget = Budget::percent(10);

    // The first layer is the outermost. Each attempt passes through those below the retry again.
    let mut service = ServiceBuilder::new()
        .layer(TimeoutLayer::new(Duration::from_secs(90)))
        .layer(RetryLayer::new(POLICY.when_result(retry_http).budget(budget.clone())))
        .layer(LimitLayer::new(rate))
        .layer(LimitLayer::new(permits))
        .layer(TimeoutLayer::new(Duration::from_secs(20)))
        .service(service_fn({
            let server = server.clone();
            move |request| send(server.clone(), request)
        }));

    heading("Ready means reserved: five a second, two at once");
    let begun = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for number in 1..=6 {
        let call = service.ready().await?.call(get(&format!("/{number}")));
        calls.spawn(async move {
            println!("{} after {:?}", text(call.await?).await?, begun.elapsed());
            Ok::<_, BoxError>(())
        });
    }
    while let Some(ended) = calls.join_next().await {
        ended??;
    }
    assert_eq!(server.most_at_once.load(Ordering::Relaxed), 2);

    heading("What the server asks for: come back in 7 s");
    let begun = Instant::now();
    server.refusals.store(1, Ordering::Relaxed);
    let response = service.ready().await?.call(get("/refused once")).await?;
    println!("{} after {:?}", text(response).await?, begun.elapsed());
    assert!(begun.elapsed() >= Duration::from_secs(7));

    heading("A server that does not answer: each attempt has its limit, the whole has another");
    let begun = Instant::now();
    let late = service.ready().await?.call(get("/silence")).await;
    println!("{} (after {:?})", late.err().ok_or("it is silent")?, begun.elapsed());
    assert!(begun.elapsed() <= Duration::from_secs(90));
    println!("retries left in the budget: {}", budget.available());
    Ok(())
}

/// Counts what arrives, and refuses what it is told to.
#[derive(Clone, Default)]
struct Server {
    refusals: Arc<AtomicU32>,
    at_once: Arc<AtomicU32>,
    most_at_once: Arc<AtomicU32>,
}

impl Server {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        if request.uri().path() == "/silence" {
            std::future::pending::<()>().await;
        }
        let at_once = self.at_once.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::Relaxed);
        sleep(Duration::from_millis(500)).await;
        self.at_once.fetch_sub(1, Ordering::Relaxed);
        let refuse = |left: u32| left.checked_sub(1);
        if self.refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, refuse).is_ok() {
            let mut response = Response::new(Full::default());
            *response.status_mut() = hyper::StatusCode::TOO_MANY_REQUESTS;
            response.headers_mut().insert("retry-after", hyper::header::HeaderValue::from_static("7"));
            return Ok(response);
        }
        Ok(Response::new(Full::from(format!("answer to {}", request.uri().path()))))
    }
}

/// One request on a connection of its own.
async fn send(server: Server, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, BoxError> {
    let (here, there) = duplex(64 * 1024);
    tokio::spawn(
        server::conn::http1::Builder::new().serve_connection(
            TokioIo::new(there),
            hyper_service(move |request| server.clone().answer(request)),
        ),
    );
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(here)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

fn get(path: &str) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = path.replace(' ', "-").parse().unwrap_or_default();
    request
}

async fn text(response: Response<Incoming>) -> Result<String, BoxError> {
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}
