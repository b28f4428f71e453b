//! Fewer calls and shorter waits: one call for equal requests, answers that are kept, a second call beside a slow one.
//!
//! ```sh
//! cargo run --example cache_and_hedge
//! ```
//!
//! All three are off by default: a model that is asked twice may answer twice, and a call that is made twice may be paid
//! for twice. It runs on tokio's paused clock, over a pipe in memory.

use std::{future::ready, time::Duration};

use futures::future::join_all;
use outbound::{
    Client, Hedging, Origin, Outcome, Provider, Request, RequestManager, RequestManagerBuilder, ResponseCache,
};
use outbound_examples::{Result, heading};
use outbound_simulator::{Latency, Simulator};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result {
    println!("(on the paused clock)");
    coalesce().await?;
    cache().await?;
    hedge().await
}

fn builder(server: &Simulator) -> RequestManagerBuilder {
    let server = server.clone();
    RequestManager::builder()
        .provider(Provider::openai_compatible())
        .base_url("http://provider.test/v1")
        .client(Client::builder().connector(move |_: &Origin| ready(Ok(server.connect()))))
}

async fn coalesce() -> Result {
    heading("Equal requests in flight share one call");
    let server = Simulator::builder().latency(Latency::fixed(Duration::from_secs(2))).build();
    let manager = builder(&server).coalesce(true).build()?;
    let outcomes = join_all((0..5).map(|_| manager.send(Request::prompt("small", "Name a river.")))).await;
    for outcome in &outcomes {
        println!("{}", told(outcome));
    }
    println!("5 requests, {} call", server.ledger().sends());
    assert_eq!(server.ledger().sends(), 1);
    Ok(())
}

async fn cache() -> Result {
    heading("Answers are kept: in memory here, in a folder for the next run");
    let server = Simulator::builder().latency(Latency::fixed(Duration::from_secs(2))).build();
    let cache = ResponseCache::memory(1 << 20).max_age(Duration::from_secs(3600));
    let manager = builder(&server).cache(cache).build()?;
    let question = || Request::prompt("small", "Name a river.");
    println!("first:  {}", told(&manager.send(question()).await));
    println!("second: {}", told(&manager.send(question()).await));
    // This one wants an answer of its own.
    println!("fresh:  {}", told(&manager.send(question().fresh()).await));
    tokio::time::advance(Duration::from_secs(3601)).await;
    println!("later:  {}", told(&manager.send(question()).await));
    assert_eq!(server.ledger().sends(), 3);
    Ok(())
}

async fn hedge() -> Result {
    heading("A call that is slower than most is made a second time; the first answer counts");
    // Most calls take half a second, a few take very long.
    let slow_at_times =
        Latency::log_normal(Duration::from_millis(500), Duration::from_secs(6)).max(Duration::from_secs(20));
    for hedged in [false, true] {
        let server = Simulator::builder().seed(5).latency(slow_at_times).output_tokens(8..=8).build();
        // A chat may be billed twice, which has to be allowed. What is idempotent (a GET) may be hedged without.
        let hedging = Hedging::at_percentile(90).budget(10).allow_duplicates();
        let builder = builder(&server);
        let manager = if hedged { builder.hedge(hedging).build()? } else { builder.build()? };
        let mut times = Vec::new();
        for id in 0..200 {
            times.push(manager.send(Request::prompt("small", format!("What is {id} + {id}?"))).await.elapsed);
        }
        times.sort();
        println!(
            "hedged {hedged}: {} calls, 95 of 100 answers within {:.1?}, the slowest {:.1?}",
            server.ledger().sends(),
            times[190],
            times[199]
        );
    }
    Ok(())
}

/// How long an outcome took, and whose call it was.
fn told(outcome: &Outcome) -> String {
    let whose = outcome.reused.map_or("a call of its own", |reused| match reused.as_str() {
        "cache" => "from the cache",
        _ => "the answer of an equal request",
    });
    format!("{:?}, {whose}, {} sends", outcome.elapsed, outcome.sends)
}
