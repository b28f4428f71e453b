//! Concurrency learned from the work that gets done.

use outbound_limiter::{AutoConcurrency, End};
use tokio::time::Instant;

use crate::support::s;

#[test]
fn it_starts_at_16_within_its_bounds() {
    for (min, max, limit) in [(1, 512, 16), (1, 4, 4), (20, 40, 20), (0, 0, 1), (9, 3, 9)] {
        assert_eq!(AutoConcurrency::new(min, max).limit(), limit);
    }
}

/// Calls that take as long with any number in flight: twice as many do twice as much.
#[test]
fn it_grows_while_the_work_grows_and_shrinks_when_nothing_succeeds() {
    let (mut auto, mut now) = (AutoConcurrency::new(1, 200), Instant::now());
    let mut round = |auto: &mut AutoConcurrency, end| {
        let (sent_at, calls) = (now, auto.limit());
        (1..=calls).for_each(|in_flight| auto.started(sent_at, in_flight));
        now += s(2);
        (0..calls).for_each(|_| _ = auto.ended(now, sent_at, end));
        auto.limit()
    };
    let grown = (0..12).map(|_| round(&mut auto, End::Done { work: 50 })).max();
    assert!(grown > Some(64), "{grown:?}");
    let shrunk = (0..60).map(|_| round(&mut auto, End::Failed)).last();
    assert_eq!(shrunk, Some(1));
    let again = (0..60).map(|_| round(&mut auto, End::Done { work: 50 })).max();
    assert!(again > Some(64), "{again:?}");
}

#[test]
fn without_ends_nothing_grows() {
    let (mut auto, now) = (AutoConcurrency::new(1, 512), Instant::now());
    (1..=16).for_each(|in_flight| auto.started(now, in_flight));
    assert_eq!(auto.ended(now + s(600), now, End::Abandoned), None);
    assert_eq!(auto.limit(), 16);
}

#[test]
fn one_overload_among_many_is_no_cut_and_three_in_a_row_are() {
    let (mut auto, now) = (AutoConcurrency::new(1, 512), Instant::now());
    (1..=16).for_each(|in_flight| auto.started(now, in_flight));
    assert_eq!(auto.ended(now + s(1), now, End::Overloaded), None);
    assert_eq!(auto.ended(now + s(1), now, End::Overloaded), None);
    let cut = auto.ended(now + s(1), now, End::Overloaded);
    assert!(cut.is_some_and(|limit| limit < 16), "{cut:?}");
    // What was sent before the cut says nothing new.
    (0..9).for_each(|_| assert_eq!(auto.ended(now + s(2), now, End::Overloaded), None));
}
