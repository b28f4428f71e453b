//! Tokens on the screen as they come, through a provider that fails.
//!
//! ```sh
//! cargo run --example streaming
//! ```
//!
//! The first attempt at each prompt goes wrong before its first token: nobody sees that. Then one stream breaks in its
//! middle: what came is on the screen, and the error says that the rest is missing.

use std::{io::Write, time::Duration};

use outbound::{Provider, Request, RequestManager};
use outbound_examples::{Result, heading};
use outbound_simulator::{Fault, Latency, Refusal, Simulator};

#[tokio::main]
async fn main() -> Result {
    let flaky = Simulator::builder()
        .seed(3)
        .time_to_first_token(Latency::fixed(Duration::from_millis(120)))
        .tokens_per_second(60.0)
        .output_tokens(20..=40)
        .fault_on_attempt(Fault::Refuse(Refusal::status(503).retry_after_ms(Duration::from_millis(80))), 1)
        .build();
    let manager = manager(&flaky).await?;
    heading("three prompts, each refused once");
    for city in ["Lisbon", "Porto", "Faro"] {
        let request = Request::prompt("small", format!("What is there to see in {city}?")).max_tokens(60);
        show(&manager, request).await;
    }

    let broken =
        Simulator::builder().seed(4).tokens_per_second(60.0).fault(Fault::Truncate { after: 6 }, 1.0).build();
    let manager = self::manager(&broken).await?;
    heading("a stream that breaks");
    show(&manager, Request::prompt("small", "Tell me a long story.").max_tokens(60)).await;

    heading("a reader that has read enough");
    let mut reply = self::manager(&flaky).await?.stream(Request::prompt("small", "Count to a thousand."));
    for _ in 0..3 {
        if let Some(item) = reply.next().await {
            print!("{}", item?.text());
        }
    }
    // Its connection is closed and its permit is free.
    drop(reply);
    println!(" ...");
    flaky.shutdown().await;
    broken.shutdown().await;
    Ok(())
}

/// Prints a reply as it comes, and how it ended.
async fn show(manager: &RequestManager, request: Request) {
    let mut reply = manager.stream(request);
    while let Some(item) = reply.next().await {
        match item {
            Ok(item) => print!("{}", item.text()),
            // `partial` is all that came before.
            Err(error) => print!(" [{}, {} bytes came]", error.kind(), error.partial().map_or(0, str::len)),
        }
        let _ = std::io::stdout().flush();
    }
    // Attempts, times and tokens follow at the end.
    let outcome = reply.outcome().await;
    println!("\n  {} sends, {:.1} s", outcome.sends, outcome.elapsed.as_secs_f64());
}

async fn manager(server: &Simulator) -> Result<RequestManager> {
    let address = server.listen("127.0.0.1:0").await?;
    let manager = RequestManager::builder()
        .provider(Provider::openai_compatible())
        .base_url(format!("http://{address}/v1"))
        .key("a-key")
        // A stream that says nothing: before its first item, and between two.
        .first_item_timeout(Duration::from_secs(30))
        .idle_timeout(Duration::from_secs(10))
        .build()?;
    Ok(manager)
}
