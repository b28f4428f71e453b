//! Several keys.

use bytes::Bytes;
use outbound_simulator::{KeySettings, Latency, Outcome, Plan, Simulator, Workload};
use serde_json::json;
use tokio::time::sleep;

use crate::support::{Client, chat, ms, secs};

async fn with_key(simulator: &Simulator, key: &str) -> Client {
    Client::to(simulator).await.with("authorization", &format!("Bearer {key}"))
}

#[tokio::test(start_paused = true)]
async fn each_key_has_quotas_of_its_own() {
    let simulator = Simulator::builder()
        .requests_per_minute(120)
        .burst(secs(1))
        .key("sk-one")
        .key_with("sk-two", KeySettings::new().requests_per_minute(240))
        .build();
    let mut one = with_key(&simulator, "sk-one").await;
    let mut two = with_key(&simulator, "sk-two").await;
    for remaining in ["1", "0"] {
        let got = one.chat(&chat("a")).await;
        assert_eq!(got.header("x-ratelimit-limit-requests"), Some("120"));
        assert_eq!(got.header("x-ratelimit-remaining-requests"), Some(remaining));
    }
    assert_eq!(one.chat(&chat("a")).await.status, 429);
    for remaining in ["3", "2", "1", "0"] {
        let got = two.chat(&chat("a")).await;
        assert_eq!(got.header("x-ratelimit-limit-requests"), Some("240"));
        assert_eq!(got.header("x-ratelimit-remaining-requests"), Some(remaining));
    }
    let refused = two.chat(&chat("a")).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after-ms")), (429, Some("250")));
    let ledger = simulator.ledger();
    let keys: Vec<_> = ledger.entries().iter().map(|entry| entry.seen.key).collect();
    assert_eq!(keys, [[Some(0); 3].as_slice(), &[Some(1); 5]].concat());
}

#[tokio::test(start_paused = true)]
async fn tokens_are_given_back_to_the_key_they_were_taken_from() {
    let simulator = Simulator::builder()
        .tokens_per_minute(600)
        .output_tokens(10..=10)
        .latency(Latency::fixed(ms(1)))
        .key("sk-one")
        .key("sk-two")
        .build();
    let mut body = chat("hell");
    body["max_tokens"] = json!(500);
    for key in ["sk-one", "sk-two", "sk-one", "sk-two"] {
        // 501 of 600 are held until the end, and 11 are used.
        assert_eq!(with_key(&simulator, key).await.chat(&body).await.status, 200, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_refused_without_limit_headers() {
    let simulator = Simulator::builder().requests_per_minute(60).key("sk-one").key("sk-two").build();
    for key in ["sk-three", ""] {
        let got = with_key(&simulator, key).await.chat(&chat("a")).await;
        assert_eq!(got.status, 401);
        assert_eq!(got.json()["error"]["code"], "invalid_api_key");
        assert_eq!(got.header("x-ratelimit-limit-requests"), None);
    }
    let mut client = Client::to(&simulator).await.with("x-api-key", "sk-three");
    assert_eq!(client.messages(&chat("a")).await.json()["error"]["type"], "authentication_error");
    assert!(simulator.ledger().entries().iter().all(|entry| entry.seen.key.is_none()));
    assert_eq!(with_key(&simulator, "sk-two").await.chat(&chat("a")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_key_is_refused_from_its_time_on_and_the_other_is_not() {
    let simulator = Simulator::builder()
        .latency(Latency::fixed(secs(2)))
        .key_with("sk-one", KeySettings::new().revoked_at(secs(5)))
        .key("sk-two")
        .build();
    let mut one = with_key(&simulator, "sk-one").await;
    sleep(secs(4)).await;
    // It was admitted before the key was revoked.
    assert_eq!(one.chat(&chat("a")).await.status, 200);
    assert_eq!(simulator.elapsed(), secs(6));
    assert_eq!(one.chat(&chat("a")).await.status, 401);
    assert_eq!(simulator.ledger().entries()[1].seen.key, Some(0));
    assert_eq!(with_key(&simulator, "sk-two").await.chat(&chat("a")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn the_last_word_on_a_key_counts_and_its_number_stays() {
    let simulator = Simulator::builder()
        .key_with("sk-one", KeySettings::new().requests_per_minute(1))
        .key("sk-two")
        .key_with("sk-one", KeySettings::new().requests_per_minute(5).requests_per_minute(7))
        .build();
    let got = with_key(&simulator, "sk-one").await.chat(&chat("a")).await;
    assert_eq!(got.header("x-ratelimit-limit-requests"), Some("7"));
    with_key(&simulator, "sk-two").await.chat(&chat("a")).await;
    let ledger = simulator.ledger();
    assert_eq!(ledger.entries().iter().map(|entry| entry.seen.key).collect::<Vec<_>>(), [Some(0), Some(1)]);
}

#[tokio::test(start_paused = true)]
async fn limits_of_every_key_change_at_their_time() {
    let simulator = Simulator::builder()
        .key_with("sk-one", KeySettings::new().requests_per_minute(100))
        .key_with("sk-two", KeySettings::new().requests_per_minute(300))
        .scale_limits_at(secs(10), 0.5)
        .build();
    sleep(secs(10)).await;
    for (key, limit) in [("sk-one", "50"), ("sk-two", "150")] {
        let got = with_key(&simulator, key).await.chat(&chat("a")).await;
        assert_eq!(got.header("x-ratelimit-limit-requests"), Some(limit));
    }
}

/// 40 items of 1 s each. Each key may send one a second, and one at once.
#[tokio::test(start_paused = true)]
async fn the_oracle_uses_every_key_for_as_long_as_it_is_good() {
    let time = |keys: &[KeySettings]| {
        let plan = Plan::new(7, 40).latency(Latency::fixed(secs(1)));
        let mut builder = Simulator::builder().requests_per_minute(60).burst(secs(1)).plan(plan);
        for (index, key) in keys.iter().enumerate() {
            builder = builder.key_with(index.to_string(), key.clone());
        }
        let bodies: Vec<_> = (0..40).map(|item| Bytes::from(chat(&Plan::mark(item)).to_string())).collect();
        builder.build().oracle(&bodies, 100, secs(60)).time
    };
    let key = KeySettings::new;
    assert_eq!(time(&[]), secs(40));
    assert_eq!(time(&[key()]), secs(40));
    assert_eq!(time(&[key(), key()]), secs(20));
    // 10 each in the first ten seconds, then 20 more with the other.
    assert_eq!(time(&[key(), key().revoked_at(secs(10))]), secs(30));
    assert_eq!(time(&[key().revoked_at(secs(10))]), std::time::Duration::MAX);
}

#[tokio::test(start_paused = true)]
async fn the_floor_adds_keys_and_the_reference_tells_them_apart() {
    let simulator = Simulator::builder()
        .requests_per_minute(60)
        .burst(secs(1))
        .latency(Latency::fixed(secs(1)))
        .key("sk-one")
        .key("sk-two")
        .build();
    // (62 - 2) / (1 + 1) a second.
    assert_eq!(simulator.floor(&Workload { requests: 62, ..Workload::default() }, None), secs(30));
    let mut one = with_key(&simulator, "sk-one").await;
    let mut two = with_key(&simulator, "sk-two").await;
    let (a, b) = (chat("a"), chat("b"));
    for _ in 0..3 {
        let (one, two) = tokio::join!(one.chat(&a), two.chat(&b));
        assert_eq!((one.status.as_u16(), two.status.as_u16()), (200, 200));
    }
    assert!(simulator.ledger().entries().iter().all(|entry| entry.outcome == Outcome::Answered));
    assert_eq!(simulator.reference(None), secs(3));
}
