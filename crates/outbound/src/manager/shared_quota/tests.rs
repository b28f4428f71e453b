//! The decisions of the task that fetches chunks: without a store, a limiter or a clock.

use std::time::Duration;

use outbound_limiter::{QuotaDimension, QuotaLimiter};
use tokio::time::Instant;

use super::{
    holding::{Holding, Seen, Step, Units},
    rules::{self, Shared, account_name},
};
use crate::quota_store::{Exchange, Grant, Rule};

const MINUTE: Duration = Duration::from_secs(60);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn limits() -> Vec<Shared> {
    let rule =
        |dimension, amount: u64, burst| Shared { dimension, rule: Rule::rate(amount, MINUTE).burst(burst) };
    vec![rule(QuotaDimension::Requests, 3_000, 60), rule(QuotaDimension::Tokens, 600_000, 12_000)]
}

/// A process that knows its limits, and the start of its time.
fn holding() -> (Holding, Instant) {
    let start = Instant::now();
    let mut holding = Holding::new(7, start);
    assert!(holding.follow(limits()));
    (holding, start)
}

/// So much is in hand, so much waits, and the first needs so much, of requests and tokens.
fn seen(levels: [i128; 2], queued: [u64; 2], first: [u64; 2]) -> Seen {
    let units = |rule: usize| Units {
        level: levels[rule],
        queued: queued[rule],
        first: first[rule],
        remaining: None,
    };
    Seen { units: vec![units(0), units(1)], in_flight: true, waiting: queued[0] > 0 }
}

fn nothing(levels: [i128; 2]) -> Seen {
    Seen { in_flight: false, ..seen(levels, [0, 0], [0, 0]) }
}

fn grant(granted: [u64; 2]) -> Grant {
    Grant {
        granted: granted.into(),
        ttl: ms(1_000),
        next_poll: ms(200),
        pause: None,
        generation: 1,
        holders: 2,
    }
}

fn asks(step: Step) -> Exchange {
    match step {
        Step::Ask(exchange) => exchange,
        Step::Wait(_) => panic!("it waits"),
    }
}

#[track_caller]
fn waits(step: Step) -> Instant {
    match step {
        Step::Ask(exchange) => panic!("it asks: {exchange:?}"),
        Step::Wait(until) => until,
    }
}

#[test]
fn it_asks_for_whole_requests_that_fit_into_a_chunk_and_goes_on_before_the_hand_is_empty() {
    let (mut holding, start) = holding();
    let backlog = |levels| seen(levels, [50, 15_000], [1, 300]);
    let first = asks(holding.step(start, &backlog([0, 0])));
    // A chunk is 6 requests and 1,200 tokens; 1,200 tokens are four of these requests.
    assert_eq!((&first.wanted[..], &first.least[..], first.seq), (&[4, 1_200][..], &[1, 300][..], 1));
    holding.answered(&grant([4, 1_200]), start, start + ms(4));
    waits(holding.step(start + ms(199), &backlog([2, 600])));
    let second = asks(holding.step(start + ms(200), &backlog([2, 600])));
    assert_eq!((&second.used[..], &second.wanted[..]), (&[2, 600][..], &[2, 600][..]));
    assert_eq!(second.least, [0, 0]);
    // Where nothing waits, it wants as much again, and a half more than half in hand is enough.
    holding.answered(&grant([2, 600]), start + ms(200), start + ms(204));
    let third = asks(holding.step(start + ms(400), &nothing([1, 300])));
    assert_eq!((&third.used[..], &third.wanted[..]), (&[3, 900][..], &[3, 900][..]));
    holding.answered(&grant([3, 900]), start + ms(400), start + ms(404));
    waits(holding.step(start + ms(600), &nothing([4, 1_200])));
}

#[test]
fn a_large_request_is_asked_for_as_a_whole() {
    let (mut holding, start) = holding();
    let exchange = asks(holding.step(start, &seen([0, 500], [3, 40_000], [1, 30_000])));
    assert_eq!((&exchange.least[..], &exchange.wanted[..]), (&[1, 29_500][..], &[3, 29_500][..]));
}

#[test]
fn what_is_not_spent_in_time_is_given_back_and_what_was_spent_is_reported_once() {
    let (mut holding, start) = holding();
    let _ = asks(holding.step(start, &seen([0, 0], [2, 600], [1, 300])));
    holding.answered(&grant([2, 600]), start, start);
    assert!(!holding.is_over(start + ms(999)) && holding.is_over(start + ms(1_000)));
    // One of the two was sent.
    holding.took_back(&[1, 300]);
    let back = asks(holding.step(start + ms(1_000), &nothing([0, 0])));
    assert_eq!((&back.used[..], &back.returned[..]), (&[1, 300][..], &[1, 300][..]));
    holding.answered(&grant([0, 0]), start + ms(1_000), start + ms(1_000));
    assert!(!holding.is_over(start + MINUTE));
    assert_eq!(waits(holding.step(start + ms(2_000), &nothing([0, 0]))), start + ms(3_000));
    // The call ended cheaper than it was estimated: that is set against what is used next.
    let cheap = nothing([0, 200]);
    waits(holding.step(start + ms(3_000), &cheap));
    let next = asks(holding.step(start + ms(4_000), &nothing([0, -100])));
    assert_eq!(next.used, [0, 100]);
    // It has been reported, so it is a debt of all.
    assert_eq!(holding.forgive(), [0, 100]);
}

#[test]
fn the_same_is_asked_again_and_the_share_goes_on_meanwhile() {
    let (mut holding, start) = holding();
    let backlog = seen([0, 0], [50, 15_000], [1, 300]);
    let first = asks(holding.step(start, &backlog));
    holding.answered(&grant([4, 1_200]), start, start);
    let lost = asks(holding.step(start + ms(200), &backlog));
    assert_ne!(first.seq, lost.seq);
    assert!(holding.failed(start + ms(200), start + ms(300)), "it is away now");
    assert_eq!(holding.away.since(), Some(start + ms(200)));
    waits(holding.step(start + ms(399), &backlog));
    assert_eq!(asks(holding.step(start + ms(400), &backlog)), lost);
    assert!(!holding.failed(start + ms(400), start + ms(500)), "it was before");
    // Its half of 10,000 tokens a second, and after each minute half of that, but never less than a sixteenth.
    let mut at = start + ms(500);
    let mut got = Vec::new();
    for _ in 0..6 {
        let mut sum = 0;
        for _ in 0..600 {
            at += ms(100);
            sum += holding.credit(at, &backlog)[1];
        }
        got.push(sum as f64 / 60.0);
    }
    for (rate, expected) in got.iter().zip([5_000.0, 2_500.0, 1_250.0, 625.0, 312.5, 312.5]) {
        assert!((rate / expected - 1.0).abs() < 0.03, "{got:?}");
    }
    holding.answered(&grant([4, 1_200]), at, at);
    assert_eq!((holding.away.since(), holding.credit(at + ms(100), &backlog)), (None, vec![0, 0]));
}

#[test]
fn a_store_that_is_silent_counts_as_away_after_half_a_second() {
    let (mut holding, start) = holding();
    let backlog = seen([0, 0], [50, 15_000], [1, 300]);
    let _ = asks(holding.step(start, &backlog));
    assert_eq!(holding.away.waits(start, start + ms(100)), start + ms(500));
    assert_eq!(holding.credit(start + ms(100), &backlog), [0, 0]);
    holding.away.waits(start, start + ms(500));
    holding.credit(start + ms(500), &backlog);
    assert!(holding.credit(start + ms(600), &backlog)[1] > 0);
    assert_eq!(holding.away.since(), None, "nothing has failed yet");
}

#[test]
fn a_refusal_is_told_at_once_and_once_and_a_probe_is_reported_when_its_reply_is_there() {
    let (mut holding, start) = holding();
    let backlog = |levels| seen(levels, [50, 15_000], [1, 300]);
    let _ = asks(holding.step(start, &backlog([0, 0])));
    holding.answered(&grant([4, 1_200]), start, start);
    holding.refused(start + ms(8_050));
    assert!(holding.is_over(start + ms(50)), "nothing in hand is spent any more");
    holding.took_back(&[3, 900]);
    // Not more than ten times a second.
    assert_eq!(waits(holding.step(start + ms(50), &nothing([0, 0]))), start + ms(100));
    let told = asks(holding.step(start + ms(100), &nothing([0, 0])));
    assert_eq!((told.pause, &told.returned[..]), (Some(ms(7_950)), &[3, 900][..]));
    let paused = Grant { pause: Some(ms(7_950)), next_poll: ms(7_950), ..grant([0, 0]) };
    holding.answered(&paused, start + ms(100), start + ms(104));
    holding.refused(start + ms(8_000));
    let at = start + ms(8_050);
    let probe = asks(holding.step(at, &backlog([0, 0])));
    assert_eq!(probe.pause, None);
    holding.answered(&grant([1, 300]), at, at);
    // The probe was sent. Until its reply is there, nothing is asked or reported.
    waits(holding.step(at + ms(1_500), &backlog([0, 0])));
    holding.replied(start);
    waits(holding.step(at + ms(1_600), &backlog([0, 0])));
    holding.replied(at + ms(1));
    assert_eq!(asks(holding.step(at + ms(1_700), &backlog([0, 0]))).used, [1, 300]);
}

/// Its request was cancelled, before it was sent or after.
#[test]
fn a_probe_that_comes_to_nothing_holds_nobody_back() {
    let backlog = |levels| seen(levels, [50, 15_000], [1, 300]);
    for sent in [false, true] {
        let (mut holding, start) = holding();
        let _ = asks(holding.step(start, &backlog([0, 0])));
        holding.answered(&Grant { pause: Some(ms(500)), ..grant([0, 0]) }, start, start);
        let at = start + ms(600);
        let _ = asks(holding.step(at, &backlog([0, 0])));
        holding.answered(&grant([1, 300]), at, at);
        assert_eq!(holding.probing, Some(at));
        let at = at + ms(1_000);
        if sent {
            waits(holding.step(at, &backlog([0, 0])));
            let ended = Seen { in_flight: false, ..backlog([0, 0]) };
            assert_eq!(asks(holding.step(at, &ended)).used, [1, 300]);
        } else {
            holding.took_back(&[1, 300]);
            let back = asks(holding.step(at, &backlog([0, 0])));
            assert_eq!((&back.used[..], &back.returned[..]), (&[0, 0][..], &[1, 300][..]));
        }
        assert_eq!(holding.probing, None);
    }
}

#[test]
fn after_a_pause_a_whole_chunk_is_no_probe() {
    let (mut holding, start) = holding();
    let backlog = seen([0, 0], [50, 15_000], [1, 300]);
    let _ = asks(holding.step(start, &backlog));
    holding.answered(&Grant { pause: Some(ms(500)), ..grant([0, 0]) }, start, start);
    let _ = asks(holding.step(start + ms(600), &backlog));
    holding.answered(&grant([4, 1_200]), start + ms(600), start + ms(600));
    assert_eq!(holding.probing, None);
}

#[test]
fn what_the_provider_has_left_corrects_the_report() {
    for (remaining, scarce, used, returned) in [
        // Between a half and three quarters of what comes in in a second (10,000).
        (6_000, true, 1_200, 0),
        // A twentieth of what is missing, a quarter of what is too much, and at most half of what was used.
        (1_000, true, 1_400, 0),
        (9_500, true, 700, 500),
        (500_000, true, 600, 600),
        // The store had enough, so that nothing is lost by its strictness.
        (9_500, false, 1_200, 0),
    ] {
        let (mut holding, start) = holding();
        let _ = asks(holding.step(start, &seen([0, 0], [50, 15_000], [1, 300])));
        let next_poll = if scarce { ms(200) } else { ms(100) };
        holding.answered(&Grant { next_poll, ..grant([4, 1_200]) }, start, start);
        let mut now = seen([0, 0], [50, 15_000], [1, 300]);
        now.units[1].remaining = Some(remaining);
        let exchange = asks(holding.step(start + ms(200), &now));
        assert_eq!((exchange.used[1], exchange.returned[1]), (used, returned), "{remaining} {scarce}");
    }
}

#[test]
fn other_dimensions_are_another_scope_and_another_amount_is_not() {
    let (mut holding, start) = holding();
    let _ = asks(holding.step(start, &seen([0, 0], [2, 600], [1, 300])));
    holding.answered(&grant([2, 600]), start, start);
    let mut more = limits();
    more[1].rule = Rule::rate(300_000, MINUTE);
    assert!(!holding.follow(more) && holding.over_at().is_some());
    assert!(holding.follow(limits()[..1].to_vec()) && holding.over_at().is_none());
}

#[test]
fn the_last_exchange_gives_all_back() {
    let (mut holding, start) = holding();
    assert_eq!(holding.last(start, &nothing([0, 0])), None);
    let _ = asks(holding.step(start, &seen([0, 0], [2, 600], [1, 300])));
    holding.answered(&grant([2, 600]), start, start);
    holding.took_back(&[1, 300]);
    let last = holding.last(start + ms(10), &nothing([0, 0])).expect("something to say");
    assert_eq!((&last.used[..], &last.returned[..], last.wanted.len()), (&[1, 300][..], &[1, 300][..], 0));
}

#[tokio::test(start_paused = true)]
async fn the_strictest_limit_of_each_dimension_is_shared_and_days_are_not() {
    let (requests, tokens) = (QuotaDimension::Requests, QuotaDimension::Tokens);
    let quota = QuotaLimiter::builder()
        .limit(tokens, MINUTE, 90_000)
        .limit(requests, Duration::from_secs(1), 50)
        .limit(requests, MINUTE, 600)
        .limit(requests, Duration::from_secs(86_400), 10_000)
        .build()
        .expect("a quota");
    let shared = rules::shared(&quota.snapshot().dimensions, 1);
    let rule = |dimension, amount, burst| Shared { dimension, rule: Rule::rate(amount, MINUTE).burst(burst) };
    assert_eq!(shared, [rule(requests, 600, 12), rule(tokens, 90_000, 1_875)]);
    let several = rules::shared(&quota.snapshot().dimensions, 2);
    assert_eq!(several, [rule(requests, 600, 8), rule(tokens, 90_000, 1_275)]);
    let name = account_name("openai", "https://api.example.com", Some("sk-1"));
    assert!(!name.contains("sk-1"), "{name}");
    assert_eq!(
        rules::scope(&name, &shared).name,
        "openai https://api.example.com 0f2c10bf3d128c71 requests/60000ms tokens/60000ms"
    );
    assert_eq!(account_name("openai", "https://api.example.com", None), "openai https://api.example.com -");
}
