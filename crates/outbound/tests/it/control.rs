//! Control of a running manager: pauses, limits, cancelling, draining, and snapshots.

use futures::future::join_all;
use outbound::{ErrorKind, ModelLimits};
use outbound_simulator::{Fault, Latency, Refusal};
use tokio::time::Instant;

use crate::stack::{chat, manager, ms, provider, s};

#[tokio::test(start_paused = true)]
async fn a_pause_holds_back_what_is_not_sent() {
    for endpoints in [1, 2] {
        let simulator = provider().build();
        let mut builder = manager(&simulator).max_concurrent(2);
        if endpoints == 2 {
            let other = outbound::Endpoint::new(outbound::Provider::openai_compatible())
                .base_url("http://other.test/v1")
                .key(crate::stack::KEY)
                .client(crate::stack::client(&simulator));
            builder = builder.another_endpoint(other.max_concurrent(2));
        }
        let manager = builder.build().expect("a manager");
        let handle = manager.clone();
        let all = tokio::spawn(async move { join_all((0..20).map(|id| handle.send(chat(id)))).await });
        tokio::time::sleep(ms(250)).await;
        manager.pause();
        assert!(manager.snapshot().paused && manager.snapshot().to_string().contains("paused"));
        tokio::time::sleep(s(60)).await;
        let sent = simulator.ledger().sends();
        assert!(sent <= 4 * endpoints && simulator.ledger().answered() == sent, "{sent}");
        manager.resume();
        assert!(all.await.expect("no panic").iter().all(|outcome| outcome.result.is_ok()));
    }
}

/// Deadlines run during a pause.
#[tokio::test(start_paused = true)]
async fn a_pause_stops_no_clock() {
    let simulator = provider().build();
    let manager = manager(&simulator).deadline(s(5)).build().expect("a manager");
    manager.pause();
    let began = Instant::now();
    assert_eq!(manager.send(chat(1)).await.error_kind(), Some(ErrorKind::Deadline));
    assert_eq!(began.elapsed(), s(5));
    assert_eq!(simulator.ledger().sends(), 0);
}

#[tokio::test(start_paused = true)]
async fn limits_can_be_changed_while_it_runs() {
    let simulator = provider().latency(Latency::fixed(s(1))).build();
    let manager = manager(&simulator).max_concurrent(2).build().expect("a manager");
    let time = async |requests: usize| {
        let began = Instant::now();
        let sent = (0..requests).map(|id| manager.send(chat(id)));
        assert!(join_all(sent).await.iter().all(|outcome| outcome.result.is_ok()));
        began.elapsed().as_secs_f64()
    };
    assert!((9.9..10.5).contains(&time(20).await));
    assert!(manager.set_limits(None, &ModelLimits::new().max_concurrent(10)));
    assert!((1.9..2.5).contains(&time(20).await));
    assert_eq!(simulator.ledger().peak_concurrency(), 10);
    assert!(manager.set_limits(None, &ModelLimits::new().requests_per_minute(60)));
    time(62).await;
    assert!((9.0..11.5).contains(&time(10).await), "one a second");
    assert!(!manager.set_limits(Some("nobody"), &ModelLimits::new()));
}

/// Waiting requests are sent as soon as a limit is raised, also in the middle of a batch.
#[tokio::test(start_paused = true)]
async fn a_raised_limit_wakes_waiting_requests() {
    let simulator = provider().build();
    let manager = manager(&simulator).max_concurrent(1).build().expect("a manager");
    let mut batch = manager.batch((0..200).map(chat));
    let began = Instant::now();
    let mut seen = 0;
    while let Some(outcome) = batch.next().await {
        assert!(outcome.result.is_ok());
        seen += 1;
        if seen == 10 {
            manager.set_limits(None, &ModelLimits::new().max_concurrent(50));
        }
    }
    assert!(seen == 200 && began.elapsed() < s(5), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_request_ends_as_cancelled() {
    let simulator = provider().latency(Latency::fixed(s(10))).build();
    let manager = manager(&simulator).max_concurrent(1).build().expect("a manager");
    let first = manager.submit(chat(1)).await.expect("open");
    tokio::time::sleep(ms(10)).await;
    let second = manager.submit(chat(2)).await.expect("open");
    let third = manager.submit(chat(3)).await.expect("open");
    tokio::time::sleep(ms(10)).await;
    assert!(first.cancel() && !first.cancel(), "once");
    assert_eq!(manager.cancel("r2"), 1);
    assert_eq!(manager.cancel("nobody") + manager.cancel(""), 0);
    let (first, second) = (first.await, second.await);
    assert_eq!((first.error_kind(), first.sends), (Some(ErrorKind::Cancelled), 1));
    assert!(first.unsent.is_none(), "it may have been billed");
    assert_eq!((second.error_kind(), second.sends), (Some(ErrorKind::Cancelled), 0));
    assert!(second.unsent.is_some(), "it was never sent");
    assert!(third.await.result.is_ok(), "the permit came back");
    for _ in 0..2 {
        // It uses the slot of a cancelled request.
        let again = manager.submit(chat(4)).await.expect("open");
        assert!(again.cancel());
        assert_eq!(again.await.error_kind(), Some(ErrorKind::Cancelled));
    }
    let fourth = manager.submit(chat(4)).await.expect("open");
    assert_eq!(manager.cancel_all(), 1);
    assert_eq!(fourth.await.error_kind(), Some(ErrorKind::Cancelled));
    assert!(manager.send(chat(5)).await.result.is_ok(), "others may come in");
    assert_eq!(manager.snapshot().active, 0);
}

/// All accepted requests run to their end, also those that wait. No new ones are accepted.
#[tokio::test(start_paused = true)]
async fn draining_lets_all_accepted_requests_end() {
    let simulator = provider().build();
    let manager = manager(&simulator).max_concurrent(2).build().expect("a manager");
    let mut tickets = Vec::new();
    for id in 0..16 {
        tickets.push(manager.submit(chat(id)).await.expect("open"));
    }
    let mut batch = manager.batch((100..1_000).map(chat));
    assert!(batch.next().await.is_some_and(|outcome| outcome.result.is_ok()));
    let handle = manager.clone();
    let drained = tokio::spawn(async move { handle.drain().await });
    tokio::task::yield_now().await;
    assert!(manager.submit(chat(99)).await.is_err());
    assert_eq!(manager.send(chat(98)).await.error_kind(), Some(ErrorKind::ShutDown));
    let mut of_batch = 1;
    while let Some(outcome) = batch.next().await {
        assert!(outcome.result.is_ok());
        of_batch += 1;
    }
    drained.await.expect("no panic");
    let rest = batch.into_rest();
    let unread = rest.source.map_or(0, |source| futures::Stream::size_hint(&source).0);
    assert_eq!(of_batch + rest.requests.len() + unread, 900, "nothing is lost");
    assert!(of_batch < 50, "{of_batch}");
    for ticket in tickets {
        assert!(ticket.await.result.is_ok());
    }
}

/// A snapshot has the state of each model, what requests wait for, and why.
#[tokio::test(start_paused = true)]
async fn a_snapshot_says_what_requests_wait_for() {
    let refusal = Fault::Refuse(Refusal::rate_limited().retry_after(s(40)));
    let simulator = provider().fault_on_attempt(refusal, 1).build();
    let manager = manager(&simulator).requests_per_minute(600).build().expect("a manager");
    let handle = manager.clone();
    let sent = tokio::spawn(async move { handle.send(chat(1)).await });
    tokio::time::sleep(s(1)).await;
    let snapshot = manager.snapshot();
    let endpoint = &snapshot.endpoints[0];
    let model = &endpoint.models[0];
    assert_eq!((snapshot.active, model.name.as_deref()), (1, Some("test")));
    assert!(model.quota.gate_closed_until.is_some_and(|until| until > Instant::now() + s(30)));
    assert_eq!((model.quota.waiting, endpoint.quota.dimensions.len()), (1, 1));
    let text = snapshot.to_string();
    assert!(text.contains("1 requests active") && text.contains("test: 0 in flight, 1 waiting"), "{text}");
    assert!(text.contains("the end of a refusal") && text.contains("provider.test"), "{text}");
    assert!(!text.contains(crate::stack::KEY));
    assert!(sent.await.expect("no panic").result.is_ok());
}
