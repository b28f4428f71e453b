//! The pieces around one call, without the manager: client, retry, limiter and timeout.
//!
//! ```sh
//! cargo run --example pieces
//! ```
//!
//! The server inside this program refuses the first attempt at each request and limits the rate.

use std::time::Duration;

use futures::future::join_all;
use outbound::{
    Provider,
    client::{self, Client},
    limiter::{ConcurrencyLimiter, Rate, RateLimiter},
    retry::{Retry, Wait},
    timeout::TimeoutExt,
    verdict,
};
use outbound_examples::{Result, heading};
use outbound_simulator::{Latency, Refusal, Simulator};
use serde_json::{Value, json};

const PROVIDER: Provider = Provider::openai_compatible();
const POLICY: Retry = Retry::attempts(5)
    .within(Duration::from_secs(20))
    .wait(Wait::exponential(Duration::from_millis(200)).max(Duration::from_secs(5)).full_jitter());

struct Api {
    client: Client,
    places: ConcurrencyLimiter,
    rate: RateLimiter,
}

impl Api {
    /// One call: retried as the reply says, within 20 seconds in all.
    async fn ask(&self, prompt: &str) -> Result<String> {
        let body =
            json!({"model": "small", "messages": [{"role": "user", "content": prompt}], "max_tokens": 30});
        let again = |error: &client::Error| verdict(error, &PROVIDER);
        let answer =
            POLICY.when(again).call(|_| self.attempt(&body)).timeout(Duration::from_secs(20)).await??;
        Ok(answer["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned())
    }

    /// A call that waits for its next attempt holds no permit, since the limits are inside of the retry.
    async fn attempt(&self, body: &Value) -> Result<Value, client::Error> {
        let _place = self.places.acquire().await;
        self.rate.acquire(1).await;
        self.client.post("/chat/completions").json(body).send().await?.error_for_status().await?.json().await
    }
}

#[tokio::main]
async fn main() -> Result {
    let refusal = Refusal::rate_limited().retry_after_ms(Duration::from_millis(300));
    let server = Simulator::builder()
        .latency(Latency::fixed(Duration::from_millis(30)))
        .fault_on_attempt(refusal, 1)
        .build();
    let address = server.listen("127.0.0.1:0").await?;
    let api = Api {
        client: Client::builder().base_url(format!("http://{address}/v1")).bearer_auth("a-key").build()?,
        places: ConcurrencyLimiter::new(4),
        rate: RateLimiter::new(Rate::per_second(20).burst(4)),
    };
    heading("eight prompts, four at a time, twenty a second, each refused once");
    let prompts: Vec<_> = (0..8).map(|id| format!("What is {id} and {id}?")).collect();
    for (prompt, answer) in prompts.iter().zip(join_all(prompts.iter().map(|prompt| api.ask(prompt))).await) {
        println!("{prompt} {:.60}", answer?);
    }
    println!("{} sends", server.ledger().sends());
    server.shutdown().await;
    Ok(())
}
