//! The pieces around one call, without the manager.
//!
//! Client, limits, retry and timeout, for a program that composes them itself. What each is for:
//!
//! | piece | here |
//! |---|---|
//! | [`client`](crate::client) | sends one request; an error status is an error |
//! | [`limiter`](crate::limiter) | at most ten at once, and 500 per minute |
//! | [`retry`](crate::retry), [`verdict`](crate::verdict()) | whether a failure is worth another attempt, and when |
//! | [`timeout`](crate::timeout) | the whole call, with all its waits and attempts, ends after ten minutes |
//!
//! The order matters. The limits are inside the retry: a call that waits for its next attempt holds no permit, and each
//! attempt counts against the rate. The timeout is outside of all of them.
//!
//! ```
//! use std::{error::Error, time::Duration};
//! use outbound::{
//!     Provider, client::{self, Client}, verdict,
//!     limiter::{ConcurrencyLimiter, RateLimiter},
//!     retry::{Retry, Wait},
//!     timeout::TimeoutExt,
//! };
//! use serde_json::{Value, json};
//!
//! const PROVIDER: Provider = Provider::openai();
//! const POLICY: Retry = Retry::attempts(5)
//!     .within(Duration::from_secs(600))
//!     .wait(Wait::exponential(Duration::from_secs(1)).max(Duration::from_secs(30)).full_jitter());
//!
//! struct Api {
//!     client: Client,
//!     permits: ConcurrencyLimiter,     // ConcurrencyLimiter::new(10)
//!     rate: RateLimiter,              // RateLimiter::new(Rate::per_minute(500).burst(10))
//! }
//!
//! impl Api {
//!     async fn ask(&self, body: &Value) -> Result<Value, Box<dyn Error>> {
//!         let again = |error: &client::Error| verdict(error, &PROVIDER);
//!         let answer = POLICY.when(again).call(|_| self.attempt(body));
//!         Ok(answer.timeout(Duration::from_secs(600)).await??)
//!     }
//!
//!     async fn attempt(&self, body: &Value) -> Result<Value, client::Error> {
//!         let _permit = self.permits.acquire().await;
//!         self.rate.acquire(1).await;
//!         self.client.post("/chat/completions").json(body).send().await?.error_for_status().await?.json().await
//!     }
//! }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn Error>> {
//! # use outbound::limiter::Rate;
//! # let refusal = outbound_simulator::Refusal::status(429).retry_after(Duration::from_secs(7));
//! # let simulator = outbound_simulator::Simulator::builder().fault_on_attempt(refusal, 1).build();
//! # let server = simulator.clone();
//! # let connector = move |_origin: &outbound::Origin| { let pipe = server.connect(); async move { Ok(pipe) } };
//! # let client = Client::builder().base_url("http://provider.test/v1").connector(connector).build()?;
//! # let rate = RateLimiter::new(Rate::per_minute(500).burst(10));
//! # let api = Api { client, permits: ConcurrencyLimiter::new(10), rate };
//! # let started = tokio::time::Instant::now();
//! let body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Name three rivers."}]});
//! println!("{}", api.ask(&body).await?["choices"][0]["message"]["content"]);
//! # assert!(started.elapsed() >= Duration::from_secs(7));
//! # assert_eq!(simulator.ledger().sends(), 2);
//! # Ok(())
//! # }
//! ```
