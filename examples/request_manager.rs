//! The request manager: queue, limits, retries, timeouts and the client, composed, in front of providers that misbehave.
//!
//! ```sh
//! cargo run --example request_manager
//! ```
//!
//! It sends 120 real prompts over real sockets to two providers inside this program, which limit, delay, refuse and
//! break off. It takes some seconds.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, future::join_all};
use outbound::{Endpoint, ErrorKind, Outcome, Provider, Request, RequestManager, Usage};
use outbound_examples::{Result, heading};
use outbound_simulator::{Fault, Latency, Refusal, Simulator};
use serde_json::{Value, json};
use tokio::time::Instant;

const PROMPTS: &str = include_str!("data/prompts.jsonl");

#[tokio::main]
async fn main() -> Result {
    let (fast, careful) = (fast_provider(), careful_provider());
    // Only the limits of the key are the caller's to know. All else has a default that survives a bad day; the limits
    // in time are shorter here than anyone would have them, because this program has no minutes to spend.
    let manager = RequestManager::builder()
        .provider(Provider::openai_compatible())
        .base_url(format!("http://{}/v1", fast.listen("127.0.0.1:0").await?))
        .key("fast-key")
        .max_concurrent(32)
        .requests_per_minute(6_000)
        .tokens_per_minute(2_000_000)
        .endpoint(
            "careful",
            Endpoint::new(Provider::anthropic())
                .base_url(format!("http://{}/v1", careful.listen("127.0.0.1:0").await?))
                .key("careful-key")
                .max_concurrent(8),
        )
        .deadline(Duration::from_secs(20))
        .attempt_timeout(Duration::from_secs(2))
        .first_item_timeout(Duration::from_secs(1))
        .idle_timeout(Duration::from_millis(500))
        .build()?;

    let mut summary = Summary::default();
    one(&manager, &mut summary).await?;
    as_completed(&manager, &mut summary).await?;
    in_order(&manager, &mut summary).await;
    several_providers(&manager, &mut summary).await;
    submitted(&manager, &mut summary).await?;
    failures(&manager, &mut summary).await;
    shutdown(&manager).await;

    summary.show(&[("fast", &fast), ("careful", &careful)]);
    fast.shutdown().await;
    careful.shutdown().await;
    a_wrong_key().await
}

/// Speaks as OpenAI does, announces its limits, and goes wrong in every tenth attempt or so.
fn fast_provider() -> Simulator {
    Simulator::builder()
        .seed(7)
        .key("fast-key")
        .requests_per_minute(6_000)
        .tokens_per_minute(2_000_000)
        .latency(Latency::log_normal(Duration::from_millis(60), Duration::from_millis(400)))
        .output_tokens(8..=24)
        .fault(Refusal::status(500), 0.03)
        .fault(Refusal::rate_limited().retry_after_ms(Duration::from_millis(200)), 0.02)
        .fault(Fault::ResetBeforeHeaders, 0.02)
        .fault(Fault::Truncate { after: 3 }, 0.02)
        .fault(Fault::Stall { after: 2 }, 0.02)
        .fault(Fault::Silence, 0.01)
        .build()
}

/// Speaks as Anthropic does, and is overloaded when a request first comes.
fn careful_provider() -> Simulator {
    Simulator::builder()
        .seed(8)
        .key("careful-key")
        .latency(Latency::fixed(Duration::from_millis(100)))
        .fault_on_attempt(Refusal::status(529), 1)
        .build()
}

fn question(model: &str, text: &str) -> Request {
    Request::chat(&json!({"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": text}]}))
        .id(text)
}

async fn one(manager: &RequestManager, summary: &mut Summary) -> Result {
    heading("send: one request, one outcome");
    let outcome = manager.send(question("small", "Name three rivers.")).await;
    summary.add(&outcome);
    let reply = outcome.result?;
    println!("{} after {} send and {:.0?}", reply.status, outcome.sends, outcome.elapsed);
    println!("{}", reply.content().ok_or("a chat completion has a content")?);
    Ok(())
}

async fn as_completed(manager: &RequestManager, summary: &mut Summary) -> Result {
    heading("batch: 120 prompts of a file, outcomes as they complete");
    let requests: Vec<_> = PROMPTS.lines().map(prompt).collect::<Result<_>>()?;
    let (begun, mut first, mut answered) = (Instant::now(), None, 0);
    let mut outcomes = manager.batch(requests);
    while let Some(outcome) = outcomes.next().await {
        first.get_or_insert_with(|| (begun.elapsed(), outcome.index));
        if outcome.sends > 2 {
            println!("  {} took {} sends", outcome.id.as_deref().unwrap_or("?"), outcome.sends);
        }
        answered += usize::from(outcome.result.is_ok());
        summary.add(&outcome);
    }
    let (after, index) = first.ok_or("there are prompts")?;
    println!(
        "the first outcome, of prompt {index}, after {after:.0?}; all {answered} after {:.1?}",
        begun.elapsed()
    );
    assert_eq!(answered, 120, "every prompt is answered, whatever it met on its way");
    Ok(())
}

/// A line of the file, in the shape of an OpenAI batch.
fn prompt(line: &str) -> Result<Request> {
    let line: Value = serde_json::from_str(line)?;
    let id = line["custom_id"].as_str().ok_or("a line has a custom_id")?;
    Ok(Request::chat(&line["body"]).id(id))
}

async fn in_order(manager: &RequestManager, summary: &mut Summary) {
    heading("batch in order: as if they had been sent one after the other, in the time of one");
    let texts: Vec<_> = (1..=8).map(|n| format!("Chapter {n}, please.")).collect();
    let begun = Instant::now();
    let outcomes: Vec<_> =
        manager.batch(texts.iter().map(|text| question("small", text))).in_order().collect().await;
    let ids: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.id.as_deref()).collect();
    println!("{} ... {} after {:.0?}", ids[0], ids[7], begun.elapsed());
    assert_eq!(ids, texts);
    outcomes.iter().for_each(|outcome| summary.add(outcome));
}

async fn several_providers(manager: &RequestManager, summary: &mut Summary) {
    heading("Several providers in one batch, each with its own limits and its own trouble");
    let requests = (1..=6).map(|n| match n % 2 {
        0 => question("small", &format!("fast {n}")),
        _ => question("thoughtful", &format!("careful {n}")).to("careful"),
    });
    let mut outcomes = manager.batch(requests);
    while let Some(outcome) = outcomes.next().await {
        let id = outcome.id.as_deref().unwrap_or("?");
        println!("{id}: {} sends, {:.0?}", outcome.sends, outcome.elapsed);
        assert!(outcome.result.is_ok());
        // Being turned away for an overload is not the request's fault, and not charged to its attempts.
        if id.starts_with("careful") {
            assert_eq!((outcome.sends, outcome.charged), (2, 1));
        }
        summary.add(&outcome);
    }
}

async fn submitted(manager: &RequestManager, summary: &mut Summary) -> Result {
    heading("submit: through the queue, each with a ticket");
    let mut tickets = Vec::new();
    for n in 1..=10 {
        // Waits for room in the queue, not for the outcome.
        tickets.push(manager.submit(question("small", &format!("task {n}"))).await?);
    }
    println!("{} tickets, and time for something else", tickets.len());
    let outcomes = join_all(tickets).await;
    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()));
    println!("all redeemed");
    outcomes.iter().for_each(|outcome| summary.add(outcome));
    Ok(())
}

async fn failures(manager: &RequestManager, summary: &mut Summary) {
    heading("Failures: of one kind each, said once, and at no one else's expense");
    let requests = [
        (Request::chat(&json!({"messages": []})).id("no model"), ErrorKind::Rejected),
        (question("small", "no such endpoint").to("elsewhere"), ErrorKind::Invalid),
        (question("small", "no time").deadline(Duration::from_nanos(1)), ErrorKind::Deadline),
        (Request::chat(&json!({"model": "small", "max_tokens": 9_000_000, "messages": [{"role": "user", "content": "Everything."}]})).id("larger than any minute"), ErrorKind::Impossible),
    ];
    for (request, kind) in requests {
        let outcome = manager.send(request).await;
        summary.add(&outcome);
        if let Err(error) = &outcome.result {
            println!(
                "{}: {error} ({}, {} sends)",
                outcome.id.as_deref().unwrap_or("?"),
                error.kind(),
                outcome.sends
            );
        }
        assert_eq!(outcome.result.err().map(|error| error.kind()), Some(kind));
    }
}

async fn shutdown(manager: &RequestManager) {
    heading("shutdown");
    let report = manager.shutdown(Duration::from_secs(5)).await;
    println!("{} cut off, {} handed back", report.aborted, report.returned.len());
    assert_eq!((report.aborted, report.returned.len()), (0, 0));
}

async fn a_wrong_key() -> Result {
    heading("A wrong key costs two requests, not one per prompt, and the rest comes back");
    let provider = fast_provider();
    let address = provider.listen("127.0.0.1:0").await?;
    let manager = RequestManager::builder()
        .provider(Provider::openai_compatible())
        .base_url(format!("http://{address}/v1"))
        .key("not-the-key")
        .max_concurrent(1)
        .build()?;
    let requests: Vec<_> = PROMPTS.lines().map(prompt).collect::<Result<_>>()?;
    let mut batch = manager.batch(requests);
    let mut outcomes = Vec::new();
    // The first is refused, and the next is the witness that shows whether that holds for all.
    while let Some(outcome) = batch.next().await {
        assert_eq!(outcome.error_kind(), Some(ErrorKind::Auth));
        outcomes.push(outcome);
    }
    let why = batch.stopped().ok_or("a wrong key stops a batch")?;
    let rest = batch.into_rest();
    let source = rest.source.ok_or("it was not read to its end")?;
    let unsent = rest.requests.len() + source.count().await;
    println!("{} failures, {unsent} unsent: {}", outcomes.len(), why.message);
    assert_eq!((outcomes.len(), unsent, provider.ledger().sends()), (2, 118, 2));
    // And no error and no log line shows what the key was.
    assert!(!format!("{manager:?} {outcomes:?}").contains("not-the-key"));
    provider.shutdown().await;
    Ok(())
}

/// What the outcomes add up to.
#[derive(Default)]
struct Summary {
    by_kind: BTreeMap<&'static str, u32>,
    sends: u32,
    refused: u32,
    tokens: u64,
    possible_duplicates: u32,
}

impl Summary {
    fn add(&mut self, outcome: &Outcome) {
        let kind = outcome.result.as_ref().err().map_or("answered", |error| error.kind().as_str());
        *self.by_kind.entry(kind).or_default() += 1;
        self.sends += outcome.sends;
        self.refused += outcome.refused;
        self.tokens += outcome.usage.map_or(0, Usage::total);
        self.possible_duplicates += u32::from(outcome.possible_duplicate);
    }

    /// The outcomes, and beside them what the providers saw: their ledgers.
    fn show(&self, providers: &[(&str, &Simulator)]) {
        heading("Summary");
        println!("outcomes: {:?}", self.by_kind);
        println!(
            "{} sends, {} refused for the rate, {} tokens, {} possible duplicates",
            self.sends, self.refused, self.tokens, self.possible_duplicates
        );
        let mut seen = 0;
        for (name, provider) in providers {
            let ledger = provider.ledger();
            println!(
                "{name}: saw {} sends, answered {}, refused {} for the rate, {} at most at once; {} sent again after an answer",
                ledger.sends(),
                ledger.answered(),
                ledger.refused(),
                ledger.peak_concurrency(),
                ledger.duplicates()
            );
            assert_eq!(ledger.duplicates(), 0, "what was answered is never sent again");
            seen += ledger.sends();
        }
        assert_eq!(self.sends as usize, seen, "the outcomes own up to every send");
    }
}
