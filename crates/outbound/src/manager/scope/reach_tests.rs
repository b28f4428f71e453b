use super::*;

const SECOND: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(30);

fn failed(request: u64, at: Instant) -> FailedCall {
    FailedCall { request, sent_at: at, now: at, spread: 1.0, hint: None }
}

#[test]
fn nobody_was_ever_there() {
    let (reach, now) = (Reach::new(TIMEOUT), Instant::now());
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
    let (reach, now) = (Reach::new(TIMEOUT), Instant::now());
    let given_up = (1..=3).map(|tries| reach.failed(failed(tries, now), false).is_some());
    assert_eq!(given_up.collect::<Vec<_>>(), [false, false, true]);
    let slow = Reach::new(TIMEOUT);
    assert_eq!(slow.failed(failed(1, now), false), None);
    assert!(slow.failed(failed(1, now + HOPELESS_TIME), false).is_some(), "or five seconds");
}

#[test]
fn one_that_has_replied_is_never_given_up() {
    for heals in [true, false] {
        let (reach, now) = (Reach::new(TIMEOUT), Instant::now());
        reach.failed(failed(1, now), heals);
        reach.replied(now, now);
        for second in 1..1_000 {
            assert_eq!(reach.failed(failed(1, now + SECOND * second), heals), None);
        }
        assert!(matches!(reach.look(now + SECOND * 999), Admission::Wait(_)), "but it is down");
        reach.resume();
        assert_eq!(reach.failed(failed(1, now + SECOND * 2_000), heals), None, "nor after that");
    }
}

#[test]
fn one_that_is_known_to_be_down_is_not_silent() {
    let (reach, now) = (Reach::new(TIMEOUT), Instant::now());
    assert_eq!(reach.silent_since(), None, "it never replied");
    reach.replied(now, now + SECOND);
    assert_eq!((reach.silent_since(), reach.down_since()), (Some(now + SECOND), None));
    reach.lost(now + SECOND * 9, SECOND);
    assert_eq!((reach.silent_since(), reach.down_since()), (None, Some(now + SECOND * 9)));
    assert!(!reach.replied(now + SECOND * 8, now + SECOND * 10), "a call sent before says nothing");
    assert!(reach.replied(now + SECOND * 9, now + SECOND * 10));
    assert_eq!(reach.down_since(), None);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_told_of_each_turn() {
    let (reach, now) = (Reach::new(TIMEOUT), Instant::now());
    let told = async |act: &dyn Fn()| {
        let changed = reach.changed.notified();
        act();
        tokio::time::timeout(SECOND, changed).await.is_ok()
    };
    assert!(!told(&|| assert_eq!(reach.failed(failed(1, now), true), None)).await, "one failure is no turn");
    assert!(!told(&|| assert_eq!(reach.failed(failed(2, now), true), None)).await);
    assert!(!told(&|| assert_eq!(reach.failed(failed(3, now), true), None)).await);
    assert!(told(&|| assert_eq!(reach.failed(failed(4, now), true), None)).await, "it is down");
    assert!(told(&|| reach.probe_ended()).await, "another may be the probe");
    assert!(told(&|| assert!(reach.replied(now, now))).await, "it is up");
    assert!(!told(&|| assert!(!reach.replied(now, now))).await);
    assert!(told(&|| reach.lost(now, SECOND)).await);
    assert!(told(&|| reach.resume()).await);
}
