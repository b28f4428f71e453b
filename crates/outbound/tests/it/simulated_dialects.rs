//! The manager against a simulator of each dialect: whole answers, streams, refusals with a hint, spent quotas, cut
//! streams.

use outbound::{ErrorKind, Provider, Request, RequestManagerBuilder};
use outbound_simulator::{Fault, Refusal, Simulator};
use serde_json::json;
use tokio::time::Instant;

use crate::stack::{self, provider, s};

/// Providers whose chats have a format of their own, each with the path prefix of its simulated server.
fn chats() -> Vec<(Provider, &'static str)> {
    vec![
        (Provider::gemini(), "http://provider.test/v1beta"),
        (Provider::openai_responses(), "http://provider.test/v1"),
        (Provider::ollama(), "http://provider.test"),
        (Provider::azure_openai(), "http://provider.test"),
    ]
}

fn manager(of: Provider, base: &str, simulator: &Simulator) -> RequestManagerBuilder {
    stack::manager(simulator).provider(of).base_url(base)
}

#[tokio::test(start_paused = true)]
async fn a_plain_answer_is_read_with_its_usage() {
    for (of, base) in chats() {
        let name = of.name();
        let simulator = provider().output_tokens(5..=5).build();
        let manager = manager(of, base, &simulator).build().expect("a manager");
        let outcome = manager.send(Request::prompt("m", "Two rivers?")).await;
        let reply = outcome.result.unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = reply.content().unwrap_or_else(|| panic!("{name}: no text"));
        assert_eq!(text.split(' ').count(), 5, "{name}: {text}");
        assert_eq!(outcome.usage.map(|usage| (usage.input, usage.output)), Some((3, 5)), "{name}");
        assert_eq!(simulator.ledger().tokens(), (3, 5), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_delivered_to_its_end() {
    for (of, base) in chats() {
        let name = of.name();
        let simulator = provider().output_tokens(5..=5).build();
        let manager = manager(of, base, &simulator).build().expect("a manager");
        let mut reply = manager.stream(Request::prompt("m", "Two rivers?"));
        let mut text = String::new();
        while let Some(item) = reply.next().await {
            text.push_str(item.unwrap_or_else(|error| panic!("{name}: {error}")).text());
        }
        assert_eq!(text.split(' ').count(), 5, "{name}: {text}");
        let outcome = reply.outcome().await;
        assert_eq!(outcome.result.expect("an answer").content().as_deref(), Some(text.as_str()), "{name}");
        assert!(simulator.ledger().entries()[0].seen.stream, "{name}");
    }
}

/// The hint is waited for, and the refusal is not charged.
#[tokio::test(start_paused = true)]
async fn a_refusal_with_a_hint_is_tried_again_after_it() {
    for (of, base) in chats() {
        let name = of.name();
        let refusal = Refusal::rate_limited();
        let refusal = if name == "gemini" { refusal.hint(s(7)) } else { refusal.retry_after(s(7)) };
        let simulator = provider().fault_on_attempt(refusal, 1).build();
        let manager = manager(of, base, &simulator).build().expect("a manager");
        let started = Instant::now();
        let outcome = manager.send(Request::prompt("m", "Two rivers?")).await;
        assert!(outcome.result.is_ok(), "{name}: {outcome:?}");
        assert_eq!((outcome.sends, outcome.charged), (2, 1), "{name}");
        let took = started.elapsed();
        assert!(took >= s(7) && took < s(9), "{name}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn geminis_quota_per_day_stops_and_its_quota_per_minute_does_not() {
    let of = Provider::gemini();
    // Google sends a wait of some seconds with it. After that wait the request would be refused again.
    for refusal in [Refusal::quota_spent(), Refusal::quota_spent().hint(s(22))] {
        let simulator = provider().fault(refusal, 1.0).build();
        let stopped = manager(of, "http://provider.test/v1beta", &simulator).build().expect("a manager");
        let error =
            stopped.send(Request::prompt("m", "Two rivers?")).await.result.expect_err("the day is over");
        assert_eq!(error.kind(), ErrorKind::QuotaSpent, "{error}");
        assert_eq!(simulator.ledger().sends(), 1);
    }

    let simulator = provider().requests_per_minute(1).build();
    let goes_on = manager(of, "http://provider.test/v1beta", &simulator).build().expect("a manager");
    let started = Instant::now();
    for _ in 0..2 {
        let outcome = goes_on.send(Request::prompt("m", "Two rivers?")).await;
        assert!(outcome.result.is_ok(), "{outcome:?}");
    }
    assert!(started.elapsed() >= s(60) && started.elapsed() < s(65), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_early_or_reports_an_overload_is_no_answer() {
    for (of, base) in chats() {
        let name = of.name();
        let simulator = provider().fault(Fault::Truncate { after: 3 }, 1.0).build();
        let cut = manager(of, base, &simulator).max_attempts(1).build().expect("a manager");
        let error =
            cut.stream(Request::prompt("m", "Two rivers?")).outcome().await.result.expect_err("it was cut");
        assert_eq!(error.kind(), ErrorKind::StreamBroken, "{name}: {error}");

        let overload = Fault::ErrorEvent { after: 0 };
        let simulator = provider().fault_on_attempt(overload, 1).build();
        let overloaded = manager(of, base, &simulator).build().expect("a manager");
        let outcome = overloaded.stream(Request::prompt("m", "Two rivers?")).outcome().await;
        assert!(outcome.result.is_ok(), "{name}: {outcome:?}");
        // The error of Ollama is a sentence without a code. It counts as a charged failure.
        let charged = if name == "ollama" { 2 } else { 1 };
        assert_eq!((outcome.sends, outcome.charged), (2, charged), "{name}: the action of an overload");
    }
}

#[tokio::test(start_paused = true)]
async fn embeddings_are_an_answer_and_are_counted() {
    let simulator = provider().tokens_per_minute(1_000).build();
    let manager =
        stack::manager(&simulator).provider(Provider::openai_embeddings()).build().expect("a manager");
    let request = Request::post("/embeddings", &json!({ "model": "e", "input": ["hello", "bye"] }));
    let outcome = manager.send(request).await;
    assert_eq!(outcome.usage.map(|usage| (usage.input, usage.output)), Some((2, 0)));
    let body = outcome.result.expect("an answer").json().expect("JSON");
    assert_eq!(body["data"].as_array().map(Vec::len), Some(2));
}
