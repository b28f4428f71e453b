//! Servers that batch, without a configured limit: the throughput compared to that of the best fixed concurrency.

use std::time::Duration;

use outbound::Request;
use outbound_simulator::{Batching, Simulator};
use tokio::time::Instant;

use crate::stack::{KEY, all_succeeded, body, manager, ms};

/// Each answer has 20 to 200 tokens. A token takes 20 ms, and half a millisecond more for each call in the batch.
fn simulator(change: impl FnOnce(Batching) -> Batching) -> Simulator {
    let batching = change(Batching::new(ms(20), Duration::from_micros(500)));
    Simulator::builder().seed(11).key(KEY).output_tokens(20..=200).batching(batching).build()
}

fn request(id: usize) -> Request {
    let mut body = body(id);
    body["max_tokens"] = 200.into();
    Request::chat(&body)
}

/// How long these requests take, in seconds: with a fixed concurrency, or with the automatic one.
async fn took(change: fn(Batching) -> Batching, requests: usize, fixed: Option<usize>) -> f64 {
    let simulator = simulator(change);
    let builder = manager(&simulator);
    let builder = match fixed {
        Some(fixed) => builder.max_concurrent(fixed),
        None => builder.auto_concurrency(256),
    };
    let manager = builder.build().expect("a manager");
    let began = Instant::now();
    let outcomes: Vec<_> = manager.batch((0..requests).map(request)).collect().await;
    all_succeeded(&outcomes);
    began.elapsed().as_secs_f64()
}

async fn share_of_the_best(change: fn(Batching) -> Batching) -> f64 {
    const REQUESTS: usize = 800;
    let mut best = f64::INFINITY;
    for fixed in [48, 64, 96, 160] {
        best = best.min(took(change, REQUESTS, Some(fixed)).await);
    }
    best / took(change, REQUESTS, None).await
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_a_queue() {
    let share = share_of_the_best(|batching| batching.slots(96)).await;
    assert!(share >= 0.9, "{share}");
}

/// The server takes at most 80 requests, running and waiting together.
#[tokio::test(start_paused = true)]
async fn a_batch_that_refuses_when_it_is_full() {
    let share = share_of_the_best(|batching| batching.slots(64).queue(16)).await;
    assert!(share >= 0.9, "{share}");
}
