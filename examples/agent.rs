//! An agent: it calls tools until it has an answer, goes before a batch that runs beside it, and stays within a budget.
//!
//! ```sh
//! cargo run --example agent
//! ```

use std::time::Duration;

use futures::StreamExt;
use outbound::{ErrorKind, Money, Price, Prices, Provider, Request, RequestManager};
use outbound_examples::{Result, heading};
use outbound_simulator::{Latency, Simulator};
use serde_json::{Value, json};

/// How many steps an agent may take.
const STEPS: usize = 4;

#[tokio::main]
async fn main() -> Result {
    let server = Simulator::builder().latency(Latency::fixed(Duration::from_millis(40))).build();
    let manager = RequestManager::builder()
        .provider(Provider::openai_compatible())
        .base_url(format!("http://{}/v1", server.listen("127.0.0.1:0").await?))
        .key("a-key")
        .max_concurrent(2)
        .prices(Prices::new().model("small", Price::per_million(150.0, 600.0)))
        .budget(Money::dollars(2.0))
        .build()?;

    heading("an agent beside a batch of 40");
    let background = manager.clone();
    let batch = tokio::spawn(async move {
        let requests =
            (0..40).map(|id| Request::prompt("small", format!("Summarise page {id}.")).max_tokens(50));
        background.batch(requests.map(|request| request.tenant("nightly"))).count().await
    });
    let answer = agent(&manager, "Which of Lisbon and Porto is warmer today?").await?;
    println!("{answer}\nspent so far: {}", manager.spent());
    println!("outcomes of the batch: {}", batch.await?);

    heading("until the budget is spent");
    let mut answers = 0;
    let error = loop {
        let outcome = manager.send(Request::prompt("small", "Go on.").max_tokens(200)).await;
        match outcome.result {
            Ok(_) => answers += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Stopped);
    println!("{answers} answers more, then: {error}");
    server.shutdown().await;
    Ok(())
}

/// Asks, runs the tools that are asked for, and asks again with what they said.
async fn agent(manager: &RequestManager, question: &str) -> Result<String> {
    let mut messages = vec![json!({"role": "user", "content": question})];
    for step in 0..STEPS {
        let body = json!({"model": "small", "messages": messages, "tools": tools(), "max_tokens": 100});
        // A person waits for it, so it goes before the batch.
        let request = Request::chat(&body).priority(10).deadline(Duration::from_secs(20));
        let message = manager.send(request).await.result?.json()?["choices"][0]["message"].take();
        let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
        // The simulated model calls no tools: for the sake of the loop, its first words count as a call.
        let calls = if step == 0 && calls.is_empty() { vec![call("Lisbon"), call("Porto")] } else { calls };
        if calls.is_empty() {
            return Ok(message["content"].as_str().unwrap_or_default().to_owned());
        }
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": calls}));
        for call in &calls {
            let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
            let result = temperature(&serde_json::from_str(arguments)?);
            messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": result}));
        }
    }
    Ok(format!("no answer in {STEPS} steps"))
}

fn call(city: &str) -> Value {
    let arguments = json!({"city": city}).to_string();
    json!({"id": city, "type": "function", "function": {"name": "temperature", "arguments": arguments}})
}

/// The one tool there is.
fn temperature(arguments: &Value) -> String {
    let degrees = if arguments["city"] == "Lisbon" { 21 } else { 17 };
    println!("tool: temperature({}) = {degrees}", arguments["city"]);
    degrees.to_string()
}

fn tools() -> Value {
    json!([{"type": "function", "function": {
        "name": "temperature",
        "description": "The temperature in a city now, in degrees",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }}])
}
