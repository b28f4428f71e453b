//! When overloads cut concurrency, and how it grows back.

use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn one_overload_among_many_replies_cuts_nothing() {
    let now = Instant::now();
    let mut overload_limit = OverloadLimit::new(64);
    for reply in 0..1_000_u32 {
        let at = now + reply * SECOND;
        if reply % 50 == 0 {
            overload_limit.overloaded(at, at, 64);
        } else {
            overload_limit.succeeded();
        }
        assert_eq!(overload_limit.bound(), 64, "after {reply} replies");
    }
}

#[test]
fn a_share_of_overloads_halves_once_and_growth_doubles_back() {
    let now = Instant::now();
    let mut overload_limit = OverloadLimit::new(64);
    for _ in 0..24 {
        overload_limit.succeeded();
    }
    for _ in 0..40 {
        overload_limit.overloaded(now, now + SECOND, 64);
    }
    assert_eq!(overload_limit.bound(), 32, "overloads of one moment count once");
    overload_limit.overloaded(now + SECOND * 2, now + SECOND * 2, 32);
    assert_eq!(overload_limit.bound(), 16);
    let mut rounds = 0;
    while overload_limit.bound() < 64 {
        for _ in 0..overload_limit.bound() {
            overload_limit.succeeded();
        }
        rounds += 1;
    }
    assert_eq!(rounds, 2);
    for _ in 0..100 {
        overload_limit.overloaded(now + SECOND * 3, now + SECOND * 3, 0);
    }
    assert!(overload_limit.bound() >= 1);
}
