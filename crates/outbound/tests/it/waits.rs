//! Waits for several things at once: no wait is a hot loop, and each ends in time.

use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use futures::StreamExt;
use outbound::{Client, ErrorKind, Origin, Request, RequestManagerBuilder};
use outbound_simulator::{Latency, Refusal, Simulator};
use serde_json::json;
use tokio::time::Instant;

use crate::stack::{all_succeeded, chat, manager, ms, provider, run, s};

/// Runs a test on the paused clock. A hot loop would keep that clock from advancing, so a real timeout watches the
/// test.
fn ends<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(test());
        done.send(()).expect("somebody waits");
    });
    match ended.recv_timeout(Duration::from_secs(60)) {
        Ok(()) => {}
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("a hot loop"),
        Err(mpsc::RecvTimeoutError::Disconnected) => thread.join().expect("the test passes"),
    }
}

/// This many connections are made at once. Further ones are refused until a certain time.
fn few_connections(simulator: &Simulator, few: usize, until: Duration) -> RequestManagerBuilder {
    let (dialled, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let pipes = simulator.clone();
    let client = Client::builder().connector(move |_: &Origin| {
        let refused = dialled.fetch_add(1, Ordering::Relaxed) >= few && began.elapsed() < until;
        let pipe = (!refused).then(|| pipes.connect());
        async move { pipe.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused)) }
    });
    manager(simulator).client(client)
}

/// The origin may be probed, and the model may not yet. So no request can be the probe.
#[test]
fn a_server_that_is_overloaded_and_then_refuses_connections() {
    ends(|| async {
        let overload = Refusal::status(503).retry_after(s(20));
        let simulator = provider()
            .latency(Latency::fixed(s(2)))
            .fault_when(move |seen| (seen.at < s(3)).then(|| overload.clone().into()))
            .build();
        let manager = few_connections(&simulator, 8, s(10)).max_concurrent(32).build().expect("a manager");
        let began = Instant::now();
        all_succeeded(&run(&manager, 200).await);
        assert!(began.elapsed() < s(60), "{:?}", began.elapsed());
    });
}

/// A retry waits for the retry budget no longer than until its deadline.
#[test]
fn a_deadline_that_passes_while_a_retry_waits_for_its_payment() {
    ends(|| async {
        let simulator = provider().fault(Refusal::status(500), 0.45).build();
        let manager = manager(&simulator)
            .max_concurrent(16)
            .max_attempts(40)
            .deadline(s(4))
            .build()
            .expect("a manager");
        let began = Instant::now();
        let outcomes = run(&manager, 200).await;
        assert_eq!(outcomes.len(), 200);
        let late =
            outcomes.iter().filter(|outcome| outcome.error_kind() == Some(ErrorKind::Deadline)).count();
        assert!(late > 0 && outcomes.iter().all(|outcome| outcome.elapsed <= began.elapsed()));
    });
}

/// A stopped process: the turn of a request came before its deadline, and its task runs after it.
#[tokio::test(start_paused = true)]
async fn a_request_whose_turn_is_seen_too_late_is_not_sent() {
    let simulator = provider().build();
    let manager = manager(&simulator).requests_per_minute(60).deadline(s(5)).build().expect("a manager");
    for id in 0..200 {
        if tokio::time::timeout(ms(300), manager.send(chat(id))).await.is_err() {
            break;
        }
    }
    let sends = simulator.ledger().sends();
    let late = tokio::spawn({
        let manager = manager.clone();
        async move { manager.send(chat(1)).await }
    });
    tokio::time::sleep(ms(10)).await;
    tokio::time::advance(s(40)).await;
    let outcome = late.await.expect("no panic");
    assert_eq!((outcome.error_kind(), outcome.sends), (Some(ErrorKind::Deadline), 0), "{outcome:?}");
    tokio::time::sleep(s(1)).await;
    assert_eq!(simulator.ledger().sends(), sends);
}

fn of_model(model: &str, id: usize) -> Request {
    let messages = json!([{"role": "user", "content": format!("{id}")}]);
    Request::chat(&json!({"model": model, "messages": messages, "max_tokens": 16}))
        .id(format!("{model}-{id}"))
}

/// One model needs a pause that is too long to wait for. Requests for the other model go on.
#[tokio::test(start_paused = true)]
async fn a_stop_of_one_model_leaves_the_others_alone() {
    let pause = Refusal::rate_limited().retry_after(s(2_000));
    let simulator = provider()
        .fault_when(move |seen| (seen.model.as_deref() == Some("big")).then(|| pause.clone().into()))
        .build();
    let manager = manager(&simulator).max_concurrent(4).build().expect("a manager");
    let requests = (0..60).map(|id| of_model(if id % 6 == 0 { "big" } else { "small" }, id));
    let mut batch = manager.batch(requests);
    let outcomes: Vec<_> = batch.by_ref().collect().await;
    let answered = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    assert_eq!(answered, 50, "all of the other model");
    assert!(batch.stopped().is_some_and(|why| why.until.is_some()));
    let rest = batch.into_rest();
    assert_eq!(outcomes.len() + rest.requests.len(), 60);
    assert!(rest.requests.len() >= 6 && rest.source.is_none());
}
