//! Which events end a wait for admission, and what a wait counts as.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, StatusCode};
use outbound_limiter::Cost;
use outbound_provider::{Class, Fault, Provider, Signals, Terminal};

use super::*;
use crate::manager::{
    batch_state::BatchState,
    guarded_observer::GuardedObserver,
    judge::{Effect, Settle},
    observe::Event,
    outcome::Outcome,
    prepared::Prepared,
    reply::Reply,
    request::Request,
    scope::{Account, Endpoint, Reachability, ScopeFailure},
    settings::Settings,
};

const SECOND: Duration = Duration::from_secs(1);

fn endpoint() -> Endpoint {
    Endpoint::new(Provider::http()).base_url("http://h.test").max_concurrent(1)
}

fn scope() -> Scope {
    scope_of(endpoint())
}

fn scope_of(endpoint: Endpoint) -> Scope {
    let reach = |_: &str| Arc::new(Reachability::new(SECOND * 30));
    let account = Account::build(endpoint, &Settings::default(), reach).expect("an account");
    Scope::of(&Arc::new(account), None)
}

/// A call that is refused.
fn refused(scope: &Scope, effect: Effect, wait: Duration) {
    let ScopeDecision::Go(mut permit) = scope.admit(Instant::now()) else { panic!("it may be sent") };
    let charge = scope.model.quota.try_reserve_at(Cost::request(), Instant::now()).expect("room").sent();
    let now = Instant::now();
    let call = permit.sent(1, now, 1.0);
    let mut fault = Fault::new(Class::Terminal(Terminal::Auth));
    fault.wait = Some(wait);
    let (signals, settle, kind) = (&Signals::default(), Settle::Refund, ErrorKind::Auth);
    let failed =
        ScopeFailure { effect, settle, fault: &fault, signals, message: "no", kind, replied: true, now };
    scope.failed(call, &failed, charge);
}

/// Counts the `Waiting` events of a request.
#[derive(Clone, Default)]
struct Waits(Arc<AtomicU32>);

impl crate::Observer for Waits {
    fn event(&self, event: &Event<'_>) {
        if matches!(event.step, Step::Waiting { .. }) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn emitter(waits: &Waits) -> EventEmitter {
    let observers = Arc::from([GuardedObserver::new(waits.clone())]);
    *EventEmitter::for_request(&observers, 0, 0, &Request::get("/"), || "p").expect("an observer listens")
}

/// A request that asks for admission, with much time left.
fn asking<'a>(
    scope: &'a Scope,
    lifecycle: &'a Lifecycle,
    member: &'a mut BatchMember,
    emitter: &'a EventEmitter,
) -> Admission<'a> {
    Admission { emitter: Some(emitter), ..within(scope, lifecycle, member, SECOND * 100, None) }
}

/// A request that asks for admission, with this limit from this instant on.
fn within<'a>(
    scope: &Scope,
    lifecycle: &'a Lifecycle,
    member: &'a mut BatchMember,
    limit: Duration,
    since: Option<Instant>,
) -> Admission<'a> {
    Admission {
        destinations: &*Box::leak(Box::new([destination(scope)])),
        history: EndpointHistory::default(),
        class: QueueClass { priority: 0, tenant: None },
        position: None,
        budget: Box::leak(Box::default()),
        lifecycle,
        member,
        limit,
        since: Box::leak(Box::new(since)),
        patience: None,
        emitter: None,
    }
}

/// The request of a test lives as long as the process.
fn destination(scope: &Scope) -> Destination<'static> {
    let request = Box::leak(Box::new(Request::get("/").cost(Cost::request())));
    let key = || http::HeaderValue::from_static("key");
    let prepared = Prepared::new(request, &scope.account, &Settings::default(), false, key).expect("valid");
    Destination { scope: scope.clone(), prepared }
}

fn why() -> Stopped {
    Stopped { kind: ErrorKind::RateLimited, message: String::from("no"), until: None }
}

/// A batch with two requests, stopped by one refusal.
fn batch() -> Arc<BatchState> {
    let batch = Arc::new(BatchState::new(1, NonZeroU32::new(1), true));
    batch.taken();
    batch.taken();
    batch
}

fn refusal() -> Outcome {
    let reply = Reply { status: StatusCode::BAD_REQUEST, headers: HeaderMap::new(), body: Bytes::new() };
    let error = Error::new(ErrorKind::Rejected, "no").with_code(None, true).with_reply(Some(Box::new(reply)));
    Record::new(Instant::now()).into_outcome(Err(error), None, 0, None)
}

/// Other requests wait for a witness. So it goes on waiting for the limits whatever changes, unless it is stopped.
#[tokio::test(start_paused = true)]
async fn a_witness_stops_waiting_only_for_a_stop() {
    let scope = scope();
    let (lifecycle, waits) = (Lifecycle::default(), Waits::default());
    refused(&scope, Effect::AccountRefused, SECOND);
    let taken = scope.model.quota.try_reserve_at(Cost::request(), Instant::now()).expect("room");
    let emitter = emitter(&waits);
    let (mut member, mut record) = (BatchMember::ready(None), Record::new(Instant::now()));
    let mut admission = asking(&scope, &lifecycle, &mut member, &emitter);
    let mut admitted = Box::pin(admission.admit(&mut record));
    for _ in 0..3 {
        assert!(admitted.as_mut().now_or_never().is_none());
        scope.account.notify().notify_waiters();
        tokio::task::yield_now().await;
    }
    assert!(
        matches!(scope.admit(Instant::now()), ScopeDecision::Wait(Waiting::Account, _)),
        "it is the witness still"
    );
    assert_eq!(waits.0.load(Ordering::Relaxed), 1, "it did not start waiting again");
    drop(taken);
    assert!(admitted.await.is_ok_and(|admitted| admitted.permit.is_probe_or_witness()));
}

/// Nobody waits for an ordinary request, so it asks again whenever something changes.
#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_its_turn_listens_to_every_change() {
    let scope = scope();
    let (lifecycle, waits) = (Lifecycle::default(), Waits::default());
    let emitter = emitter(&waits);
    let taken = scope.model.quota.try_reserve_at(Cost::request(), Instant::now()).expect("room");
    let (mut member, mut record) = (BatchMember::ready(None), Record::new(Instant::now()));
    let mut admission = asking(&scope, &lifecycle, &mut member, &emitter);
    let mut admitted = Box::pin(admission.admit(&mut record));
    for events in 1..4 {
        assert!(admitted.as_mut().now_or_never().is_none());
        assert_eq!(waits.0.load(Ordering::Relaxed), events);
        scope.account.notify().notify_waiters();
    }
    assert!(admitted.as_mut().now_or_never().is_none());
    tokio::time::sleep(SECOND).await;
    drop(taken);
    assert!(admitted.await.is_ok_and(|admitted| !admitted.permit.is_probe_or_witness()));
    assert_eq!((record.waited, member.stage()), (SECOND, Stage::InFlight));
}

#[tokio::test(start_paused = true)]
async fn every_stop_ends_the_wait_of_a_witness() {
    for what in ["account", "model", "batch", "manager"] {
        let (scope, lifecycle) = (scope(), Lifecycle::default());
        refused(&scope, Effect::AccountRefused, SECOND);
        let taken = scope.model.quota.try_reserve_at(Cost::request(), Instant::now()).expect("room");
        let batch = batch();
        let (mut member, mut record) =
            (BatchMember::ready(Some(Arc::clone(&batch))), Record::new(Instant::now()));
        let (limit, since) = (SECOND * 100, None);
        let mut admission = within(&scope, &lifecycle, &mut member, limit, since);
        let mut admitted = Box::pin(admission.admit(&mut record));
        assert!(admitted.as_mut().now_or_never().is_none());
        match what {
            "account" => scope.account.stop(ErrorKind::Auth, String::from("no"), None),
            "model" => scope.model.stop(why()),
            "batch" => assert!(batch.ended(Stage::Ready, refusal())),
            _ => lifecycle.close(),
        }
        scope.account.notify().notify_waiters();
        let ended = tokio::time::timeout(SECOND, admitted).await.unwrap_or_else(|_| panic!("{what}"));
        let kind = if what == "manager" { ErrorKind::ShutDown } else { ErrorKind::Stopped };
        assert_eq!(ended.err().map(|error| error.kind()), Some(kind), "{what}");
        drop(taken);
    }
}

/// Its deadline does not run yet, so it neither fails nor wakes up.
#[tokio::test(start_paused = true)]
async fn a_request_that_was_never_admitted_waits_without_a_deadline() {
    let (scope, lifecycle, waits) = (scope(), Lifecycle::default(), Waits::default());
    refused(&scope, Effect::AccountRefused, SECOND);
    let ScopeDecision::Go(_witness) = scope.admit(Instant::now()) else { panic!("it may be sent") };
    let emitter = emitter(&waits);
    let (mut member, mut record) = (BatchMember::ready(None), Record::new(Instant::now()));
    let mut admission =
        Admission { limit: Duration::from_millis(1), ..asking(&scope, &lifecycle, &mut member, &emitter) };
    assert!(tokio::time::timeout(SECOND * 5, admission.admit(&mut record)).await.is_err());
    assert_eq!(waits.0.load(Ordering::Relaxed), 1);
    assert_eq!(member.stage(), Stage::Blocked);
}

/// A batch takes further requests while some are blocked, but few while some wait for their turn.
#[tokio::test(start_paused = true)]
async fn a_closed_gate_holds_back_and_a_limit_makes_wait() {
    for gated in [true, false] {
        let (scope, lifecycle) = (scope(), Lifecycle::default());
        let now = Instant::now();
        let taken = (!gated).then(|| scope.model.quota.try_reserve_at(Cost::request(), now).expect("room"));
        if gated {
            scope.model.quota.close_gate_until(now, now + SECOND * 50);
        }
        let (mut member, mut record) = (BatchMember::ready(None), Record::new(now));
        let (limit, since) = (SECOND * 10, Some(now));
        let mut admission = within(&scope, &lifecycle, &mut member, limit, since);
        let waited = tokio::time::timeout(SECOND * 5, admission.admit(&mut record)).await;
        let failed = waited.ok().and_then(Result::err).map(|error| (error.kind(), now.elapsed()));
        // The gate opens too late. The limit may have room in time.
        assert_eq!(failed, gated.then_some((ErrorKind::Deadline, Duration::ZERO)));
        drop(taken);
        assert_eq!(member.stage(), if gated { Stage::Blocked } else { Stage::Ready });
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_for_others() {
    let (scope, lifecycle) = (scope(), Lifecycle::default());
    refused(&scope, Effect::AccountRefused, SECOND);
    let ScopeDecision::Go(_witness) = scope.admit(Instant::now()) else { panic!("it may be sent") };
    let now = Instant::now();
    let (mut member, mut record) = (BatchMember::ready(None), Record::new(now));
    let (limit, since) = (SECOND * 2, Some(now));
    let mut admission = within(&scope, &lifecycle, &mut member, limit, since);
    let failed = admission.admit(&mut record).await.err().map(|error| error.kind());
    assert_eq!((failed, now.elapsed()), (Some(ErrorKind::Deadline), SECOND * 2));
    assert_eq!(record.waited, SECOND * 2);
}

/// A wait between two attempts has one event, and the request counts as blocked. Without a wait there is no event.
#[tokio::test(start_paused = true)]
async fn a_wait_between_two_attempts_has_one_event_and_is_counted() {
    let scope = scope();
    while scope.account.pay_for_retry() {}
    for (wait, extra, events, waited) in
        [(0, false, 0, 0), (3, false, 1, 3), (0, true, 1, 10), (3, true, 2, 13), (0, true, 1, 10)]
    {
        let (lifecycle, waits) = (Lifecycle::default(), Waits::default());
        let emitter = emitter(&waits);
        let (mut member, mut record) = (BatchMember::ready(None), Record::new(Instant::now()));
        let mut admission = asking(&scope, &lifecycle, &mut member, &emitter);
        assert!(admission.back_off(&destination(&scope), SECOND * wait, extra, &mut record).await.is_ok());
        assert_eq!((waits.0.load(Ordering::Relaxed), record.waited), (events, SECOND * waited));
        assert_eq!(member.stage(), Stage::Blocked);
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_opens_too_late_is_named() {
    let (scope, lifecycle, now) = (scope(), Lifecycle::default(), Instant::now());
    scope.model.quota.close_gate_until(now, now + SECOND * 50);
    let (mut member, mut record) = (BatchMember::ready(None), Record::new(now));
    let (limit, since) = (SECOND * 10, Some(now));
    let mut admission = within(&scope, &lifecycle, &mut member, limit, since);
    let error = admission.admit(&mut record).await.err().expect("too late").to_string();
    assert!(error.contains("before the provider may be asked again, in 50.0 s"), "{error}");
}

/// A stop, a shutdown and the deadline end a backoff at once.
#[tokio::test(start_paused = true)]
async fn a_wait_between_two_attempts_ends_when_it_becomes_pointless() {
    for (what, kind, after) in [
        ("account", Some(ErrorKind::Stopped), 1),
        ("model", Some(ErrorKind::Stopped), 1),
        ("batch", Some(ErrorKind::Stopped), 1),
        ("manager", Some(ErrorKind::ShutDown), 1),
        ("deadline", None, 10),
    ] {
        let (scope, lifecycle, batch, now) = (scope(), Lifecycle::default(), batch(), Instant::now());
        let (mut member, mut record) = (BatchMember::ready(Some(Arc::clone(&batch))), Record::new(now));
        let (limit, since) = (SECOND * 10, Some(now));
        let mut admission = within(&scope, &lifecycle, &mut member, limit, since);
        let from = destination(&scope);
        let stop = async {
            tokio::time::sleep(SECOND).await;
            match what {
                "account" => scope.account.stop(ErrorKind::Auth, String::from("no"), None),
                "model" => scope.model.stop(why()),
                "batch" => assert!(batch.ended(Stage::Ready, refusal())),
                "manager" => lifecycle.close(),
                _ => {}
            }
            scope.account.notify().notify_waiters();
        };
        let (ended, ()) = tokio::join!(admission.back_off(&from, SECOND * 50, false, &mut record), stop);
        assert_eq!((ended.err().map(|error| error.kind()), now.elapsed()), (kind, SECOND * after), "{what}");
    }
}

/// A stop of the only account ends a batch, and a stop of one model does not.
#[tokio::test(start_paused = true)]
async fn a_batch_knows_whether_the_account_or_one_model_is_stopped() {
    for (whole_account, takes) in [(true, false), (false, true)] {
        let (scope, lifecycle, now) = (scope(), Lifecycle::default(), Instant::now());
        let batch = Arc::new(BatchState::new(4, None, true));
        batch.taken();
        let emitter = emitter(&Waits::default());
        let (mut member, mut record) = (BatchMember::ready(Some(Arc::clone(&batch))), Record::new(now));
        if whole_account {
            scope.account.stop(ErrorKind::Auth, String::from("no"), None);
        } else {
            scope.model.stop(why());
        }
        let mut admission = asking(&scope, &lifecycle, &mut member, &emitter);
        let failed = admission.admit(&mut record).await.err().map(|error| error.kind());
        assert_eq!((failed, batch.takes(std::task::Waker::noop())), (Some(ErrorKind::Stopped), takes));
        assert_eq!(batch.stopped().map(|why| why.message), Some(String::from("no")));
    }
}

/// With a known wait the request fails at once, and the error says how long the wait would be. With an unknown one it
/// fails at its deadline.
#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_and_one_that_would_pass_have_errors_of_their_own() {
    for (endpoint, after, says) in [
        (endpoint(), 10, "the deadline of 10s passed, after 0 sends"),
        (endpoint().requests_per_minute(1), 0, "the request would have to wait"),
    ] {
        let (scope, lifecycle, now) = (scope_of(endpoint), Lifecycle::default(), Instant::now());
        let taken = scope.model.quota.try_reserve_at(Cost::request(), now).expect("room");
        // Either one call is in flight, or one has ended, and then only the rate limits.
        let in_flight = if after > 0 {
            Some(taken)
        } else {
            drop(taken.sent());
            None
        };
        let (mut member, mut record) = (BatchMember::ready(None), Record::new(now));
        let mut admission = within(&scope, &lifecycle, &mut member, SECOND * 10, Some(now));
        let error = admission.admit(&mut record).await.err().expect("too late");
        assert_eq!((error.kind(), now.elapsed()), (ErrorKind::Deadline, SECOND * after));
        assert!(error.to_string().starts_with(says), "{error}");
        drop(in_flight);
    }
}

/// While the retry budget has room, a retry is sent at once.
#[tokio::test(start_paused = true)]
async fn what_can_be_paid_for_does_not_wait() {
    let (scope, lifecycle, waits) = (scope(), Lifecycle::default(), Waits::default());
    let emitter = emitter(&waits);
    let (mut member, mut record) = (BatchMember::ready(None), Record::new(Instant::now()));
    let mut admission = asking(&scope, &lifecycle, &mut member, &emitter);
    assert!(admission.back_off(&destination(&scope), Duration::ZERO, true, &mut record).await.is_ok());
    assert_eq!((waits.0.load(Ordering::Relaxed), record.waited), (0, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_limit_beyond_the_clock_is_a_century() {
    let (scope, lifecycle, now) = (scope(), Lifecycle::default(), Instant::now());
    let mut member = BatchMember::ready(None);
    let admission = within(&scope, &lifecycle, &mut member, Duration::MAX, Some(now));
    assert_eq!(admission.deadline(), now + CENTURY);
}
