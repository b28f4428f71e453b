//! Refusals of a key or its money: witnesses, stops, and what lifts them.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn why(until: Option<Instant>) -> Stopped {
    Stopped { kind: ErrorKind::QuotaSpent, message: String::from("no money"), until }
}

/// A refusal of a call for a model of its own. Says whether anything changed.
fn refuse(standing: &mut Standing, call: u64, now: Instant, why: Stopped) -> bool {
    let refusal = standing.refused(call, call as usize, now, why);
    assert!(!matches!(refusal, Refusal::StopsModel(_)));
    refusal != Refusal::Echo
}

#[test]
fn a_call_sent_after_the_refused_one_decides() {
    let now = Instant::now();
    for refused_too in [false, true] {
        let mut standing = Standing::default();
        let (earlier, refused, later) = (standing.sent(), standing.sent(), standing.sent());
        assert!(refuse(&mut standing, refused, now, why(None)));
        assert!(!standing.succeeded(earlier), "it was sent before: no news");
        assert!(matches!(standing.ask(now), Leave::Wait(_)), "the later one is the witness");
        if refused_too {
            assert!(refuse(&mut standing, later, now, why(None)));
            assert_eq!(standing.ask(now), Leave::Stopped(why(None)));
        } else {
            assert!(standing.succeeded(later));
            assert_eq!(standing.ask(now), Leave::Go);
        }
    }
}

#[test]
fn a_refusal_of_a_call_sent_earlier_is_an_echo() {
    let now = Instant::now();
    let mut standing = Standing::default();
    let (earlier, refused) = (standing.sent(), standing.sent());
    refuse(&mut standing, refused, now, why(None));
    assert!(!refuse(&mut standing, earlier, now, why(None)));
    assert!(standing.is_held());
}

#[test]
fn with_none_under_way_the_next_is_the_witness_and_only_one() {
    let now = Instant::now();
    let mut standing = Standing::default();
    let refused = standing.sent();
    refuse(&mut standing, refused, now, why(None));
    assert_eq!(standing.ask(now), Leave::Go);
    assert_eq!(standing.ask(now), Leave::Wait(now + PATIENCE), "the others wait for it");
    let witness = standing.sent();
    assert!(matches!(standing.ask(now + SECOND), Leave::Wait(_)));
    // One that says nothing on the account leaves it to the next.
    assert!(standing.ended(witness));
    assert_eq!(standing.ask(now + SECOND), Leave::Go);
    standing.withdrawn();
    assert_eq!(standing.ask(now + SECOND), Leave::Go, "nor was that one sent");
}

#[test]
fn a_witness_that_does_not_answer_is_joined_by_another() {
    let now = Instant::now();
    let mut standing = Standing::default();
    let (refused, _silent) = (standing.sent(), standing.sent());
    refuse(&mut standing, refused, now, why(None));
    assert_eq!(standing.ask(now + SECOND), Leave::Wait(now + PATIENCE));
    assert_eq!(standing.ask(now + PATIENCE), Leave::Go);
    let again = now + PATIENCE + SECOND;
    assert_eq!(standing.ask(again), Leave::Wait(now + PATIENCE * 2), "that one has as long");
}

#[test]
fn a_stop_is_not_shortened_and_can_be_lifted() {
    let now = Instant::now();
    let mut standing = Standing::default();
    standing.stop(why(None));
    standing.stop(why(Some(now + SECOND)));
    assert_eq!(standing.stopped(now + SECOND * 2), Some(&why(None)), "for good is longer than a second");
    standing.resume();
    assert_eq!(standing.ask(now), Leave::Go);
    standing.stop(why(Some(now + SECOND * 9)));
    standing.stop(why(Some(now + SECOND)));
    assert_eq!(standing.ask(now + SECOND * 8), Leave::Stopped(why(Some(now + SECOND * 9))));
    assert_eq!(standing.ask(now + SECOND * 9), Leave::Go, "its time is over");
    assert_eq!(standing.stopped(now), None);
}

#[test]
fn two_refusals_stop_until_the_later_of_their_ends() {
    let now = Instant::now();
    let mut standing = Standing::default();
    let (first, second, third) = (standing.sent(), standing.sent(), standing.sent());
    refuse(&mut standing, first, now, why(Some(now + SECOND * 9)));
    assert!(!standing.ended(0) && standing.ended(third));
    refuse(&mut standing, second, now, why(Some(now + SECOND)));
    assert_eq!(standing.stopped(now), Some(&why(Some(now + SECOND * 9))));
    refuse(&mut standing, third, now, why(None));
    assert_eq!(standing.stopped(now), Some(&why(None)));
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
    let mut standing = Standing::default();
    let (refused, alike, good) = (standing.sent(), standing.sent(), standing.sent());
    refuse(&mut standing, refused, now, why(None));
    assert!(!refuse(&mut standing, alike, now, why(None)));
    assert!(standing.is_held() && matches!(standing.ask(now), Leave::Wait(_)));
    assert!(standing.succeeded(good), "both refusals were their own");
    assert_eq!(standing.ask(now), Leave::Go);

    let (refused, alike, _silent) = (standing.sent(), standing.sent(), standing.sent());
    refuse(&mut standing, refused, now, why(None));
    assert!(
        refuse(&mut standing, alike, now + PATIENCE, why(None)),
        "one that does not answer is not waited for"
    );
    assert_eq!(standing.ask(now + PATIENCE), Leave::Stopped(why(None)));
}

#[test]
fn the_last_of_those_under_way_decides() {
    let now = Instant::now();
    let mut standing = Standing::default();
    let calls: Vec<u64> = (0..5).map(|_| standing.sent()).collect();
    let changes: Vec<bool> = calls.iter().map(|call| refuse(&mut standing, *call, now, why(None))).collect();
    assert_eq!(changes, [true, false, false, false, true], "held, and stopped with the last");
    assert_eq!(standing.ask(now), Leave::Stopped(why(None)));
}

#[test]
fn a_witness_of_the_same_model_stops_that_model_alone() {
    let now = Instant::now();
    let mut standing = Standing::default();
    let (one, same) = (standing.sent(), standing.sent());
    assert_eq!(standing.refused(one, 1, now, why(Some(now + SECOND))), Refusal::Held);
    let until = Some(now + SECOND * 2);
    assert_eq!(standing.refused(same, 1, now, why(until)), Refusal::StopsModel(why(until)));
    assert_eq!((standing.is_held(), standing.stopped(now)), (true, None));
    // The next one, of whatever model, is the witness.
    assert_eq!(standing.ask(now), Leave::Go);
    assert!(matches!(standing.ask(now), Leave::Wait(_)));
    let good = standing.sent();
    assert!(standing.succeeded(good));
    assert_eq!((standing.is_held(), standing.ask(now)), (false, Leave::Go));
    // The models of all who are refused count, whichever is the last.
    let calls: Vec<u64> = (0..3).map(|_| standing.sent()).collect();
    let refused =
        calls.iter().zip([1, 2, 1]).map(|(call, model)| standing.refused(*call, model, now, why(None)));
    assert_eq!(refused.collect::<Vec<_>>(), [Refusal::Held, Refusal::Echo, Refusal::StopsAccount]);
}

#[test]
fn after_a_stop_one_call_finds_out_whether_it_still_holds() {
    let now = Instant::now();
    let mut standing = Standing::default();
    let (one, other, late) = (standing.sent(), standing.sent(), standing.sent());
    assert!(refuse(&mut standing, one, now, why(Some(now + SECOND))));
    standing.ended(late);
    assert!(refuse(&mut standing, other, now, why(Some(now + SECOND))));
    assert!(matches!(standing.ask(now), Leave::Stopped(_)));
    let later = now + SECOND;
    assert_eq!(standing.ask(later), Leave::Go);
    assert!(matches!(standing.ask(later), Leave::Wait(_)), "the others wait for it");
    let witness = standing.sent();
    assert!(refuse(&mut standing, witness, later, why(Some(later + SECOND))), "one is enough now");
    assert_eq!(standing.ask(later), Leave::Stopped(why(Some(later + SECOND))));
    let latest = later + SECOND;
    assert_eq!(standing.ask(latest), Leave::Go);
    let witness = standing.sent();
    assert!(standing.succeeded(witness));
    assert_eq!((standing.is_held(), standing.ask(latest)), (false, Leave::Go));
}

#[test]
fn a_success_sent_after_the_refusal_lifts_a_stop() {
    let now = Instant::now();
    let mut standing = Standing::default();
    let (before, one, other, late) = (standing.sent(), standing.sent(), standing.sent(), standing.sent());
    assert!(refuse(&mut standing, one, now, why(None)));
    assert!(refuse(&mut standing, other, now + PATIENCE, why(None)), "the late one is not waited for");
    assert!(!standing.succeeded(before));
    assert!(standing.stopped(now).is_some());
    assert!(standing.succeeded(late));
    assert_eq!(standing.ask(now), Leave::Go);
    standing.stop(why(None));
    let other = standing.sent();
    assert!(!standing.succeeded(other), "of a stop for another reason it says nothing");
}
