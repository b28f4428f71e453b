//! Submitting, shutting down, and scopes.

use std::panic::AssertUnwindSafe;

use futures::{FutureExt, future::join_all};
use outbound::{ErrorKind, RequestManager};
use outbound_simulator::{Fault, Latency};
use tokio::time::Instant;

use crate::stack::{chat, manager, ms, provider, s};

#[tokio::test(start_paused = true)]
async fn tickets_bring_outcomes() {
    let simulator = provider().build();
    let manager = manager(&simulator).max_concurrent(4).build().expect("a manager");
    let mut tickets = Vec::new();
    for id in 0..20 {
        tickets.push(manager.submit(chat(id)).await.expect("the doors are open"));
    }
    for (id, outcome) in join_all(tickets).await.into_iter().enumerate() {
        assert_eq!(outcome.id, Some(format!("r{id}")));
        assert!(outcome.result.is_ok());
    }
    let report = manager.shutdown(s(1)).await;
    assert_eq!((report.aborted, report.returned.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_attempts_in_flight_and_returns_the_rest() {
    let simulator = provider().latency(Latency::fixed(s(10))).build();
    let manager = manager(&simulator).max_concurrent(2).build().expect("a manager");
    let mut tickets = Vec::new();
    for id in 0..300 {
        tickets.push(manager.submit(chat(id)).await.expect("the doors are open"));
    }
    tokio::time::sleep(ms(100)).await;
    let started = Instant::now();
    let report = manager.shutdown(s(15)).await;
    assert!(started.elapsed() <= ms(15_100));
    let outcomes = join_all(tickets).await;
    let finished = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    let cut = outcomes.iter().filter(|outcome| outcome.result.is_err()).count();
    assert!(finished >= 2, "what was under way was finished");
    assert_eq!(finished + cut, 300, "every ticket has its outcome");
    assert_eq!(report.returned.len(), cut, "what had not been sent comes back");
    for outcome in outcomes.iter().filter_map(|outcome| outcome.result.as_ref().err()) {
        assert_eq!(outcome.kind(), ErrorKind::ShutDown);
    }
    assert_eq!(manager.send(chat(1)).await.result.expect_err("closed").kind(), ErrorKind::ShutDown);
    assert!(manager.submit(chat(1)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn shutdown_aborts_senders_after_the_grace() {
    let simulator = provider().fault(Fault::Silence, 1.0).build();
    let manager = manager(&simulator).build().expect("a manager");
    let sender = tokio::spawn({
        let manager = manager.clone();
        async move { manager.send(chat(1)).await }
    });
    tokio::time::sleep(s(1)).await;
    let report = manager.shutdown(s(5)).await;
    assert_eq!(report.aborted, 1);
    let outcome = sender.await.expect("no panic");
    assert_eq!(outcome.result.expect_err("cut off").kind(), ErrorKind::ShutDown);
}

#[tokio::test(start_paused = true)]
async fn a_scope_shuts_down_on_return_and_on_panic() {
    let simulator = provider().build();
    let kept = RequestManager::scope(manager(&simulator), |manager| async move {
        assert!(manager.send(chat(1)).await.result.is_ok());
        manager
    })
    .await
    .expect("a manager");
    assert_eq!(kept.send(chat(2)).await.result.expect_err("closed").kind(), ErrorKind::ShutDown);

    let (sender, receiver) = std::sync::mpsc::channel();
    let panicking = RequestManager::scope(manager(&simulator), |manager| async move {
        sender.send(manager).expect("a receiver");
        panic!("in the scope");
    });
    let panicked: Result<Result<(), _>, _> = AssertUnwindSafe(panicking).catch_unwind().await;
    assert!(panicked.is_err(), "the panic goes on");
    let kept = receiver.recv().expect("the manager");
    assert_eq!(kept.send(chat(3)).await.result.expect_err("closed").kind(), ErrorKind::ShutDown);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_scope_aborts_what_it_started() {
    let simulator = provider().fault(Fault::Silence, 1.0).build();
    let (sender, receiver) = std::sync::mpsc::channel();
    let scope = RequestManager::scope(manager(&simulator), |manager| async move {
        let ticket = manager.submit(chat(1)).await.expect("open");
        sender.send(ticket).expect("a receiver");
        std::future::pending::<()>().await;
    });
    assert!(tokio::time::timeout(s(1), scope).await.is_err());
    let ticket = receiver.recv().expect("a ticket");
    assert_eq!(ticket.await.result.expect_err("aborted").kind(), ErrorKind::ShutDown);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_submitted_after_a_shutdown() {
    let simulator = provider().build();
    let manager = manager(&simulator).build().expect("a manager");
    manager.shutdown(s(1)).await;
    let refused = manager.submit(chat(1)).await.expect_err("closed");
    assert_eq!(refused.0.get_id(), Some("r1"), "the request comes back");
    assert_eq!(
        tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        0,
        "no worker was started for it"
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_aborts_submitted_requests() {
    let simulator = provider().fault(Fault::Silence, 1.0).build();
    let manager = manager(&simulator).build().expect("a manager");
    let ticket = manager.submit(chat(1)).await.expect("open");
    tokio::time::sleep(s(1)).await;
    drop(manager);
    let started = Instant::now();
    assert_eq!(ticket.await.error_kind(), Some(ErrorKind::ShutDown));
    assert!(started.elapsed() < s(1));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_batch_aborts_requests_in_flight() {
    let simulator = provider().fault(Fault::Silence, 1.0).build();
    let manager = manager(&simulator).max_concurrent(4).build().expect("a manager");
    let mut batch = manager.batch((0..10).map(chat));
    assert!(tokio::time::timeout(s(1), batch.next()).await.is_err());
    assert_eq!(simulator.ledger().sends(), 4);
    drop(batch);
    assert_eq!(manager.shutdown(s(1)).await.aborted, 0, "nobody is left inside");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_aborts_a_batch_after_the_grace() {
    let simulator = provider().fault(Fault::Silence, 1.0).build();
    let manager = manager(&simulator).max_concurrent(4).build().expect("a manager");
    let outcomes = tokio::spawn({
        let manager = manager.clone();
        async move { manager.batch((0..4).map(chat)).collect::<Vec<_>>().await }
    });
    tokio::time::sleep(s(1)).await;
    let began = Instant::now();
    assert_eq!(manager.shutdown(s(5)).await.aborted, 4);
    assert_eq!(began.elapsed(), s(5), "at once then");
    for outcome in outcomes.await.expect("no panic") {
        assert_eq!((outcome.error_kind(), outcome.sends), (Some(ErrorKind::ShutDown), 1));
    }
}
