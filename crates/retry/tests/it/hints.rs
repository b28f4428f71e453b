//! Hints of a server, and how they change the policy's wait.

use std::{future::ready, pin::pin, time::Duration};

use outbound_retry::{Hint, Report, Retry, StopReason, Verdict, Wait};
use tokio::time::Instant;

use crate::ms;

/// One failure with this verdict, then a success. Gives the time waited, or the report where it gave up.
async fn after(retry: Retry, verdict: Verdict) -> Result<Duration, Report> {
    let started = Instant::now();
    let mut call = pin!(retry.when(|_| verdict).call(|attempt| ready(if attempt.is_retry() {
        Ok(())
    } else {
        Err(())
    })));
    call.as_mut().await.map(|()| started.elapsed()).map_err(|()| call.report())
}

const POLICY: Retry = Retry::attempts(3).wait(Wait::fixed(ms(100)));

#[tokio::test(start_paused = true)]
async fn floor_exact_and_clamp() {
    let (short, long) = (Verdict::RetryAfter(ms(20)), Verdict::RetryAfter(ms(900)));
    for (hint, waits) in [
        (Hint::Floor, [100, 900]),
        (Hint::Exact, [20, 900]),
        (Hint::Clamp(ms(50)), [100, 150]),
        (Hint::Clamp(Duration::MAX), [100, 900]),
    ] {
        let policy = POLICY.hint(hint);
        assert_eq!(
            [after(policy, short).await, after(policy, long).await],
            waits.map(|n| Ok(ms(n))),
            "{hint:?}"
        );
    }
    assert_eq!(
        after(POLICY.hint(Hint::Exact), Verdict::RetryAfter(Duration::ZERO)).await,
        Ok(Duration::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn a_free_retry_waits_exactly_the_hint() {
    assert_eq!(after(POLICY, Verdict::RetryFree(ms(20))).await, Ok(ms(20)));
    assert_eq!(after(POLICY, Verdict::RetryFree(Duration::ZERO)).await, Ok(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn too_long_a_hint_gives_up_at_once() {
    let started = Instant::now();
    let policy = POLICY.give_up_beyond(ms(60_000));
    for verdict in [Verdict::RetryAfter, Verdict::RetryFree] {
        let exactly = after(policy, verdict(ms(60_000))).await;
        assert_eq!(exactly, Ok(ms(60_000)), "a hint equal to the cap is accepted");
        for hint in [ms(60_001), Duration::from_secs(2 * 86_400), Duration::MAX] {
            let before = started.elapsed();
            let report = after(policy, verdict(hint)).await.unwrap_err();
            assert_eq!(report.stopped(), Some(StopReason::HintTooLong));
            assert_eq!(started.elapsed(), before);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_beyond_the_time_left_gives_up_at_once() {
    let started = Instant::now();
    for verdict in
        [Verdict::RetryAfter(ms(5_000)), Verdict::RetryFree(ms(5_000)), Verdict::RetryAfter(Duration::MAX)]
    {
        let report = after(POLICY.within(ms(4_000)), verdict).await.unwrap_err();
        assert_eq!(report.stopped(), Some(StopReason::Deadline));
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
}
