//! Tests of the retry layer: waits, readiness, budget and attempt timeout.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use http::{Request, Response};
use outbound_limiter::ConcurrencyLimiter;
use outbound_retry::{Budget, Retry, StopReason, Wait};
use outbound_tower::{BoxError, LimitLayer, RetryLayer, retry_http};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_test::{assert_request_eq, mock};

use crate::ms;

const POLICY: Retry = Retry::attempts(3).wait(Wait::fixed(ms(100)));

#[tokio::test(start_paused = true)]
async fn an_error_is_tried_again_after_the_policy_s_wait() {
    let (mut service, mut handle) = mock::spawn_layer::<&str, &str, _>(RetryLayer::new(POLICY));
    assert!(service.poll_ready().is_ready());
    let started = Instant::now();
    let response = tokio::spawn(service.call("page"));
    assert_request_eq!(handle, "page").send_error("busy");
    assert_request_eq!(handle, "page").send_error("busy");
    assert_request_eq!(handle, "page").send_response("hello");
    assert_eq!(response.await.unwrap().unwrap(), "hello");
    assert_eq!(started.elapsed(), ms(200));
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_the_service_s_own() {
    let (mut service, mut handle) = mock::spawn_layer::<&str, &str, _>(RetryLayer::new(
        POLICY.when(|error: &BoxError| error.to_string() == "busy"),
    ));
    assert!(service.poll_ready().is_ready());
    let response = tokio::spawn(service.call("page"));
    assert_request_eq!(handle, "page").send_error("busy");
    assert_request_eq!(handle, "page").send_error("forbidden");
    assert_eq!(response.await.unwrap().unwrap_err().to_string(), "forbidden");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_waits_until_the_service_is_ready() {
    let (mut service, mut handle) = mock::spawn_layer::<&str, &str, _>(RetryLayer::new(POLICY));
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let mut response = tokio_task(service.call("page"));
    assert_request_eq!(handle, "page").send_error("busy");
    tokio::time::sleep(ms(500)).await;
    assert!(!response.is_finished());
    handle.allow(1);
    assert_request_eq!(handle, "page").send_response("hello");
    assert_eq!((&mut response).await.unwrap().unwrap(), "hello");
}

fn tokio_task<F: Future<Output: Send> + Send + 'static>(future: F) -> tokio::task::JoinHandle<F::Output> {
    tokio::spawn(future)
}

#[tokio::test(start_paused = true)]
async fn the_server_s_wait_is_kept_and_the_budget_bounds_all() {
    let calls = Arc::new(AtomicU32::new(0));
    let server = {
        let calls = calls.clone();
        service_fn(move |_: Request<()>| {
            let status = if calls.fetch_add(1, Ordering::Relaxed) == 0 { 429 } else { 200 };
            let response = Response::builder().status(status).header("retry-after", "7").body(()).unwrap();
            std::future::ready(Ok::<_, io::Error>(response))
        })
    };
    let started = Instant::now();
    let service = RetryLayer::new(POLICY.when_result(retry_http)).layer(server);
    assert_eq!(service.oneshot(Request::new(())).await.unwrap().status(), 200);
    assert_eq!(started.elapsed(), ms(7_000));

    let down = service_fn(|_: Request<()>| async {
        Ok::<_, io::Error>(Response::builder().status(503).body(()).unwrap())
    });
    let budget = Budget::percent(0).reserve(1);
    let policy = POLICY.when_result(retry_http).budget(budget.clone());
    let mut service = RetryLayer::new(policy).layer(down);
    let mut call = std::pin::pin!(service.ready().await.unwrap().call(Request::new(())));
    assert_eq!(call.as_mut().await.unwrap().status(), 503, "the last there is");
    assert_eq!(call.report().stopped(), Some(StopReason::Budget));
    assert_eq!(call.report().attempts(), 2);
    assert_eq!((budget.available(), budget.denied()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn attempts_are_cut_and_nothing_is_held_in_between() {
    let limiter = ConcurrencyLimiter::new(1);
    let stuck = service_fn(|(): ()| std::future::pending::<Result<(), BoxError>>());
    let mut service = ServiceBuilder::new()
        .layer(RetryLayer::new(POLICY.attempt_timeout(ms(50))))
        .layer(LimitLayer::new(limiter.clone()))
        .service(stuck);
    let started = Instant::now();
    let call = tokio::spawn(service.ready().await.unwrap().call(()));
    drop(service);
    tokio::time::sleep(ms(20)).await;
    assert_eq!(limiter.available(), 0);
    tokio::time::sleep(ms(50)).await;
    assert_eq!(limiter.available(), 1, "it waits for the next attempt");
    assert!(call.await.unwrap().unwrap_err().downcast_ref::<outbound_retry::Elapsed>().is_some());
    assert_eq!(started.elapsed(), ms(50 + 100 + 50 + 100 + 50));
}
