//! Hedging: a second call beside one that is slow.

use std::time::Duration;

use futures::{StreamExt, stream};
use outbound::{
    Endpoint, ErrorKind, Event, Hedging, Money, Observer, Outcome, Price, Prices, Provider, Request,
    RequestManager, RequestManagerBuilder, Step, client::Delivery,
};
use outbound_simulator::{Builder, Fault, Latency, Refusal, Seen, Simulator};
use serde_json::json;
use tokio::time::Instant;

use crate::stack::{KEY, all_succeeded, chat, client, manager, ms, provider, s};

const HEDGING: Hedging = Hedging::at_percentile(90).budget(100).allow_duplicates();

/// From the 31st request on, `first` decides the fault of an attempt.
fn slow(first: impl Fn(&Seen) -> Option<Fault> + Send + Sync + 'static) -> Builder {
    provider().fault_when(move |seen| if seen.sequence >= 30 { first(seen) } else { None })
}

fn never(seen: &Seen) -> Option<Fault> {
    (seen.attempt == 1).then_some(Fault::Silence)
}

/// A manager that has measured 30 calls.
async fn warm(simulator: &Simulator, manager: RequestManagerBuilder) -> RequestManager {
    let manager = manager.build().expect("a manager");
    all_succeeded(&stream::iter(100..130).then(|id| manager.send(chat(id))).collect::<Vec<_>>().await);
    assert_eq!(simulator.ledger().sends(), 30);
    manager
}

async fn timed(manager: &RequestManager, id: usize) -> (Outcome, Duration) {
    let began = Instant::now();
    let outcome = manager.send(chat(id)).await;
    (outcome, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_is_made_a_second_time() {
    let simulator = slow(never).build();
    let manager = warm(&simulator, manager(&simulator).hedge(HEDGING)).await;
    let (outcome, took) = timed(&manager, 1).await;
    assert!(outcome.result.is_ok(), "{outcome:?}");
    assert!(took >= ms(400) && took < ms(410), "as slow as two: {took:?}");
    assert_eq!((outcome.sends, outcome.charged, outcome.possible_duplicate), (2, 2, true));
    let [given_up, answered] = &outcome.attempts[..] else { panic!("{outcome:?}") };
    assert_eq!((given_up.failure, given_up.delivery), (Some(ErrorKind::Cancelled), Delivery::MaybeSent));
    assert!(given_up.after == Duration::ZERO && given_up.took == took, "{given_up:?}");
    assert!(answered.failure.is_none() && answered.after >= ms(200), "{answered:?}");
    assert_eq!(manager.snapshot().endpoints[0].quota.in_flight, 0, "both have given back their permits");
}

#[tokio::test(start_paused = true)]
async fn the_first_may_still_be_the_faster_one() {
    let soon = |seen: &Seen| match seen.attempt {
        1 => Some(Fault::KeepAlive { every: ms(100), count: Some(1) }),
        _ => Some(Fault::Silence),
    };
    let simulator = slow(soon).build();
    let manager = warm(&simulator, manager(&simulator).hedge(HEDGING)).await;
    let (outcome, took) = timed(&manager, 1).await;
    assert!(outcome.result.is_ok() && took < ms(310), "{outcome:?} {took:?}");
    let failures: Vec<_> = outcome.attempts.iter().map(|attempt| attempt.failure).collect();
    assert_eq!(failures, [Some(ErrorKind::Cancelled), None]);
    assert_eq!(manager.snapshot().endpoints[0].quota.in_flight, 0);
}

/// Without permission nothing is sent that may be billed twice.
#[tokio::test(start_paused = true)]
async fn what_may_be_billed_twice_is_not_sent_twice() {
    let plain = Hedging::at_percentile(90).budget(100);
    let honours = Provider::openai_compatible().with_documented_idempotency();
    for (hedging, provider, sends) in [
        (None, Provider::openai_compatible(), 1),
        (Some(plain), Provider::openai_compatible(), 1),
        (Some(plain), honours, 2),
        (Some(plain.allow_duplicates()), Provider::openai_compatible(), 2),
        (Some(Hedging::at_percentile(100).budget(100).allow_duplicates()), honours, 1),
        (Some(HEDGING.budget(0)), honours, 1),
        (Some(HEDGING.min_delay(s(5))), honours, 1),
    ] {
        let late =
            |seen: &Seen| (seen.attempt == 1).then_some(Fault::KeepAlive { every: s(1), count: Some(2) });
        let simulator = slow(late).build();
        let mut builder = manager(&simulator).provider(provider);
        if let Some(hedging) = hedging {
            builder = builder.hedge(hedging);
        }
        let manager = warm(&simulator, builder).await;
        let (outcome, _) = timed(&manager, 1).await;
        assert!(outcome.result.is_ok());
        assert_eq!(outcome.sends, sends, "{hedging:?}");
        let honoured = sends == 2 && hedging == Some(plain);
        assert_eq!(outcome.possible_duplicate, sends == 2 && !honoured, "{hedging:?}");
        let keys = simulator.ledger();
        let most = keys.sends_by_idempotency_key().into_values().max();
        assert_eq!(most, Some(usize::try_from(sends).expect("small")), "both have one key");
    }
}

#[tokio::test(start_paused = true)]
async fn it_takes_no_attempt_that_is_not_there_and_no_stream() {
    let simulator = slow(late).build();
    let manager = warm(&simulator, manager(&simulator).hedge(HEDGING)).await;
    let outcome = manager.send(chat(1).max_attempts(1)).await;
    assert_eq!((outcome.result.is_ok(), outcome.sends), (true, 1));
    assert_eq!(manager.send(chat(2).max_attempts(2)).await.sends, 2);
    let mut items = manager.stream(crate::stack::stream(3));
    while items.next().await.is_some() {}
    assert_eq!(items.outcome().await.sends, 1);
}

/// A hedge never waits in a queue, and takes no turn of others.
#[tokio::test(start_paused = true)]
async fn there_has_to_be_room_at_once() {
    for (most, sends) in [(1, 1), (2, 2)] {
        let simulator = slow(late).build();
        let manager = warm(&simulator, manager(&simulator).hedge(HEDGING).max_concurrent(most)).await;
        assert_eq!(timed(&manager, 1).await.0.sends, sends, "{most} at once");
    }
    // 32 requests a minute: the 31st and the 32nd are a call and its hedge. The next one has to wait for the quota.
    let simulator = slow(late).build();
    let manager = warm(&simulator, manager(&simulator).hedge(HEDGING).requests_per_minute(40)).await;
    let outcomes: Vec<_> = manager.batch((0..20).map(chat)).collect().await;
    all_succeeded(&outcomes);
    let ledger = simulator.ledger();
    let in_a_minute = |from: Duration| {
        let times = ledger.entries().iter().map(|entry| entry.seen.at);
        times.filter(|at| *at >= from && *at < from + s(60)).count()
    };
    let most = ledger.entries().iter().map(|entry| in_a_minute(entry.seen.at)).max();
    assert!(most.is_some_and(|most| most <= 80), "the burst and what comes back in a minute: {most:?}");
}

#[tokio::test(start_paused = true)]
async fn another_endpoint_of_the_name_is_the_better_one() {
    let (one, other) = (slow(never).build(), provider().build());
    let endpoint = |simulator: &Simulator, host: &str| {
        Endpoint::new(Provider::openai_compatible())
            .base_url(format!("http://{host}/v1"))
            .key(KEY)
            .client(client(simulator))
    };
    let manager =
        RequestManager::builder().seed(7).hedge(HEDGING).default_endpoint(endpoint(&one, "one.test"));
    let manager = warm(&one, manager.another_endpoint(endpoint(&other, "other.test"))).await;
    assert_eq!(other.ledger().sends(), 0, "one at a time they all go to the first");
    let (outcome, took) = timed(&manager, 1).await;
    assert!(outcome.result.is_ok() && took < ms(410), "{outcome:?} {took:?}");
    assert_eq!((one.ledger().sends(), other.ledger().sends()), (31, 1));
}

/// After a failure of one call the other may still succeed. After a refusal of the content it may not.
#[tokio::test(start_paused = true)]
async fn after_a_failure_the_other_call_may_still_succeed() {
    let fails = |status: u16| {
        move |seen: &Seen| match seen.attempt {
            1 => Some(Fault::KeepAlive { every: s(1), count: Some(1) }),
            2 => Some(Fault::Refuse(Refusal::status(status))),
            _ => None,
        }
    };
    let simulator = slow(fails(500)).build();
    let manager = warm(&simulator, manager(&simulator).hedge(HEDGING)).await;
    let (outcome, took) = timed(&manager, 1).await;
    assert!(outcome.result.is_ok() && took < ms(1_300), "{outcome:?} {took:?}");
    let kinds: Vec<_> = outcome.attempts.iter().map(|attempt| attempt.failure).collect();
    assert_eq!(kinds, [Some(ErrorKind::Server), None]);

    let simulator = slow(fails(400)).build();
    let manager = warm(&simulator, crate::stack::manager(&simulator).hedge(HEDGING)).await;
    let (outcome, took) = timed(&manager, 1).await;
    assert_eq!(outcome.error_kind(), Some(ErrorKind::Rejected));
    assert!(took < ms(410), "{took:?}");
    assert_eq!(manager.snapshot().endpoints[0].quota.in_flight, 0);

    // Both fail, so the next attempt is the third.
    let simulator = slow(|seen| (seen.attempt <= 2).then_some(Fault::Silence)).build();
    let builder = crate::stack::manager(&simulator).hedge(HEDGING).attempt_timeout(s(1));
    let manager = warm(&simulator, builder).await;
    let (outcome, _) = timed(&manager, 1).await;
    assert!(outcome.result.is_ok(), "{outcome:?}");
    assert_eq!((outcome.sends, outcome.charged, outcome.possible_duplicate), (3, 3, true));
    assert_eq!(manager.snapshot().endpoints[0].quota.in_flight, 0);
}

/// An aborted request has sent two calls, and the budget counts both.
#[tokio::test(start_paused = true)]
async fn an_aborted_hedged_request_was_sent_twice() {
    let simulator = slow(|_| Some(Fault::Silence)).build();
    let prices = Prices::new().model("test", Price::per_million(1e6, 2e6));
    let builder = manager(&simulator).hedge(HEDGING).prices(prices);
    let manager = warm(&simulator, builder).await;
    let before = manager.spent();
    let outcome = manager.send(chat(1).deadline(s(1))).await;
    assert_eq!((outcome.error_kind(), outcome.sends), (Some(ErrorKind::Deadline), 2));
    let both = manager.spent().as_dollars() - before.as_dollars();
    let ticket = manager.submit(chat(2)).await.expect("in");
    tokio::time::sleep(s(1)).await;
    assert!(ticket.cancel());
    let outcome = ticket.await;
    assert_eq!((outcome.error_kind(), outcome.sends), (Some(ErrorKind::Cancelled), 2));
    assert!(manager.spent() > Money::dollars(before.as_dollars() + 1.9 * both), "{}", manager.spent());
    assert_eq!(manager.snapshot().endpoints[0].quota.in_flight, 0);
}

/// The first attempt takes two seconds.
fn late(seen: &Seen) -> Option<Fault> {
    (seen.attempt == 1).then_some(Fault::KeepAlive { every: s(1), count: Some(2) })
}

/// A probe of an outage is not hedged.
#[tokio::test(start_paused = true)]
async fn no_probe_is_hedged() {
    let probe = |seen: &Seen| match seen.attempt {
        1..=4 => Some(Fault::Refuse(Refusal::status(500))),
        5 => Some(Fault::KeepAlive { every: s(1), count: Some(2) }),
        _ => None,
    };
    let simulator = slow(probe).build();
    let manager = warm(&simulator, manager(&simulator).hedge(HEDGING).max_attempts(20)).await;
    let (outcome, _) = timed(&manager, 1).await;
    assert_eq!((outcome.result.is_ok(), outcome.sends), (true, 5), "{outcome:?}");
}

/// Only answers are measured. Refusals come at once and say nothing about slow calls.
#[tokio::test(start_paused = true)]
async fn quick_refusals_make_no_call_slow() {
    let simulator = provider().build();
    let manager = warm(&simulator, manager(&simulator).hedge(HEDGING)).await;
    for id in 0..300 {
        let began = Instant::now();
        let bad = Request::chat(&json!({"model": "test", "messages": [], "n": id}));
        assert!(manager.send(bad).await.result.is_err() && began.elapsed() < ms(10));
    }
    assert_eq!(timed(&manager, 1).await.0.sends, 1);
}

/// A hedge that its budget does not allow takes nothing from the limits.
#[tokio::test(start_paused = true)]
async fn a_hedge_without_budget_takes_nothing_from_the_limits() {
    let simulator = slow(late).build();
    // One hedge every 1.5 s, and each call takes two.
    let builder = manager(&simulator).hedge(HEDGING.budget(0).min_delay(ms(1_800))).requests_per_minute(40);
    let manager = warm(&simulator, builder).await;
    tokio::time::sleep(s(2)).await;
    for id in 0..9 {
        let (outcome, _) = timed(&manager, id).await;
        assert_eq!((outcome.sends, outcome.waited), (1, Duration::ZERO));
    }
}

/// No hedge is sent during a pause or after a stop.
#[tokio::test(start_paused = true)]
async fn no_second_call_goes_out_in_a_pause_or_after_a_stop() {
    let simulator = slow(late).build();
    let manager = warm(&simulator, manager(&simulator).hedge(HEDGING)).await;
    let ticket = manager.submit(chat(1)).await.expect("in");
    tokio::time::sleep(ms(100)).await;
    manager.pause();
    tokio::time::sleep(s(1)).await;
    manager.resume();
    assert_eq!(ticket.await.sends, 1);

    let bad = |id: usize| Request::chat(&json!({"model": "test", "messages": [], "n": id}));
    let mut batch = manager.batch([chat(2)].into_iter().chain((0..20).map(bad)));
    let mut sends = None;
    while let Some(outcome) = batch.next().await {
        sends = outcome.id.is_some().then_some(outcome.sends).or(sends);
    }
    assert!(batch.stopped().is_some());
    assert_eq!(sends, Some(1));
}

/// Observers get the events of both calls, with their numbers, whichever ends first.
#[tokio::test(start_paused = true)]
async fn both_calls_have_events() {
    type Attempts = std::sync::Arc<std::sync::Mutex<Vec<(u32, Option<Option<ErrorKind>>)>>>;
    struct Recorder(Attempts);
    impl Observer for Recorder {
        fn event(&self, event: &Event<'_>) {
            let mut attempts = self.0.lock().expect("a lock");
            match event.step {
                Step::Sent { attempt } if event.id == Some("r1") => attempts.push((attempt, None)),
                Step::AttemptEnded { attempt, failure, .. } if event.id == Some("r1") => {
                    attempts.push((attempt, Some(failure)));
                }
                _ => {}
            }
        }
    }
    let attempts = Attempts::default();
    let simulator = slow(never).build();
    let builder = manager(&simulator).hedge(HEDGING).observer(Recorder(attempts.clone()));
    let manager = warm(&simulator, builder).await;
    assert!(timed(&manager, 1).await.0.result.is_ok());
    let given_up = Some(Some(ErrorKind::Cancelled));
    assert_eq!(*attempts.lock().expect("a lock"), [(1, None), (2, None), (1, given_up), (2, Some(None))]);
}

/// The heavy tail of latencies from the tests of `retry`, through the whole stack.
#[tokio::test(start_paused = true)]
async fn a_heavy_tail_is_cut_tenfold_for_one_call_in_twenty() {
    const CALLS: usize = 8_000;
    let mut tails = Vec::new();
    for hedged in [false, true] {
        let simulator = provider().latency(Latency::pareto(ms(10)).max(s(60))).build();
        let mut builder = manager(&simulator).max_concurrent(100);
        if hedged {
            builder = builder.hedge(Hedging::at_percentile(95).allow_duplicates());
        }
        let manager = builder.build().expect("a manager");
        // Without measurements no call counts as slow.
        all_succeeded(&crate::stack::run(&manager, 200).await);
        let before = simulator.ledger().sends();
        let outcomes = stream::iter(1_000..1_000 + CALLS).map(|id| timed(&manager, id)).buffer_unordered(50);
        let mut took: Vec<_> = outcomes.map(|(outcome, took)| (outcome.result.is_ok(), took)).collect().await;
        assert!(took.iter().all(|(answered, _)| *answered));
        took.sort_unstable();
        tails.push(took[CALLS * 999 / 1_000].1);
        let extra = simulator.ledger().sends() - before - CALLS;
        assert!(extra * 20 <= CALLS, "{extra} extra calls");
    }
    println!("p99.9: {tails:?}");
    assert!(tails[1] * 10 <= tails[0], "{tails:?}");
}
