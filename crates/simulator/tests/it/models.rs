//! Several models.

use outbound_simulator::{Dimension, KeySettings, Latency, ModelSettings, Outcome, Simulator};
use serde_json::{Value, json};

use crate::support::{Client, chat, ms, secs, streamed};

fn to(model: &str) -> Value {
    let mut body = chat("hello");
    body["model"] = json!(model);
    body
}

#[tokio::test(start_paused = true)]
async fn a_model_with_limits_has_refusals_and_headers_of_its_own() {
    let simulator = Simulator::builder()
        .requests_per_minute(600)
        .burst(secs(1))
        .model("large", ModelSettings::new().requests_per_minute(60))
        .model("small", ModelSettings::new())
        .model("tiny", ModelSettings::new())
        .build();
    let mut client = Client::to(&simulator).await;
    let large = client.chat(&to("large")).await;
    assert_eq!(large.header("x-ratelimit-limit-requests"), Some("60"));
    assert_eq!(large.header("x-ratelimit-remaining-requests"), Some("0"));
    let refused = client.chat(&to("large")).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after-ms")), (429, Some("1000")));
    // The other models share the account of the key, and `large` has taken nothing from it.
    for (model, remaining) in [("small", "9"), ("tiny", "8"), ("small", "7")] {
        let got = client.chat(&to(model)).await;
        assert_eq!(got.status, 200);
        assert_eq!(got.header("x-ratelimit-limit-requests"), Some("600"));
        assert_eq!(got.header("x-ratelimit-remaining-requests"), Some(remaining));
    }
    assert_eq!(simulator.ledger().entries()[1].outcome, Outcome::OverQuota(Dimension::Requests));
}

#[tokio::test(start_paused = true)]
async fn a_model_has_an_account_with_each_key_and_the_limits_it_does_not_set_are_the_keys() {
    let simulator = Simulator::builder()
        .tokens_per_minute(1_000)
        .output_tokens(10..=10)
        .key("sk-one")
        .key_with("sk-two", KeySettings::new().tokens_per_minute(2_000))
        .model("large", ModelSettings::new().requests_per_minute(2))
        .build();
    for (key, tokens) in [("sk-one", "1000"), ("sk-two", "2000")] {
        let mut client = Client::to(&simulator).await.with("authorization", &format!("Bearer {key}"));
        for remaining in ["1", "0"] {
            let got = client.chat(&to("large")).await;
            assert_eq!(got.header("x-ratelimit-limit-tokens"), Some(tokens));
            assert_eq!(got.header("x-ratelimit-remaining-requests"), Some(remaining));
        }
        assert_eq!(client.chat(&to("large")).await.status, 429);
    }
}

#[tokio::test(start_paused = true)]
async fn where_models_are_listed_another_is_not_found() {
    let simulator = Simulator::builder().requests_per_minute(60).model("small", ModelSettings::new()).build();
    let mut client = Client::to(&simulator).await;
    let refused = client.chat(&to("other")).await;
    assert_eq!(refused.status, 404);
    assert_eq!(refused.json()["error"]["code"], "model_not_found");
    let mut body = to("other");
    body["max_tokens"] = json!(5);
    let refused = client.messages(&body).await;
    assert_eq!(refused.status, 404);
    assert_eq!(refused.json()["error"]["type"], "not_found_error");
    // Nothing was charged.
    let got = client.chat(&to("small")).await;
    assert_eq!((got.status.as_u16(), got.header("x-ratelimit-remaining-requests")), (200, Some("59")));
    let ledger = simulator.ledger();
    assert_eq!((ledger.sends(), ledger.admitted()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_model_takes_its_own_time() {
    let simulator = Simulator::builder()
        .latency(Latency::fixed(secs(1)))
        .tokens_per_second(10.0)
        .output_tokens(10..=10)
        .model("small", ModelSettings::new())
        .model("slow", ModelSettings::new().latency(Latency::fixed(secs(4))).tokens_per_second(1.0))
        .model("late", ModelSettings::new().time_to_first_token(Latency::fixed(ms(500))))
        .build();
    let mut client = Client::to(&simulator).await;
    let mut last = secs(0);
    for (model, time) in [("small", ms(2_000)), ("slow", ms(14_000)), ("late", ms(2_500))] {
        for body in [to(model), streamed(to(model))] {
            client.chat(&body).await;
            let now = simulator.elapsed();
            assert_eq!(now - last, time, "{model}");
            last = now;
        }
    }
}
