//! Tests of the limit layer: readiness, order, errors, and that unused permits are given back.

use std::convert::Infallible;

use outbound_limiter::{ConcurrencyLimiter, Cost, QuotaLimiter, Rate, RateLimiter};
use outbound_tower::{LimitLayer, QuotaShare};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::{assert_request_eq, mock};

use crate::ms;

#[tokio::test(start_paused = true)]
async fn ready_means_reserved() {
    let limiter = ConcurrencyLimiter::new(2);
    let (mut service, mut handle) = mock::spawn_layer::<&str, &str, _>(LimitLayer::new(limiter.clone()));
    assert_eq!(limiter.available(), 2);
    assert!(service.poll_ready().is_ready());
    assert!(service.poll_ready().is_ready(), "asked again it is the same permit");
    assert_eq!(limiter.available(), 1);

    let mut other = service.clone();
    assert_eq!(limiter.available(), 1, "a clone starts without");
    assert!(other.poll_ready().is_ready());
    let mut third = service.clone();
    assert!(third.poll_ready().is_pending());
    drop(other);
    assert!(third.is_woken());
    assert!(third.poll_ready().is_ready(), "an unused permit goes to the next");

    let response = service.call("one");
    assert_eq!(limiter.available(), 0);
    assert_request_eq!(handle, "one").send_response("done");
    assert_eq!(response.await.unwrap(), "done");
    assert_eq!(limiter.available(), 1);
    let response = third.call("two");
    drop(response);
    assert_eq!(limiter.available(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_waits_keeps_its_place_and_leaves_it_when_dropped() {
    let limiter = ConcurrencyLimiter::new(1);
    let (mut first, _handle) = mock::spawn_layer::<&str, &str, _>(LimitLayer::new(limiter.clone()));
    let (mut second, mut third) = (first.clone(), first.clone());
    assert!(first.poll_ready().is_ready());
    assert!(second.poll_ready().is_pending());
    assert!(third.poll_ready().is_pending());
    assert_eq!(limiter.waiting(), 2);
    drop(second);
    drop(first);
    assert!(third.poll_ready().is_ready());
    assert_eq!(limiter.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_while_the_inner_service_is_not_ready() {
    let limiter = ConcurrencyLimiter::new(1);
    let (mut service, mut handle) = mock::spawn_layer::<&str, &str, _>(LimitLayer::new(limiter.clone()));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    assert_eq!(limiter.available(), 1);
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    assert_eq!(limiter.available(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_closed_quota_is_an_error() {
    let limiter = QuotaLimiter::builder().max_concurrent(1).build().unwrap();
    let share = QuotaShare::new(limiter.clone(), Cost::request());
    let (mut service, _handle) = mock::spawn_layer::<&str, &str, _>(LimitLayer::new(share));
    let mut waiting = service.clone();
    assert!(service.poll_ready().is_ready());
    assert!(waiting.poll_ready().is_pending());
    limiter.close();
    for _ in 0..2 {
        let std::task::Poll::Ready(Err(error)) = waiting.poll_ready() else { panic!("it is closed") };
        assert!(
            error.downcast_ref::<outbound_limiter::QuotaError>()
                == Some(&outbound_limiter::QuotaError::Closed)
        );
    }
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "called before it was ready")]
async fn a_call_without_readiness_is_a_clear_panic() {
    let echo = service_fn(|n: u32| async move { Ok::<_, Infallible>(n) });
    drop(LimitLayer::new(ConcurrencyLimiter::new(1)).layer(echo).call(1));
}

#[tokio::test(start_paused = true)]
async fn a_rate_spaces_requests() {
    let echo = service_fn(|n: u64| async move { Ok::<_, Infallible>(n) });
    let rate = RateLimiter::new(Rate::per_second(10).burst(1));
    let mut service = LimitLayer::new(rate).layer(echo);
    let started = Instant::now();
    for n in 0..5 {
        assert_eq!(service.ready().await.unwrap().call(n).await.unwrap(), n);
        assert_eq!(started.elapsed(), ms(100) * u32::try_from(n).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_is_reserved_sent_and_released() {
    let quota = QuotaLimiter::builder().requests_per_minute(600).max_concurrent(1).build().unwrap();
    let share = QuotaShare::new(quota.clone(), Cost::request());
    let slow = service_fn(|(): ()| async {
        sleep(ms(50)).await;
        Ok::<_, Infallible>(())
    });
    let mut service = LimitLayer::new(share).layer(slow);
    let mut other = service.clone();
    let started = Instant::now();
    let call = service.ready().await.unwrap().call(());
    assert!(quota.try_reserve_at(Cost::request(), Instant::now()).is_err(), "one at once");
    let (first, second) = tokio::join!(call, async { other.ready().await.unwrap().call(()).await });
    assert!(first.is_ok() && second.is_ok());
    assert!(started.elapsed() >= ms(100));

    // Ready and then dropped: the whole reservation is given back.
    let mut unused = service.clone();
    let _ = unused.ready().await.unwrap();
    drop(unused);
    assert!(quota.try_reserve_at(Cost::request(), Instant::now()).is_ok());

    // A cost that can never be admitted is an error, not a wait.
    let small = QuotaLimiter::builder().tokens_per_minute(10).build().unwrap();
    let share = QuotaShare::new(small, Cost::request().input_tokens(11));
    let echo = service_fn(|(): ()| async { Ok::<_, Infallible>(()) });
    let error = LimitLayer::new(share).layer(echo).oneshot(()).await.unwrap_err();
    assert!(error.downcast_ref::<outbound_limiter::QuotaError>().is_some());
}
