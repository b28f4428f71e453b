use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn why(until: Option<Instant>) -> Stopped {
    Stopped { kind: ErrorKind::QuotaSpent, message: String::from("no money"), until }
}

#[test]
fn a_call_sent_after_the_refused_one_decides() {
    let now = Instant::now();
    for refused_too in [false, true] {
        let mut standing = Standing::default();
        let (earlier, refused, later) = (standing.sent(), standing.sent(), standing.sent());
        assert!(standing.refused(refused, now, why(None)));
        assert!(!standing.succeeded(earlier), "it was sent before: no news");
        assert!(matches!(standing.ask(now), Leave::Wait(_)), "the later one is the witness");
        if refused_too {
            assert!(standing.refused(later, now, why(None)));
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
    standing.refused(refused, now, why(None));
    assert!(!standing.refused(earlier, now, why(None)));
    assert!(standing.is_held());
}

#[test]
fn with_none_under_way_the_next_is_the_witness_and_only_one() {
    let now = Instant::now();
    let mut standing = Standing::default();
    let refused = standing.sent();
    standing.refused(refused, now, why(None));
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
    standing.refused(refused, now, why(None));
    assert_eq!(standing.ask(now + SECOND), Leave::Wait(now + PATIENCE));
    assert_eq!(standing.ask(now + PATIENCE), Leave::Go);
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
    standing.refused(first, now, why(Some(now + SECOND * 9)));
    assert!(!standing.ended(0) && standing.ended(third));
    standing.refused(second, now, why(Some(now + SECOND)));
    assert_eq!(standing.stopped(now), Some(&why(Some(now + SECOND * 9))));
    standing.refused(third, now, why(None));
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
    numbers.iter().for_each(|number| calls.end(*number));
    assert_eq!((calls.calls.len(), calls.begin()), (0, 10));
}

#[test]
fn two_refusals_are_not_enough_while_others_may_succeed() {
    let now = Instant::now();
    let mut standing = Standing::default();
    let (refused, alike, good) = (standing.sent(), standing.sent(), standing.sent());
    standing.refused(refused, now, why(None));
    assert!(!standing.refused(alike, now, why(None)));
    assert!(standing.is_held() && matches!(standing.ask(now), Leave::Wait(_)));
    assert!(standing.succeeded(good), "both refusals were their own");
    assert_eq!(standing.ask(now), Leave::Go);

    let (refused, alike, _silent) = (standing.sent(), standing.sent(), standing.sent());
    standing.refused(refused, now, why(None));
    assert!(standing.refused(alike, now + PATIENCE, why(None)), "one that does not answer is not waited for");
    assert_eq!(standing.ask(now + PATIENCE), Leave::Stopped(why(None)));
}

#[test]
fn the_last_of_those_under_way_decides() {
    let now = Instant::now();
    let mut standing = Standing::default();
    let calls: Vec<u64> = (0..5).map(|_| standing.sent()).collect();
    let changes: Vec<bool> = calls.iter().map(|call| standing.refused(*call, now, why(None))).collect();
    assert_eq!(changes, [true, false, false, false, true], "held, and stopped with the last");
    assert_eq!(standing.ask(now), Leave::Stopped(why(None)));
}
