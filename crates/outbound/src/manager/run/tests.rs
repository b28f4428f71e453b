//! A run against scripted attempts: probes of an outage, paid retries, jitter.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use outbound_client::Delivery;
use outbound_provider::{Class, Fault, Provider, Signals};
use parking_lot::Mutex;

use super::*;
use crate::manager::{
    admission::EndpointHistory,
    batch_state::BatchMember,
    lifecycle::Lifecycle,
    prepared::Prepared,
    request::Request,
    scope::{Account, Endpoint, QueueClass, Reachability, Scope, ScopeDecision},
    settings::Settings,
};

const SECOND: Duration = Duration::from_secs(1);

/// Fails as scripted, then answers. Records which calls were probes.
#[derive(Default)]
struct Scripted {
    failures: Mutex<VecDeque<(Class, Delivery)>>,
    probes: Mutex<Vec<bool>>,
}

impl Scripted {
    fn failing(times: usize, class: Class, delivery: Delivery) -> Self {
        Self { failures: Mutex::new(vec![(class, delivery); times].into()), probes: Mutex::default() }
    }
}

impl Attempt for &Scripted {
    async fn send(&self, _: &Destination<'_>, _: Instant, is_probe: bool) -> Result<Answer, Failure> {
        self.probes.lock().push(is_probe);
        match self.failures.lock().pop_front() {
            Some((class, delivery)) => Err(Failure { delivery, ..Failure::of_fault(Fault::new(class)) }),
            None => {
                let (status, headers, body) = (StatusCode::OK, HeaderMap::new(), Bytes::new());
                let reply = Reply { status, headers, body };
                Ok(Answer { reply, usage: None, signals: Signals::default() })
            }
        }
    }
}

fn scope() -> Scope {
    let endpoint = Endpoint::new(Provider::http()).base_url("http://h.test").max_concurrent(8);
    let reach = |_: &str| Arc::new(Reachability::new(SECOND * 30));
    let account = Account::build(endpoint, &Settings::default(), reach).expect("an account");
    Scope::of(&Arc::new(account), None)
}

/// Runs one request. Returns how it ended and how long it took.
async fn run(
    scope: &Scope,
    attempt: &Scripted,
    number: u64,
    draw: u64,
    max_attempts: u32,
) -> (Option<ErrorKind>, Duration) {
    let began = Instant::now();
    let (lifecycle, mut member, request) =
        (Lifecycle::default(), BatchMember::ready(None), Request::get("/"));
    let key = || HeaderValue::from_static("key");
    let prepared = Prepared::new(&request, &scope.account, &Settings::default(), false, key).expect("valid");
    let destinations = [Destination { scope: scope.clone(), prepared }];
    let admission = Admission {
        destinations: &destinations,
        history: EndpointHistory::default(),
        class: QueueClass { priority: 0, tenant: None },
        position: None,
        budget: Box::leak(Box::default()),
        lifecycle: &lifecycle,
        member: &mut member,
        limit: SECOND * 300,
        since: &mut None,
        patience: None,
        emitter: None,
    };
    let rules = Rules { max_attempts, retry_ambiguous: true };
    let run = Run { attempt, admission, rules, hedges: None, log: None, number, draw, items: None };
    let result = run.run(&mut Record::new(began)).await;
    (result.err().map(|error| error.kind()), began.elapsed())
}

/// Four failures in a row mark the model as down. It is an outage of the server if they belong to several requests. The
/// pause before the first probe is between three quarters of 250 ms and 250 ms, by the jitter of the last failed
/// request.
#[tokio::test(start_paused = true)]
async fn an_outage_knows_its_requests_and_spreads_its_probes() {
    for (numbers, several_requests) in [([1, 2, 3, 4], true), ([1, 1, 1, 1], false)] {
        for (draw, least, most) in [(0, 187, 188), (u64::MAX / 2, 218, 219), (u64::MAX, 249, 250)] {
            let (scope, fails) = (scope(), Scripted::failing(5, Class::Transient, Delivery::Replied));
            for number in numbers {
                assert_eq!(run(&scope, &fails, number, draw, 1).await.0, Some(ErrorKind::Server));
            }
            assert_eq!(scope.model.is_outage(), several_requests);
            let now = Instant::now();
            let ScopeDecision::Wait(_, until) = scope.admit(now) else { panic!("it is down") };
            let pause = until - now;
            assert!(
                pause >= Duration::from_millis(least) && pause <= Duration::from_millis(most),
                "{draw}: {pause:?}"
            );
            // In an outage a failed probe is not charged, and its request goes on.
            let failed = run(&scope, &fails, 1, draw, 1).await.0;
            assert_eq!(failed, (!several_requests).then_some(ErrorKind::Server));
        }
    }
}

/// A probe connects under short timeouts. So only a call that probes the origin may be sent as one.
#[tokio::test(start_paused = true)]
async fn only_the_calls_that_look_for_the_origin_are_sent_as_probes() {
    let (scope, fails) = (scope(), Scripted::failing(8, Class::Transient, Delivery::NotSent));
    assert_eq!(run(&scope, &fails, 1, 7, 3).await.0, None);
    let probes = fails.probes.lock().clone();
    let first = probes.iter().position(|is_probe| *is_probe).expect("a probe");
    assert!(first > 0 && probes[first..].iter().all(|is_probe| *is_probe), "{probes:?}");
    run(&scope, &fails, 2, 7, 3).await;
    assert_eq!(fails.probes.lock().last(), Some(&false), "it is reached again");
}

/// A retry after a failure of the server is an extra call. It waits ten seconds for the retry budget, and is sent then
/// anyway. A retry after a refusal for the rate is no extra call.
#[tokio::test(start_paused = true)]
async fn an_extra_call_waits_for_its_payment_and_a_refused_one_does_not() {
    for (class, extra) in [(Class::Transient, true), (Class::RateLimited, false)] {
        let (scope, fails) = (scope(), Scripted::failing(1, class, Delivery::Replied));
        while scope.account.pay_for_retry() {}
        let (failed, took) = run(&scope, &fails, 1, 7, 3).await;
        assert_eq!(failed, None, "{class:?}");
        let unpaid = SECOND * 10..=SECOND * 11;
        assert!(if extra { unpaid.contains(&took) } else { took < SECOND * 2 }, "{class:?}: {took:?}");
    }
}

/// Successes of other requests refill the budget, and the retry is sent at once.
#[tokio::test(start_paused = true)]
async fn a_payment_that_comes_is_taken_at_once() {
    let (scope, fails) = (scope(), Scripted::failing(1, Class::Transient, Delivery::Replied));
    while scope.account.pay_for_retry() {}
    let others = async {
        tokio::time::sleep(SECOND * 2).await;
        for number in 2..22 {
            assert_eq!(run(&scope, &Scripted::default(), number, 7, 3).await.0, None);
        }
    };
    let ((failed, took), ()) = tokio::join!(run(&scope, &fails, 1, 7, 3), others);
    assert_eq!(failed, None);
    assert!(took >= SECOND * 2 && took <= SECOND * 2 + SECOND / 5, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_that_fail_together_come_back_at_times_of_their_own() {
    let mut waits = std::collections::BTreeSet::new();
    for draw in 0..20_u64 {
        let (scope, fails) = (scope(), Scripted::failing(1, Class::Transient, Delivery::Replied));
        let (failed, took) = run(&scope, &fails, 1, draw.wrapping_mul(0x9e37_79b9_7f4a_7c15), 3).await;
        assert!(failed.is_none() && took <= SECOND / 2 + SECOND / 500, "{took:?}");
        waits.insert(took);
    }
    assert!(waits.len() > 15, "{waits:?}");
}

/// In an outage the pauses between probes limit extra calls, so none waits for the retry budget.
#[tokio::test(start_paused = true)]
async fn a_probe_of_an_outage_needs_no_payment() {
    let (scope, fails) = (scope(), Scripted::failing(6, Class::Transient, Delivery::Replied));
    for number in 1..5 {
        run(&scope, &fails, number, 7, 1).await;
    }
    while scope.account.pay_for_retry() {}
    let (failed, took) = run(&scope, &fails, 5, 7, 3).await;
    assert!(failed.is_none() && took < SECOND * 8, "{failed:?} {took:?}");
}
