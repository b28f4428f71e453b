//! Two managers share the limits of one key: together they send what one may, each as much as it has to do.
//!
//! ```sh
//! cargo run --example shared_quota
//! ```
//!
//! It runs on tokio's paused clock, over a pipe in memory. In a program the two are two processes, and the store is a
//! `FolderQuota` on one machine or a `PostgresQuota` on several.

use std::{future::ready, time::Duration};

use outbound::{
    Client, ErrorKind, Origin, Outcome, Provider, Request, RequestManager, quota_store::MemoryQuota,
};
use outbound_examples::{Result, heading};
use outbound_simulator::{Latency, LimitHeaders, Simulator};
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result {
    println!("(on the paused clock)");

    heading("Each takes the whole limit for its own: some is refused, and one waits long for the other");
    let (server, managers) = two(None)?;
    let (seconds, refused) = run(&server, &managers, [300, 300]).await;
    assert!(seconds > 75.0 && refused > 20, "{refused} were refused in {seconds} s");

    heading("They share it: they send as fast as the key may, and next to nothing is refused");
    let (server, managers) = two(Some(&MemoryQuota::new()))?;
    let (seconds, refused) = run(&server, &managers, [300, 300]).await;
    assert!((55.0..=66.0).contains(&seconds) && refused <= 5, "{refused} were refused in {seconds} s");

    heading("One has little to do: the other gets the rest");
    let (server, managers) = two(Some(&MemoryQuota::new()))?;
    let (seconds, refused) = run(&server, &managers, [30, 570]).await;
    assert!((55.0..=66.0).contains(&seconds) && refused <= 5, "{refused} were refused in {seconds} s");
    Ok(())
}

/// A provider that grants 600 requests a minute and says so in no header, and two managers that have one key.
fn two(store: Option<&MemoryQuota>) -> Result<(Simulator, [RequestManager; 2])> {
    let server = Simulator::builder()
        .key("key-of-both")
        .requests_per_minute(600)
        .burst(Duration::from_secs(1))
        .limit_headers(LimitHeaders::RetryAfter)
        .latency(Latency::fixed(Duration::from_millis(200)))
        .build();
    let build = |seed| {
        let pipe = server.clone();
        let builder = RequestManager::builder()
            .provider(Provider::openai_compatible())
            .base_url("http://provider.test/v1")
            .client(Client::builder().connector(move |_: &Origin| ready(Ok(pipe.connect()))))
            .key("key-of-both")
            .requests_per_minute(600)
            .seed(seed);
        match store {
            Some(store) => builder.quota_store(store.clone()).build(),
            None => builder.build(),
        }
    };
    let managers = [build(1)?, build(2)?];
    Ok((server, managers))
}

/// Both managers send so many requests. Returns the time in seconds, and how many were refused.
async fn run(server: &Simulator, managers: &[RequestManager; 2], requests: [usize; 2]) -> (f64, usize) {
    let began = Instant::now();
    let send = |place: usize| async move {
        let batch = (0..requests[place]).map(|id| Request::prompt("small", format!("Name river {id}.")));
        let outcomes: Vec<Outcome> = managers[place].batch(batch).collect().await;
        let failed = outcomes.iter().filter(|outcome| outcome.result.is_err()).count();
        assert_eq!(failed, 0, "{:?}", outcomes.iter().find_map(Outcome::error_kind) as Option<ErrorKind>);
        began.elapsed().as_secs_f64()
    };
    let (first, second) = tokio::join!(send(0), send(1));
    let refused = server.ledger().refused();
    println!("{} requests in {first:.0} s, {} in {second:.0} s; {refused} refused", requests[0], requests[1]);
    (first.max(second), refused)
}
