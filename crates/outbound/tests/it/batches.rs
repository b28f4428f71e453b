//! Batches: one outcome for each request, order, failures beside successes, several providers.

use futures::StreamExt;
use outbound::{Endpoint, ErrorKind, Provider, Request};
use outbound_simulator::{Fault, Latency, Refusal};
use serde_json::json;

use crate::stack::{KEY, all_succeeded, chat, client, manager, ms, provider, run, s};

/// one-failure-kills-batch: the first exception discards the finished answers.
#[tokio::test(start_paused = true)]
async fn one_failure_kills_batch() {
    let simulator =
        provider().fault_when(|seen| (seen.sequence == 3).then(|| Refusal::status(400).into())).build();
    let manager = manager(&simulator).build().expect("a manager");
    let outcomes = run(&manager, 10).await;
    assert_eq!(outcomes.len(), 10);
    let failed: Vec<_> = outcomes.iter().filter(|outcome| outcome.result.is_err()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].result.as_ref().expect_err("400").kind(), ErrorKind::Rejected);
}

#[tokio::test(start_paused = true)]
async fn outcomes_in_order_when_asked_for() {
    let simulator = provider().latency(Latency::log_normal(ms(200), s(3))).build();
    let manager = manager(&simulator).max_concurrent(8).build().expect("a manager");
    let as_completed: Vec<_> = manager.batch((0..100).map(chat)).map(|outcome| outcome.index).collect().await;
    assert!(!as_completed.is_sorted(), "as they complete");
    let mut all = as_completed.clone();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..100), "each once");
    let in_order: Vec<_> = manager.batch((0..100).map(chat)).in_order().collect().await;
    assert!(in_order.iter().map(|outcome| outcome.index).eq(0..100));
    assert!(
        in_order.iter().all(|outcome| outcome.id.as_deref() == Some(format!("r{}", outcome.index).as_str()))
    );
}

/// Outcomes that were returned before are not waited for again.
#[tokio::test(start_paused = true)]
async fn outcomes_in_order_from_the_middle_on() {
    let slow_first = |seen: &outbound_simulator::Seen| {
        let late = [0, 2].contains(&seen.sequence);
        late.then_some(Fault::KeepAlive { every: s(5), count: Some(1) })
    };
    let simulator = provider().fault_when(slow_first).build();
    let manager = manager(&simulator).max_concurrent(6).build().expect("a manager");
    let mut batch = manager.batch((0..12).map(chat));
    let mut given = Vec::new();
    for _ in 0..3 {
        given.push(batch.next().await.expect("an outcome").index);
    }
    given.sort_unstable();
    assert_eq!(given, [1, 3, 4]);
    let rest: Vec<_> = batch.in_order().map(|outcome| outcome.index).collect().await;
    assert_eq!(rest, [0, 2, 5, 6, 7, 8, 9, 10, 11]);
}

/// memory-grows: gather over a million prompts.
#[tokio::test(start_paused = true)]
async fn memory_grows() {
    let simulator = provider().latency(Latency::none()).build();
    let manager = manager(&simulator).max_concurrent(4).build().expect("a manager");
    let taken = std::cell::Cell::new(0_usize);
    let requests = (0..1_000).map(|id| {
        taken.set(taken.get() + 1);
        chat(id)
    });
    let mut batch = Box::pin(manager.batch(requests));
    let mut given = 0;
    while batch.next().await.is_some() {
        given += 1;
        assert!(taken.get() - given <= 4 * 4 + 64, "taken ahead: {}", taken.get() - given);
    }
    assert_eq!(given, 1_000);
}

#[tokio::test(start_paused = true)]
async fn one_batch_speaks_to_several_providers() {
    let (openai, anthropic) = (provider().build(), provider().build());
    let other = Endpoint::new(Provider::anthropic())
        .base_url("http://other.test/v1")
        .key(KEY)
        .client(client(&anthropic))
        .max_concurrent(1);
    let manager = manager(&openai).endpoint("claude", other).build().expect("a manager");
    let message = |id: usize| {
        let messages = json!([{"role": "user", "content": format!("{id}")}]);
        Request::chat(&json!({"model": "m", "max_tokens": 16, "messages": messages})).to("claude")
    };
    let requests = (0..20).map(|id| if id % 2 == 0 { chat(id) } else { message(id) });
    let outcomes: Vec<_> = manager.batch(requests).collect().await;
    all_succeeded(&outcomes);
    assert!(
        outcomes.iter().all(|outcome| outcome.result.as_ref().is_ok_and(|reply| reply.content().is_some()))
    );
    assert_eq!((openai.ledger().answered(), anthropic.ledger().answered()), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_is_one_bad_outcome() {
    let simulator = provider().build();
    let manager = manager(&simulator).build().expect("a manager");
    let unserializable = std::collections::BTreeMap::from([((1, 2), 3)]);
    for request in [
        chat(1).to("nowhere"),
        Request::chat(&unserializable),
        Request::post_raw("/chat/completions", "{"),
        Request::post("http://[", &json!({})),
    ] {
        let outcome = manager.send(request).await;
        assert_eq!(outcome.result.expect_err("invalid").kind(), ErrorKind::Invalid);
        assert_eq!(outcome.sends, 0);
    }
}

/// After the first poll a batch may be read outside any runtime.
#[test]
fn a_batch_runs_on_the_runtime_of_its_first_poll() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (manager, simulator) = runtime.block_on(async {
        let simulator = provider().latency(Latency::none()).build();
        (manager(&simulator).max_concurrent(2).build().expect("a manager"), simulator)
    });
    let mut batch = manager.batch((0..20).map(chat));
    assert!(runtime.block_on(batch.next()).is_some());
    let (done, rest) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut count = 0;
        while count < 19 {
            match batch.poll_next_unpin(&mut context) {
                std::task::Poll::Ready(Some(_)) => count += 1,
                std::task::Poll::Ready(None) => break,
                std::task::Poll::Pending => std::thread::park_timeout(ms(1)),
            }
        }
        done.send(count)
    });
    assert_eq!(rest.recv_timeout(s(20)), Ok(19));
    assert_eq!(simulator.ledger().sends(), 20);
}

#[tokio::test(start_paused = true)]
async fn an_empty_batch_ends_at_once() {
    let manager = manager(&provider().build()).build().expect("a manager");
    assert!(tokio::time::timeout(s(1), manager.batch([]).next()).await.expect("no wait").is_none());
}
