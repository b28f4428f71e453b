//! The request manager: a batch, a queue and a shutdown, in front of a provider that misbehaves.
//!
//! ```sh
//! cargo run --example request_manager
//! ```
//!
//! It sends real prompts over real sockets to a provider inside this program, which limits, delays, refuses and breaks
//! off. It takes some seconds.

use std::time::Duration;

use outbound::{Outcome, Provider, Request, RequestManager, Usage};
use outbound_examples::{Result, heading};
use outbound_simulator::{Fault, Latency, Refusal, Simulator};
use serde_json::Value;

const PROMPTS: &str = include_str!("data/prompts.jsonl");

#[tokio::main]
async fn main() -> Result {
    let server = provider();
    let address = server.listen("127.0.0.1:0").await?;
    // Only the limits of the key are the caller's to know. All else has a default. The limits in time are shorter than in
    // a real program, so that this one ends soon.
    let manager = RequestManager::builder()
        .provider(Provider::openai_compatible())
        .base_url(format!("http://{address}/v1"))
        .key("a-key")
        .max_concurrent(32)
        .requests_per_minute(6_000)
        .deadline(Duration::from_secs(20))
        .attempt_timeout(Duration::from_secs(2))
        .build()?;

    heading("a batch: outcomes as they complete");
    // One failure never hides the others, and requests are taken from their source as the limits allow.
    let mut batch = manager.batch(prompts(0..60));
    let mut summary = Summary::default();
    while let Some(outcome) = batch.next().await {
        summary.note(&outcome);
    }
    if let Some(why) = batch.stopped() {
        println!("stopped: {}; {} were not sent", why.message, batch.into_rest().requests.len());
    }
    summary.show();

    heading("a queue: tickets for what was handed over");
    let mut tickets = Vec::new();
    for request in prompts(60..80) {
        // Waits where too many have been handed over and have no outcome.
        tickets.push(manager.submit(request).await?);
    }
    // One answer is not wanted any more.
    tickets[19].cancel();
    let mut summary = Summary::default();
    for ticket in tickets {
        summary.note(&ticket.await);
    }
    summary.show();

    heading("a shutdown: what was not sent comes back");
    let mut tickets = Vec::new();
    for request in prompts(80..120) {
        tickets.push(manager.submit(request).await?);
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    let report = manager.shutdown(Duration::from_secs(5)).await;
    println!("{} cut off, {} given back", report.aborted, report.returned.len());
    let mut summary = Summary::default();
    for ticket in tickets {
        summary.note(&ticket.await);
    }
    summary.show();

    let ledger = server.ledger();
    println!("\nthe provider saw {} requests and refused {}", ledger.sends(), ledger.refused());
    server.shutdown().await;
    Ok(())
}

/// Some of the prompts. A line that cannot be read is left out.
fn prompts(range: std::ops::Range<usize>) -> impl Iterator<Item = Request> {
    PROMPTS.lines().skip(range.start).take(range.len()).filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        Some(Request::chat(line.get("body")?).id(line.get("custom_id")?.as_str()?))
    })
}

/// Refuses at times, breaks off at times, and says nothing at all at times.
fn provider() -> Simulator {
    Simulator::builder()
        .seed(7)
        .latency(
            Latency::log_normal(Duration::from_millis(60), Duration::from_millis(600))
                .max(Duration::from_secs(1)),
        )
        .requests_per_minute(6_000)
        .fault(Fault::Refuse(Refusal::rate_limited().retry_after_ms(Duration::from_millis(200))), 0.05)
        .fault(Fault::Refuse(Refusal::status(500)), 0.05)
        .fault(Fault::ResetBeforeHeaders, 0.03)
        .fault(Fault::Silence, 0.02)
        .build()
}

/// What came of many requests.
#[derive(Default)]
struct Summary {
    answers: usize,
    sends: u32,
    tokens: u64,
    failures: Vec<String>,
}

impl Summary {
    fn note(&mut self, outcome: &Outcome) {
        self.sends += outcome.sends;
        self.tokens += outcome.usage.map_or(0, Usage::total);
        match &outcome.result {
            Ok(_) => self.answers += 1,
            Err(error) => self.failures.push(error.kind().to_string()),
        }
    }

    fn show(mut self) {
        println!("{} answers, {} sends, {} tokens", self.answers, self.sends, self.tokens);
        self.failures.sort();
        for kind in self.failures.chunk_by(|one, other| one == other) {
            println!("  {} {}", kind.len(), kind[0]);
        }
    }
}
