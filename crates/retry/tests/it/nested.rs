//! Layers of retries, and the policy that leaves retrying to the outer layer.

use std::{cell::Cell, future::ready, pin::pin};

use outbound_retry::{Retry, StopReason, Wait};

const OUTER: Retry = Retry::attempts(3).wait(Wait::none());
const INNER: Retry = OUTER.max_attempts(4);

async fn requests(inner: Retry) -> u32 {
    let requests = Cell::new(0);
    let send = || {
        requests.set(requests.get() + 1);
        ready(Err::<(), _>(()))
    };
    let layered = OUTER.call(async |_| {
        tokio::task::yield_now().await;
        inner.call(|_| send()).await
    });
    assert_eq!(layered.await, Err(()));
    requests.get()
}

#[tokio::test]
async fn an_outermost_policy_inside_another_makes_one_attempt() {
    assert_eq!(requests(INNER).await, 12);
    assert_eq!(requests(INNER.outermost()).await, 3);
}

#[tokio::test]
async fn an_outermost_policy_retries_alone_and_after_an_outer_layer_has_ended() {
    let alone = INNER.outermost();
    assert_eq!(alone.call(|attempt| ready(Err::<(), _>(attempt.number()))).await, Err(4));
    assert_eq!(requests(alone).await, 3);
    let mut call = pin!(alone.call(|attempt| ready(Err::<(), _>(attempt.number()))));
    assert_eq!(call.as_mut().await, Err(4));
    assert_eq!(call.report().stopped(), Some(StopReason::Attempts));
}

#[tokio::test]
async fn an_outermost_loop_inside_an_outer_layer_makes_one_attempt_too() {
    let sent = Cell::new(0);
    let layered = OUTER.call(async |_| {
        let mut attempts = INNER.outermost().start();
        loop {
            sent.set(sent.get() + 1);
            if let Err(error) = attempts.failed(()).await {
                assert_eq!(attempts.report().stopped(), Some(StopReason::Nested));
                return Err::<(), _>(error);
            }
        }
    });
    assert_eq!(layered.await, Err(()));
    assert_eq!(sent.get(), 3);
}
