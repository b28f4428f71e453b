//! Reused answers: from equal requests in flight, and from a cache.

use std::time::Duration;

use futures::future::join_all;
use outbound::{
    ErrorKind, Outcome, Request, RequestManager, ResponseCache, Reused, Step, Waiting, client::Method,
};
use outbound_simulator::{Fault, Refusal, Simulator};
use serde_json::json;
use tokio::time::Instant;

use crate::stack::{KEY, all_succeeded, body, chat, manager, ms, provider, s, stream};

fn coalescing(simulator: &Simulator) -> RequestManager {
    manager(simulator).coalesce(true).build().expect("a manager")
}

fn calls(simulator: &Simulator) -> usize {
    simulator.ledger().sends()
}

fn text(outcome: &Outcome) -> String {
    outcome.result.as_ref().expect("a reply").content().expect("a text")
}

#[tokio::test(start_paused = true)]
async fn equal_requests_in_flight_share_one_call() {
    let simulator = provider().build();
    let manager = coalescing(&simulator);
    let outcomes = join_all((0..50).map(|_| manager.send(chat(1)))).await;
    all_succeeded(&outcomes);
    assert_eq!(calls(&simulator), 1);
    let own: Vec<_> = outcomes.iter().filter(|outcome| outcome.reused.is_none()).collect();
    assert_eq!((own.len(), own[0].sends), (1, 1));
    for outcome in &outcomes {
        assert_eq!(text(outcome), text(&outcomes[0]));
        assert_eq!(outcome.id.as_deref(), Some("r1"), "each is itself");
        if outcome.reused.is_some() {
            assert_eq!(outcome.reused, Some(Reused::InFlight));
            assert_eq!(
                (outcome.sends, outcome.usage, outcome.charged),
                (0, None, 0),
                "usage and cost are reported once"
            );
        }
    }
    assert!(manager.send(chat(1)).await.reused.is_none(), "nothing is kept");
    assert_eq!(calls(&simulator), 2);
}

#[tokio::test(start_paused = true)]
async fn what_differs_makes_its_own_call() {
    let simulator = provider().build();
    let with = || manager(&simulator).coalesce(true).cache(ResponseCache::memory(1 << 20));
    let manager = with().build().expect("a manager");
    let requests = [
        chat(1),
        chat(2),
        chat(1).header("x-user", "a"),
        chat(1).header("x-user", "b"),
        chat(1).header("x-userb", ""),
        chat(1).idempotency_key("a".parse().expect("a value")),
        chat(1).fresh(),
        chat(1).fresh(),
        Request::post("/chat/completions?v=2", &body(1)),
        Request::new(Method::PUT, "/chat/completions").json(&body(1)),
        Request::new(Method::PUT, "/chat/completions").json(&body(1)),
        Request::new(Method::POST, "/chat/completions").body(serde_json::to_vec(&body(1)).expect("JSON")),
        Request::new(Method::POST, "/chat/completions").body(serde_json::to_vec(&body(1)).expect("JSON")),
    ];
    let outcomes = join_all(requests.into_iter().map(|request| manager.send(request))).await;
    assert!(outcomes.iter().all(|outcome| outcome.reused.is_none()), "{outcomes:#?}");
    // These do not make requests different.
    let same = [chat(1).id("other"), chat(1).priority(3).tenant("t").deadline(s(9)), chat(1).max_attempts(2)];
    for request in same {
        assert_eq!(manager.send(request).await.reused, Some(Reused::Cache));
    }
}

#[tokio::test(start_paused = true)]
async fn prompts_are_equal_by_all_that_they_say() {
    let simulator = provider().build();
    let manager = coalescing(&simulator);
    let prompt = || Request::prompt("test", "Name a river.");
    let all = [
        prompt(),
        prompt(),
        prompt().max_tokens(5),
        prompt().system("Be short."),
        Request::prompt("test", "Name a lake."),
    ];
    let outcomes = join_all(all.into_iter().map(|request| manager.send(request))).await;
    let reused: Vec<_> = outcomes.iter().map(|outcome| outcome.reused.is_some()).collect();
    assert_eq!(reused, [false, true, false, false, false]);
}

/// A follower keeps its own deadline. An answer that has come is read before the clock.
#[tokio::test(start_paused = true)]
async fn each_keeps_its_own_deadline() {
    let simulator = provider().latency(outbound_simulator::Latency::fixed(s(10))).build();
    let manager = coalescing(&simulator);
    let began = Instant::now();
    let first = tokio::spawn({
        let manager = manager.clone();
        async move { manager.send(chat(1)).await }
    });
    tokio::task::yield_now().await;
    let hasty = manager.send(chat(1).deadline(s(2))).await;
    assert_eq!(hasty.error_kind(), Some(ErrorKind::Deadline), "{hasty:?}");
    assert_eq!(began.elapsed().as_secs(), 2);
    assert_eq!(hasty.sends, 0);
    let patient = manager.send(chat(1).deadline(s(30))).await;
    assert_eq!((patient.reused, began.elapsed().as_secs()), (Some(Reused::InFlight), 10));
    assert!(first.await.expect("a task").result.is_ok());
    assert_eq!(calls(&simulator), 1);
}

/// A leader whose own deadline passes ends no other request.
#[tokio::test(start_paused = true)]
async fn a_call_that_ends_by_itself_is_taken_over() {
    for cut in ["deadline", "drop", "cancel"] {
        let simulator = provider().latency(outbound_simulator::Latency::fixed(s(10))).build();
        let manager = coalescing(&simulator);
        let first = match cut {
            "deadline" => chat(1).deadline(s(3)),
            _ => chat(1),
        };
        let first = tokio::spawn({
            let manager = manager.clone();
            async move { manager.send(first).await }
        });
        tokio::task::yield_now().await;
        let others = tokio::spawn({
            let manager = manager.clone();
            async move { join_all((0..5).map(|_| manager.send(chat(1).id("other")))).await }
        });
        tokio::time::sleep(s(1)).await;
        match cut {
            "drop" => first.abort(),
            "cancel" => assert_eq!(manager.cancel("r1"), 1),
            _ => {}
        }
        let others = others.await.expect("a task");
        all_succeeded(&others);
        assert_eq!(calls(&simulator), 2, "{cut}: one of them asks for all");
        assert_eq!(others.iter().filter(|outcome| outcome.reused.is_none()).count(), 1, "{cut}");
    }
}

/// A refusal of the content holds for equal requests. Any other failure belongs to that call alone.
#[tokio::test(start_paused = true)]
async fn only_a_refusal_of_the_request_is_shared() {
    let simulator = provider().fault(Fault::Refuse(Refusal::status(400)), 1.0).build();
    let outcomes =
        join_all((0..9).map(|_| coalescing(&simulator)).map(|m| async move { m.send(chat(1)).await })).await;
    assert_eq!((calls(&simulator), outcomes.len()), (9, 9), "managers share nothing");
    let manager = coalescing(&simulator);
    let outcomes = join_all((0..9).map(|_| manager.send(chat(1)))).await;
    assert_eq!(calls(&simulator), 10);
    assert!(outcomes.iter().all(|outcome| outcome.error_kind() == Some(ErrorKind::Rejected)));
    assert!(
        outcomes.iter().all(|outcome| outcome.result.as_ref().is_err_and(|error| error.reply().is_some()))
    );

    let simulator = provider().fault(Fault::Refuse(Refusal::status(500)), 1.0).build();
    let manager =
        crate::stack::manager(&simulator).coalesce(true).max_attempts(1).build().expect("a manager");
    let outcomes = join_all((0..4).map(|_| manager.send(chat(1)))).await;
    assert!(outcomes.iter().all(|outcome| outcome.error_kind() == Some(ErrorKind::Server)), "{outcomes:?}");
    assert_eq!(calls(&simulator), 4, "each has its own attempts, one after the other");
}

/// A batch of equal requests makes one call. Followers count as blocked, so the batch reads on.
#[tokio::test(start_paused = true)]
async fn a_batch_reads_on_behind_equal_requests() {
    let simulator = provider().latency(outbound_simulator::Latency::fixed(s(10))).build();
    let manager =
        crate::stack::manager(&simulator).coalesce(true).max_concurrent(4).build().expect("a manager");
    let began = Instant::now();
    let equal = (0..8).map(|_| chat(1));
    let outcomes: Vec<_> = manager.batch(equal.chain((2..5).map(chat))).collect().await;
    all_succeeded(&outcomes);
    assert_eq!((calls(&simulator), began.elapsed().as_secs()), (4, 10));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_returns_requests_that_wait_for_an_equal_one() {
    let simulator = provider().latency(outbound_simulator::Latency::fixed(s(10))).build();
    let manager = coalescing(&simulator);
    let tickets = [manager.submit(chat(1)).await.expect("in"), manager.submit(chat(1)).await.expect("in")];
    tokio::time::sleep(s(1)).await;
    let report = manager.shutdown(s(20)).await;
    assert_eq!((report.aborted, report.returned.len()), (0, 1));
    let [first, second] = tickets;
    assert!(first.await.result.is_ok());
    assert_eq!(second.await.error_kind(), Some(ErrorKind::ShutDown));
}

#[tokio::test(start_paused = true)]
async fn an_observer_gets_the_reason_of_a_wait() {
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    struct Hears(std::sync::Arc<std::sync::Mutex<Vec<Waiting>>>);
    impl outbound::Observer for Hears {
        fn event(&self, event: &outbound::Event<'_>) {
            if let Step::Waiting { reason, .. } = event.step {
                self.0.lock().expect("a lock").push(reason);
            }
        }
    }
    let simulator = provider().build();
    let observer = Hears(std::sync::Arc::clone(&heard));
    let manager = manager(&simulator).coalesce(true).observer(observer).build().expect("a manager");
    let outcomes = join_all((0..2).map(|_| manager.send(chat(1)))).await;
    assert_eq!(*heard.lock().expect("a lock"), [Waiting::EqualRequest]);
    let waited: Vec<_> = outcomes.iter().map(|outcome| outcome.waited).collect();
    assert_eq!(waited, [Duration::ZERO, ms(200)]);
}

#[tokio::test(start_paused = true)]
async fn answers_are_kept_and_errors_are_not() {
    let dir = tempfile::tempdir().expect("a folder");
    for cache in [ResponseCache::memory(1 << 20), ResponseCache::folder(dir.path())] {
        let failing = provider().fault(Fault::Refuse(Refusal::status(400)), 1.0).build();
        let with =
            |simulator: &Simulator| manager(simulator).cache(cache.clone()).build().expect("a manager");
        assert!(with(&failing).send(chat(1)).await.result.is_err());
        let simulator = provider().build();
        let first = with(&simulator).send(chat(1)).await;
        assert!(first.reused.is_none() && first.usage.is_some());
        // Another manager with the same cache. Its server would refuse everything.
        let manager = with(&failing);
        let again = manager.send(chat(1)).await;
        assert_eq!((text(&again), again.reused), (text(&first), Some(Reused::Cache)));
        assert_eq!((again.sends, again.usage), (0, None));
        let reply = (again.result.expect("a reply"), first.result.expect("a reply"));
        assert_eq!((reply.0.status, reply.0.headers), (reply.1.status, reply.1.headers));
        assert!(manager.send(chat(2)).await.result.is_err());
    }
    let names = std::fs::read_dir(dir.path()).expect("a list").count();
    assert_eq!(names, 1, "one answer was kept");
}

/// A request whose route failed by a shared refusal makes a call of its own on the next route, and has its own answer.
#[tokio::test(start_paused = true)]
async fn another_route_is_another_answer() {
    let gone = |seen: &outbound_simulator::Seen| {
        (seen.model.as_deref() == Some("test")).then(|| Refusal::status(400).into())
    };
    let simulator = provider().fault_when(gone).build();
    let manager = coalescing(&simulator);
    let with = |model: &str| chat(1).fallback(outbound::Route::model(model).on([ErrorKind::Rejected]));
    let outcomes = join_all(["one", "other"].map(|model| manager.send(with(model)))).await;
    assert_eq!(calls(&simulator), 3, "one refusal for both, and a call for each");
    for outcome in &outcomes {
        assert!(outcome.result.is_ok(), "{outcome:?}");
        assert_eq!((outcome.route, outcome.reused), (1, None));
    }
}

/// The items of a stream cannot go to two readers.
#[tokio::test(start_paused = true)]
async fn equal_streams_make_their_own_calls() {
    let simulator = provider().build();
    let manager = coalescing(&simulator);
    let read = |mut items: outbound::ReplyStream| async move {
        let mut count = 0;
        while items.next().await.is_some() {
            count += 1;
        }
        (count, items.outcome().await.reused)
    };
    let [one, other, whole] = [manager.stream(stream(1)), manager.stream(stream(1)), manager.stream(chat(1))];
    let (one, other, _) = futures::join!(read(one), read(other), read(whole));
    assert!(one.0 > 3 && one == other && one.1.is_none(), "{one:?} {other:?}");
    assert_eq!(calls(&simulator), 3);
}

/// A refused key is not a refusal of the request. Another call finds out whether it holds for all.
#[tokio::test(start_paused = true)]
async fn a_refused_key_has_its_witness() {
    let simulator = provider().build();
    let manager = manager(&simulator).key("wrong").coalesce(true).build().expect("a manager");
    let outcomes = join_all((0..5).map(|_| manager.send(chat(1)))).await;
    assert_eq!(calls(&simulator), 2, "one is refused, and its witness");
    assert!(outcomes.iter().all(|outcome| outcome.result.is_err() && outcome.reused.is_none()));
}

#[tokio::test(start_paused = true)]
async fn another_address_has_answers_of_its_own() {
    let simulator = provider().build();
    let cache = ResponseCache::memory(1 << 20);
    let with = || manager(&simulator).cache(cache.clone());
    assert!(with().build().expect("a manager").send(chat(1)).await.result.is_ok());
    for url in ["http://provider.test/other/v1", "http://other.test/v1", "http://provider.test:81/v1"] {
        let manager = with().base_url(url).build().expect("a manager");
        assert_eq!(manager.send(chat(1)).await.reused, None, "{url}");
    }
    // The API key is not a part of the cache key.
    let manager = with().key("another").build().expect("a manager");
    assert_eq!(manager.send(chat(1)).await.reused, Some(Reused::Cache));
}

/// A streamed answer is kept as a whole, and a kept answer is one item.
#[tokio::test(start_paused = true)]
async fn a_stream_is_kept_too() {
    let simulator = provider().build();
    let manager =
        manager(&simulator).coalesce(true).cache(ResponseCache::memory(1 << 20)).build().expect("a manager");
    let mut texts = Vec::new();
    for items in [2.., 1..] {
        let mut replies = manager.stream(stream(1));
        let (mut text, mut count) = (String::new(), 0);
        while let Some(item) = replies.next().await {
            text.push_str(item.expect("an item").text());
            count += 1;
        }
        assert!(items.contains(&count), "{count}");
        texts.push(text);
    }
    assert!(!texts[0].is_empty() && texts[0] == texts[1], "{texts:?}");
    assert_eq!(calls(&simulator), 1);
    assert_eq!(manager.send(stream(1)).await.reused, Some(Reused::Cache));
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_is_asked_for_again() {
    let dir = tempfile::tempdir().expect("a folder");
    for cache in [ResponseCache::memory(1 << 20), ResponseCache::folder(dir.path())] {
        let simulator = provider().build();
        let manager = manager(&simulator).cache(cache.max_age(s(60))).build().expect("a manager");
        for (wait, calls_by_then) in [(s(0), 1), (s(58), 1), (s(3), 2), (s(30), 2)] {
            tokio::time::sleep(wait).await;
            assert!(manager.send(chat(1)).await.result.is_ok());
            assert_eq!(calls(&simulator), calls_by_then, "{wait:?}");
        }
    }
}

/// Twenty equal refusals stop a batch. One refusal that twenty requests share does not.
#[tokio::test(start_paused = true)]
async fn a_shared_refusal_counts_once() {
    let simulator = provider().way_in(outbound_simulator::Latency::fixed(ms(200))).build();
    let manager = manager(&simulator).coalesce(true).max_concurrent(2).build().expect("a manager");
    let bad = || Request::chat(&json!({"model": "test", "messages": []})).header("x-canary", KEY);
    let outcomes: Vec<_> = manager.batch((0..40).map(|_| bad()).chain((0..5).map(chat))).collect().await;
    let failed = outcomes.iter().filter(|outcome| outcome.result.is_err()).count();
    assert_eq!((outcomes.len(), failed), (45, 40), "the others are answered");
}
