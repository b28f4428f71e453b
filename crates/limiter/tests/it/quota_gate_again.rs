//! Gates that are closed again soon after they have opened.

use std::time::Duration;

use outbound_limiter::{Charge, Cost, Observation, QuotaLimiter};
use tokio::time::{Instant, advance};

const WAIT: Duration = Duration::from_secs(2);
/// Some time after the gate has opened, in which the bucket gains fifty units.
const PAST_IT: Duration = Duration::from_millis(2_050);

fn quota() -> QuotaLimiter {
    QuotaLimiter::builder().requests_per_minute(60_000).build().expect("a limit above 0")
}

fn send(quota: &QuotaLimiter) -> Option<(Charge, Instant)> {
    let now = Instant::now();
    Some((quota.try_reserve_at(Cost::request(), now).ok()?.sent(), now))
}

async fn refuse(quota: &QuotaLimiter, (charge, sent_at): (Charge, Instant)) {
    advance(Duration::from_millis(10)).await;
    quota.observe(Instant::now(), &Observation::new(sent_at).refused(Some(WAIT)));
    charge.refund();
}

/// Two refusals, one after the other, each of a call that was sent when the gate was open. Gives the number of requests that
/// are admitted at once when the gate opens again.
async fn at_once_after(between: impl AsyncFnOnce(&QuotaLimiter)) -> usize {
    let quota = quota();
    let first = send(&quota).expect("open");
    refuse(&quota, first).await;
    between(&quota).await;
    advance(PAST_IT).await;
    let second = send(&quota).expect("open again");
    refuse(&quota, second).await;
    advance(PAST_IT).await;
    let sent: Vec<_> = (0..10).map_while(|_| send(&quota)).collect();
    sent.len()
}

#[tokio::test(start_paused = true)]
async fn it_opens_slowly_where_nothing_was_served() {
    assert_eq!(at_once_after(async |_| {}).await, 1, "one request goes first to test the server");
}

#[tokio::test(start_paused = true)]
async fn after_one_refusal_the_gate_opens_at_once() {
    let quota = quota();
    let first = send(&quota).expect("open");
    refuse(&quota, first).await;
    advance(PAST_IT).await;
    assert_eq!((0..10).map_while(|_| send(&quota)).count(), 10);
}

#[tokio::test(start_paused = true)]
async fn after_an_answer_the_gate_opens_at_once() {
    let served = async |quota: &QuotaLimiter| {
        advance(PAST_IT).await;
        let (charge, sent_at) = send(quota).expect("open");
        quota.observe(Instant::now(), &Observation::new(sent_at));
        charge.keep_estimate();
    };
    assert_eq!(at_once_after(served).await, 10);
}

/// Refusals come at once, and answers take longer. So a request that is still in flight was not refused.
#[tokio::test(start_paused = true)]
async fn a_request_in_flight_counts_as_not_refused() {
    let quota = quota();
    let (slow, first) = (send(&quota).expect("open"), send(&quota).expect("open"));
    refuse(&quota, first).await;
    advance(PAST_IT).await;
    let second = send(&quota).expect("open again");
    refuse(&quota, second).await;
    advance(PAST_IT).await;
    assert_eq!((0..10).map_while(|_| send(&quota)).count(), 10);
    drop(slow);
}

/// How long a refusal without a hint closes the gate, after this many requests were served since the refusal before.
async fn closed_after(served: usize, refusals: usize) -> Duration {
    let quota = quota();
    let mut closed = Duration::ZERO;
    for _ in 0..refusals {
        for _ in 0..served {
            let (charge, sent_at) = send(&quota).expect("open");
            advance(Duration::from_millis(2)).await;
            quota.observe(Instant::now(), &Observation::new(sent_at));
            drop(charge);
        }
        let (charge, sent_at) = send(&quota).expect("open");
        advance(Duration::from_millis(10)).await;
        quota.observe(Instant::now(), &Observation::new(sent_at).refused(None));
        charge.refund();
        let began = Instant::now();
        let is_closed = || match quota.try_reserve_at(Cost::request(), Instant::now()) {
            Ok(reserved) => {
                reserved.sent().refund();
                false
            }
            Err(_) => true,
        };
        while is_closed() {
            advance(Duration::from_millis(5)).await;
        }
        closed = began.elapsed();
    }
    closed
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_short_among_many_answers_and_doubles_among_few() {
    let tolerance = Duration::from_millis(10);
    let is = |closed: Duration, ms: u64| closed.abs_diff(Duration::from_millis(ms)) <= tolerance;
    assert!(is(closed_after(3, 1).await, 1_000));
    let few = closed_after(3, 4).await;
    assert!(few >= Duration::from_secs(4), "{few:?} after the fourth refusal");
    let many = closed_after(128, 4).await;
    assert!(is(many, 500), "{many:?}: half a second after twice as many answers as are enough");
    let most = closed_after(3_200, 2).await;
    assert!(is(most, 50), "{most:?}: the wait has a minimum");
}
