//! A gate that opens, and nothing but refusals comes.

use std::time::Duration;

use outbound_limiter::{Charge, Cost, Observation, QuotaLimiter};
use tokio::time::{Instant, advance};

const WAIT: Duration = Duration::from_secs(2);
/// And some time more, in which the bucket gains fifty.
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

/// Two refusals, one after the other, of calls that were sent when the gate was open. How many go at once when it opens
/// again.
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
    assert_eq!(at_once_after(async |_| {}).await, 1, "one asks whether it is over");
}

#[tokio::test(start_paused = true)]
async fn one_refusal_says_nothing_of_the_next_wait() {
    let quota = quota();
    let first = send(&quota).expect("open");
    refuse(&quota, first).await;
    advance(PAST_IT).await;
    assert_eq!((0..10).map_while(|_| send(&quota)).count(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_answer_says_that_it_serves() {
    let served = async |quota: &QuotaLimiter| {
        advance(PAST_IT).await;
        let (charge, sent_at) = send(quota).expect("open");
        quota.observe(Instant::now(), &Observation::new(sent_at));
        charge.keep_estimate();
    };
    assert_eq!(at_once_after(served).await, 10);
}

/// Refusals come at once, and answers take their time.
#[tokio::test(start_paused = true)]
async fn what_is_still_in_flight_was_not_refused() {
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
