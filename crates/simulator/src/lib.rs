//! A provider that misbehaves on request: quotas, faults, latencies and a ledger.
//!
//! A client of an LLM provider is tested when all goes well, and fails when the provider refuses, stalls, breaks off or bills
//! twice. Those days cannot be ordered from a real provider.
//!
//! A `Simulator` is an HTTP/1.1 server inside the test. It keeps quotas and sends the headers that go with them, takes its time,
//! goes wrong as it is set up to, and writes down every request that it gets. It shares no code with any client.
//!
//! ```
//! use std::time::Duration;
//! use outbound_simulator::{Fault, Latency, Refusal, Simulator};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() -> std::io::Result<()> {
//!     let simulator = Simulator::builder()
//!         .seed(7)
//!         .requests_per_minute(600)
//!         .tokens_per_minute(90_000)
//!         .latency(Latency::log_normal(Duration::from_millis(800), Duration::from_secs(8)))
//!         .fault(Fault::Stall { after: 3 }, 0.001)
//!         .fault_on_attempt(Refusal::status(503).retry_after(Duration::from_secs(2)), 1)
//!         .build();
//!
//!     // A connection in memory. `listen("127.0.0.1:0")` serves a TCP port.
//!     let mut connection = simulator.connect();
//!     let body = r#"{"model": "any", "messages": [{"role": "user", "content": "Hello!"}]}"#;
//!     let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: any\r\ncontent-length: {}\r\n", body.len());
//!     connection.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await?;
//!     let mut reply = String::new();
//!     connection.read_to_string(&mut reply).await?;
//!     assert!(reply.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
//!     assert!(reply.contains("retry-after: 2\r\n"));
//!
//!     let ledger = simulator.ledger();
//!     assert_eq!(ledger.sends(), 1);
//!     assert_eq!(ledger.entries()[0].outcome.to_string(), "refused 503");
//!     simulator.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! Beside this crate the example needs:
//!
//! ```sh
//! cargo add tokio --features io-util,macros,rt,test-util
//! ```
//!
//! # What is in it
//!
//! | to | use |
//! |---|---|
//! | set a provider up | [`Simulator::builder`] → [`Builder`] |
//! | reach it | [`Simulator::connect`] and [`dial`](Simulator::dial) in memory, [`listen`](Simulator::listen) on TCP |
//! | make it fail | [`Fault`], [`Refusal`], [`Trouble`] |
//! | give keys and models limits of their own | [`KeySettings`], [`ModelSettings`], [`OtherUsers`] |
//! | see what happened | [`Simulator::ledger`] → [`Ledger`], a list of [`Entry`] |
//! | know the best possible time | [`Simulator::oracle`] for a [`Plan`]; [`Simulator::reference`], [`Simulator::floor`] |
//! | read an incident from a file | [`Scenario`]; the folder `scenarios` of this crate has one for each incident of the field |
//!
//! # Dialects
//!
//! The path decides. All but embeddings answer whole and as a stream.
//!
//! | `POST {any prefix}` and | dialect | a stream is | and ends with |
//! |---|---|---|---|
//! | `/chat/completions` | OpenAI | events | `[DONE]` |
//! | `/responses` | OpenAI | named events | `response.completed`, `response.incomplete` |
//! | `/embeddings` | OpenAI | not there | |
//! | `/messages` | Anthropic | named events | `message_stop` |
//! | `/openai/deployments/{deployment}/chat/completions?api-version=..` | Azure OpenAI | events | `[DONE]` |
//! | `/models/{model}:generateContent`, `:streamGenerateContent` | Gemini | a JSON array, or events with `alt=sse` | a `finishReason` |
//! | `/api/chat` | Ollama | a JSON text a line | `done: true` |
//!
//! # Which setting for which trouble
//!
//! | trouble in the field | here |
//! |---|---|
//! | limits per minute, announced or not | [`Builder::requests_per_minute`], [`Builder::tokens_per_minute`], [`LimitHeaders`] |
//! | several keys, models with limits and times of their own, a key that is revoked | [`Builder::key_with`], [`Builder::model`] |
//! | a fault of one key, one model or one path | [`KeySettings::fault`], [`ModelSettings::fault`], [`Builder::fault_when`] |
//! | quotas that others use too | [`Builder::other_users`], [`KeySettings::other_users`] |
//! | limits that change during a run | [`Builder::scale_limits_at`] |
//! | waits in seconds, in milliseconds, as a date, in a message; waits of two days | [`Refusal::retry_after`] and its neighbours |
//! | money spent, traffic growing too fast | [`Refusal::quota_spent`], [`Refusal::slow_down`] |
//! | minutes of overload | [`Builder::fault_during`] with `Refusal::status(529)`, [`Builder::outage`] |
//! | a stream that stops half-way, or before it starts | [`Fault::Stall`] |
//! | a stream that ends as if it were whole | [`Fault::Truncate`] |
//! | an overload inside a status of 200 | [`Fault::ErrorEvent`] |
//! | a generation kept alive by comments, dead or slow | [`Fault::KeepAlive`] |
//! | a server that never answers | [`Fault::Silence`] |
//! | connections reset before or within the reply | [`Fault::ResetBeforeHeaders`], [`Fault::ResetAfterHeaders`] |
//! | pooled connections closed behind the client's back | [`Builder::close_idle_after`] |
//! | a proxy's page of HTML, replies that are not JSON | [`Refusal::html`], [`Fault::BadJson`] |
//! | requests sent after they were answered, or billed twice | [`Ledger::duplicates`], [`Ledger::billed_twice`] |
//! | a server that restarts, a network that drops packets, names and certificates that fail | [`Builder::trouble`] |
//! | estimates that are charged, corrected or not; windows and logs in the place of buckets | [`Builder::charging`], [`Builder::window`] |
//! | a server that batches, each call slower with more in flight, and 503 when its queue is full | [`Builder::batching`] |
//! | a batch that takes longer than it must | [`Simulator::oracle`] for a [`Plan`]; [`Simulator::reference`], [`Simulator::floor`] |
//!
//! # Guarantees
//!
//! - **Time.** All time is tokio's. Over [`Simulator::connect`] and with the clock paused an hour of quota takes no time. The
//!   wall clock is tokio's too, from a fixed start ([`Builder::wall_clock`]).
//! - **The same run again.** Two runs of one client with one seed leave the same ledger ([`Ledger::digest`]). All chance is
//!   drawn by seed, body and number of the attempt. So the second attempt at some request meets the same fault and the same
//!   latency in every run, whatever else is sent and in whatever order. An answer depends on the seed and the body only.
//!   (Logarithms are the platform's, so times drawn from [`Latency::log_normal`] may differ in the last digit between
//!   platforms.)
//! - **The order of things.** A request that has been read to its end is entered in the ledger. Then path, method, size, key
//!   and form are checked. The quotas admit it or refuse it, in all dimensions or in none. A fault is chosen. Time passes.
//!   The request is answered or goes wrong, and what was reserved beyond the bill is given back. A request counts against the
//!   limit of requests from its admission on, whatever becomes of it.
//! - **Tokens.** Four characters of the prompt's text are one token, rounded up. Each word of an answer is one token. The same
//!   count is charged to the quotas, reported as usage and billed in the ledger. Images and tools count nothing.
//! - **Cancel safety.** A client that leaves closes its entry as abandoned, and its reservation is settled.
//!   [`Simulator::shutdown`] and dropping the last handle end all tasks and connections.
//! - **Panics.** Building cannot fail. [`Simulator::connect`] panics outside a tokio runtime.
//! - **Secrets.** No key is in the ledger, so it can be shown to anyone.
//!
//! # What it does not do
//!
//! - It does not speak HTTP/2 or TLS. [`Trouble::TlsBroken`] stands in for a certificate that is refused.
//! - It makes one answer of words: no further choices (`n`), no calls of tools, no images.
//! - It is not fair to waiting requests: nobody waits for a quota. What finds no room is refused at once.
//!
//! # Coming from mocks, recordings and proxies
//!
//! | there | here |
//! |---|---|
//! | `respx`, `aioresponses`, `wiremock`: a reply for each request | answers are made from the request; [`Builder::fault_when`] for a certain one |
//! | `responses.add(.., status=429)`, then 200 | [`Builder::fault_on_attempt`] |
//! | `assert_called_once`, `call_count`, `requests_received` | [`Ledger::sends`], [`Ledger::duplicates`], [`Ledger::entries`] |
//! | `freezegun`, `time-machine` | tokio's paused clock |
//! | VCR, `vcrpy`: a recording | not offered; the test kit of `outbound-client` plays replies from a file |
//! | toxiproxy, `tc netem` | [`Trouble`], [`Latency`], [`Fault`] |
//! | `litellm`'s `mock_response` | an answer of words, with usage, limits and headers |
//! | a staging key of the real provider | this crate, and [`Builder::other_users`] for those who share the key |
//!
//! # Cost
//!
//! It is for tests and benches, and not made to be fast. Each request leaves an entry in the ledger, which stays in memory until
//! the simulator is dropped. There are no features.
#![forbid(unsafe_code)]

mod accounts;
mod answer;
mod batching;
mod best;
mod body;
mod bucket;
mod builder;
mod connection;
mod dialect;
mod draw;
mod exchange;
mod fault;
mod keys;
mod latency;
mod ledger;
mod meter;
mod models;
mod oracle;
mod others;
mod plan;
mod prose;
mod provider;
mod quota;
mod refusal;
mod reply;
mod scenario;
mod script;
mod service;
mod simulator;
mod transport;
mod wall;
mod window;

pub use batching::Batching;
pub use best::Oracle;
pub use builder::{Builder, LimitHeaders};
pub use fault::Fault;
pub use keys::KeySettings;
pub use latency::Latency;
pub use ledger::{Entry, Ledger, Outcome, Seen};
pub use meter::Window;
pub use models::ModelSettings;
pub use oracle::Workload;
pub use others::OtherUsers;
pub use plan::Plan;
pub use quota::{Charging, Dimension};
pub use refusal::Refusal;
pub use scenario::{Expect, Scenario, ScenarioError, ScenarioWorkload};
pub use simulator::Simulator;
pub use transport::{Pipe, Trouble};
