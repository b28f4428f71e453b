//! Automatic concurrency.

use outbound_simulator::{Fault, Latency, Trouble};
use tokio::time::Instant;

use crate::stack::{chat, manager, provider, s};

/// A server with room for everything gets more done with more in flight. So it is soon as fast as with the best fixed
/// number.
#[tokio::test(start_paused = true)]
async fn it_grows_while_that_gets_more_done() {
    let mut took = Vec::new();
    for auto in [false, true] {
        let simulator = provider().latency(Latency::fixed(s(1))).build();
        let builder = manager(&simulator);
        let builder = if auto { builder.auto_concurrency(128) } else { builder.max_concurrent(16) };
        let manager = builder.build().expect("a manager");
        let began = Instant::now();
        let outcomes: Vec<_> = manager.batch((0..3_000).map(chat)).collect().await;
        assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()));
        assert!(simulator.ledger().peak_concurrency() <= 128);
        took.push(began.elapsed().as_secs_f64());
    }
    assert!(took[1] < took[0] / 3.0, "{took:?}");
}

/// A server that takes calls and answers none does not get more and more of them.
#[tokio::test(start_paused = true)]
async fn a_stalled_server_is_not_run_over() {
    let simulator = provider().trouble(Trouble::Swallowed, s(0)..s(600)).build();
    let manager =
        manager(&simulator).auto_concurrency(1_000).attempt_timeout(s(50)).build().expect("a manager");
    let handle = manager.clone();
    let batch = tokio::spawn(async move { handle.batch((0..500).map(chat)).collect::<Vec<_>>().await });
    tokio::time::sleep(s(300)).await;
    let in_flight = manager.snapshot().endpoints[0].quota.in_flight;
    assert!(in_flight <= 48, "{in_flight}");
    batch.abort();
}

/// Cancelled calls say nothing about the server, and leave nothing counted as in flight.
#[tokio::test(start_paused = true)]
async fn cancelled_calls_are_forgotten() {
    let simulator = provider().fault(Fault::Silence, 1.0).build();
    let manager = manager(&simulator).auto_concurrency(64).build().expect("a manager");
    for id in 0..200 {
        assert!(tokio::time::timeout(s(1), manager.send(chat(id))).await.is_err());
    }
    tokio::time::sleep(s(1)).await;
    let snapshot = manager.snapshot();
    assert_eq!(snapshot.endpoints[0].quota.in_flight, 0);
    assert!(snapshot.endpoints[0].quota.max_concurrent.is_some_and(|most| most >= 1));
}
