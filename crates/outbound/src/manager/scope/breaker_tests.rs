//! Refusals of a key or its money: witnesses, stops, and what lifts them.

use super::*;
use crate::ErrorKind;

const SECOND: Duration = Duration::from_secs(1);

fn why(until: Option<Instant>) -> Stopped {
    Stopped { kind: ErrorKind::QuotaSpent, message: String::from("no money"), until }
}

/// A refusal of a call for a model of its own. Returns whether anything changed.
fn refuse(breaker: &mut Breaker, call: u64, now: Instant, why: Stopped) -> bool {
    let refusal = breaker.refused(call, call as usize, now, why);
    assert!(!matches!(refusal, RefusalResult::StopsModel(_)));
    refusal != RefusalResult::Unchanged
}

#[test]
fn a_call_sent_after_the_refused_one_decides() {
    let now = Instant::now();
    for refused_too in [false, true] {
        let mut breaker = Breaker::default();
        let (earlier, refused, later) = (breaker.sent(), breaker.sent(), breaker.sent());
        assert!(refuse(&mut breaker, refused, now, why(None)));
        assert!(!breaker.succeeded(earlier), "it was sent before the refused one");
        assert!(matches!(breaker.decide(now), AccountDecision::Wait(_)), "the later one is the witness");
        if refused_too {
            assert!(refuse(&mut breaker, later, now, why(None)));
            assert_eq!(breaker.decide(now), AccountDecision::Stopped(why(None)));
        } else {
            assert!(breaker.succeeded(later));
            assert_eq!(breaker.decide(now), AccountDecision::Go);
        }
    }
}

#[test]
fn a_refusal_of_a_call_sent_earlier_changes_nothing() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    let (earlier, refused) = (breaker.sent(), breaker.sent());
    refuse(&mut breaker, refused, now, why(None));
    assert!(!refuse(&mut breaker, earlier, now, why(None)));
    assert!(breaker.is_held());
}

#[test]
fn with_none_under_way_the_next_is_the_witness_and_only_one() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    let refused = breaker.sent();
    refuse(&mut breaker, refused, now, why(None));
    assert_eq!(breaker.decide(now), AccountDecision::Go);
    assert_eq!(breaker.decide(now), AccountDecision::Wait(now + WITNESS_TIMEOUT), "the others wait for it");
    let witness = breaker.sent();
    assert!(matches!(breaker.decide(now + SECOND), AccountDecision::Wait(_)));
    // A result that says nothing about the account leaves the role to the next request.
    assert!(breaker.ended(witness));
    assert_eq!(breaker.decide(now + SECOND), AccountDecision::Go);
    breaker.witness_withdrawn();
    assert_eq!(breaker.decide(now + SECOND), AccountDecision::Go, "nor was that one sent");
}

#[test]
fn a_witness_that_does_not_answer_is_joined_by_another() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    let (refused, _silent) = (breaker.sent(), breaker.sent());
    refuse(&mut breaker, refused, now, why(None));
    assert_eq!(breaker.decide(now + SECOND), AccountDecision::Wait(now + WITNESS_TIMEOUT));
    assert_eq!(breaker.decide(now + WITNESS_TIMEOUT), AccountDecision::Go);
    let again = now + WITNESS_TIMEOUT + SECOND;
    assert_eq!(
        breaker.decide(again),
        AccountDecision::Wait(now + WITNESS_TIMEOUT * 2),
        "that one has as long"
    );
}

#[test]
fn a_stop_is_not_shortened_and_can_be_lifted() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    breaker.stop(why(None));
    breaker.stop(why(Some(now + SECOND)));
    assert_eq!(breaker.stopped(now + SECOND * 2), Some(&why(None)), "for good is longer than a second");
    breaker.resume();
    assert_eq!(breaker.decide(now), AccountDecision::Go);
    breaker.stop(why(Some(now + SECOND * 9)));
    breaker.stop(why(Some(now + SECOND)));
    assert_eq!(breaker.decide(now + SECOND * 8), AccountDecision::Stopped(why(Some(now + SECOND * 9))));
    assert_eq!(breaker.decide(now + SECOND * 9), AccountDecision::Go, "its time is over");
    assert_eq!(breaker.stopped(now), None);
}

#[test]
fn two_refusals_stop_until_the_later_of_their_ends() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    let (first, second, third) = (breaker.sent(), breaker.sent(), breaker.sent());
    refuse(&mut breaker, first, now, why(Some(now + SECOND * 9)));
    assert!(!breaker.ended(0) && breaker.ended(third));
    refuse(&mut breaker, second, now, why(Some(now + SECOND)));
    assert_eq!(breaker.stopped(now), Some(&why(Some(now + SECOND * 9))));
    refuse(&mut breaker, third, now, why(None));
    assert_eq!(breaker.stopped(now), Some(&why(None)));
}

#[test]
fn calls_under_way_are_counted_by_number() {
    let mut calls = InFlight::default();
    let numbers: Vec<u64> = (0..10).map(|_| calls.begin()).collect();
    assert_eq!(calls.after(numbers[3]), 6);
    calls.end(numbers[9]);
    calls.end(numbers[0]);
    calls.end(numbers[0]);
    calls.end(99);
    assert_eq!((calls.after(numbers[3]), calls.after(numbers[0])), (5, 8));
    numbers.iter().rev().for_each(|number| calls.end(*number));
    assert_eq!((calls.calls.len(), calls.begin()), (0, 10));
}

#[test]
fn two_refusals_are_not_enough_while_others_may_succeed() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    let (refused, alike, good) = (breaker.sent(), breaker.sent(), breaker.sent());
    refuse(&mut breaker, refused, now, why(None));
    assert!(!refuse(&mut breaker, alike, now, why(None)));
    assert!(breaker.is_held() && matches!(breaker.decide(now), AccountDecision::Wait(_)));
    assert!(breaker.succeeded(good), "both refusals were their own");
    assert_eq!(breaker.decide(now), AccountDecision::Go);

    let (refused, alike, _silent) = (breaker.sent(), breaker.sent(), breaker.sent());
    refuse(&mut breaker, refused, now, why(None));
    assert!(
        refuse(&mut breaker, alike, now + WITNESS_TIMEOUT, why(None)),
        "one that does not answer is not waited for"
    );
    assert_eq!(breaker.decide(now + WITNESS_TIMEOUT), AccountDecision::Stopped(why(None)));
}

#[test]
fn the_last_of_those_under_way_decides() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    let calls: Vec<u64> = (0..5).map(|_| breaker.sent()).collect();
    let changes: Vec<bool> = calls.iter().map(|call| refuse(&mut breaker, *call, now, why(None))).collect();
    assert_eq!(changes, [true, false, false, false, true], "held, and stopped with the last");
    assert_eq!(breaker.decide(now), AccountDecision::Stopped(why(None)));
}

#[test]
fn a_witness_of_the_same_model_stops_that_model_alone() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    let (one, same) = (breaker.sent(), breaker.sent());
    assert_eq!(breaker.refused(one, 1, now, why(Some(now + SECOND))), RefusalResult::Held);
    let until = Some(now + SECOND * 2);
    assert_eq!(breaker.refused(same, 1, now, why(until)), RefusalResult::StopsModel(why(until)));
    assert_eq!((breaker.is_held(), breaker.stopped(now)), (true, None));
    // The next request of any model is the witness.
    assert_eq!(breaker.decide(now), AccountDecision::Go);
    assert!(matches!(breaker.decide(now), AccountDecision::Wait(_)));
    let good = breaker.sent();
    assert!(breaker.succeeded(good));
    assert_eq!((breaker.is_held(), breaker.decide(now)), (false, AccountDecision::Go));
    // The models of all refused calls count, not only that of the last one.
    let calls: Vec<u64> = (0..3).map(|_| breaker.sent()).collect();
    let refused =
        calls.iter().zip([1, 2, 1]).map(|(call, model)| breaker.refused(*call, model, now, why(None)));
    assert_eq!(
        refused.collect::<Vec<_>>(),
        [RefusalResult::Held, RefusalResult::Unchanged, RefusalResult::StopsAccount]
    );
}

#[test]
fn after_a_stop_one_call_finds_out_whether_it_still_holds() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    let (one, other, late) = (breaker.sent(), breaker.sent(), breaker.sent());
    assert!(refuse(&mut breaker, one, now, why(Some(now + SECOND))));
    breaker.ended(late);
    assert!(refuse(&mut breaker, other, now, why(Some(now + SECOND))));
    assert!(matches!(breaker.decide(now), AccountDecision::Stopped(_)));
    let later = now + SECOND;
    assert_eq!(breaker.decide(later), AccountDecision::Go);
    assert!(matches!(breaker.decide(later), AccountDecision::Wait(_)), "the others wait for it");
    let witness = breaker.sent();
    assert!(refuse(&mut breaker, witness, later, why(Some(later + SECOND))), "one is enough now");
    assert_eq!(breaker.decide(later), AccountDecision::Stopped(why(Some(later + SECOND))));
    let latest = later + SECOND;
    assert_eq!(breaker.decide(latest), AccountDecision::Go);
    let witness = breaker.sent();
    assert!(breaker.succeeded(witness));
    assert_eq!((breaker.is_held(), breaker.decide(latest)), (false, AccountDecision::Go));
}

#[test]
fn a_success_sent_after_the_refusal_lifts_a_stop() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    let (before, one, other, late) = (breaker.sent(), breaker.sent(), breaker.sent(), breaker.sent());
    assert!(refuse(&mut breaker, one, now, why(None)));
    assert!(refuse(&mut breaker, other, now + WITNESS_TIMEOUT, why(None)), "the late one is not waited for");
    assert!(!breaker.succeeded(before));
    assert!(breaker.stopped(now).is_some());
    assert!(breaker.succeeded(late));
    assert_eq!(breaker.decide(now), AccountDecision::Go);
    breaker.stop(why(None));
    let other = breaker.sent();
    assert!(!breaker.succeeded(other), "of a stop for another reason it says nothing");
}
