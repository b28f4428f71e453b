//! The record of a request: every send, nothing that was not sent, and possible duplicates.

use http::{HeaderName, HeaderValue};
use outbound::{Client, ErrorKind, Origin, Provider, Request, RequestManager};
use outbound_simulator::{Fault, Latency, Refusal};
use serde_json::json;
use tokio::{io::DuplexStream, time::Instant};

use crate::stack::{all_succeeded, chat, manager, ms, provider, run, s};

#[tokio::test(start_paused = true)]
async fn an_aborted_send_counts_as_a_send() {
    let simulator = provider().fault(Fault::Silence, 1.0).build();
    let manager = manager(&simulator).attempt_timeout(s(5)).build().expect("a manager");
    let sender = tokio::spawn({
        let manager = manager.clone();
        async move { manager.send(chat(1)).await }
    });
    while simulator.ledger().sends() < 2 {
        tokio::time::sleep(ms(100)).await;
    }
    manager.shutdown(s(1)).await;
    let outcome = sender.await.expect("no panic");
    assert_eq!((outcome.sends, outcome.possible_duplicate), (2, true));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_while_connecting_is_no_send() {
    let nowhere = Client::builder()
        .connector(|_: &Origin| async { std::future::pending::<std::io::Result<DuplexStream>>().await });
    let manager = RequestManager::builder()
        .provider(Provider::openai_compatible())
        .base_url("http://nowhere.test/v1")
        .client(nowhere)
        .connect_timeout(s(100))
        .build()
        .expect("a manager");
    let outcome = manager.send(chat(1).deadline(s(3))).await;
    assert_eq!((outcome.error_kind(), outcome.sends), (Some(ErrorKind::Deadline), 0));
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_is_not_sent() {
    let simulator = provider().build();
    let manager = manager(&simulator).build().expect("a manager");
    let outcome = manager.send(chat(1).deadline(s(0))).await;
    assert_eq!((outcome.error_kind(), outcome.sends), (Some(ErrorKind::Deadline), 0));
    assert!(outcome.unsent.is_none(), "it has failed, and is not to be sent another time");
    tokio::time::sleep(s(1)).await;
    assert_eq!(simulator.ledger().sends(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_says_how_often_it_was_tried() {
    let simulator = provider().fault(Refusal::status(500), 1.0).build();
    let manager = manager(&simulator).max_attempts(3).build().expect("a manager");
    let error = manager.send(chat(1)).await.result.expect_err("it fails each time");
    assert!(error.to_string().ends_with("(after 3 sends)"), "{error}");
    let simulator = provider().fault(Fault::Silence, 1.0).build();
    let manager = crate::stack::manager(&simulator).build().expect("a manager");
    let error = manager.send(chat(1).deadline(s(3))).await.result.expect_err("nothing comes");
    assert!(error.to_string().starts_with("the deadline of 3s passed, after 1 send; last: "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_callers_own_idempotency_key_is_sent() {
    let simulator = provider().build();
    let manager = manager(&simulator).build().expect("a manager");
    let key = HeaderValue::from_static("order-17");
    manager.send(chat(1).idempotency_key(key.clone())).await;
    manager.send(chat(2).header(HeaderName::from_static("idempotency-key"), key)).await;
    let ledger = simulator.ledger();
    assert_eq!(ledger.sends_by_idempotency_key().into_iter().collect::<Vec<_>>(), [("order-17", 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_built_affects_no_other() {
    let simulator = provider().build();
    let manager = manager(&simulator).build().expect("a manager");
    let started = Instant::now();
    let outcome = manager.send(Request::post("/a/../b", &json!({}))).await;
    assert_eq!((outcome.error_kind(), outcome.sends), (Some(ErrorKind::Invalid), 0));
    assert_eq!(started.elapsed(), s(0), "it is not tried again");
    all_succeeded(&run(&manager, 20).await);
}

/// Waiting in `submit` counts: the deadline began with the call.
#[tokio::test(start_paused = true)]
async fn the_time_of_a_submitted_request_begins_with_the_call() {
    let simulator = provider().latency(Latency::fixed(s(1))).build();
    let manager = manager(&simulator).max_concurrent(1).build().expect("a manager");
    let began = Instant::now();
    let mut tickets = Vec::new();
    for id in 0..8 {
        tickets.push(manager.submit(chat(id)).await.expect("open"));
    }
    assert_eq!(began.elapsed(), s(0));
    let last = manager.submit(chat(8)).await.expect("open");
    assert_eq!(began.elapsed(), s(1), "there was no room before");
    let outcome = last.await;
    assert_eq!((outcome.elapsed, began.elapsed()), (s(9), s(9)));
}
