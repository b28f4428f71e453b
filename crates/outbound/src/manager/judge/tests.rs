//! The rule table, row by row.

use outbound_provider::Terminal;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn fault(class: Class) -> Fault {
    Fault::new(class)
}

fn with(class: Class, set: impl FnOnce(&mut Fault)) -> Fault {
    let mut fault = Fault::new(class);
    set(&mut fault);
    fault
}

fn case(fault: &Fault) -> Case<'_> {
    Case {
        fault,
        delivery: Delivery::Replied,
        connect: None,
        refused_by_status: true,
        tells_limits: false,
        counts: Counts::default(),
        outage: false,
        past_deadline: false,
        items_delivered: false,
        left: MINUTE * 30,
        draw: 7,
        rules: Rules { max_attempts: 3, retry_ambiguous: true },
    }
}

fn waits(next: Next) -> Duration {
    match next {
        Next::Retry(wait) => wait,
        other => panic!("{other:?} is no wait"),
    }
}

/// The rule table, row by row: class, charged, retried, effect, settle, extra.
#[test]
fn each_class_has_its_row() {
    let account = with(Class::QuotaSpent, |fault| fault.of_account = true);
    let refused = Effect::Refused { ramp: false, parallel: false };
    let ramp = Effect::Refused { ramp: true, parallel: false };
    let rows = [
        (fault(Class::RateLimited), false, true, refused, Settle::Refund, false),
        (fault(Class::RampLimited), false, true, ramp, Settle::Refund, false),
        (fault(Class::Overloaded), false, true, Effect::Overloaded, Settle::Refund, true),
        (fault(Class::Transient), true, true, Effect::Failed, Settle::Keep, true),
        (fault(Class::Ambiguous), true, true, Effect::Failed, Settle::Keep, true),
        (fault(Class::StreamBroken), true, true, Effect::Failed, Settle::Keep, true),
        (fault(Class::Unreadable), true, true, Effect::None, Settle::RequestOnly, true),
        (fault(Class::Terminal(Terminal::BadRequest)), true, false, Effect::None, Settle::RequestOnly, true),
        (account, true, false, Effect::AccountRefused, Settle::RequestOnly, false),
    ];
    for (fault, charged, goes_on, effect, settle, extra) in rows {
        let verdict = judge(&case(&fault));
        let class = fault.class;
        assert_eq!(verdict.charged, charged, "{class:?}");
        assert_eq!(matches!(verdict.next, Next::Retry(_)), goes_on, "{class:?}");
        assert_eq!((verdict.effect, verdict.settle), (effect, settle), "{class:?}");
        assert_eq!(verdict.extra, extra, "{class:?}");
    }
}

#[test]
fn what_was_not_sent_costs_nothing_whatever_it_is_called() {
    for class in [Class::Transient, Class::Ambiguous, Class::Overloaded, Class::RateLimited] {
        let fault = fault(class);
        let counts = Counts { unreached: 40, charged: 2, ..Counts::default() };
        let case = Case { delivery: Delivery::NotSent, refused_by_status: false, counts, ..case(&fault) };
        let verdict = judge(&case);
        assert!(!verdict.charged && !verdict.extra, "{class:?}");
        assert_eq!(verdict.effect, Effect::Unreachable { can_heal: true });
        assert_eq!(verdict.settle, Settle::Refund);
        assert!(waits(verdict.next) <= SECOND * 2, "patient, and there at once when it is back");
    }
    // A request that cannot be built is not sent either, and waiting does not help.
    let fault = fault(Class::Terminal(Terminal::BadRequest));
    let verdict = judge(&Case { delivery: Delivery::NotSent, ..case(&fault) });
    assert_eq!((verdict.next, verdict.effect), (Next::Fail, Effect::None));
}

#[test]
fn the_requests_own_deadline_says_nothing_about_the_server() {
    for (class, delivery, charged, settle) in [
        (Class::Transient, Delivery::NotSent, false, Settle::Refund),
        (Class::Ambiguous, Delivery::MaybeSent, true, Settle::Keep),
        (Class::StreamBroken, Delivery::Replied, true, Settle::Keep),
    ] {
        let fault = fault(class);
        let verdict = judge(&Case { past_deadline: true, delivery, ..case(&fault) });
        assert_eq!((verdict.next, verdict.effect), (Next::Fail, Effect::None), "{class:?}");
        assert_eq!((verdict.charged, verdict.settle, verdict.extra), (charged, settle, false), "{class:?}");
    }
}

#[test]
fn some_failures_to_connect_never_heal_by_themselves() {
    let fault = fault(Class::Transient);
    for (connect, can_heal) in [
        (ConnectFailure::Refused, true),
        (ConnectFailure::TimedOut, true),
        (ConnectFailure::Handshake, true),
        (ConnectFailure::NameNotFound, false),
        (ConnectFailure::Certificate, false),
        (ConnectFailure::NotTls, false),
        (ConnectFailure::ProxyRefused, false),
        (ConnectFailure::NotAllowed, false),
    ] {
        let case = Case { delivery: Delivery::NotSent, connect: Some(connect), ..case(&fault) };
        assert_eq!(judge(&case).effect, Effect::Unreachable { can_heal }, "{connect:?}");
    }
}

#[test]
fn attempts_end_where_they_are_charged() {
    let fault = fault(Class::Transient);
    for (charged, goes_on) in [(0, true), (1, true), (2, false), (9, false)] {
        let counts = Counts { charged, ..Counts::default() };
        let verdict = judge(&Case { counts, ..case(&fault) });
        assert_eq!(matches!(verdict.next, Next::Retry(_)), goes_on, "{charged}");
    }
}

#[test]
fn a_probe_of_an_outage_is_free_but_not_for_ever() {
    let fault = fault(Class::Transient);
    let counts = |free_probes| Counts { charged: 2, free_probes, ..Counts::default() };
    let free = judge(&Case { outage: true, counts: counts(FREE_PROBES - 1), ..case(&fault) });
    assert!(!free.charged && matches!(free.next, Next::Retry(_)));
    let charged = judge(&Case { outage: true, counts: counts(FREE_PROBES), ..case(&fault) });
    assert_eq!((charged.charged, charged.next), (true, Next::Fail));
    // A failure of the request itself is charged, also in an outage.
    let own = Fault::new(Class::Unreadable);
    assert!(judge(&Case { outage: true, ..case(&own) }).charged);
}

#[test]
fn the_ambiguous_is_sent_again_only_where_that_is_wanted() {
    for class in [Class::Ambiguous, Class::StreamBroken] {
        let fault = fault(class);
        let rules = Rules { max_attempts: 3, retry_ambiguous: false };
        assert_eq!(judge(&Case { rules, ..case(&fault) }).next, Next::Fail, "{class:?}");
    }
    let fault = fault(Class::Transient);
    let rules = Rules { max_attempts: 3, retry_ambiguous: false };
    assert!(matches!(judge(&Case { rules, ..case(&fault) }).next, Next::Retry(_)));
}

#[test]
fn an_unreadable_answer_is_bought_once_more() {
    let fault = fault(Class::Unreadable);
    let counts = Counts { unreadable: 1, charged: 1, ..Counts::default() };
    assert_eq!(judge(&Case { counts, ..case(&fault) }).next, Next::Fail);
}

#[test]
fn hints_are_obeyed_and_believed_less_each_time() {
    let fault = with(Class::RateLimited, |fault| fault.wait = Some(Duration::from_millis(80)));
    for refused in 0..HINTS_OBEYED {
        let counts = Counts { refused, ..Counts::default() };
        // The gate holds the request back, so it has no wait of its own.
        assert_eq!(judge(&Case { counts, ..case(&fault) }).next, Next::Retry(Duration::ZERO));
    }
    let longest = |refused| {
        let counts = Counts { refused, ..Counts::default() };
        let waits = (0..200).map(|draw| waits(judge(&Case { counts, draw, ..case(&fault) }).next));
        waits.max().expect("200 of them")
    };
    assert!(longest(HINTS_OBEYED + 5) > longest(HINTS_OBEYED) * 4);
    let bare = Fault::new(Class::RateLimited);
    assert!((0..200).any(|draw| waits(judge(&Case { draw, ..case(&bare) }).next) > Duration::ZERO));
}

#[test]
fn an_overload_waits_for_its_hint_or_longer_each_time() {
    let fault = with(Class::Overloaded, |fault| fault.wait = Some(SECOND * 5));
    assert_eq!(judge(&case(&fault)).next, Next::Retry(SECOND * 5));
    let many = Counts { overloads: HINTS_OBEYED + 4, ..Counts::default() };
    let longer = (0..50).map(|draw| waits(judge(&Case { counts: many, draw, ..case(&fault) }).next)).max();
    assert!(longer > Some(SECOND * 6));
}

#[test]
fn a_wait_longer_than_the_time_left_ends_the_request() {
    let with_hint = |class| with(class, |fault| fault.wait = Some(MINUTE * 31));
    for fault in [with_hint(Class::RateLimited), with_hint(Class::Overloaded), with_hint(Class::Transient)] {
        assert_eq!(judge(&case(&fault)).next, Next::TooLate(MINUTE * 31), "{:?}", fault.class);
        // A wait as long as the time left is too long: nothing is left for the attempt.
        let case = Case { left: MINUTE * 31, ..case(&fault) };
        assert!(matches!(judge(&case).next, Next::TooLate(_)));
    }
}

#[test]
fn the_servers_own_word_on_retrying_is_taken() {
    for class in [Class::RateLimited, Class::Overloaded, Class::Transient, Class::Ambiguous] {
        let no = with(class, |fault| fault.should_retry = Some(false));
        assert_eq!(judge(&case(&no)).next, Next::Fail, "{class:?}");
    }
    let yes = with(Class::Terminal(Terminal::BadRequest), |fault| fault.should_retry = Some(true));
    assert!(matches!(judge(&case(&yes)).next, Next::Retry(_)));
    let account = with(Class::Terminal(Terminal::Auth), |fault| {
        (fault.should_retry, fault.of_account) = (Some(true), true);
    });
    assert_eq!(judge(&case(&account)).next, Next::Fail, "a refused key stays refused");
}

#[test]
fn a_refusal_inside_a_stream_may_have_cost_something() {
    for class in [Class::RateLimited, Class::Overloaded] {
        let fault = fault(class);
        let verdict = judge(&Case { refused_by_status: false, ..case(&fault) });
        assert_eq!(verdict.settle, Settle::Keep, "{class:?}");
    }
}

/// Remaining amounts in a reply include its own request if it was counted. A refusal for the rate is never counted.
#[test]
fn an_overload_that_tells_the_limits_is_not_given_back_beside_them() {
    for (class, tells_limits, settle) in [
        (Class::Overloaded, false, Settle::Refund),
        (Class::Overloaded, true, Settle::Keep),
        (Class::RateLimited, true, Settle::Refund),
    ] {
        let fault = fault(class);
        assert_eq!(judge(&Case { tells_limits, ..case(&fault) }).settle, settle, "{class:?} {tells_limits}");
    }
}
