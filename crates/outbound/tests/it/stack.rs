//! Helpers of the tests.

use std::time::{Duration, SystemTime};

use outbound::{Client, Outcome, Provider, Request, RequestManager, RequestManagerBuilder};
use outbound_simulator::{Builder, Latency, Simulator};
use serde_json::{Value, json};

pub(crate) const KEY: &str = "sk-canary-0123456789";

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(crate) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A provider without faults, which answers in 200 ms.
pub(crate) fn provider() -> Builder {
    Simulator::builder().seed(11).key(KEY).latency(Latency::fixed(ms(200)))
}

/// A manager that reaches a simulator through pipes in memory. Only address and key are set.
pub(crate) fn manager(simulator: &Simulator) -> RequestManagerBuilder {
    RequestManager::builder()
        .provider(Provider::openai_compatible())
        .base_url("http://provider.test/v1")
        .key(KEY)
        .client(client(simulator))
        .seed(7)
        .wall_clock(SystemTime::UNIX_EPOCH + s(1_767_225_600))
}

pub(crate) fn client(simulator: &Simulator) -> outbound::ClientBuilder {
    let simulator = simulator.clone();
    Client::builder().connector(move |_origin: &outbound::Origin| {
        let pipe = simulator.connect();
        async move { Ok(pipe) }
    })
}

pub(crate) fn chat(id: usize) -> Request {
    Request::chat(&body(id)).id(format!("r{id}"))
}

pub(crate) fn stream(id: usize) -> Request {
    let mut body = body(id);
    body["stream"] = json!(true);
    Request::chat(&body).id(format!("r{id}"))
}

pub(crate) fn body(id: usize) -> Value {
    json!({
        "model": "test",
        "messages": [{"role": "user", "content": format!("What is {id} and {id}?")}],
        "max_tokens": 32,
    })
}

/// Runs a batch with this many requests. Outcomes come in no special order.
pub(crate) async fn run(manager: &RequestManager, requests: usize) -> Vec<Outcome> {
    manager.batch((0..requests).map(chat)).collect().await
}

pub(crate) fn all_succeeded(outcomes: &[Outcome]) {
    for outcome in outcomes {
        assert!(outcome.result.is_ok(), "{outcome:?}");
    }
}
