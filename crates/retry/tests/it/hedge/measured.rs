//! What hedged calls add to the latencies.

use std::{future::ready, task::Poll};

use outbound_retry::{Budget, Latencies};
use tokio::time::{sleep, timeout};

use super::{DELAY, HEDGE, Output, Server, budget, poll_once, took};
use crate::ms;

#[tokio::test(start_paused = true)]
async fn no_hedge_before_enough_is_known() {
    let (latencies, budget) = (Latencies::new(), budget(9));
    for n in 0..=20 {
        let server = Server::new((100 + n, Ok("original")), (0, Ok("hedge")));
        let call = HEDGE.call_idempotent(&latencies, &budget, |attempt| server.call(attempt));
        let expected = if n < 20 { "original" } else { "hedge" };
        assert_eq!(call.await, Ok(expected), "{n} known");
    }
}

#[test]
fn a_call_that_is_ready_at_once_needs_no_runtime_and_is_not_measured() {
    let (latencies, budget) = (Latencies::new(), Budget::percent(100).reserve(0));
    for n in 1..=50 {
        let call = HEDGE.call_idempotent(&latencies, &budget, |attempt| ready(Ok::<_, ()>(attempt.number())));
        assert_eq!(poll_once(call), Poll::Ready(Ok(1)));
        assert_eq!(budget.available(), n, "each call pays into the budget");
    }
    assert_eq!(latencies.percentile(1), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_measured() {
    /// Whether a call adds a latency, if it is dropped after `patience` ms.
    async fn adds(original: (u64, Output), hedge: (u64, Output), patience: u64) -> bool {
        let (latencies, budget) = (Latencies::new(), budget(1));
        (0..30).for_each(|_| latencies.record(DELAY));
        let server = Server::new(original, hedge);
        let call = HEDGE.call_idempotent(&latencies, &budget, |attempt| server.call(attempt));
        let _ = timeout(ms(patience), call).await;
        format!("{latencies:?}").contains("known: 31")
    }
    const LONG: u64 = 10_000;
    let slow = (900, Ok("original"));
    assert!(adds((50, Ok("original")), slow, LONG).await, "a success");
    assert!(adds(slow, (900, Ok("hedge")), LONG).await, "a slow original");
    assert!(adds(slow, (10, Ok("hedge")), LONG).await, "an original that was slower than its hedge");
    assert!(!adds((50, Err("refused")), slow, LONG).await, "a quick failure says nothing");
    assert!(adds((150, Err("original")), (900, Err("hedge")), LONG).await, "a slow failure is a lower bound");
    assert!(!adds(slow, slow, 99).await, "dropped before it was slow");
    assert!(adds(slow, slow, 101).await, "dropped after it was slow");
}

#[tokio::test(start_paused = true)]
async fn calls_that_their_callers_give_up_are_still_known_to_be_slow() {
    // A tenth takes an hour, and no caller waits longer than 200 ms. Without that tenth the slowest would take 60 ms.
    let (latencies, budget) = (Latencies::new(), budget(0));
    for n in 0..1_000_u64 {
        let takes = if n % 10 == 9 { 3_600_000 } else { 10 + n % 50 };
        let call = HEDGE.call_idempotent(&latencies, &budget, |_| async move {
            sleep(ms(takes)).await;
            Ok::<_, ()>(())
        });
        let _ = timeout(ms(200), call).await;
    }
    assert_eq!(latencies.percentile(95), Some(ms(200)));
}

#[tokio::test(start_paused = true)]
async fn an_original_that_failed_is_measured_to_its_failure_and_not_to_the_hedge_s_end() {
    let (latencies, budget) = (took(DELAY), budget(40));
    for _ in 0..40 {
        let server = Server::new((110, Err("original")), (60_000, Ok("hedge")));
        let call = HEDGE.call_idempotent(&latencies, &budget, |attempt| server.call(attempt));
        // Once 110 ms is known to be usual, there is no hedge before the failure.
        let _ = call.await;
    }
    assert!(latencies.percentile(95) <= Some(ms(110)), "{latencies:?}");
}
