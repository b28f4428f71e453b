//! Other ways: another model, another provider, another key.
//!
//! ```sh
//! cargo run --example fallback
//! ```
//!
//! Three providers run inside this program: one is overloaded, one has no money left, one is well.

use std::time::Duration;

use outbound::{Endpoint, ErrorKind, Outcome, Provider, Request, RequestManager, Route};
use outbound_examples::{Result, heading};
use outbound_simulator::{Fault, Latency, Refusal, Simulator};

#[tokio::main]
async fn main() -> Result {
    let overloaded = failing(Refusal::status(503).retry_after(Duration::from_secs(30)));
    let spent = failing(Refusal::quota_spent());
    let well = Simulator::builder().latency(Latency::fixed(Duration::from_millis(50))).build();

    heading("fallbacks, by kind of failure");
    let manager = RequestManager::builder()
        .default_endpoint(endpoint(&overloaded).await?)
        .endpoint("other", endpoint(&spent).await?)
        .endpoint("local", endpoint(&well).await?)
        // For every request that names no fallbacks of its own.
        .fallback(Route::to("other").with_model("medium").after(Duration::from_secs(2)))
        .fallback(Route::to("local").with_model("small"))
        .build()?;
    show(&manager.send(Request::prompt("large", "Name a river.")).await);
    let own = Route::to("local").on([ErrorKind::Rejected]);
    let patient = Request::prompt("large", "Name a river.").fallback(own).deadline(Duration::from_secs(1));
    show(&manager.send(patient).await);

    heading("two keys under one name");
    let manager = RequestManager::builder()
        .default_endpoint(endpoint(&spent).await?)
        .another_endpoint(endpoint(&well).await?)
        .build()?;
    let mut batch =
        manager.batch((0..6).map(|id| Request::prompt("small", "Name a river.").id(id.to_string())));
    while let Some(outcome) = batch.next().await {
        show(&outcome);
    }
    println!("{}", manager.snapshot());

    for server in [overloaded, spent, well] {
        server.shutdown().await;
    }
    Ok(())
}

/// On which route a request ended, and what was tried before.
fn show(outcome: &Outcome) {
    let tried = outcome.attempts.iter().map(|attempt| match attempt.failure {
        Some(kind) => format!("route {}: {kind}", attempt.route),
        None => format!("route {}: answered", attempt.route),
    });
    println!("{}", tried.collect::<Vec<_>>().join(", "));
    if let Err(error) = &outcome.result {
        println!("  {error}");
    }
}

fn failing(refusal: Refusal) -> Simulator {
    Simulator::builder().fault(Fault::Refuse(refusal), 1.0).build()
}

async fn endpoint(server: &Simulator) -> Result<Endpoint> {
    let address = server.listen("127.0.0.1:0").await?;
    Ok(Endpoint::new(Provider::openai_compatible()).base_url(format!("http://{address}/v1")).key("a-key"))
}
