//! Tests of metrics: operations and attempts have different names.

use outbound::{ErrorKind, Request};
use outbound_simulator::Refusal;
use std::time::Duration;

use crate::stack::{Sdk, body, chat, manager, provider};

const OF: &str = "gen_ai.operation.name=chat gen_ai.provider.name=mistral_ai gen_ai.request.model=test";
const SERVER: &str = "server.address=provider.test server.port=80";

#[tokio::test(start_paused = true)]
async fn operations_and_attempts_are_counted_apart() {
    let sdk = Sdk::new();
    let simulator = provider().fault_on_attempt(Refusal::status(500), 1).build();
    let manager = manager(&simulator).observer(sdk.observer()).build().expect("a manager");
    let outcome = manager.send(Request::chat(&body(true))).await;
    let usage = outcome.usage.expect("tokens are told");
    assert!(outcome.result.is_ok());
    let metrics = sdk.metrics();
    let one = |name: &str, attributes: &str| {
        let points = metrics.get(name).unwrap_or_else(|| panic!("{name} is not in {:?}", metrics.keys()));
        *points.get(attributes).unwrap_or_else(|| panic!("{attributes} is not in {points:#?}"))
    };
    let (all, unknown) = (format!("{OF} {SERVER}"), "gen_ai.token.modality=unknown");
    let (count, sum) = one("gen_ai.client.inference.duration [s]", &all);
    assert_eq!(count, 1);
    assert!((sum - outcome.elapsed.as_secs_f64()).abs() < 1e-6, "{sum} {:?}", outcome.elapsed);
    // From the beginning of the operation, so it includes the first attempt and the wait.
    let (count, sum) = one("gen_ai.client.inference.time_to_first_chunk [s]", &all);
    let second = outcome.attempts[1].after.as_secs_f64();
    assert_eq!(count, 1);
    assert!((sum - second - 0.2).abs() < 0.02, "{sum} {second}");
    for (name, expected) in [
        ("usage.input_tokens", usage.input),
        ("usage.output_tokens", usage.output),
        ("usage.cache_read.input_tokens", usage.cached),
        ("usage.cache_write.input_tokens", 0),
        ("usage.reasoning.output_tokens", usage.reasoning),
    ] {
        let (operation, rest) = OF.split_once(' ').expect("two");
        let (provider, model) = rest.split_once(' ').expect("two");
        let attributes = format!("{operation} {provider} {model} {unknown} {SERVER}");
        let (_, sum) = one(&format!("gen_ai.client.inference.{name} [{{token}}]"), &attributes);
        assert_eq!(sum, expected as f64, "{name}");
    }
    let (count, sum) = one("gen_ai.client.inference.operation.output_tokens [{token}]", &all);
    assert_eq!((count, sum), (1, usage.output as f64));
    let attempt = "outbound.client.attempt.duration [s]";
    let failed = format!("error.type=server_error {OF} http.response.status_code=500 {SERVER}");
    let answered = format!("{OF} http.response.status_code=200 {SERVER}");
    assert_eq!((one(attempt, &failed).0, one(attempt, &answered).0), (1, 1));
    let (_, waited) = one("outbound.client.wait.duration [s]", &format!("{OF} outbound.wait.reason=backoff"));
    assert!((waited - outcome.waited.as_secs_f64()).abs() < 0.01, "{waited} {:?}", outcome.waited);
    for old in ["gen_ai.client.operation.duration [s]", "gen_ai.client.token.usage [{token}]"] {
        assert!(!metrics.contains_key(old), "{old}");
    }
    let seconds = sdk.bounds("gen_ai.client.inference.duration");
    assert_eq!((seconds.first(), seconds.last(), seconds.len()), (Some(&0.01), Some(&81.92), 14));
    assert!(
        seconds.is_sorted_by(|one, next| (one * 2.0 - next).abs() < 1e-9),
        "each is twice the last: {seconds:?}"
    );
    let tokens = sdk.bounds("gen_ai.client.inference.operation.output_tokens");
    assert!(
        tokens[0] == 1.0 && tokens.is_sorted_by(|one, next| one * 4.0 == *next),
        "powers of 4: {tokens:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_has_its_kind_and_counts_no_tokens() {
    let sdk = Sdk::new();
    let simulator = provider().fault_when(|_| Some(Refusal::status(400).into())).build();
    let manager = manager(&simulator).observer(sdk.observer()).build().expect("a manager");
    assert_eq!(manager.send(chat()).await.error_kind(), Some(ErrorKind::Rejected));
    assert!(tokio::time::timeout(Duration::from_millis(100), manager.send(chat())).await.is_err());
    tokio::task::yield_now().await;
    let metrics = sdk.metrics();
    let operations = &metrics["gen_ai.client.inference.duration [s]"];
    let of = |error: &str| operations[&format!("error.type={error} {OF} {SERVER}")];
    assert_eq!((of("rejected").0, of("shut_down").0, operations.len()), (1, 1, 2));
    let input: f64 =
        metrics["gen_ai.client.inference.usage.input_tokens [{token}]"].values().map(|(_, sum)| sum).sum();
    assert_eq!(input, 0.0);
    assert!(!metrics.contains_key("gen_ai.client.inference.operation.input_tokens [{token}]"));
}

/// A request that is not a chat has its own metrics.
#[tokio::test(start_paused = true)]
async fn embeddings_and_other_requests_are_told_from_chats() {
    let sdk = Sdk::new();
    let simulator = provider().build();
    let manager = manager(&simulator).observer(sdk.observer()).build().expect("a manager");
    let embed = serde_json::json!({"model": "e", "input": "a river"});
    let _ = manager.send(Request::post("/embeddings", &embed)).await;
    let _ = manager.send(Request::get("/models")).await;
    let metrics = sdk.metrics();
    let point = |name: &str| metrics[name].keys().next().expect("a point").clone();
    assert!(point("gen_ai.client.embeddings.duration [s]").contains("gen_ai.operation.name=embeddings"));
    assert!(point("gen_ai.client.operation.duration [s]").contains("gen_ai.operation.name=other"));
    assert!(!metrics.contains_key("gen_ai.client.inference.duration [s]"));
    assert!(!metrics.contains_key("gen_ai.client.inference.usage.input_tokens [{token}]"));
}

#[tokio::test(start_paused = true)]
async fn the_names_of_1_41_are_in_place_of_the_new_ones() {
    let sdk = Sdk::new();
    let simulator = provider().build();
    let manager = manager(&simulator).observer(sdk.observer_of_1_41()).build().expect("a manager");
    let outcome = manager.send(Request::chat(&body(true))).await;
    let usage = outcome.usage.expect("tokens are told");
    let metrics = sdk.metrics();
    let names: Vec<_> =
        metrics.keys().map(String::as_str).filter(|name| name.starts_with("gen_ai")).collect();
    let expected = [
        "gen_ai.client.operation.duration [s]",
        "gen_ai.client.operation.time_to_first_chunk [s]",
        "gen_ai.client.token.usage [{token}]",
    ];
    assert_eq!(names, expected);
    let tokens = &metrics["gen_ai.client.token.usage [{token}]"];
    let of = |kind: &str| tokens[&format!("{OF} gen_ai.token.type={kind} {SERVER}")];
    assert_eq!((of("input"), of("output")), ((1, usage.input as f64), (1, usage.output as f64)));
}
