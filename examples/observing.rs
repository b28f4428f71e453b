//! Seeing what happens: an observer of one's own, metrics for Prometheus, spans for OpenTelemetry.
//!
//! ```sh
//! cargo run --example observing
//! ```
//!
//! It runs on tokio's paused clock, over a pipe in memory. The provider refuses the first attempt at the first prompt.

use std::{future::ready, sync::Mutex, time::Duration};

use opentelemetry::{metrics::MeterProvider as _, trace::TracerProvider as _};
use opentelemetry_sdk::{
    metrics::SdkMeterProvider,
    trace::{InMemorySpanExporter, SdkTracerProvider},
};
use outbound::{
    Client, Event, Metrics, Observer, Origin, Provider, Request, RequestManager, RequestManagerBuilder, Step,
};
use outbound_examples::{Result, heading};
use outbound_otel::OpenTelemetry;
use outbound_simulator::{Fault, Latency, Refusal, Simulator};
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result {
    println!("(on the paused clock)");
    an_observer().await?;
    prometheus().await?;
    opentelemetry().await
}

fn builder() -> RequestManagerBuilder {
    let refusal = Refusal::rate_limited().retry_after(Duration::from_secs(5));
    let server = Simulator::builder()
        .latency(Latency::fixed(Duration::from_secs(1)))
        .fault_when(move |seen| (seen.sequence == 0).then(|| Fault::Refuse(refusal.clone())))
        .output_tokens(8..=8)
        .build();
    RequestManager::builder()
        .provider(Provider::openai_compatible())
        .base_url("http://provider.test/v1")
        .client(Client::builder().connector(move |_: &Origin| ready(Ok(server.connect()))))
        .max_concurrent(1)
}

async fn an_observer() -> Result {
    heading("An observer: each step of each request");
    let manager = builder().observer(Log(Mutex::new(Instant::now()))).build()?;
    let outcome = manager.send(Request::prompt("small", "Name a river.").id("row 1")).await;
    // The outcome tells the same at the end: all attempts, and how each of them ended.
    for attempt in &outcome.attempts {
        println!("attempt after {:?}: {:?}, failure {:?}", attempt.after, attempt.status, attempt.failure);
    }
    assert_eq!(outcome.attempts.len(), 2);
    Ok(())
}

/// Prints each step with the time since the first one.
struct Log(Mutex<Instant>);

impl Observer for Log {
    fn event(&self, event: &Event<'_>) {
        let begun = *self.0.lock().expect("no panic while it is held");
        let id = event.id.unwrap_or("?");
        let step = match event.step {
            Step::Queued => "taken in".to_owned(),
            Step::Admitted => "let through by all limits".to_owned(),
            Step::Sent { attempt } => format!("attempt {attempt} is sent"),
            Step::AttemptEnded { attempt, took, failure, .. } => {
                format!(
                    "attempt {attempt} took {took:?}: {}",
                    failure.map_or("answered", |kind| kind.as_str())
                )
            }
            Step::Waiting { reason, at_least } => format!("waits for {reason}, at least {at_least:?}"),
            Step::Waited { took, .. } => format!("has waited {took:?}"),
            Step::Ended { sends, elapsed, .. } => format!("ended after {elapsed:?} and {sends} sends"),
            other => format!("{other:?}"),
        };
        println!("{:>6.1?} {id}: {step}", begun.elapsed());
    }
}

async fn prometheus() -> Result {
    heading("Metrics: counts and durations, as the page that Prometheus reads");
    let metrics = Metrics::default();
    let manager = builder().observer(metrics.clone()).build()?;
    let requests = (0..20).map(|id| Request::prompt("small", format!("What is {id} + {id}?")));
    let answered = manager.batch(requests).collect::<Vec<_>>().await.len();
    // The whole page is what `GET /metrics` answers.
    let page = metrics.to_string();
    let wanted =
        ["outbound_requests_total", "outbound_attempts_total", "outbound_wait", "outbound_tokens_total"];
    for line in page.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name))) {
        println!("{line}");
    }
    assert_eq!(answered, 20);
    Ok(())
}

async fn opentelemetry() -> Result {
    heading("OpenTelemetry: a span for each request, and one in it for each attempt");
    // The exporter of a real program sends them to a collector. This one keeps them.
    let exporter = InMemorySpanExporter::default();
    let tracers = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let meters = SdkMeterProvider::builder().build();
    let telemetry = OpenTelemetry::new(&meters.meter("example"), tracers.tracer("example"));
    let manager = builder().observer(telemetry).build()?;
    manager.send(Request::prompt("small", "Name a river.")).await.result?;
    for span in exporter.get_finished_spans()? {
        let error = span.attributes.iter().find(|attribute| attribute.key.as_str() == "error.type");
        println!("{}{}", span.name, error.map_or_else(String::new, |error| format!(": {}", error.value)));
    }
    Ok(())
}
