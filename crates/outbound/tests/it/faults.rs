//! Failures of the provider and of the network.

use outbound::{ErrorKind, Provider};
use outbound_simulator::{Fault, Refusal};
use tokio::time::Instant;

use crate::stack::{all_succeeded, chat, manager, ms, provider, run, s};

#[tokio::test(start_paused = true)]
async fn each_passing_fault_costs_one_more_send() {
    for fault in [
        Refusal::status(500).into(),
        Refusal::status(502).into(),
        Refusal::html(502).into(),
        Refusal::status(408).into(),
        Fault::ResetBeforeHeaders,
        Fault::ResetAfterHeaders { after: 1 },
        Fault::Truncate { after: 1 },
        Fault::BadJson,
    ] {
        let simulator = provider().fault_on_attempt(fault.clone(), 1).build();
        let manager = manager(&simulator).build().expect("a manager");
        let outcome = manager.send(chat(1)).await;
        assert!(outcome.result.is_ok(), "{fault:?}: {outcome:?}");
        assert_eq!((outcome.sends, outcome.charged, simulator.ledger().sends()), (2, 2, 2), "{fault:?}");
    }
}

/// retry-product: three layers of retries send 36 requests for one call.
#[tokio::test(start_paused = true)]
async fn retry_product() {
    let simulator = provider().fault(Refusal::status(500), 1.0).build();
    let manager = manager(&simulator).max_attempts(4).build().expect("a manager");
    let outcome = manager.send(chat(1)).await;
    assert_eq!(outcome.result.expect_err("it failed").kind(), ErrorKind::Server);
    assert_eq!((outcome.charged, simulator.ledger().sends()), (4, 4), "as many as configured, not a product");
}

/// long-overload: 529s for minutes, so that three quick retries give up.
#[tokio::test(start_paused = true)]
async fn long_overload() {
    let simulator = provider().fault_during(Refusal::status(529), s(0)..s(300)).build();
    let manager = manager(&simulator).max_concurrent(16).max_attempts(3).build().expect("a manager");
    let outcomes = run(&manager, 400).await;
    all_succeeded(&outcomes);
    let sends = simulator.ledger().sends();
    assert!(sends <= 440 + 16, "patience within a budget of extra calls: {sends} sends for 400");
}

/// duplicate-billing: a timeout after the server has accepted the call is retried without a note.
#[tokio::test(start_paused = true)]
async fn duplicate_billing() {
    let simulator = provider().fault_on_attempt(Fault::Silence, 1).build();
    let manager = manager(&simulator).attempt_timeout(s(5)).build().expect("a manager");
    let outcome = manager.send(chat(1)).await;
    assert!(outcome.result.is_ok() && outcome.possible_duplicate, "{outcome:?}");
    let ledger = simulator.ledger();
    let keys = ledger.sends_by_idempotency_key();
    assert_eq!(keys.into_values().collect::<Vec<_>>(), [2], "one key, kept over the retry");
}

#[tokio::test(start_paused = true)]
async fn what_can_be_repeated_is_no_possible_duplicate() {
    let simulator = provider().fault_on_attempt(Refusal::status(500), 1).build();
    let promising = Provider::openai_compatible().with_documented_idempotency();
    let outcome = manager(&simulator).provider(promising).build().expect("a manager").send(chat(1)).await;
    assert_eq!(
        (outcome.sends, outcome.possible_duplicate),
        (2, false),
        "the provider promises to honour the key"
    );
    // Another seed makes other idempotency keys, which tell requests apart.
    let outcome = manager(&simulator).seed(8).build().expect("a manager").send(chat(2)).await;
    assert_eq!((outcome.sends, outcome.possible_duplicate), (2, true));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_bounds_everything() {
    let simulator = provider().fault(Fault::Silence, 1.0).build();
    let manager = manager(&simulator).deadline(s(42)).attempt_timeout(s(30)).build().expect("a manager");
    let started = Instant::now();
    let outcome = manager.send(chat(1)).await;
    assert_eq!(outcome.result.expect_err("silence").kind(), ErrorKind::Deadline);
    assert!(started.elapsed() <= ms(42_001), "{:?}", started.elapsed());
}

/// slot-held-in-backoff: workers sleep while they hold a permit, and throughput collapses.
#[tokio::test(start_paused = true)]
async fn slot_held_in_backoff() {
    // Every second request fails once and backs off. The others must not wait for it.
    let odd = |seen: &outbound_simulator::Seen| {
        (seen.attempt == 1 && seen.sequence.is_multiple_of(2)).then_some(())
    };
    let simulator =
        provider().fault_when(move |seen| odd(seen).map(|()| Refusal::status(500).into())).build();
    let manager = manager(&simulator).max_concurrent(2).build().expect("a manager");
    let started = Instant::now();
    all_succeeded(&run(&manager, 20).await);
    // 30 calls of 200 ms, two at a time, take 3 s. The last backoff comes on top.
    assert!(started.elapsed() < s(9), "{:?}", started.elapsed());
}

/// The deadline of a request in a batch begins with its first admission, and runs through its attempts.
#[tokio::test(start_paused = true)]
async fn the_deadline_bounds_a_request_of_a_batch() {
    let simulator = provider().fault(Fault::Silence, 1.0).build();
    let manager = manager(&simulator)
        .max_concurrent(1)
        .attempt_timeout(s(4))
        .deadline(s(10))
        .build()
        .expect("a manager");
    let started = Instant::now();
    let outcomes = run(&manager, 2).await;
    assert!(outcomes.iter().all(|outcome| outcome.error_kind() == Some(ErrorKind::Deadline)), "{outcomes:?}");
    let took = started.elapsed();
    assert!(took > s(10) && took <= s(20), "{took:?}");
}
