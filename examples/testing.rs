//! Tests of one's own: a server in memory, faults, replies from a file, and a provider that misbehaves, on the paused clock.
//!
//! ```sh
//! cargo run --example testing
//! ```
//!
//! Each section is what the body of a `#[tokio::test(start_paused = true)]` would be.

use std::{future::ready, time::Duration};

use outbound::{
    Client, Origin, Outcome, Provider, Request, RequestManager,
    client::{
        Limit, Limits,
        test_kit::{Fault, Faults, Mock, Response, Tape},
    },
};
use outbound_examples::{EchoServer, Result, heading};
use outbound_simulator::Scenario;
use serde_json::Value;
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result {
    println!("(on the paused clock)");
    mock().await?;
    faults().await?;
    tape().await?;
    a_misbehaving_provider().await
}

/// Answers in the test itself, over real HTTP through a pipe.
fn server() -> Mock {
    Mock::new(
        |request| async move { Response::new(format!("you asked for {}", request.uri().path()).into()) },
    )
}

async fn mock() -> Result {
    heading("A server in memory, that keeps what it was asked");
    let server = server();
    let client = Client::builder().base_url("http://api.test").connector(server.clone()).build()?;
    println!("{}", client.get("/models").send().await?.text().await?);
    println!("{} request over {} connection", server.requests().len(), server.connections());
    assert_eq!(server.requests()[0].headers()["host"], "api.test");
    Ok(())
}

async fn faults() -> Result {
    heading("Faults on the way: the first connection says nothing, the second is as it should be");
    let begun = Instant::now();
    let faults = Faults::new(server(), |number| (number == 0).then_some(Fault::Stall { after: 0 }));
    let limits = Limits::new().first_byte(Duration::from_secs(60));
    let client = Client::builder().base_url("http://api.test").connector(faults).limits(limits).build()?;
    let error = client.get("/models").send().await.err().ok_or("it is silent")?;
    println!("{error} (after {:?})", begun.elapsed());
    println!("{}", client.get("/models").send().await?.text().await?);
    assert_eq!(error.limit().map(|(limit, _)| limit), Some(Limit::FirstByte));
    Ok(())
}

async fn tape() -> Result {
    heading("Replies from a file: recorded once, the same from then on");
    let file = std::env::temp_dir().join(format!("outbound-tape-{}.jsonl", std::process::id()));
    let server = EchoServer::start().await?;
    // A URL that does not change, as that of a provider would not.
    let address: std::net::SocketAddr = server.url().trim_start_matches("http://").parse()?;
    let builder = || {
        let resolver = move |_: &str, _: u16| ready(Ok(vec![address]));
        Client::builder().base_url("http://api.test").bearer_auth("a-key").resolver(resolver)
    };
    let recording = builder().layer(Tape::record(&file)?).build()?;
    let recorded: Value = recording.get("/echo").send().await?.json().await?;
    drop(server);
    let replaying = builder().layer(Tape::replay(&file)?).build()?;
    let replayed: Value = replaying.get("/echo").send().await?.json().await?;
    println!("the same reply without the server: {}", recorded == replayed);
    assert!(recorded == replayed);
    Ok(std::fs::remove_file(&file)?)
}

async fn a_misbehaving_provider() -> Result {
    heading("A provider that misbehaves, and a ledger of what it saw");
    let scenario = Scenario::parse(
        r#"
        story = "the port is closed for thirty seconds, and one call in twenty is overloaded"

        [workload]
        requests = 200

        [server]
        latency = "500ms"
        trouble = [{ kind = "refused", from = "5s", to = "35s" }]
        fault = [{ status = 503, retry_after = "2s", chance = 0.05 }]

        [expect]
        answered = 200
        seconds_at_most = 60
        "#,
    )?;
    println!("{}", scenario.story());
    let (provider, begun) = (scenario.server().build(), Instant::now());
    let pipe = provider.clone();
    let manager = RequestManager::builder()
        .provider(Provider::openai_compatible())
        .base_url("http://provider.test/v1")
        .client(Client::builder().connector(move |_: &Origin| {
            let pipe = pipe.clone();
            async move { pipe.dial().await }
        }))
        .max_concurrent(8)
        // Every jitter is drawn from it: the test takes the same course each time.
        .seed(7)
        .build()?;
    let questions = (0..scenario.workload().requests).map(|id| format!("What is {id} + {id}?"));
    let requests = questions.map(|question| Request::prompt("small", question));
    let outcomes: Vec<Outcome> = manager.batch(requests).collect().await;
    let answered = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    let ledger = provider.ledger();
    println!("{answered} answered in {:.0?}", begun.elapsed());
    // Nobody knows whether the calls were processed that were under way when the port closed. Their outcomes say so.
    let possible = outcomes.iter().filter(|outcome| outcome.possible_duplicate).count();
    println!(
        "{} sends; {} billed twice, {possible} possible duplicates",
        ledger.sends(),
        ledger.billed_twice()
    );
    assert_eq!(answered, scenario.expect().answered);
    assert!(ledger.billed_twice() <= possible);
    Ok(())
}
