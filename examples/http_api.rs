//! Any HTTP API through the request manager: methods, forms, files, an endless source, and a batch that stops by itself.
//!
//! ```sh
//! cargo run --example http_api
//! ```
//!
//! It talks to a server of its own on the loopback interface, in real time.

use std::{num::NonZeroU32, time::Duration};

use futures::{StreamExt, stream};
use outbound::{
    Cost, Provider, Request, RequestManager, RequestManagerBuilder,
    client::{Method, Multipart},
};
use outbound_examples::{EchoServer, Result, heading};
use serde_json::json;

#[tokio::main]
async fn main() -> Result {
    let server = EchoServer::start().await?;
    bodies(&server).await?;
    source(&server).await?;
    equal_refusals(&server).await
}

/// `Provider::http()` looks into no body: what counts is the status.
fn builder(server: &EchoServer) -> RequestManagerBuilder {
    RequestManager::builder()
        .provider(Provider::http())
        .base_url(server.url())
        // The limits in time, each with a default of its own. The deadline is that of a request with all its attempts.
        .deadline(Duration::from_secs(60))
        .attempt_timeout(Duration::from_secs(20))
        .connect_timeout(Duration::from_secs(5))
        .unreachable_timeout(Duration::from_secs(10))
        .max_pause(Duration::from_secs(600))
        // An order must not be placed twice: what may have arrived is not sent again.
        .retry_ambiguous(false)
}

async fn bodies(server: &EchoServer) -> Result {
    heading("Any method, and any body");
    let manager = builder(server).build()?;
    for request in [
        Request::get("/echo?page=2").header("x-trace", "17"),
        Request::post("/echo", &json!({"city": "Lisbon"})),
        Request::new(Method::PUT, "/echo").form(&[("city", "Lisbon")]),
        Request::new(Method::POST, "/echo").multipart(Multipart::new().text("city", "Lisbon")),
        Request::new(Method::DELETE, "/echo").idempotency_key("order-17".parse()?),
    ] {
        let seen = manager.send(request).await.result?.json()?;
        println!("{} {}, {} bytes", seen["method"], seen["headers"]["content-type"], seen["bytes"]);
    }
    Ok(())
}

async fn source(server: &EchoServer) -> Result {
    heading("An endless source, and nobody knows how many at once");
    let manager = builder(server).auto_concurrency(32).tokens_per_minute(60_000).build()?;
    // The source is read only as fast as requests can leave. A cost says what one of them counts as.
    let requests = stream::iter(1..)
        .map(|id: u32| Request::get("/echo").id(id.to_string()).cost(Cost::request().input_tokens(1)));
    let mut outcomes = manager.batch_stream(requests);
    let mut answered = 0;
    while let Some(outcome) = outcomes.next().await {
        answered += usize::from(outcome.result.is_ok());
        if answered == 200 {
            break;
        }
    }
    println!("{answered} answered; the rest is dropped with its batch");
    Ok(())
}

async fn equal_refusals(server: &EchoServer) -> Result {
    heading("Nothing but the same refusal: the batch stops, and the rest comes back");
    let manager = builder(server).max_concurrent(1).stop_after_equal_refusals(NonZeroU32::new(5)).build()?;
    let mut rows = 0..1000;
    let mut batch = manager.batch(rows.by_ref().map(|row| Request::get(format!("/nowhere/{row}"))));
    let mut failed = 0;
    while let Some(outcome) = batch.next().await {
        failed += usize::from(outcome.result.is_err());
    }
    println!("stopped: {}", batch.stopped().is_some());
    // What was read from the source and not sent, and what was not read.
    let unsent = batch.into_rest().requests.len();
    let left = unsent + rows.len();
    println!("{failed} failed, {left} not sent");
    assert!((5..10).contains(&failed) && failed + left == 1000);
    Ok(())
}
