//! Other routes for failed requests, and several endpoints that share a name.

use futures::Stream;
use outbound::{Endpoint, ErrorKind, Provider, Request, Route};
use outbound_simulator::{Fault, LimitHeaders, Refusal, Simulator, Trouble};
use serde_json::json;
use tokio::time::Instant;

use crate::stack::{KEY, body, chat, client, manager, ms, provider, s, stream};

/// An endpoint at a simulator.
fn endpoint(simulator: &Simulator) -> Endpoint {
    Endpoint::new(Provider::openai_compatible())
        .base_url("http://other.test/v1")
        .key(KEY)
        .client(client(simulator))
}

fn sends(simulator: &Simulator) -> usize {
    simulator.ledger().sends()
}

fn failing(refusal: Refusal) -> Simulator {
    provider().fault(Fault::Refuse(refusal), 1.0).build()
}

#[tokio::test(start_paused = true)]
async fn a_route_is_taken_when_the_one_before_it_has_failed() {
    let (first, second) = (failing(Refusal::status(500)), provider().build());
    let manager = manager(&first).endpoint("backup", endpoint(&second)).build().expect("a manager");
    let outcome = manager.send(chat(1).fallback(Route::to("backup").with_model("other"))).await;
    assert_eq!(outcome.route, 1);
    assert_eq!((sends(&first) + 1, sends(&second)), (outcome.sends as usize, 1), "{outcome:?}");
    let routes: Vec<_> = outcome.attempts.iter().map(|attempt| (attempt.route, attempt.failure)).collect();
    assert_eq!(routes.first(), Some(&(0, Some(ErrorKind::Server))));
    assert_eq!(routes.last(), Some(&(1, None)), "what was tried is in the record");
    assert_eq!(outcome.charged, outcome.sends, "those of both routes are counted");
    let reply = outcome.result.expect("an answer").json().expect("JSON");
    assert_eq!(reply["model"], "other");
}

/// While another route is left, a request does not wait long on one that refuses, fails or is down.
#[tokio::test(start_paused = true)]
async fn a_request_with_another_route_does_not_wait_for_the_first() {
    let hour = Refusal::rate_limited().retry_after(s(600));
    for (name, first) in [
        ("refused", failing(hour)),
        ("overloaded", failing(Refusal::status(503).retry_after(s(60)))),
        ("down", provider().trouble(Trouble::Refused, s(0)..s(4000)).build()),
        ("key", failing(Refusal::status(401))),
        ("money", failing(Refusal::quota_spent())),
    ] {
        let second = provider().build();
        let manager = manager(&first).endpoint("backup", endpoint(&second)).build().expect("a manager");
        let began = Instant::now();
        for id in 0..3 {
            let outcome = manager.send(chat(id).fallback(Route::to("backup"))).await;
            assert!(outcome.result.is_ok() && outcome.route == 1, "{name}: {outcome:?}");
        }
        assert!(began.elapsed() < s(32), "{name}: {:?}", began.elapsed());
        assert_eq!(sends(&second), 3);
    }
}

/// A wait that is shorter than `after` is waited for. Another model would not give a better answer.
#[tokio::test(start_paused = true)]
async fn a_short_wait_is_waited_for() {
    let refusal = Fault::Refuse(Refusal::rate_limited().retry_after(s(3)));
    let (first, second) = (provider().fault_on_attempt(refusal, 1).build(), provider().build());
    let manager = manager(&first).endpoint("backup", endpoint(&second)).build().expect("a manager");
    let outcome = manager.send(chat(1).fallback(Route::to("backup"))).await;
    assert!(outcome.result.is_ok() && outcome.route == 0 && sends(&second) == 0, "{outcome:?}");
    let outcome = manager.send(chat(2).fallback(Route::to("backup").after(s(1)))).await;
    assert!(outcome.result.is_ok() && outcome.route == 1, "{outcome:?}");
}

/// A fault of the request itself is a fault on every route, unless a route is made for that kind.
#[tokio::test(start_paused = true)]
async fn a_route_is_for_its_kinds_of_failure() {
    let (first, second) = (failing(Refusal::status(400)), provider().build());
    let manager = manager(&first)
        .endpoint("backup", endpoint(&second))
        .fallback(Route::to("backup"))
        .fallback(Route::to("backup").on([ErrorKind::Rejected]).with_json(&body(9)))
        .build()
        .expect("a manager");
    let outcome = manager.send(chat(1)).await;
    assert!(outcome.result.is_ok() && outcome.route == 2, "the manager's own routes: {outcome:?}");
    let own = manager.send(chat(2).fallback(Route::to("backup"))).await;
    assert_eq!(own.result.expect_err("no route is for it").kind(), ErrorKind::Rejected);
    assert_eq!(own.route, 0);
}

/// A route to an unknown endpoint is an error when the manager is built, or in the outcome.
#[tokio::test(start_paused = true)]
async fn a_route_to_nowhere_is_an_error() {
    let first = failing(Refusal::status(500));
    let error = manager(&first).fallback(Route::to("nowhere")).build().expect_err("no such endpoint");
    assert!(error.to_string().contains("\"nowhere\""), "{error}");
    let manager = manager(&first).max_attempts(1).build().expect("a manager");
    let form =
        Request::post("/x", &json!({})).body("a=b").fallback(Route::model("other").on([ErrorKind::Rejected]));
    for request in [chat(1).fallback(Route::to("nowhere")), form] {
        assert_eq!(manager.send(request).await.error_kind(), Some(ErrorKind::Invalid));
    }
}

/// Items that were delivered cannot be taken back.
#[tokio::test(start_paused = true)]
async fn a_stream_takes_another_route_only_before_its_first_item() {
    for (after, route) in [(0, 1), (3, 0)] {
        let first = provider().fault(Fault::Truncate { after }, 1.0).build();
        let second = provider().build();
        let manager = manager(&first).endpoint("backup", endpoint(&second)).build().expect("a manager");
        let outcome = manager.stream(stream(1).fallback(Route::to("backup"))).outcome().await;
        assert_eq!((outcome.route, outcome.result.is_ok()), (route, route == 1), "after {after}");
    }
}

/// A batch goes on over the other route when the key of the first one is refused.
#[tokio::test(start_paused = true)]
async fn a_batch_goes_over_another_route_where_the_first_is_stopped() {
    let (first, second) = (failing(Refusal::quota_spent()), provider().build());
    let manager = manager(&first).endpoint("backup", endpoint(&second)).fallback(Route::to("backup"));
    let manager = manager.build().expect("a manager");
    let outcomes: Vec<_> = manager.batch((0..50).map(chat)).collect().await;
    assert_eq!(outcomes.len(), 50);
    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()));
    assert!(sends(&first) < 50, "{}", sends(&first));
}

/// Two keys have twice the quota of one.
#[tokio::test(start_paused = true)]
async fn endpoints_of_one_name_share_the_requests() {
    let mut took = Vec::new();
    for keys in [1, 2] {
        let simulators: Vec<_> = (0..keys).map(|_| provider().requests_per_minute(120).build()).collect();
        let mut builder = manager(&simulators[0]);
        for simulator in &simulators[1..] {
            builder = builder.another_endpoint(endpoint(simulator));
        }
        let manager = builder.build().expect("a manager");
        let began = Instant::now();
        let outcomes: Vec<_> = manager.batch((0..600).map(chat)).collect().await;
        assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()));
        took.push(began.elapsed().as_secs_f64());
    }
    assert!(took[0] / took[1] >= 1.9, "{took:?}");
}

/// A refusal may close the gate for longer while requests wait for it. Then they check their patience again.
#[tokio::test(start_paused = true)]
async fn patience_is_checked_again_when_a_wait_grows() {
    // With a priority they wait in the fair queue, and only the first of them waits for the gate.
    for (priority, endpoints) in [(0, 1), (1, 1), (0, 2), (1, 2)] {
        let simulator = provider()
            .fault_when(|seen| {
                let wait = if seen.sequence < 2 { s(2) } else { s(600) };
                let refusal = Refusal::rate_limited().retry_after(wait);
                (seen.model.as_deref() == Some("test")).then(|| refusal.into())
            })
            .build();
        let mut manager = manager(&simulator).max_concurrent(2);
        if endpoints == 2 {
            manager = manager.another_endpoint(endpoint(&simulator).max_concurrent(2));
        }
        let manager = manager.build().expect("a manager");
        let with = |id| chat(id).priority(priority).fallback(Route::model("other").after(s(3)));
        let outcomes: Vec<_> = manager.batch((0..8).map(with)).collect().await;
        for outcome in outcomes {
            assert!(outcome.result.is_ok() && outcome.route == 1, "{priority}, {endpoints}: {outcome:?}");
            assert!(outcome.elapsed < s(12), "{priority}, {endpoints}: {:?}", outcome.elapsed);
        }
    }
}

/// A wrong key beside a right one fails no request, also if the right one has to be waited for.
#[tokio::test(start_paused = true)]
async fn a_wrong_key_beside_a_right_one_costs_no_request() {
    for wrong_first in [true, false] {
        let wrong = failing(Refusal::status(401));
        // Without limit headers, so only refusals close its gate.
        let right = provider().requests_per_minute(120).burst(s(1)).limit_headers(LimitHeaders::None).build();
        let (first, second) = if wrong_first { (&wrong, &right) } else { (&right, &wrong) };
        let manager = manager(first).another_endpoint(endpoint(second)).build().expect("a manager");
        let outcomes: Vec<_> = manager.batch((0..100).map(chat)).collect().await;
        assert_eq!(outcomes.len(), 100);
        let failed = outcomes.iter().find(|outcome| outcome.result.is_err());
        assert!(failed.is_none(), "{wrong_first}: {failed:?}");
        assert!(right.ledger().refused() > 0, "it had to be waited for");
    }
}

/// A request that one endpoint refuses is taken at once by another.
#[tokio::test(start_paused = true)]
async fn what_one_endpoint_refuses_another_takes() {
    let long = s(600);
    for (name, first) in [
        ("refused", failing(Refusal::rate_limited().retry_after(long))),
        ("overloaded", failing(Refusal::status(503).retry_after(s(60)))),
        ("down", provider().trouble(Trouble::Refused, s(0)..s(4000)).build()),
        ("key", failing(Refusal::status(401))),
        ("money", failing(Refusal::quota_spent())),
        ("failing", failing(Refusal::status(500))),
    ] {
        let second = provider().build();
        let manager = manager(&first).another_endpoint(endpoint(&second)).build().expect("a manager");
        let began = Instant::now();
        let outcomes: Vec<_> = manager.batch((0..200).map(chat)).collect().await;
        let failed: Vec<_> = outcomes.iter().filter(|outcome| outcome.result.is_err()).collect();
        assert!(outcomes.len() == 200 && failed.is_empty(), "{name}: {failed:?}");
        assert!(began.elapsed() < s(30), "{name}: {:?}", began.elapsed());
        assert!(sends(&first) < 120, "{name}: {} of the first", sends(&first));
    }
}

/// If all endpoints refuse the key, requests end as with one endpoint.
#[tokio::test(start_paused = true)]
async fn where_all_endpoints_refuse_the_key_that_is_the_end() {
    let (first, second) = (failing(Refusal::status(401)), failing(Refusal::status(401)));
    let manager = manager(&first).max_concurrent(8).another_endpoint(endpoint(&second).max_concurrent(8));
    let manager = manager.build().expect("a manager");
    let mut batch = manager.batch((0..100).map(chat));
    let mut kinds = Vec::new();
    while let Some(outcome) = batch.next().await {
        kinds.push(outcome.error_kind());
    }
    let refused = [Some(ErrorKind::Auth), Some(ErrorKind::Stopped)];
    assert!(kinds.iter().all(|kind| refused.contains(kind)), "{kinds:?}");
    assert!(kinds.len() <= 16 && batch.stopped().is_some(), "{} {:?}", kinds.len(), batch.stopped());
    let rest = batch.into_rest();
    let unread = rest.source.map_or(0, |source| source.size_hint().0);
    assert_eq!(rest.requests.len() + unread + kinds.len(), 100);
}

/// The weights decide how many requests are in flight at each endpoint.
#[tokio::test(start_paused = true)]
async fn weights_share_the_load() {
    let (first, second) = (provider().build(), provider().build());
    let manager = manager(&first).another_endpoint(endpoint(&second).weight(3)).build().expect("a manager");
    for wave in 0..10 {
        let sent = (0..16).map(|id| manager.send(chat(wave * 16 + id)));
        assert!(futures::future::join_all(sent).await.iter().all(|outcome| outcome.result.is_ok()));
    }
    let share = sends(&second) as f64 / sends(&first) as f64;
    assert!((2.0..=4.0).contains(&share), "{share}");
    assert!(first.elapsed() > ms(1));
}

/// One of two keys is down for long. That is no reason to take another route while the other key works.
#[tokio::test(start_paused = true)]
async fn another_endpoint_goes_before_another_route() {
    let down = provider().trouble(Trouble::Refused, s(0)..s(100_000)).build();
    let (well, backup) = (provider().build(), provider().build());
    let manager = manager(&down)
        .another_endpoint(endpoint(&well))
        .endpoint("backup", endpoint(&backup))
        .fallback(Route::to("backup").after(s(2)));
    let manager = manager.build().expect("a manager");
    for id in 0..40 {
        assert!(manager.send(chat(id)).await.result.is_ok());
        tokio::time::sleep(s(1)).await;
    }
    assert_eq!((sends(&well), sends(&backup)), (40, 0));
}

/// A pause is waited for on the present route, because other routes are paused as well.
#[tokio::test(start_paused = true)]
async fn a_pause_is_no_reason_for_another_route() {
    let (first, second) = (provider().build(), provider().build());
    let manager = manager(&first).endpoint("backup", endpoint(&second)).build().expect("a manager");
    manager.pause();
    let resumed = async {
        tokio::time::sleep(s(60)).await;
        manager.resume();
    };
    let sent = manager.send(chat(1).fallback(Route::to("backup")));
    let (outcome, ()) = futures::join!(sent, resumed);
    assert!(outcome.result.is_ok() && outcome.route == 0, "{outcome:?}");
    assert_eq!(sends(&second), 0);
}

/// Each short wait is waited for, but their sum is bounded.
#[tokio::test(start_paused = true)]
async fn short_waits_add_up() {
    let (first, second) = (failing(Refusal::rate_limited().retry_after(s(4))), provider().build());
    let manager = manager(&first).endpoint("backup", endpoint(&second)).build().expect("a manager");
    let outcome = manager.send(chat(1).fallback(Route::to("backup"))).await;
    assert!(outcome.result.is_ok() && outcome.route == 1, "{outcome:?}");
    assert!((2..=4).contains(&sends(&first)) && outcome.elapsed < s(14), "{outcome:?}");
}

/// Each route has an idempotency key of its own.
#[tokio::test(start_paused = true)]
async fn each_route_has_an_idempotency_key_of_its_own() {
    let (first, second) = (failing(Refusal::status(500)), provider().build());
    let manager = manager(&first).endpoint("backup", endpoint(&second)).build().expect("a manager");
    assert!(manager.send(chat(1).fallback(Route::to("backup"))).await.result.is_ok());
    let (first, second) = (first.ledger(), second.ledger());
    let keys =
        [&first, &second].map(|ledger| ledger.sends_by_idempotency_key().into_keys().collect::<Vec<_>>());
    assert!(keys[0].len() == 1 && keys[1].len() == 1 && keys[0] != keys[1], "{keys:?}");
}

/// Other endpoints are tried before the one that failed, though it has the least load.
#[tokio::test(start_paused = true)]
async fn a_retry_goes_to_another_endpoint_first() {
    let (first, second) = (failing(Refusal::status(500)), provider().build());
    let manager = manager(&first).another_endpoint(endpoint(&second)).max_attempts(2).build();
    let manager = manager.expect("a manager");
    for id in 0..3 {
        assert!(manager.send(chat(id)).await.result.is_ok(), "the second of two attempts");
    }
}

/// A refusal of the content would be the same everywhere. Attempts are counted over all endpoints.
#[tokio::test(start_paused = true)]
async fn other_endpoints_are_no_further_attempts() {
    for (status, total) in [(400, 1), (500, 3)] {
        let (first, second) = (failing(Refusal::status(status)), failing(Refusal::status(status)));
        let manager = manager(&first).another_endpoint(endpoint(&second)).max_attempts(3).build();
        assert!(manager.expect("a manager").send(chat(1)).await.result.is_err());
        assert_eq!(sends(&first) + sends(&second), total, "{status}");
    }
}

/// A request does not use a key again that refused it, however long the other keys are busy.
#[tokio::test(start_paused = true)]
async fn a_request_does_not_use_a_key_again_that_refused_it() {
    let (first, second) = (failing(Refusal::status(401)), provider().build());
    let manager = manager(&first).another_endpoint(endpoint(&second).max_concurrent(1)).build();
    let manager = manager.expect("a manager");
    let sent = (0..8).map(|id| manager.send(chat(id)));
    let outcomes = futures::future::join_all(sent).await;
    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()), "{outcomes:?}");
    let most = outcomes.iter().map(|outcome| outcome.sends).max();
    assert_eq!(most, Some(2), "once to each key");
}

/// Nor does it after another endpoint has failed.
#[tokio::test(start_paused = true)]
async fn a_refused_key_is_not_used_again_after_another_failure() {
    let refused = Fault::Refuse(Refusal::status(401));
    let first = provider().fault_when(move |seen| (seen.sequence == 0).then(|| refused.clone())).build();
    let second = provider().fault_on_attempt(Fault::Refuse(Refusal::status(500)), 1).build();
    let manager = manager(&first).another_endpoint(endpoint(&second)).build().expect("a manager");
    assert!(manager.send(chat(1)).await.result.is_ok());
    assert_eq!((sends(&first), sends(&second)), (1, 2));
}

/// If no other endpoint takes the request, the failed one is left alone as if it were the only one.
#[tokio::test(start_paused = true)]
async fn without_another_endpoint_a_request_backs_off() {
    let first = failing(Refusal::status(500));
    let second = failing(Refusal::rate_limited().retry_after(s(600)));
    let manager = manager(&first).another_endpoint(endpoint(&second)).max_attempts(4).build();
    let outcome = manager.expect("a manager").send(chat(1)).await;
    assert_eq!((sends(&first), sends(&second)), (4, 1));
    assert!(outcome.elapsed > ms(5 * 200 + 100), "{:?}", outcome.elapsed);
}

/// One of two endpoints is down for long, and the other refuses for a moment. The short wait is waited for.
#[tokio::test(start_paused = true)]
async fn the_endpoint_that_is_back_first_is_waited_for() {
    let down = provider().trouble(Trouble::Refused, s(0)..s(100_000)).build();
    let refused = Fault::Refuse(Refusal::rate_limited().retry_after(s(3)));
    let well = provider().fault_when(move |seen| (seen.sequence == 30).then(|| refused.clone())).build();
    let backup = provider().build();
    let manager = manager(&down)
        .another_endpoint(endpoint(&well))
        .endpoint("backup", endpoint(&backup))
        .fallback(Route::to("backup").after(s(5)));
    let manager = manager.build().expect("a manager");
    for id in 0..40 {
        assert!(manager.send(chat(id)).await.result.is_ok());
        tokio::time::sleep(s(1)).await;
    }
    assert_eq!((sends(&well), sends(&backup)), (41, 0));
}
