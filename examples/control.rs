//! A manager under way: paused, slowed down, looked at, changed, called off, and brought to its end.
//!
//! ```sh
//! cargo run --example control
//! ```
//!
//! It runs on tokio's paused clock, over a pipe in memory: the times are exact.

use std::{future::ready, time::Duration};

use futures::future::join_all;
use outbound::{
    Client, ErrorKind, ModelLimits, Money, Origin, Price, Prices, Provider, Request, RequestManager,
};
use outbound_examples::{Result, heading};
use outbound_simulator::{Latency, Simulator};
use tokio::time::{Instant, sleep};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result {
    println!("(on the paused clock)");
    let server =
        Simulator::builder().latency(Latency::fixed(Duration::from_secs(1))).output_tokens(8..=8).build();
    let pipe = server.clone();
    let manager = RequestManager::builder()
        .provider(Provider::openai_compatible())
        .base_url("http://provider.test/v1")
        .client(Client::builder().connector(move |_: &Origin| ready(Ok(pipe.connect()))))
        .max_concurrent(4)
        .prices(Prices::new().model("small", Price::per_million(1_000.0, 1_000.0)))
        .build()?;

    let begun = Instant::now();
    let mut tickets = Vec::new();
    for id in 1..=20 {
        let request = Request::prompt("small", "Name a river.").max_tokens(8).id(format!("row {id}"));
        tickets.push(manager.submit(request).await?);
    }

    heading("Paused: what is under way ends, nothing new leaves");
    sleep(Duration::from_millis(500)).await;
    manager.pause();
    sleep(Duration::from_secs(60)).await;
    println!("after a minute of pause: {} of 20 sent", server.ledger().sends());
    assert_eq!(server.ledger().sends(), 4);
    println!("{}", manager.snapshot());
    manager.resume();

    heading("Changed while it runs: from 4 at once to 8");
    manager.set_limits(None, &ModelLimits::new().max_concurrent(8));
    sleep(Duration::from_millis(500)).await;
    println!("{} sent", server.ledger().sends());
    assert_eq!(server.ledger().sends(), 4 + 8);

    heading("Called off: one request, by its id");
    println!("called off: {}", manager.cancel("row 20"));
    manager.set_budget(Money::dollars(5.0));

    heading("Brought to its end: nobody comes in, and all who are inside have their outcome");
    manager.drain().await;
    let outcomes = join_all(tickets).await;
    let answered = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    let cancelled =
        outcomes.iter().filter(|outcome| outcome.error_kind() == Some(ErrorKind::Cancelled)).count();
    println!("{answered} answered, {cancelled} called off, after {:?}", begun.elapsed());
    println!("spent: {}", manager.spent());
    assert_eq!((answered, cancelled), (19, 1));
    Ok(())
}
