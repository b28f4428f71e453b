//! Calls that share a batch.

use std::time::Duration;

use outbound_simulator::{Batching, Simulator};
use tokio::time::{sleep, timeout};

use crate::support::{Client, chat, ms, secs, streamed};

/// An iteration takes 10 ms, and 1 ms for each call; every answer has 100 tokens.
fn simulator(change: impl FnOnce(Batching) -> Batching) -> Simulator {
    let batching = change(Batching::new(ms(10), ms(1)));
    Simulator::builder().output_tokens(100..=100).batching(batching).build()
}

/// Sends a call after some time. Gives its status, and when its answer was there, as time since the start.
async fn call(simulator: Simulator, after: Duration, is_streamed: bool) -> (u16, Duration) {
    sleep(after).await;
    let mut client = Client::to(&simulator).await;
    let body = if is_streamed { streamed(chat("a")) } else { chat("a") };
    let got = client.chat(&body).await;
    (got.status.as_u16(), simulator.elapsed())
}

async fn calls(simulator: &Simulator, times: impl IntoIterator<Item = Duration>) -> Vec<(u16, Duration)> {
    let calls: Vec<_> =
        times.into_iter().map(|after| tokio::spawn(call(simulator.clone(), after, false))).collect();
    let mut got = Vec::new();
    for call in calls {
        got.push(call.await.unwrap());
    }
    got
}

/// Timers work in whole milliseconds, and each call sets several. So a time may be some milliseconds too long.
fn is_near(got: Duration, expected: Duration) -> bool {
    got >= expected && got <= expected + ms(25)
}

#[tokio::test(start_paused = true)]
async fn the_more_are_in_the_batch_the_longer_each_takes() {
    for (calls_at_once, expected) in [(1, ms(1_100)), (10, ms(2_000)), (90, ms(10_000))] {
        let simulator = simulator(|batching| batching);
        for (status, at) in calls(&simulator, vec![Duration::ZERO; calls_at_once]).await {
            assert!(status == 200 && is_near(at, expected), "{calls_at_once}: {at:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_joins_slows_the_others_and_who_leaves_speeds_them_up() {
    let simulator = simulator(|batching| batching);
    let got = calls(&simulator, [ms(0), ms(550)]).await;
    // The first makes 50 tokens alone and 50 at 12 ms. Then the second has 50 left, alone.
    assert!(is_near(got[0].1, ms(1_150)), "{got:?}");
    assert!(is_near(got[1].1, ms(1_700)), "{got:?}");
}

#[tokio::test(start_paused = true)]
async fn who_finds_the_batch_full_waits_and_who_finds_the_queue_full_is_refused() {
    let simulator = simulator(|batching| batching.slots(1).queue(1));
    let got = calls(&simulator, [ms(0), ms(1), ms(2), ms(1_200)]).await;
    assert!(got[0].0 == 200 && is_near(got[0].1, ms(1_100)), "{got:?}");
    assert!(got[1].0 == 200 && is_near(got[1].1, ms(2_200)), "{got:?}");
    assert_eq!(got[2], (503, ms(2)));
    // There is a place in the queue again.
    assert!(got[3].0 == 200 && is_near(got[3].1, ms(3_300)), "{got:?}");
    assert_eq!(simulator.ledger().entries()[2].outcome.to_string(), "refused 503");
    assert_eq!(simulator.ledger().entries()[2].output_tokens, 0);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_gives_the_place_back() {
    let simulator = simulator(|batching| batching.slots(1).queue(0));
    let left = timeout(ms(500), call(simulator.clone(), ms(0), false)).await;
    assert!(left.is_err());
    sleep(ms(100)).await;
    let (status, at) = call(simulator.clone(), ms(0), false).await;
    assert!(status == 200 && is_near(at, ms(1_700)), "{status} {at:?}");
}

#[tokio::test(start_paused = true)]
async fn a_streamed_answer_takes_its_time_too() {
    let simulator = simulator(|batching| batching);
    let (status, at) = call(simulator, ms(0), true).await;
    assert!(status == 200 && is_near(at, ms(1_100)), "{at:?}");
}

/// Extreme settings neither loop nor divide by zero.
#[tokio::test(start_paused = true)]
async fn a_batch_that_takes_no_time_answers_at_once() {
    let batching = Batching::new(Duration::ZERO, Duration::ZERO).slots(0);
    let simulator = Simulator::builder().batching(batching).build();
    let got = calls(&simulator, vec![Duration::ZERO; 20]).await;
    assert!(got.iter().all(|(status, at)| *status == 200 && *at < secs(1)), "{got:?}");
}
