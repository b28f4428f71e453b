//! An origin that is down, that was never reached, or that does not answer.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(30);

fn failed(request: u64, at: Instant) -> FailedCall {
    FailedCall { request, sent_at: at, now: at, jitter: 1.0, hint: None }
}

#[test]
fn nobody_was_ever_there() {
    let (reach, now) = (Reachability::new(TIMEOUT), Instant::now());
    for second in 0..30 {
        assert_eq!(reach.failed(failed(1, now + SECOND * second), true), None, "{second} s");
    }
    let given_up = reach.failed(failed(1, now + TIMEOUT), true);
    assert_eq!(given_up, Some(GivenUp { tries: 31, lasted: TIMEOUT }));
    reach.resume();
    assert_eq!(reach.failed(failed(1, now + TIMEOUT * 2), true), None, "tried anew");
}

#[test]
fn what_never_heals_gets_three_tries() {
    let (reach, now) = (Reachability::new(TIMEOUT), Instant::now());
    let given_up = (1..=3).map(|tries| reach.failed(failed(tries, now), false).is_some());
    assert_eq!(given_up.collect::<Vec<_>>(), [false, false, true]);
    let slow = Reachability::new(TIMEOUT);
    assert_eq!(slow.failed(failed(1, now), false), None);
    assert!(slow.failed(failed(1, now + HOPELESS_TIME), false).is_some(), "or five seconds");
}

#[test]
fn one_that_has_replied_is_never_given_up() {
    for can_heal in [true, false] {
        let (reach, now) = (Reachability::new(TIMEOUT), Instant::now());
        reach.failed(failed(1, now), can_heal);
        reach.replied(now, now);
        for second in 1..1_000 {
            assert_eq!(reach.failed(failed(1, now + SECOND * second), can_heal), None);
        }
        assert!(matches!(reach.peek(now + SECOND * 999), ProbeDecision::Wait(_)), "but it is down");
        reach.resume();
        assert_eq!(reach.failed(failed(1, now + SECOND * 2_000), can_heal), None, "nor after that");
    }
}

#[test]
fn one_that_is_known_to_be_down_is_not_silent() {
    let (reach, now) = (Reachability::new(TIMEOUT), Instant::now());
    reach.note_activity(now);
    assert_eq!(reach.silence(), None, "it never replied");
    reach.replied(now, now + SECOND);
    let silence = Some((now + SECOND, UNRESPONSIVE_MIN));
    assert_eq!((reach.silence(), reach.hung_before()), (silence, None));
    reach.mark_down(now + SECOND * 9, SECOND);
    assert_eq!((reach.silence(), reach.hung_before()), (None, Some(now + SECOND * 9)));
    assert!(!reach.replied(now + SECOND * 8, now + SECOND * 10), "a call sent before says nothing");
    assert!(reach.replied(now + SECOND * 9, now + SECOND * 10));
    assert_eq!(reach.hung_before(), None);
}

#[test]
fn how_long_is_too_long_is_learnt_from_answers() {
    let (reach, now) = (Reachability::new(TIMEOUT), Instant::now());
    let too_long = || reach.silence().map(|(_, too_long)| too_long);
    reach.replied(now, now + SECOND * 100);
    assert_eq!(too_long(), Some(UNRESPONSIVE_MIN), "a refusal says nothing of answers");
    reach.answered(now, now + SECOND * 100);
    reach.answered(now, now + SECOND);
    let a_bit_less = too_long().is_some_and(|long| long > SECOND * 390 && long < SECOND * 400);
    assert!(a_bit_less, "{:?}", too_long());
    for _ in 0..1_000 {
        reach.answered(now, now + SECOND);
    }
    assert_eq!(too_long(), Some(UNRESPONSIVE_MIN));
    reach.note_activity(now + SECOND * 200);
    reach.note_activity(now + SECOND * 150);
    assert_eq!(reach.silence().map(|(heard, _)| heard), Some(now + SECOND * 200));
}

#[test]
fn an_unresponsive_origin_is_probed_less_and_less_often() {
    let (reach, now) = (Reachability::new(TIMEOUT), Instant::now());
    reach.mark_unresponsive(now, now + SECOND * 10);
    let (mut at, mut probes) = (now + SECOND * 10, Vec::new());
    while at < now + SECOND * 600 {
        match reach.admit(at) {
            ProbeDecision::Probe => {
                assert_eq!(reach.hung_before(), Some(at), "those sent before hang");
                probes.push((at - now).as_secs());
            }
            ProbeDecision::Wait(until) => {
                assert_eq!(reach.peek(at), ProbeDecision::Wait(until));
                at = until;
            }
            ProbeDecision::Go => panic!("it is unresponsive"),
        }
    }
    assert_eq!(probes[..6], [10, 15, 22, 33, 50, 75]);
    let last = probes[probes.len() - 2..].iter().sum::<u64>();
    assert!(probes.len() <= 15 && last > 1_080, "{probes:?}");
    // If a probe was never sent, the next request may be the probe.
    reach.probe_ended(true, at);
    reach.admit(at);
    assert!(matches!(reach.peek(at), ProbeDecision::Wait(_)));
    reach.probe_ended(false, at);
    assert_eq!(reach.peek(at), ProbeDecision::Probe);
}

#[test]
fn whatever_comes_back_ends_a_silence() {
    let (now, later) = (Instant::now(), Instant::now() + SECOND * 20);
    let ends: [fn(&Reachability, Instant); 4] = [
        |reach, now| reach.note_activity(now),
        |reach, now| assert!(reach.replied(now - SECOND * 15, now), "of a call that had hung, too"),
        |reach, now| assert!(reach.answered(now, now)),
        |reach, _| reach.resume(),
    ];
    for end in ends {
        let reach = Reachability::new(TIMEOUT);
        reach.mark_unresponsive(now, later);
        assert!(reach.is_unresponsive());
        end(&reach, later);
        assert_eq!((reach.is_unresponsive(), reach.peek(later)), (false, ProbeDecision::Go));
    }
    let reach = Reachability::new(TIMEOUT);
    reach.replied(now, now);
    reach.mark_unresponsive(now, later);
    reach.failed(failed(1, later), true);
    assert!(
        !reach.is_unresponsive() && matches!(reach.peek(later), ProbeDecision::Wait(_)),
        "it cannot be reached now"
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_requests_are_notified_of_each_change() {
    let (reach, now) = (Reachability::new(TIMEOUT), Instant::now());
    let notified = async |act: &dyn Fn()| {
        let changed = reach.changed.notified();
        act();
        tokio::time::timeout(SECOND, changed).await.is_ok()
    };
    assert!(
        !notified(&|| assert_eq!(reach.failed(failed(1, now), true), None)).await,
        "one failure changes nothing"
    );
    assert!(!notified(&|| assert_eq!(reach.failed(failed(2, now), true), None)).await);
    assert!(!notified(&|| assert_eq!(reach.failed(failed(3, now), true), None)).await);
    assert!(notified(&|| assert_eq!(reach.failed(failed(4, now), true), None)).await, "it is down");
    assert!(notified(&|| reach.probe_ended(true, now)).await, "another may be the probe");
    assert!(notified(&|| assert!(reach.replied(now, now))).await, "it is up");
    assert!(!notified(&|| assert!(!reach.replied(now, now))).await);
    assert!(notified(&|| reach.mark_down(now, SECOND)).await);
    assert!(notified(&|| reach.resume()).await);
    assert!(notified(&|| reach.mark_unresponsive(now, now)).await);
    assert!(notified(&|| reach.note_activity(now)).await);
    assert!(!notified(&|| reach.note_activity(now)).await);
    reach.mark_unresponsive(now, now);
    let fails = || assert_eq!(reach.failed(failed(5, now), true), None);
    assert!(notified(&fails).await, "it is tried sooner than a unresponsive one");
}
