//! 429s, spent quotas, wrong keys, bad requests.

use futures::{StreamExt, future::join_all, stream};
use outbound::{Endpoint, ErrorKind, Provider, Request};
use outbound_simulator::Refusal;
use tokio::time::Instant;

use crate::stack::{KEY, all_succeeded, body, chat, client, manager, ms, provider, run, s};

/// herd-after-429, one-worker-learns: all workers wake at the same moment, or only one learns that it has to wait.
#[tokio::test(start_paused = true)]
async fn herd_after_429() {
    let refusal = Refusal::rate_limited().retry_after(s(10));
    let simulator =
        provider().fault_when(move |seen| (seen.at < s(10)).then(|| refusal.clone().into())).build();
    let manager = manager(&simulator).max_concurrent(20).build().expect("a manager");
    let outcomes = run(&manager, 40).await;
    all_succeeded(&outcomes);
    let ledger = simulator.ledger();
    let early = ledger.entries().iter().filter(|entry| entry.seen.at < s(10)).count();
    assert!(early <= 20, "only those in flight when the gate closed: {early}");
    let at_once = ledger.entries().iter().filter(|e| e.seen.at >= s(10) && e.seen.at < ms(10_005)).count();
    assert!(at_once < 20, "the rest comes back spread out, not in one tick: {at_once}");
}

/// retry-after-ignored: fixed two-second retries against "retry after 10 s".
#[tokio::test(start_paused = true)]
async fn retry_after_is_a_lower_bound_in_every_form() {
    for refusal in [
        Refusal::rate_limited().retry_after(s(10)),
        Refusal::rate_limited().retry_after_ms(s(10)),
        Refusal::rate_limited().retry_after_date(s(10)),
        Refusal::rate_limited().hint(s(10)),
        Refusal::status(503).retry_after(s(10)),
    ] {
        let simulator = provider().fault_on_attempt(refusal.clone(), 1).build();
        let manager = manager(&simulator).build().expect("a manager");
        assert!(manager.send(chat(1)).await.result.is_ok());
        let ledger = simulator.ledger();
        let waited = ledger.entries()[1].seen.at - ledger.entries()[0].seen.at;
        assert!(waited >= s(10) && waited < s(30), "{refusal:?}: {waited:?}");
    }
}

/// retry-after-absurd: the hint says two days, and the caller sleeps two days.
#[tokio::test(start_paused = true)]
async fn retry_after_absurd() {
    let simulator = provider().fault(Refusal::rate_limited().retry_after(s(2 * 86_400)), 1.0).build();
    let manager = manager(&simulator).build().expect("a manager");
    let started = Instant::now();
    let outcome = manager.send(chat(1)).await;
    let error = outcome.result.expect_err("two days");
    assert_eq!((error.kind(), outcome.sends), (ErrorKind::Deadline, 1));
    assert!(error.to_string().contains("172800"), "it says when: {error}");
    assert!(started.elapsed() < s(1));
}

/// rate-limit-is-not-failure: 429s per minute use up the attempts, and the request fails.
#[tokio::test(start_paused = true)]
async fn rate_limit_is_not_failure() {
    let refusal = Refusal::rate_limited().retry_after(s(20));
    let simulator =
        provider().fault_when(move |seen| (seen.at < s(300)).then(|| refusal.clone().into())).build();
    let manager = manager(&simulator).max_attempts(2).build().expect("a manager");
    let outcome = manager.send(chat(1)).await;
    assert!(outcome.result.is_ok(), "{outcome:?}");
    assert!(outcome.refused > 5 && outcome.charged <= 2, "{outcome:?}");
    assert!(!outcome.possible_duplicate, "a refusal is proof that nothing was processed");
}

/// quota-spent: `insufficient_quota` is retried for hours, with the whole prompt each time.
#[tokio::test(start_paused = true)]
async fn quota_spent() {
    let simulator = provider().fault(Refusal::quota_spent(), 1.0).build();
    let manager = manager(&simulator).max_concurrent(1).build().expect("a manager");
    let mut batch = manager.batch((0..20).map(chat));
    let outcomes: Vec<_> = batch.by_ref().collect().await;
    for outcome in &outcomes {
        assert_eq!(outcome.result.as_ref().expect_err("no credit").kind(), ErrorKind::QuotaSpent);
    }
    assert_eq!((outcomes.len(), simulator.ledger().sends()), (2, 2), "one, and a witness for all");
    assert_eq!(batch.stopped().map(|why| why.kind), Some(ErrorKind::QuotaSpent));
    let rest = batch.into_rest();
    let rest =
        rest.requests.into_iter().chain(rest.source.expect("not read to its end").collect::<Vec<_>>().await);
    let ids: Vec<_> = rest.map(|request| request.get_id().unwrap_or_default().to_owned()).collect();
    assert_eq!(ids, (2..20).map(|id| format!("r{id}")).collect::<Vec<_>>(), "the rest, in order");
    let stopped = manager.send(chat(20)).await;
    assert_eq!(stopped.error_kind(), Some(ErrorKind::Stopped));
    assert_eq!(stopped.unsent.and_then(|request| request.get_id().map(str::to_owned)), Some("r20".into()));
    let ticket = manager.submit(chat(20)).await.expect("open").await;
    assert!(ticket.unsent.is_some(), "a ticket gives it back; it is not for a shutdown");
    manager.resume();
    assert_eq!(manager.send(chat(21)).await.error_kind(), Some(ErrorKind::QuotaSpent), "tried again");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_costs_two_requests() {
    let simulator = provider().build();
    let manager = manager(&simulator).key("sk-wrong").max_concurrent(1).build().expect("a manager");
    let outcomes = run(&manager, 20).await;
    for outcome in &outcomes {
        assert_eq!(outcome.result.as_ref().expect_err("wrong key").kind(), ErrorKind::Auth);
    }
    assert_eq!(simulator.ledger().sends(), 2, "one, and a witness");
}

/// money-paid-in: a refusal of today may be over tomorrow, and nobody should have to restart a service for that.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_key_or_money_is_tried_again_after_a_minute() {
    for refusal in [Refusal::quota_spent(), Refusal::status(401)] {
        let simulator =
            provider().fault_when(move |seen| (seen.at < s(100)).then(|| refusal.clone().into())).build();
        let manager = manager(&simulator).build().expect("a manager");
        let sends = || simulator.ledger().sends();
        for id in 0..10 {
            assert!(manager.send(chat(id)).await.result.is_err());
        }
        assert_eq!(sends(), 2, "one, and a witness");
        tokio::time::sleep(s(60)).await;
        let (first, second) = tokio::join!(manager.send(chat(10)), manager.send(chat(11)));
        assert!(first.result.is_err() && second.error_kind() == Some(ErrorKind::Stopped), "{second:?}");
        assert_eq!(sends(), 3, "one finds out that it still holds");
        tokio::time::sleep(s(61)).await;
        all_succeeded(&join_all((12..40).map(|id| manager.send(chat(id)))).await);
    }
}

/// dear-model: the credit is too small for one model, and the requests of all other models are stopped with it.
#[tokio::test(start_paused = true)]
async fn money_that_does_not_reach_for_one_model_stops_that_model_only() {
    let simulator = provider()
        .fault_when(|seen| (seen.model.as_deref() == Some("dear")).then(|| Refusal::quota_spent().into()))
        .build();
    let manager = manager(&simulator).build().expect("a manager");
    let of = |model: &str, id: usize| {
        let mut body = body(id);
        body["model"] = model.into();
        Request::chat(&body).id(format!("r{id}"))
    };
    // Two at the same time, with nothing else in flight.
    let (one, two) = tokio::join!(manager.send(of("dear", 1)), manager.send(of("dear", 2)));
    for outcome in [one, two] {
        assert_eq!(outcome.error_kind(), Some(ErrorKind::QuotaSpent));
    }
    assert_eq!(manager.send(of("dear", 3)).await.error_kind(), Some(ErrorKind::Stopped));
    assert_eq!(simulator.ledger().sends(), 2);
    all_succeeded(&join_all((4..30).map(|id| manager.send(of("cheap", id)))).await);
    assert_eq!(manager.send(of("dear", 30)).await.error_kind(), Some(ErrorKind::Stopped));
    // A batch of both models: exactly the requests that were not sent come back.
    for in_order in [false, true] {
        let mut batch = manager.batch((40..100).map(|id| of(["cheap", "dear", "dear"][id % 3], id)));
        if in_order {
            batch = batch.in_order();
        }
        let outcomes: Vec<_> = batch.by_ref().collect().await;
        all_succeeded(&outcomes);
        assert_eq!(outcomes.len(), 20);
        assert_eq!(batch.stopped().map(|why| why.kind), Some(ErrorKind::QuotaSpent));
        assert_eq!(batch.into_rest().requests.len(), 40);
    }
}

/// The first two calls detect a wrong key. A third is needed if both name the same model.
#[tokio::test(start_paused = true)]
async fn a_wrong_key_stops_all_models() {
    let simulator = provider().build();
    let manager = manager(&simulator).key("sk-wrong").max_concurrent(1).build().expect("a manager");
    for (id, model) in ["a", "a", "b", "c", "d"].into_iter().enumerate() {
        let mut body = body(id);
        body["model"] = model.into();
        let kind = if id < 3 { ErrorKind::Auth } else { ErrorKind::Stopped };
        assert_eq!(manager.send(Request::chat(&body)).await.error_kind(), Some(kind), "{id}");
    }
    assert_eq!(simulator.ledger().sends(), 3);
}

/// A source without a further request ready does not keep a refused batch open. A source that has one is read.
#[tokio::test(start_paused = true)]
async fn a_batch_that_is_refused_does_not_wait_for_its_source() {
    let simulator = provider().build();
    let wrong = manager(&simulator).key("sk-wrong").max_concurrent(2).build().expect("a manager");
    let mut batch = wrong.batch_stream(stream::iter((0..5).map(chat)).chain(stream::pending()));
    let outcomes: Vec<_> = batch.by_ref().collect().await;
    let rest = batch.into_rest();
    assert_eq!(outcomes.len() + rest.requests.len(), 5);
    assert!(rest.source.is_some());
    let right = manager(&simulator).build().expect("a manager");
    let mut batch = right.batch_stream(stream::iter((0..5).map(chat)).chain(stream::pending()));
    assert_eq!(batch.by_ref().take(5).count().await, 5);
    assert!(tokio::time::timeout(s(1_000), batch.next()).await.is_err(), "more may come");
}

/// The key of one endpoint is refused. Requests to another endpoint are taken and sent as before.
#[tokio::test(start_paused = true)]
async fn an_account_that_is_stopped_stops_no_other_endpoint() {
    let (home, other) = (provider().build(), provider().build());
    let endpoint = Endpoint::new(Provider::openai_compatible())
        .base_url("http://provider.test/v1")
        .key(KEY)
        .client(client(&other));
    let manager =
        manager(&home).key("sk-wrong").max_concurrent(1).endpoint("other", endpoint.max_concurrent(1));
    let manager = manager.build().expect("a manager");
    let requests = (0..40).map(|id| {
        let mut body = body(id);
        body["model"] = ["a", "b"][id % 2].into();
        let request = Request::chat(&body).id(format!("r{id}"));
        if id < 6 { request } else { request.to("other") }
    });
    let mut batch = manager.batch(requests);
    let outcomes: Vec<_> = batch.by_ref().collect().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.result.is_ok()).count(), 34);
    assert_eq!((outcomes.len() - 34, home.ledger().sends()), (2, 2));
    assert_eq!(batch.into_rest().requests.len(), 4);
}

/// nonretryable-retried: a 400 is sent five times.
#[tokio::test(start_paused = true)]
async fn nonretryable_retried() {
    for status in [400, 403, 404, 413, 422] {
        let simulator = provider().fault(Refusal::status(status), 1.0).build();
        let manager = manager(&simulator).build().expect("a manager");
        let outcome = manager.send(chat(1)).await;
        let error = outcome.result.expect_err("refused");
        assert_eq!(error.reply().map(|reply| reply.status.as_u16()), Some(status));
        assert_eq!((outcome.sends, simulator.ledger().sends()), (1, 1), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn bare_429s_are_free_and_asked_less_and_less() {
    let simulator = provider().fault(Refusal::rate_limited(), 1.0).build();
    let manager = manager(&simulator).max_attempts(3).deadline(s(600)).build().expect("a manager");
    let outcome = manager.send(chat(1)).await;
    assert_eq!(outcome.result.expect_err("refused").kind(), ErrorKind::Deadline);
    assert_eq!(outcome.charged, 0);
    assert!((5..60).contains(&outcome.sends), "{} sends in ten minutes", outcome.sends);
}

/// A server that always gives tiny hints would be asked a thousand times a second.
#[tokio::test(start_paused = true)]
async fn tiny_hints_for_ever_are_no_hot_loop() {
    let simulator = provider().fault(Refusal::rate_limited().retry_after_ms(ms(1)), 1.0).build();
    let manager = manager(&simulator).deadline(s(600)).build().expect("a manager");
    let outcome = manager.send(chat(1)).await;
    assert!(outcome.result.is_err() && outcome.sends < 60, "{} sends in ten minutes", outcome.sends);
}

/// A batch that is refused as a whole is stopped, and what was not sent comes back.
#[tokio::test(start_paused = true)]
async fn twenty_equal_refusals_and_nothing_else_stop_a_batch() {
    for (good_one, stops) in [(None, true), (Some(0), false), (Some(19), false), (Some(20), true)] {
        let simulator = provider()
            .fault_when(move |seen| (Some(seen.sequence) != good_one).then(|| Refusal::status(400).into()))
            .build();
        let manager = manager(&simulator).max_concurrent(1).build().expect("a manager");
        let mut batch = manager.batch((0..60).map(chat));
        let outcomes: Vec<_> = batch.by_ref().collect().await;
        let first = simulator.ledger().entries()[0].seen.sequence;
        assert_eq!(first, 0, "counted from 0");
        assert_eq!(outcomes.len(), if stops { 20 } else { 60 }, "{good_one:?}");
        let why = batch.stopped().map(|why| why.kind);
        assert_eq!(why, stops.then_some(ErrorKind::Rejected), "{good_one:?}");
        let rest = batch.into_rest();
        let unread = match rest.source {
            Some(source) => source.collect::<Vec<_>>().await,
            None => Vec::new(),
        };
        let ids: Vec<_> =
            rest.requests.iter().chain(&unread).filter_map(|request| request.get_id()).collect();
        let expected: Vec<_> = (outcomes.len()..60).map(|id| format!("r{id}")).collect();
        assert_eq!(ids, expected, "in order");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_that_differ_do_not_stop_a_batch_nor_do_equal_ones_where_that_is_not_wanted() {
    let simulator = provider()
        .fault_when(|seen| Some(Refusal::status(if seen.sequence == 7 { 422 } else { 400 }).into()))
        .build();
    let different = manager(&simulator).max_concurrent(1).build().expect("a manager");
    assert_eq!(run(&different, 60).await.len(), 60);
    let simulator = provider().fault(Refusal::status(400), 1.0).build();
    let unwanted = manager(&simulator).stop_after_equal_refusals(None).build().expect("a manager");
    assert_eq!(run(&unwanted, 60).await.len(), 60);
}
