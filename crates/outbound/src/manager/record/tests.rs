//! Counts, possible duplicates, and the bounded list of attempts.

use outbound_provider::{Class, Fault};

use super::{
    super::judge::{Next, Settle},
    *,
};

const SECOND: Duration = Duration::from_secs(1);

fn fails(record: &mut Record, delivery: Delivery, effect: Effect, charged: bool, repeatable: bool) {
    let now = record.started + SECOND;
    let failure = Failure { delivery, ..Failure::of_fault(Fault::new(Class::Transient)) };
    let verdict = Verdict { charged, next: Next::Fail, effect, settle: Settle::Keep, extra: true };
    record.start_attempt(AttemptSlot::Primary, now, repeatable);
    record.failed(AttemptSlot::Primary, &failure, verdict, "no", now + SECOND);
}

fn outcome(record: Record) -> Outcome {
    record.into_outcome(Err(Error::new(ErrorKind::Server, "no")), None, 0, None)
}

#[test]
fn each_effect_has_its_count() {
    let mut record = Record::new(Instant::now());
    fails(&mut record, Delivery::NotSent, Effect::Unreachable { can_heal: true }, false, false);
    assert!(!record.was_tried());
    fails(&mut record, Delivery::Replied, Effect::Refused { ramp: false, parallel: false }, false, false);
    fails(&mut record, Delivery::Replied, Effect::Overloaded, false, false);
    fails(&mut record, Delivery::Replied, Effect::Failed, false, false);
    fails(&mut record, Delivery::Replied, Effect::Failed, true, false);
    let counts = Counts { charged: 1, refused: 1, overloads: 1, unreached: 1, unreadable: 0, free_probes: 1 };
    assert_eq!((record.counts, record.sends(), record.next_attempt()), (counts, 4, 6));
    let outcome = outcome(record);
    assert_eq!((outcome.sends, outcome.charged, outcome.refused), (4, 1, 1));
    let charged: Vec<_> = outcome.attempts.iter().map(|attempt| attempt.charged).collect();
    assert_eq!(charged, [false, false, false, false, true]);
    assert!(outcome.attempts.iter().all(|attempt| (attempt.after, attempt.took) == (SECOND, SECOND)));
}

#[test]
fn a_second_send_is_a_duplicate_unless_it_is_repeatable() {
    for (repeatable, duplicate) in [(false, true), (true, false)] {
        let mut record = Record::new(Instant::now());
        fails(&mut record, Delivery::MaybeSent, Effect::Failed, true, repeatable);
        assert!(!record.possible_duplicate);
        // Aborted in flight, so it may have been sent.
        record.start_attempt(AttemptSlot::Primary, Instant::now(), repeatable);
        let outcome = outcome(record);
        assert_eq!((outcome.sends, outcome.possible_duplicate), (2, duplicate));
    }
}

#[test]
fn of_a_long_way_the_first_and_the_last_are_listed() {
    let mut record = Record::new(Instant::now());
    fails(&mut record, Delivery::NotSent, Effect::None, false, false);
    (0..99).for_each(|_| fails(&mut record, Delivery::Replied, Effect::None, true, false));
    let outcome = outcome(record);
    assert_eq!((outcome.attempts.len(), outcome.sends), (MAX_LISTED, 99));
    assert_eq!(outcome.attempts[0].delivery, Delivery::NotSent);
}
