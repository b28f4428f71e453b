//! Buckets, and what headers and refusals say about them.

use http::StatusCode;
use outbound_simulator::{Dimension, Latency, LimitHeaders, Outcome, Simulator};
use serde_json::json;
use tokio::time::sleep;

use crate::support::{Client, Got, chat, ms, secs, streamed};

#[tokio::test(start_paused = true)]
async fn openai_headers_count_down_and_a_refusal_says_how_long() {
    let simulator =
        Simulator::builder().requests_per_minute(120).tokens_per_minute(60_000).burst(secs(1)).build();
    let mut client = Client::to(&simulator).await;
    let first = client.chat(&chat("hello")).await;
    assert_eq!(first.header("x-ratelimit-limit-requests"), Some("120"));
    assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("1"));
    assert_eq!(first.header("x-ratelimit-reset-requests"), Some("500ms"));
    assert_eq!(first.header("x-ratelimit-limit-tokens"), Some("60000"));
    assert_eq!(first.header("retry-after"), None);
    client.chat(&chat("hello")).await;
    let refused = client.chat(&chat("hello")).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("retry-after-ms"), Some("500"));
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), Some("0"));
    let error = &refused.json()["error"];
    assert_eq!(error["code"], "rate_limit_exceeded");
    assert_eq!(error["type"], "requests");
    assert!(error["message"].as_str().unwrap().ends_with("Please try again in 500ms."), "{error}");
    sleep(ms(499)).await;
    assert_eq!(client.chat(&chat("hello")).await.status, 429);
    sleep(ms(1)).await;
    assert_eq!(client.chat(&chat("hello")).await.status, 200);
    let ledger = simulator.ledger();
    assert_eq!((ledger.sends(), ledger.answered(), ledger.refused()), (5, 3, 2));
    assert_eq!(ledger.entries()[2].outcome, Outcome::OverQuota(Dimension::Requests));
}

#[tokio::test(start_paused = true)]
async fn anthropic_headers_give_absolute_resets_for_each_dimension() {
    let simulator = Simulator::builder()
        .requests_per_minute(60)
        .tokens_per_minute(6_000)
        .input_tokens_per_minute(3_000)
        .output_tokens_per_minute(3_000)
        .burst(secs(1))
        .build();
    let mut client = Client::to(&simulator).await;
    let mut body = chat("hello");
    body["max_tokens"] = json!(20);
    let first = client.messages(&body).await;
    assert_eq!(first.header("anthropic-ratelimit-requests-limit"), Some("60"));
    assert_eq!(first.header("anthropic-ratelimit-requests-remaining"), Some("0"));
    assert_eq!(first.header("anthropic-ratelimit-requests-reset"), Some("2026-01-01T00:00:01Z"));
    for dimension in ["tokens", "input-tokens", "output-tokens"] {
        for what in ["limit", "remaining", "reset"] {
            let name = format!("anthropic-ratelimit-{dimension}-{what}");
            assert!(first.header(&name).is_some(), "{name}");
        }
    }
    sleep(ms(250)).await;
    let refused = client.messages(&body).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("retry-after-ms"), None);
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
}

#[tokio::test(start_paused = true)]
async fn tokens_are_charged_at_max_tokens_and_settled_by_what_was_used() {
    let simulator = Simulator::builder()
        .tokens_per_minute(600)
        .output_tokens(10..=10)
        .latency(Latency::fixed(ms(1)))
        .build();
    let mut body = chat("hell");
    body["max_tokens"] = json!(500);
    let mut first = Client::to(&simulator).await;
    let mut second = Client::to(&simulator).await;
    let (one, other) = tokio::join!(first.chat(&body), second.chat(&body));
    let (admitted, refused) = if one.status == StatusCode::OK { (one, other) } else { (other, one) };
    assert_eq!((admitted.status, refused.status), (StatusCode::OK, StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(refused.json()["error"]["type"], "tokens");
    assert_eq!(refused.header("x-ratelimit-remaining-tokens"), Some("99"));
    // 1 + 10 were used, so the same request fits again at once.
    let again = first.chat(&body).await;
    assert_eq!(again.status, 200);
    assert_eq!(simulator.ledger().tokens(), (2, 20));
}

#[tokio::test(start_paused = true)]
async fn without_max_tokens_the_longest_answer_is_reserved() {
    let simulator = Simulator::builder()
        .tokens_per_minute(150)
        .output_tokens(1..=100)
        .latency(Latency::fixed(ms(1)))
        .build();
    let mut client = Client::to(&simulator).await;
    // The head of a stream comes before anything is settled.
    let got = client.chat(&streamed(chat("1234"))).await;
    assert_eq!(got.header("x-ratelimit-remaining-tokens"), Some("49"));
}

#[tokio::test(start_paused = true)]
async fn an_impossible_request_is_refused_without_a_wait() {
    let simulator = Simulator::builder().tokens_per_minute(100).build();
    let mut body = chat("hello");
    body["max_tokens"] = json!(1_000);
    let got = Client::to(&simulator).await.chat(&body).await;
    assert_eq!(got.status, 429);
    assert_eq!(got.header("retry-after"), None);
    assert_eq!(got.header("retry-after-ms"), None);
    assert_eq!(
        got.json()["error"]["message"],
        "Request too large for test-model on tokens per min (TPM): Limit 100, Requested 1002."
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_larger_than_the_burst_passes_when_the_bucket_is_full() {
    let simulator =
        Simulator::builder().tokens_per_minute(6_000).burst(secs(1)).output_tokens(200..=200).build();
    let mut client = Client::to(&simulator).await;
    let body = chat("1234");
    assert_eq!(client.chat(&body).await.status, 200);
    let refused = client.chat(&body).await;
    // In debt by 101, and full at 100: 201 tokens at 100 a second.
    assert_eq!(refused.header("retry-after-ms"), Some("2010"));
    assert_eq!(refused.header("x-ratelimit-remaining-tokens"), Some("0"));
    sleep(ms(2_010)).await;
    assert_eq!(client.chat(&body).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_takes_nothing_unless_it_is_charged() {
    async fn refuse_one_then_wait(builder: outbound_simulator::Builder) -> Got {
        let simulator = builder.requests_per_minute(60).burst(secs(1)).build();
        let mut client = Client::to(&simulator).await;
        client.chat(&chat("a")).await;
        sleep(ms(600)).await;
        assert_eq!(client.chat(&chat("b")).await.status, 429);
        sleep(ms(600)).await;
        client.chat(&chat("c")).await
    }
    assert_eq!(refuse_one_then_wait(Simulator::builder()).await.status, 200);
    assert_eq!(refuse_one_then_wait(Simulator::builder().charge_refused()).await.status, 429);
}

#[tokio::test(start_paused = true)]
async fn limits_can_be_kept_quiet() {
    for (headers, retry_after) in [(LimitHeaders::RetryAfter, Some("1")), (LimitHeaders::None, None)] {
        let simulator =
            Simulator::builder().requests_per_minute(60).burst(secs(1)).limit_headers(headers).build();
        let mut client = Client::to(&simulator).await;
        let first = client.chat(&chat("a")).await;
        assert!(first.headers.keys().all(|name| !name.as_str().contains("ratelimit")));
        let refused = client.chat(&chat("b")).await;
        assert_eq!(refused.status, 429);
        assert_eq!(refused.header("retry-after"), retry_after);
        assert_eq!(refused.header("retry-after-ms"), None);
        assert!(!refused.text().contains("try again"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_has_the_longest_wait_of_all_dimensions() {
    let simulator = Simulator::builder()
        .requests_per_minute(60)
        .tokens_per_minute(60)
        .burst(secs(1))
        .output_tokens(29..=29)
        .build();
    let mut client = Client::to(&simulator).await;
    assert_eq!(client.chat(&chat("1234")).await.status, 200);
    let refused = client.chat(&chat("1234")).await;
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert_eq!(simulator.ledger().entries()[1].outcome, Outcome::OverQuota(Dimension::Tokens));
}
