//! Outages and their probes.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const THRESHOLD: u32 = 4;

fn failed(request: u64, sent_at: Instant, now: Instant) -> FailedCall {
    FailedCall { request, sent_at, now, jitter: 1.0, hint: None }
}

/// Down since `now`, by calls that failed at once.
fn down(mode: FailureMode, now: Instant) -> Health {
    let mut health = Health::new(mode, THRESHOLD);
    for request in 1..=u64::from(THRESHOLD) {
        assert!(!health.is_down());
        health.failed(failed(request, now, now));
    }
    assert!(health.is_down() && health.is_outage());
    health
}

#[test]
fn failures_in_a_row_are_an_outage_and_a_success_between_them_is_not() {
    let now = Instant::now();
    let mut health = Health::new(FailureMode::Failing, THRESHOLD);
    for round in 0..10 {
        let at = now + round * SECOND;
        for request in 0..u64::from(THRESHOLD) - 1 {
            assert!(!health.failed(failed(request, at, at)));
        }
        assert!(!health.succeeded(at));
    }
    assert!(!health.is_down());
}

#[test]
fn a_success_of_a_call_sent_before_changes_nothing() {
    let now = Instant::now();
    let mut health = Health::new(FailureMode::Failing, THRESHOLD);
    for request in 0..u64::from(THRESHOLD) {
        health.failed(failed(request, now + SECOND, now + SECOND));
        health.succeeded(now);
    }
    assert!(health.is_down(), "what was under way when it began goes on succeeding");
    assert!(!health.succeeded(now), "and does not end it");
    assert!(health.succeeded(now + SECOND * 2));
    assert!(!health.is_down());
}

#[test]
fn one_request_that_fails_is_no_outage_of_all() {
    let now = Instant::now();
    let mut health = Health::new(FailureMode::Failing, THRESHOLD);
    for _ in 0..THRESHOLD {
        health.failed(failed(1, now, now));
    }
    assert!(health.is_down() && !health.is_outage());
    health.failed(failed(2, now + SECOND, now + SECOND));
    assert!(health.is_outage());
}

#[test]
fn one_probe_at_a_time_after_a_pause_that_grows() {
    let mut at = Instant::now();
    let began = at;
    for (mode, most) in [(FailureMode::Unreachable, 100), (FailureMode::Failing, 60)] {
        let mut health = down(mode, at);
        let (mut probes, mut last) = (0, at);
        let end = at + SECOND * 600;
        loop {
            let ProbeDecision::Wait(next) = health.admit(at) else {
                panic!("there is a pause after a failure")
            };
            let pause = next - last;
            let longest = match mode {
                FailureMode::Unreachable if last - began < EARLY_PHASE => SECOND * 2,
                FailureMode::Unreachable => SECOND * 15,
                FailureMode::Failing => SECOND * 20,
            };
            assert!(pause >= SHORTEST_PAUSE.mul_f64(0.75) && pause <= longest, "{pause:?}");
            at = next;
            if at > end {
                break;
            }
            assert_eq!(health.admit(at), ProbeDecision::Probe);
            probes += 1;
            assert!(matches!(health.admit(at), ProbeDecision::Wait(_)), "one at a time");
            health.failed(failed(probes, at, at));
            health.probe_ended();
            last = at;
        }
        assert!(probes < most, "{probes} probes in ten minutes");
        at = began;
    }
}

#[test]
fn a_probe_that_does_not_fail_is_followed_by_more_and_more() {
    let now = Instant::now();
    let mut health = down(FailureMode::Failing, now);
    let mut at = now + SECOND;
    let mut out = Vec::new();
    for _ in 0..60 {
        let mut let_go = 0;
        while health.admit(at) == ProbeDecision::Probe {
            let_go += 1;
        }
        if let_go > 0 {
            out.push(let_go);
        }
        at += Duration::from_millis(50);
    }
    assert!(out.len() >= 4 && out.windows(2).all(|pair| pair[1] >= pair[0]), "{out:?}");
    assert!(out.iter().sum::<u32>() >= 15, "{out:?}");
    // The first failure ends that.
    health.failed(failed(9, now + SECOND, at));
    for _ in 0..out.iter().sum() {
        health.probe_ended();
    }
    let ProbeDecision::Wait(next) = health.admit(at) else { panic!("a pause") };
    assert_eq!(health.admit(next), ProbeDecision::Probe);
    assert!(matches!(health.admit(next), ProbeDecision::Wait(_)));
}

#[test]
fn a_slow_failure_is_no_good_sign() {
    let now = Instant::now();
    let mut health = Health::new(FailureMode::Unreachable, THRESHOLD);
    for request in 0..u64::from(THRESHOLD) {
        health.failed(failed(request, now, now + SECOND * 3));
    }
    let at = now + SECOND * 4;
    assert_eq!(health.admit(at), ProbeDecision::Probe);
    // A failure takes 3 s here, so after one second nothing is known.
    assert!(matches!(health.admit(at + SECOND), ProbeDecision::Wait(_)));
}

#[test]
fn a_hint_is_waited_for_before_the_next_probe() {
    let now = Instant::now();
    let mut health = Health::new(FailureMode::Failing, THRESHOLD);
    for request in 0..u64::from(THRESHOLD) {
        health.failed(FailedCall { hint: Some(SECOND * 10), ..failed(request, now, now) });
    }
    assert_eq!(health.admit(now + SECOND * 9), ProbeDecision::Wait(now + SECOND * 10));
    assert_eq!(health.admit(now + SECOND * 10), ProbeDecision::Probe);
    health
        .failed(FailedCall { hint: Some(SECOND * 7_200), ..failed(1, now + SECOND * 10, now + SECOND * 10) });
    health.probe_ended();
    let ProbeDecision::Wait(next) = health.admit(now + SECOND * 11) else { panic!("a pause") };
    assert!(next <= now + SECOND * 70, "two hours are for the request, not for the probes");
}

#[test]
fn a_call_in_flight_at_the_beginning_changes_nothing() {
    let now = Instant::now();
    let mut health = down(FailureMode::Failing, now + SECOND);
    let ProbeDecision::Wait(next) = health.admit(now + SECOND) else { panic!("a pause") };
    for request in 0..50 {
        health.failed(failed(request, now, now + SECOND * 2));
    }
    assert_eq!(health.admit(now + SECOND), ProbeDecision::Wait(next), "the pause stays what it was");
}
