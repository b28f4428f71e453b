//! Whether limits belong to the account or to the model.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};
use outbound_provider::{Provider, Signals};
use tokio::time::Instant;

use super::{Owner, Sharing};

fn reported(limit: u64, remaining: u64) -> Signals {
    let mut headers = HeaderMap::new();
    headers.insert("x-ratelimit-limit-requests", HeaderValue::from(limit));
    headers.insert("x-ratelimit-remaining-requests", HeaderValue::from(remaining));
    Provider::openai().signals(&headers, SystemTime::UNIX_EPOCH)
}

/// Replies for two models in turn, 20 ms apart. Returns whose the limits are then.
fn after(replies: u64, each: impl Fn(u64) -> Signals) -> Owner {
    let (mut sharing, start) = (Sharing::default(), Instant::now());
    let mut owner = Owner::Model;
    for reply in 0..replies {
        let sent_at = start + Duration::from_millis(20 * reply);
        owner = sharing.note((reply % 2) as usize, sent_at, &each(reply)).0;
    }
    owner
}

#[test]
fn limits_belong_to_the_account_while_readings_agree() {
    assert_eq!(after(1, |_| reported(3_000, 49)), Owner::Account);
    assert_eq!(
        after(500, |reply| reported(3_000, 49 - reply % 40)),
        Owner::Account,
        "each takes from one bucket"
    );
}

#[test]
fn different_limits_are_the_models_own() {
    assert_eq!(after(50, |reply| reported(3_000 + 500 * (reply % 2), 40)), Owner::Model);
}

/// Until that is certain, few requests wait for the limit of another model.
#[test]
fn different_limits_are_soon_taken_for_the_models_own() {
    for apart in [0, 20, 5_000] {
        let (mut sharing, start) = (Sharing::default(), Instant::now());
        let at = |reply: u64| start + Duration::from_millis(apart * reply);
        assert_eq!(sharing.note(0, at(0), &reported(30, 0)), (Owner::Account, false));
        assert_eq!(sharing.note(0, at(1), &reported(30, 0)), (Owner::Account, false));
        for reply in 2..13 {
            assert_eq!(
                sharing.note(1, at(reply), &reported(1_200, 9)),
                (Owner::Account, false),
                "{apart} ms"
            );
        }
        assert_eq!(sharing.note(1, at(13), &reported(1_200, 8)), (Owner::Model, true), "{apart} ms");
        assert_eq!(sharing.note(1, at(14), &reported(1_200, 8)), (Owner::Model, false));
        assert_eq!(sharing.note(0, at(15), &reported(30, 0)), (Owner::Model, false));
    }
}

/// The limit had changed.
#[test]
fn a_limit_that_both_tell_is_the_accounts_again() {
    let (mut sharing, start) = (Sharing::default(), Instant::now());
    let at = |reply: u64| start + Duration::from_millis(20 * reply);
    assert_eq!(sharing.note(0, at(0), &reported(3_000, 20)), (Owner::Account, false));
    for reply in 1..12 {
        assert_eq!(sharing.note(1, at(reply), &reported(1_500, 20)), (Owner::Account, false));
    }
    assert_eq!(sharing.note(1, at(12), &reported(1_500, 20)), (Owner::Model, true));
    assert_eq!(sharing.note(0, at(13), &reported(1_500, 20)), (Owner::Account, true));
    assert_eq!(sharing.note(1, at(14), &reported(1_500, 20)), (Owner::Account, false));
}

#[test]
fn what_remains_of_two_quotas_contradicts_itself() {
    assert_eq!(after(50, |reply| reported(3_000, if reply % 2 == 0 { 2 } else { 48 })), Owner::Model);
}

#[test]
fn a_limit_that_moves_is_not_two() {
    let moves = |reply: u64| {
        // For a moment, replies to earlier and later requests arrive mixed.
        let is_old = reply < 100 || (reply < 106 && reply.is_multiple_of(2));
        if is_old { reported(3_000, 20) } else { reported(1_500, 20) }
    };
    assert_eq!(after(300, moves), Owner::Account);
}

#[test]
fn replies_without_limits_are_the_models_own() {
    assert_eq!(after(50, |_| Signals::default()), Owner::Model);
}
