//! Tests of the timeout layer.

use std::{convert::Infallible, io};

use outbound_timeout::Elapsed;
use outbound_tower::TimeoutLayer;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_test::{assert_request_eq, mock};

use crate::ms;

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_dropped() {
    let (mut service, mut handle) = mock::spawn_layer::<&str, &str, _>(TimeoutLayer::new(ms(50)));
    assert!(service.poll_ready().is_ready());
    let started = Instant::now();
    let response = tokio::spawn(service.call("one"));
    let send = assert_request_eq!(handle, "one");
    let error = response.await.unwrap().unwrap_err();
    assert!(error.downcast_ref::<Elapsed>().is_some());
    assert_eq!(started.elapsed(), ms(50));
    // The caller no longer waits for it.
    send.send_response("late");

    assert!(service.poll_ready().is_ready());
    let response = service.call("two");
    assert_request_eq!(handle, "two").send_response("in time");
    assert_eq!(response.await.unwrap(), "in time");
}

#[tokio::test(start_paused = true)]
async fn the_inner_error_is_found_again_and_readiness_passed_on() {
    let (mut service, mut handle) = mock::spawn_layer::<&str, &str, _>(TimeoutLayer::new(ms(50)));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let response = service.call("one");
    assert_request_eq!(handle, "one").send_error(io::Error::from(io::ErrorKind::NotFound));
    let error = response.await.unwrap_err();
    assert_eq!(error.downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_fail_can_be_limited() {
    let slow = service_fn(|takes: u64| async move {
        sleep(ms(takes)).await;
        Ok::<_, Infallible>(takes)
    });
    let limited = TimeoutLayer::new(ms(10)).layer(slow);
    assert_eq!(limited.oneshot(5).await.unwrap(), 5);
    assert!(limited.oneshot(15).await.is_err());
}
