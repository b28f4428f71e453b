//! What a call changes in its scope: probes, witnesses, stops, hung calls, settling.

use outbound_limiter::Cost;
use outbound_provider::{Provider, Terminal};

use super::{
    super::{
        super::settings::Settings,
        account::MODELS,
        endpoint::{Endpoint, ModelLimits},
        reachability::Reachability,
    },
    *,
};

const SECOND: Duration = Duration::from_secs(1);

fn account(endpoint: impl FnOnce(Endpoint) -> Endpoint) -> Arc<Account> {
    let endpoint = endpoint(Endpoint::new(Provider::http()).base_url("http://h.test").max_concurrent(2));
    let reach = |_: &str| Arc::new(Reachability::new(SECOND * 30));
    Arc::new(Account::build(endpoint, &Settings::default(), reach).expect("an account"))
}

fn charge(scope: &Scope) -> Charge {
    scope
        .model
        .quota
        .try_reserve_at(Cost::request().input_tokens(100), Instant::now())
        .expect("there is room")
        .sent()
}

fn go<'a>(scope: &'a Scope) -> ScopePermit<'a> {
    match scope.admit(Instant::now()) {
        ScopeDecision::Go(permit) => permit,
        other => panic!("{other:?}"),
    }
}

/// A call that fails.
fn fails(scope: &Scope, request: u64, effect: Effect, settle: Settle, fault: &Fault) {
    let (mut permit, charge, now) = (go(scope), charge(scope), Instant::now());
    let call = permit.sent(request, now, 1.0);
    let kind = ErrorKind::Server;
    let replied = !matches!(effect, Effect::Unreachable { .. });
    let signals = &Signals::default();
    scope.failed(
        call,
        &ScopeFailure { effect, settle, fault, signals, message: "no", kind, replied, now },
        charge,
    );
}

fn succeeds(scope: &Scope) {
    let (mut permit, charge) = (go(scope), charge(scope));
    let call = permit.sent(1, Instant::now(), 1.0);
    scope.succeeded(call, &Signals::default(), None, charge);
}

fn transient() -> Fault {
    Fault::new(Class::Transient)
}

async fn is_notified(account: &Account, act: impl FnOnce()) -> bool {
    let changed = account.changed();
    act();
    tokio::time::timeout(Duration::from_millis(1), changed).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn no_probe_is_chosen_that_has_to_wait_after_all() {
    let account = account(|endpoint| endpoint);
    let scope = Scope::of(&account, None);
    let mut overload = Fault::new(Class::Overloaded);
    overload.wait = Some(SECOND * 20);
    for request in 0..4 {
        fails(&scope, request, Effect::Overloaded, Settle::Refund, &overload);
    }
    account.reach.mark_down(Instant::now(), Duration::ZERO);
    tokio::time::advance(SECOND).await;
    assert!(matches!(account.reach.peek(Instant::now()), ProbeDecision::Probe), "it may be probed");
    let asked = || assert!(matches!(scope.admit(Instant::now()), ScopeDecision::Wait(Waiting::Outage, _)));
    assert!(!is_notified(&account, asked).await, "but the model waits, and nobody is woken for that");
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_either_kind_that_is_dropped_leaves_it_to_the_next() {
    let account = account(|endpoint| endpoint);
    let scope = Scope::of(&account, None);
    succeeds(&scope);
    for of_reach in [true, false] {
        if of_reach {
            account.reach.mark_down(Instant::now(), Duration::ZERO);
        } else {
            (0..4).for_each(|request| {
                fails(&scope, request, Effect::Failed, Settle::Keep, &transient());
            });
        }
        tokio::time::advance(SECOND).await;
        let permit = go(&scope);
        assert!(permit.is_probe_or_witness() && permit.probes_reach() == of_reach);
        assert!(
            matches!(scope.admit(Instant::now()), ScopeDecision::Wait(Waiting::Outage, _)),
            "one at a time"
        );
        assert!(is_notified(&account, || drop(permit)).await);
        assert!(go(&scope).is_probe_or_witness());
        account.resume(Instant::now());
        assert!(!go(&scope).is_probe_or_witness());
    }
}

#[tokio::test(start_paused = true)]
async fn a_witness_that_is_dropped_leaves_it_to_the_next() {
    let account = account(|endpoint| endpoint);
    let scope = Scope::of(&account, None);
    let mut refused = Fault::new(Class::Terminal(Terminal::Auth));
    refused.wait = Some(SECOND * 5);
    fails(&scope, 1, Effect::AccountRefused, Settle::RequestOnly, &refused);
    let witness = go(&scope);
    assert!(witness.is_probe_or_witness());
    assert!(matches!(scope.admit(Instant::now()), ScopeDecision::Wait(Waiting::Account, _)));
    assert!(is_notified(&account, || drop(witness)).await);
    fails(&scope, 2, Effect::AccountRefused, Settle::RequestOnly, &refused);
    let stopped = scope.stopped(Instant::now()).expect("two of two");
    assert_eq!(stopped.until, Some(Instant::now() + SECOND * 5), "as long as the refusal says");
    account.resume(Instant::now());
    assert_eq!(scope.stopped(Instant::now()), None);
}

#[tokio::test(start_paused = true)]
async fn a_success_of_the_witness_lifts_the_hold_and_wakes_the_others() {
    let account = account(|endpoint| endpoint);
    let scope = Scope::of(&account, None);
    fails(&scope, 1, Effect::AccountRefused, Settle::RequestOnly, &transient());
    assert!(is_notified(&account, || succeeds(&scope)).await);
    assert!(!go(&scope).is_probe_or_witness());
}

#[tokio::test(start_paused = true)]
async fn each_way_to_settle_gives_back_its_part() {
    for (settle, spent) in [(Settle::Refund, 0), (Settle::RequestOnly, 1), (Settle::Keep, 101)] {
        let account = account(|endpoint| endpoint.tokens_per_minute(6_000).requests_per_minute(60));
        let scope = Scope::of(&account, None);
        let available = || -> u64 {
            account.quota.snapshot().dimensions.iter().map(|dimension| dimension.available).sum()
        };
        let before = available();
        fails(&scope, 1, Effect::None, settle, &transient());
        assert_eq!(before - available(), spent, "{settle:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_models_least_used_are_forgotten() {
    let account = account(|endpoint| endpoint);
    let first = Scope::of(&account, Some("m0"));
    for number in 1..200 {
        Scope::of(&account, Some(&format!("m{number}")));
        let again = Scope::of(&account, Some("m0"));
        assert!(Arc::ptr_eq(&first.model, &again.model), "one that is used stays");
    }
    assert_eq!(account.models.lock().len(), MODELS);
}

#[tokio::test(start_paused = true)]
async fn a_limit_configured_for_a_model_is_that_models() {
    let limits = ModelLimits::new().max_concurrent(1);
    let account = account(|endpoint| endpoint.model("small", limits));
    assert_eq!(Scope::of(&account, Some("small")).model.quota.snapshot().max_concurrent, Some(1));
    let other = Scope::of(&account, Some("big"));
    let (_one, _two) = (charge(&other), charge(&other));
    assert!(other.model.quota.try_reserve_at(Cost::request(), Instant::now()).is_err(), "the account's");
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_too_long_stops_its_model_until_then() {
    let account = account(|endpoint| endpoint);
    let (scope, other) = (Scope::of(&account, Some("a")), Scope::of(&account, Some("b")));
    let refused = Effect::Refused { ramp: false, parallel: false };
    let mut fault = Fault::new(Class::RateLimited);
    fault.wait = Some(SECOND * 900);
    fails(&scope, 1, refused, Settle::Refund, &fault);
    assert_eq!(scope.stopped(Instant::now()), None, "this one is waited out");
    account.resume(Instant::now());
    fault.wait = Some(SECOND * 901);
    assert!(is_notified(&account, || fails(&scope, 2, refused, Settle::Refund, &fault)).await);
    let until = scope.stopped(Instant::now()).expect("too long").until;
    assert_eq!(until, Some(Instant::now() + SECOND * 901));
    assert_eq!(other.stopped(Instant::now()), None);
    account.resume(Instant::now());
    succeeds(&scope);
}

#[tokio::test(start_paused = true)]
async fn calls_that_hang_in_an_outage_are_counted_apart() {
    let account = account(|endpoint| endpoint);
    let scope = Scope::of(&account, None);
    succeeds(&scope);
    let mut hung = go(&scope);
    let (_call, charge) = (hung.sent(1, Instant::now(), 1.0), charge(&scope));
    tokio::time::advance(SECOND).await;
    account.reach.mark_down(Instant::now(), SECOND);
    assert!(matches!(scope.admit(Instant::now()), ScopeDecision::Wait(..)));
    assert_eq!(account.quota.snapshot().max_concurrent, Some(3));
    charge.keep_estimate();
    drop(hung);
    assert_eq!(account.quota.snapshot().max_concurrent, Some(2), "that one has ended");
}

#[tokio::test(start_paused = true)]
async fn what_hangs_in_a_silence_is_bounded_and_is_over_with_the_first_that_was_only_slow() {
    let account = account(|endpoint| endpoint);
    let scope = Scope::of(&account, None);
    let bound = || account.quota.snapshot().max_concurrent.unwrap_or_default();
    let mut hanging = Vec::new();
    for round in 1..=30 {
        account.reach.mark_unresponsive(Instant::now(), Instant::now());
        tokio::time::advance(SECOND).await;
        let mut permit = go(&scope);
        assert!(permit.probes_reach(), "{round}");
        let Ok(reserved) = scope.model.quota.try_reserve_at(Cost::request(), Instant::now()) else { break };
        let call = permit.sent(round, Instant::now(), 1.0);
        hanging.push((permit, call, reserved.sent()));
        tokio::time::advance(SECOND).await;
    }
    // The limit of two, two hung calls, and sixteen probes.
    assert_eq!((hanging.len(), bound()), (20, 20));
    let (permit, call, charge) = hanging.pop().expect("many");
    account.reach.mark_unresponsive(Instant::now(), Instant::now());
    assert_eq!(bound(), 20);
    scope.note_activity(call.sent_at);
    assert!(bound() == 2 && !account.reach.is_unresponsive(), "the others are only slow as well");
    charge.keep_estimate();
    drop(permit);
    drop(hanging);
    assert_eq!(bound(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_a_silence_that_is_not_sent_leaves_it_to_the_next() {
    let account = account(|endpoint| endpoint);
    let scope = Scope::of(&account, None);
    account.reach.mark_unresponsive(Instant::now(), Instant::now());
    tokio::time::advance(SECOND * 10).await;
    drop(go(&scope));
    let mut permit = go(&scope);
    assert!(permit.probes_reach());
    permit.sent(1, Instant::now(), 1.0);
    drop(permit);
    assert!(
        matches!(scope.admit(Instant::now()), ScopeDecision::Wait(Waiting::Outage, _)),
        "that one was sent"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_in_a_silence_says_nothing_about_the_model() {
    let hangs = |scope: &Scope, kind| {
        let (mut permit, charge, now) = (go(scope), charge(scope), Instant::now());
        let call = permit.sent(1, now, 1.0);
        let (effect, settle) = (Effect::Failed, Settle::Keep);
        let (fault, signals) = (&Fault::new(Class::Ambiguous), &Signals::default());
        let failed =
            ScopeFailure { effect, settle, fault, signals, message: "no", kind, replied: false, now };
        scope.failed(call, &failed, charge);
    };
    let account = account(|endpoint| endpoint.max_concurrent(100));
    let scope = Scope::of(&account, None);
    for unresponsive in [true, false] {
        for _ in 0..4 {
            if unresponsive {
                account.reach.mark_unresponsive(Instant::now(), Instant::now());
            }
            hangs(&scope, ErrorKind::Timeout);
        }
        assert_eq!((account.reach.is_unresponsive(), scope.model.is_down()), (unresponsive, !unresponsive));
        account.resume(Instant::now());
    }
    account.reach.mark_unresponsive(Instant::now(), Instant::now());
    hangs(&scope, ErrorKind::Connection);
    assert!(!account.reach.is_unresponsive(), "a connection that is reset is not silent");
}

#[tokio::test(start_paused = true)]
async fn ten_successes_pay_for_a_retry() {
    let account = account(|endpoint| endpoint);
    let scope = Scope::of(&account, None);
    while account.pay_for_retry() {}
    (0..9).for_each(|_| succeeds(&scope));
    assert!(!account.pay_for_retry());
    succeeds(&scope);
    assert!(account.pay_for_retry());
}

#[tokio::test(start_paused = true)]
async fn an_error_status_is_a_reply_of_the_server() {
    let account = account(|endpoint| endpoint);
    let scope = Scope::of(&account, None);
    assert_eq!(account.reach.silence(), None);
    fails(&scope, 1, Effect::Failed, Settle::Keep, &transient());
    assert!(account.reach.silence().is_some());
}

#[tokio::test(start_paused = true)]
async fn the_head_of_a_refusal_closes_the_gate() {
    let account = account(|endpoint| endpoint);
    let scope = Scope::of(&account, None);
    scope.refused_by_head(&transient(), Instant::now());
    assert_eq!(scope.model.quota.snapshot().gate_closed_until, None);
    scope.refused_by_head(&Fault::new(Class::RateLimited), Instant::now());
    assert!(scope.model.quota.snapshot().gate_closed_until.is_some());
    account.resume(Instant::now());
    assert!(scope.model.quota.try_reserve_at(Cost::request(), Instant::now()).is_ok(), "open again");
}
