//! Futures that a signal ends.

use std::{
    future::{pending, ready},
    pin::pin,
};

use outbound_timeout::TimeoutExt;
use tokio::time::{Instant, sleep};

use crate::ms;

#[tokio::test(start_paused = true)]
async fn the_signal_ends_it_with_its_own_value() {
    let started = Instant::now();
    let signal = async {
        sleep(ms(7)).await;
        "stop"
    };
    assert_eq!(pending::<()>().until(signal).await, Err("stop"));
    assert_eq!(started.elapsed(), ms(7));
    assert_eq!(sleep(ms(5)).until(pending::<()>()).await, Ok(()));
}

#[tokio::test]
async fn a_signal_that_has_come_already_keeps_it_from_starting() {
    let never_polled = std::future::poll_fn(|_| -> std::task::Poll<()> { panic!("polled") });
    assert_eq!(never_polled.until(ready(1)).await, Err(1));
}

#[tokio::test(start_paused = true)]
async fn composes_with_limits() {
    assert!(pending::<()>().until(pending::<()>()).timeout(ms(5)).await.is_err());
    assert_eq!(sleep(ms(9)).timeout(ms(5)).until(sleep(ms(3))).await, Err(()));
}

#[tokio::test(start_paused = true)]
async fn the_work_is_still_there_after_the_signal() {
    let started = Instant::now();
    let mut work = pin!(sleep(ms(10)).until(sleep(ms(4))));
    assert_eq!(work.as_mut().await, Err(()));
    work.as_mut().get_pin_mut().await;
    assert_eq!(started.elapsed(), ms(10));
    assert_eq!(ready(3).until(ready(())).into_inner().await, 3);
    assert_eq!(ready(3).until(ready(())).get_ref().clone().await, 3);
}
