//! The defaults.

use outbound_simulator::{LimitHeaders, Simulator};
use serde_json::json;

use crate::support::{Client, chat, secs, streamed};

/// The table in the documentation of `Builder`, in its order. Times and wall clock are asserted by their effect.
#[test]
fn the_defaults_are_those_in_the_documentation() {
    let shown = format!("{:?}", Simulator::builder());
    for part in [
        "limits: []",
        "changes: []",
        "others: None",
        "burst: 60s",
        "window: Bucket",
        "charging: Settle",
        "charge_refused: false",
        "token_spread: None",
        "plan: None",
        "outages: []",
        "troubles: Troubles([])",
        "bill_unseen: true",
        "headers_at_admission: false",
        "batching: None",
        "dial: 0ns",
        "way_in: Latency { shape: Fixed(0ns),",
        "seed: 0",
        "keys: []",
        "models: {}",
        "limit_headers: All",
        "latency: Latency { shape: Fixed(0ns),",
        "first_token: Latency { shape: Fixed(0ns),",
        "token_time: 0ns",
        "output_tokens: 16..=128",
        "rules: []",
        "idle_close: None",
        "max_body: 33554432",
        "anchor: Wall(1767225600s)",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert_eq!(LimitHeaders::default(), LimitHeaders::All);
}

#[tokio::test(start_paused = true)]
async fn without_settings_everything_is_answered_at_once() {
    let simulator = Simulator::builder().build();
    let mut client = Client::to(&simulator).await;
    for _ in 0..50 {
        assert_eq!(client.chat(&chat("a")).await.status, 200);
        assert_eq!(client.chat(&streamed(chat("a"))).await.status, 200);
    }
    assert_eq!(simulator.elapsed(), secs(0));
}

#[tokio::test(start_paused = true)]
async fn the_last_word_on_a_limit_counts() {
    let simulator = Simulator::builder().requests_per_minute(1).requests_per_minute(3).build();
    let got = Client::to(&simulator).await.chat(&chat("a")).await;
    assert_eq!(got.header("x-ratelimit-limit-requests"), Some("3"));
}

#[tokio::test(start_paused = true)]
async fn limits_change_at_their_time() {
    let simulator = Simulator::builder()
        .requests_per_minute(600)
        .burst(secs(1))
        .scale_limits_at(secs(45), 2.0)
        .scale_limits_at(secs(25), 0.5)
        .build();
    let mut client = Client::to(&simulator).await;
    for (until, limit) in [(0, "600"), (24, "600"), (25, "300"), (44, "300"), (46, "1200"), (60, "1200")] {
        tokio::time::sleep(secs(until).saturating_sub(simulator.elapsed())).await;
        let got = client.chat(&chat("a")).await;
        assert_eq!(got.header("x-ratelimit-limit-requests"), Some(limit), "at {until} s");
        let remaining: u64 = got.header("x-ratelimit-remaining-requests").unwrap().parse().unwrap();
        assert_eq!(remaining, limit.parse::<u64>().unwrap() / 60 - 1);
    }
}

#[tokio::test(start_paused = true)]
async fn odd_settings_have_a_meaning() {
    for (speed, at_least) in [(f64::NAN, 0), (-1.0, 0), (0.0, 0), (f64::INFINITY, 0), (1e-3, 1_000)] {
        let simulator = Simulator::builder().tokens_per_second(speed).output_tokens(1..=1).build();
        Client::to(&simulator).await.chat(&chat("a")).await;
        assert_eq!(simulator.elapsed(), secs(at_least), "{speed}");
    }
    #[expect(clippy::reversed_empty_ranges, reason = "it is what is tried")]
    for range in [0..=0, 5..=2, 0..=u64::MAX] {
        let simulator = Simulator::builder().output_tokens(range).build();
        let mut body = chat("a");
        body["max_tokens"] = json!(3);
        let output =
            Client::to(&simulator).await.chat(&body).await.json()["usage"]["completion_tokens"].as_u64();
        assert!((1..=3).contains(&output.unwrap()));
    }
    let simulator = Simulator::builder().requests_per_minute(0).scale_limits_at(secs(0), f64::NAN).build();
    let got = Client::to(&simulator).await.chat(&chat("a")).await;
    assert_eq!((got.status.as_u16(), got.header("retry-after")), (429, None));
}
