//! Quotas that others use too.

use bytes::Bytes;
use outbound_simulator::{
    Dimension, KeySettings, Latency, ModelSettings, OtherUsers, Plan, Simulator, Window,
};
use serde_json::json;
use tokio::time::sleep;

use crate::support::{Client, Got, chat, ms, secs};

fn remaining(got: &Got, dimension: &str) -> u64 {
    got.header(&format!("x-ratelimit-remaining-{dimension}")).unwrap().parse().unwrap()
}

fn taken(simulator: &Simulator) -> u64 {
    simulator.ledger().taken_by_others(Dimension::Requests)
}

#[tokio::test(start_paused = true)]
async fn what_remains_falls_by_calls_that_are_not_ours() {
    let others = OtherUsers::calls_per_minute(300).input_tokens(10..=30).output_tokens(5..=5);
    let simulator = Simulator::builder()
        .seed(7)
        .requests_per_minute(600)
        .tokens_per_minute(60_000)
        .output_tokens(20..=20)
        .window(Window::Fixed)
        .other_users(others)
        .build();
    let mut client = Client::to(&simulator).await;
    for ours in 1..=5 {
        sleep(secs(10)).await;
        let got = client.chat(&chat("1234")).await;
        let ledger = simulator.ledger();
        let (calls, tokens) =
            (ledger.taken_by_others(Dimension::Requests), ledger.taken_by_others(Dimension::Tokens));
        assert!((40 * ours..=60 * ours).contains(&calls), "{calls} in {ours}0 s");
        assert!((20 * calls..=30 * calls).contains(&tokens), "{tokens} for {calls}");
        assert_eq!(ledger.taken_by_others(Dimension::OutputTokens), 5 * calls);
        assert_eq!(remaining(&got, "requests"), 600 - ours - calls);
        // The head is written before our own tokens are settled, and nothing is given back.
        assert_eq!(remaining(&got, "tokens"), 60_000 - 21 * ours - tokens);
    }
    assert_eq!(simulator.ledger().sends(), 5);
}

#[tokio::test(start_paused = true)]
async fn refusals_come_earlier() {
    let mut refused = Vec::new();
    for calls in [0, 300, 600, 6_000] {
        let simulator = Simulator::builder()
            .requests_per_minute(600)
            .burst(secs(1))
            .other_users(OtherUsers::calls_per_minute(calls))
            .build();
        let mut client = Client::to(&simulator).await;
        for _ in 0..480 {
            client.chat(&chat("a")).await;
            sleep(ms(125)).await;
        }
        let ledger = simulator.ledger();
        let used = ledger.answered() as u64 + taken(&simulator);
        assert!(used <= 610, "{used} with {calls}");
        // The others get all that they ask for, and this client gets the rest.
        let asked = calls.min(600) as f64;
        assert!((taken(&simulator) as f64 / asked.max(1.0) - 1.0).abs() < 0.1 || calls == 0);
        refused.push(ledger.refused());
    }
    assert_eq!(refused[0], 0);
    assert!(refused.is_sorted() && (120..240).contains(&refused[1]) && refused[3] > 465, "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn their_calls_depend_on_the_seed_and_not_on_who_asks_when() {
    let with = |seed| Simulator::builder().seed(seed).other_users(OtherUsers::calls_per_minute(600)).build();
    let (often, once, reseeded) = (with(7), with(7), with(8));
    let (mut course, mut other) = (Vec::new(), Vec::new());
    for _ in 0..300 {
        sleep(ms(97)).await;
        course.push(taken(&often));
        other.push(taken(&reseeded));
    }
    assert_eq!(course.last(), Some(&taken(&once)));
    assert_ne!(course, other);
    let mut steps: Vec<_> = course.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_unstable();
    // Their calls are not evenly spread: some seconds have none and some have several.
    assert!(steps[0] == 0 && steps[steps.len() - 1] >= 3, "{steps:?}");
}

#[tokio::test(start_paused = true)]
async fn the_average_is_what_was_said() {
    for calls in [1_u64, 60, 6_000] {
        let simulator = Simulator::builder().other_users(OtherUsers::calls_per_minute(calls)).build();
        sleep(secs(60 * 60_000 / calls.max(60))).await;
        let expected = 60_000 * calls / calls.max(60);
        let off = taken(&simulator) as f64 / expected as f64 - 1.0;
        assert!(off.abs() < 0.1, "{calls}: {off}");
    }
}

#[tokio::test(start_paused = true)]
async fn they_come_and_go() {
    let others = OtherUsers::calls_per_minute(600).during(secs(10)..secs(20));
    let simulator = Simulator::builder().other_users(others).build();
    sleep(secs(10)).await;
    assert_eq!(taken(&simulator), 0);
    sleep(secs(10)).await;
    let all = taken(&simulator);
    assert!((70..130).contains(&all), "{all}");
    sleep(secs(100)).await;
    assert_eq!(taken(&simulator), all);
}

#[tokio::test(start_paused = true)]
async fn they_use_their_key_and_their_model_alone() {
    let many = || OtherUsers::calls_per_minute(6_000);
    let simulator = Simulator::builder()
        .requests_per_minute(600)
        .key_with("sk-one", KeySettings::new().other_users(many()))
        .key("sk-two")
        .model("large", ModelSettings::new().other_users(many()))
        .model("small", ModelSettings::new())
        .build();
    sleep(secs(60)).await;
    for (key, model, is_used) in [
        ("sk-one", "small", true),
        ("sk-one", "large", true),
        ("sk-two", "small", false),
        ("sk-two", "large", true),
    ] {
        let mut client = Client::to(&simulator).await.with("authorization", &format!("Bearer {key}"));
        let mut body = chat("a");
        body["model"] = json!(model);
        let remaining = remaining(&client.chat(&body).await, "requests");
        assert_eq!(remaining < 10, is_used, "{key} {model}: {remaining}");
    }
}

/// The best time is that of a client that has the quotas alone.
#[tokio::test(start_paused = true)]
async fn the_oracle_knows_nothing_of_them() {
    for calls in [0, 60_000] {
        let plan = Plan::new(7, 20).latency(Latency::fixed(secs(1)));
        let others = OtherUsers::calls_per_minute(calls);
        let simulator = Simulator::builder()
            .requests_per_minute(60)
            .burst(secs(1))
            .plan(plan)
            .other_users(others)
            .build();
        let bodies: Vec<_> = (0..20).map(|item| Bytes::from(chat(&Plan::mark(item)).to_string())).collect();
        assert_eq!(simulator.oracle(&bodies, 10, secs(60)).time, secs(20));
        sleep(secs(60)).await;
        assert_eq!(simulator.oracle(&bodies, 10, secs(60)).time, secs(20));
    }
}

/// Calls wait in their order, and a call that is larger than the limit is dropped.
#[tokio::test(start_paused = true)]
async fn who_finds_no_room_takes_the_first_there_is() {
    for window in [Window::Bucket, Window::Fixed, Window::Log] {
        let others = OtherUsers::calls_per_minute(600).output_tokens(10..=10).during(secs(0)..secs(10));
        let simulator = Simulator::builder()
            .tokens_per_minute(600)
            .burst(secs(1))
            .window(window)
            .other_users(others.clone())
            .charge_refused()
            .build();
        // About 100 calls in ten seconds, of which one a second has room.
        sleep(secs(40)).await;
        let half = taken(&simulator);
        assert!((40..=41).contains(&half), "{window:?}: {half}");
        sleep(secs(160)).await;
        let all = taken(&simulator);
        assert!((70..130).contains(&all), "{window:?}: {all}");
        let small = Simulator::builder().tokens_per_minute(9).other_users(others).build();
        sleep(secs(60)).await;
        assert_eq!(taken(&small), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn odd_settings_have_a_meaning() {
    #[expect(clippy::reversed_empty_ranges, reason = "it is what is tried")]
    let odd = [
        (OtherUsers::calls_per_minute(0), 0..1),
        (OtherUsers::calls_per_minute(60).during(secs(5)..secs(1)), 0..1),
        (OtherUsers::calls_per_minute(60).input_tokens(9..=2).output_tokens(0..=u64::MAX), 1..100),
        // The rate is bounded.
        (OtherUsers::calls_per_minute(u64::MAX), 90_000..110_000),
    ];
    for (others, expected) in odd {
        let simulator = Simulator::builder().other_users(others.clone()).build();
        sleep(secs(10)).await;
        assert!(expected.contains(&taken(&simulator)), "{others:?}: {}", taken(&simulator));
    }
}
