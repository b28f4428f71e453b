//! Sends requests out and brings every answer back.
//!
//! Programs that call LLM and other HTTP APIs fail in the same few ways: slowness, refusal (429, overload), broken streams, and a
//! crash in the middle of a paid batch. This crate has the pieces that each of them needs (client, limits in time, retries,
//! quotas, queues), and `RequestManager`, which has composed them.
//!
//! ```
//! use outbound::{Outcome, Provider, Request, RequestManager};
//! use outbound_simulator::{Refusal, Simulator};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // A provider inside this program. It turns away the first attempt at each request.
//!     let simulator = Simulator::builder().fault_on_attempt(Refusal::status(503), 1).build();
//!     let address = simulator.listen("127.0.0.1:0").await?;
//!
//!     // For a real one: .provider(Provider::openai()).key(std::env::var("OPENAI_API_KEY")?)
//!     let manager = RequestManager::builder()
//!         .provider(Provider::openai_compatible())
//!         .base_url(format!("http://{address}/v1"))
//!         .requests_per_minute(500)
//!         .tokens_per_minute(90_000)
//!         .build()?;
//!
//!     let rivers = ["Name a river in Asia.", "Name a river in Africa.", "Name a river in Europe."];
//!     let requests = rivers.map(|text| Request::prompt("small", text).max_tokens(50));
//!     let outcomes: Vec<Outcome> = manager.batch(requests).in_order().collect().await;
//!     for outcome in outcomes {
//!         assert_eq!(outcome.sends, 2);
//!         println!("{}", outcome.result?.content().unwrap_or_default());
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Beside this crate the example needs `outbound-simulator`, and `tokio` with the features `macros` and `rt-multi-thread`.
//!
//! # What is in it
//!
//! | | for |
//! |---|---|
//! | [`RequestManager`] | the whole: [`send`](RequestManager::send) one request, [`batch`](RequestManager::batch) many, [`submit`](RequestManager::submit) for a ticket, [`stream`](RequestManager::stream) item by item |
//! | [`guide`] | how to use it: what each failure means, limits, a batch overnight, tests |
//! | [`timeout`] | limits in time on futures and streams |
//! | [`retry`] | trying again: when, how long to wait, when to stop |
//! | [`limiter`] | concurrency, rates, quotas in several dimensions |
//! | [`queue`] | queues with leases, joins and shutdowns; worker pools |
//! | [`client`] | one HTTP request well done |
//! | [`provider`] | what providers' replies mean |
//! | [`journal`] | an append-only log of records that survives a crash |
//! | [`work`] | a store of work that survives a crash |
//! | [`quota_store`] | a quota that several processes share, granted in chunks |
//! | [`pieces`], [`verdict`](verdict()) | the pieces around one call, without the manager |
//!
//! Around it stand `outbound-tower` (the same limits as tower layers), `outbound-otel` (OpenTelemetry), `outbound-simulator` (a
//! provider for tests) and the command `outbound` (a file of requests, and no program).
//!
//! # Guarantees
//!
//! - **Every request has one outcome**: a reply or an error, how often it was sent, what it cost. One failure never hides the
//!   others. What a stopped batch did not send is handed back.
//! - **Nothing is sent twice unknowingly.** [`Outcome::possible_duplicate`] says when a request was sent again although an earlier
//!   send may have been processed. Every `POST` has an idempotency key that stays the same over its attempts.
//! - **Cancel safety.** Dropping the future of [`send`](RequestManager::send), a [`Batch`] or a [`ReplyStream`] cancels its
//!   requests: what was not sent costs nothing, and a connection in an unknown state is closed. Dropping a [`Ticket`] does not.
//!   [`RequestManager::scope`] makes sure that nothing outlives a block.
//! - **Fairness.** Requests that wait for the same limits go in the order in which they came, by
//!   [priority](Request::priority), and evenly by [tenant](Request::tenant). A request that waits holds nothing. A later one
//!   passes only where that cannot delay the one that waits.
//! - **Time.** A request ends by its [deadline](RequestManagerBuilder::deadline), whatever happens, at the next moment its task
//!   runs. In a batch the deadline runs from the first admission on. Data that has arrived beats a limit that has passed. All
//!   time is tokio's, so the paused clock works.
//! - **Outages and silence.** A server that is down for ten minutes, or that answers nothing, costs a batch the ten minutes and no
//!   request: single calls look whether it is back. See [`guide::manager`].
//! - **Panics.** The methods that start requests panic outside a tokio runtime. A panic in an [`Observer`] is caught, and that
//!   observer is not called again. A panic in a request's own task is its outcome ([`ErrorKind::Panicked`]).
//! - **Bounds.** Every buffer, header block, body and event has a limit, and its error names it. A batch does not grow with its
//!   source.
//! - **Secrets.** No key, header or query string is in an error, a log line or a `Debug`.
//!
//! # What it does not do
//!
//! - It translates no request: a body is in the provider's own format, except that of [`Request::prompt`]. Answers of all
//!   providers can be read alike: [`Reply::content`], [`Reply::as_openai`].
//! - It runs no tools and keeps no conversation: an agent's loop is your own.
//! - It has no tokenizer. Its estimates are corrected by what replies say.
//! - It does not share limits between processes without a [`quota_store`](RequestManagerBuilder::quota_store). It sees what others
//!   take, and leaves it to them.
//! - It does not work off a store of [`work`] by itself.
//! - It has no HTTP/3.
//!
//! # Coming from an asyncio program (aiohttp, tenacity, aiolimiter)
//!
//! | there | here |
//! |---|---|
//! | `aiohttp.ClientSession`, `httpx.AsyncClient` | [`RequestManager`] has its pool of connections; [`client`] is one alone |
//! | `asyncio.Semaphore(10)` around each call | [`max_concurrent(10)`](RequestManagerBuilder::max_concurrent) |
//! | `AsyncLimiter(500, 60)` | [`requests_per_minute(500)`](RequestManagerBuilder::requests_per_minute) |
//! | counting tokens, and sleeping | [`tokens_per_minute`](RequestManagerBuilder::tokens_per_minute) |
//! | `@retry(stop=stop_after_attempt(5), wait=wait_random_exponential())` | [`max_attempts(5)`](RequestManagerBuilder::max_attempts); what is retried and how long it waits is the manager's |
//! | reading `Retry-After` by hand | done, for all requests of that model |
//! | `asyncio.wait_for`, `ClientTimeout` | [`deadline`](RequestManagerBuilder::deadline), [`attempt_timeout`](RequestManagerBuilder::attempt_timeout), [`idle_timeout`](RequestManagerBuilder::idle_timeout), [`connect_timeout`](RequestManagerBuilder::connect_timeout) |
//! | `asyncio.gather(*calls, return_exceptions=True)` | `manager.batch(requests).in_order().collect().await` |
//! | `asyncio.as_completed` | [`Batch::next`] |
//! | `asyncio.Queue` and workers | [`submit`](RequestManager::submit), which waits where too much is queued; or [`queue`] |
//! | `asyncio.create_task`, `task.cancel()` | [`submit`](RequestManager::submit), [`Ticket::cancel`] |
//! | `async with manager:` | [`RequestManager::scope`] |
//! | a file of ids that are done | [`SendLog`] and [`journal`]: see [the guide](guide::overnight) |
//!
//! # Coming from litellm
//!
//! | litellm | here |
//! |---|---|
//! | `completion(model="anthropic/..")` | [`Provider::anthropic`] and its own format, or [`Request::prompt`] for any |
//! | `Router(model_list=[..])`, `rpm`, `tpm`, `weight` | [`another_endpoint`](RequestManagerBuilder::another_endpoint), with the limits of each [`Endpoint`] |
//! | `fallbacks` | [`Request::fallback`], [`RequestManagerBuilder::fallback`] |
//! | `context_window_fallbacks`, `content_policy_fallbacks` | a [`Route`] `.on([ErrorKind::Rejected])` |
//! | `num_retries`, `retry_after`, `allowed_fails`, `cooldown_time` | [`max_attempts`](RequestManagerBuilder::max_attempts); for the others there is nothing to set |
//! | `timeout`, `stream_timeout` | [`attempt_timeout`](RequestManagerBuilder::attempt_timeout), [`first_item_timeout`](RequestManagerBuilder::first_item_timeout) |
//! | `batch_completion`, `abatch_completion` | [`RequestManager::batch`] |
//! | `max_budget`, `completion_cost` | [`budget`](RequestManagerBuilder::budget), [`Outcome::cost`], with [`Prices`] of your own |
//! | `caching=True` | [`cache`](RequestManagerBuilder::cache) |
//! | `priority=0` of its scheduler | [`Request::priority`]; there a lower number goes first, here a higher one |
//! | callbacks, `success_callback` | [`Observer`], [`Metrics`], `tracing`, `outbound-otel` |
//! | `RateLimitError`, `ContextWindowExceededError` | [`ErrorKind`], [`Error::code`] |
//! | the proxy server | not offered: this is a library and a command |
//!
//! # Coming from async-openai
//!
//! | async-openai | here |
//! |---|---|
//! | `OpenAIConfig::new().with_api_key(..).with_api_base(..)` | [`key`](RequestManagerBuilder::key), [`base_url`](RequestManagerBuilder::base_url) |
//! | `client.chat().create(request)` | `manager.send(Request::chat(&request))`: its request types, or any that serde can write |
//! | `client.chat().create_stream(request)` | [`RequestManager::stream`], with `"stream": true` in the body |
//! | `client.embeddings().create(..)`, `client.files().create(..)` | [`Request::post`], [`Request::multipart`] |
//! | the reply's type | `serde_json::from_slice(&reply.body)`, or [`Reply::content`] |
//! | `Client::with_backoff(..)` | nothing to set: see [the guide](guide::failures) |
//! | `OpenAIError` | [`Error`], [`Error::kind`], [`Error::reply`] |
//!
//! # Coming from reqwest and tower
//!
//! | there | here |
//! |---|---|
//! | `reqwest::Client` | [`Client`], one request; [`change_client`](RequestManagerBuilder::change_client) for the manager's (proxy, certificates) |
//! | `ServiceBuilder::concurrency_limit`, `rate_limit` | [`max_concurrent`](RequestManagerBuilder::max_concurrent), [`requests_per_minute`](RequestManagerBuilder::requests_per_minute) |
//! | `.buffer(n)` | [`submit`](RequestManager::submit) |
//! | `.retry(policy)`, `reqwest-retry` | the default; what is worth it is known from the reply |
//! | `.timeout(..)` | [`attempt_timeout`](RequestManagerBuilder::attempt_timeout), [`deadline`](RequestManagerBuilder::deadline) |
//! | `tower::hedge` | [`hedge`](RequestManagerBuilder::hedge) |
//! | `tower::balance` | [`another_endpoint`](RequestManagerBuilder::another_endpoint) |
//! | `.load_shed()` | not offered: a request waits up to its deadline |
//! | a `Service` of your own | `outbound-tower` puts these limits and retries around it |
//!
//! # Features
//!
//! The first nine are on by default. `default-features = false, features = ["retry"]` brings that piece and nothing else.
//!
//! | feature | brings |
//! |---|---|
//! | `timeout`, `retry`, `limiter`, `queue`, `client`, `provider`, `journal` | the piece of that name |
//! | `quota_store` | [`quota_store`] |
//! | `work` | [`work`], on the journal |
//! | `manager` | [`RequestManager`], on all pieces but queue and journal |
//! | `gzip`, `brotli`, `zstd` | bodies in these codings |
//! | `cookies` | a jar of cookies for the client |
//! | `digest` | the authentication scheme Digest |
//! | `socks` | SOCKS 5 proxies |
//! | `websocket` | WebSocket connections |
//!
//! # Cost
//!
//! A request takes one task of tokio and one connection of the pool. What is off (observers, hedges, cache, budget) costs
//! nothing on the way. `benches/RESULTS.md` in the repository has the measured costs, beside those of others.
#![forbid(unsafe_code)]

#[cfg(feature = "client")]
#[doc(no_inline)]
pub use outbound_client as client;
#[cfg(feature = "journal")]
#[doc(no_inline)]
pub use outbound_journal as journal;
#[cfg(feature = "limiter")]
#[doc(no_inline)]
pub use outbound_limiter as limiter;
#[cfg(feature = "provider")]
#[doc(no_inline)]
pub use outbound_provider as provider;
#[cfg(feature = "queue")]
#[doc(no_inline)]
pub use outbound_queue as queue;
#[cfg(feature = "retry")]
#[doc(no_inline)]
pub use outbound_retry as retry;
#[cfg(feature = "timeout")]
#[doc(no_inline)]
pub use outbound_timeout as timeout;

#[cfg(feature = "manager")]
pub use outbound_client::{Client, ClientBuilder, Origin, Secret};
#[cfg(feature = "manager")]
pub use outbound_limiter::Cost;
#[cfg(feature = "manager")]
pub use outbound_provider::{Provider, Usage};

#[cfg(feature = "manager")]
pub mod guide;
#[cfg(feature = "manager")]
mod manager;
#[cfg(all(
    feature = "client",
    feature = "limiter",
    feature = "provider",
    feature = "retry",
    feature = "timeout"
))]
pub mod pieces;
#[cfg(feature = "quota_store")]
pub mod quota_store;
#[cfg(all(feature = "client", feature = "provider", feature = "retry"))]
mod verdict;
#[cfg(feature = "work")]
pub mod work;

#[cfg(all(feature = "client", feature = "provider", feature = "retry"))]
pub use crate::verdict::verdict;

#[cfg(feature = "manager")]
pub use crate::manager::{
    AttemptRecord, Batch, BuildError, Endpoint, EndpointSnapshot, Error, ErrorKind, Event, Hedging, Item,
    Metrics, ModelLimits, ModelSnapshot, Money, Observer, Operation, Outcome, Price, Prices, PricesError,
    QuotaStoreSnapshot, Reply, ReplyStream, Request, RequestManager, RequestManagerBuilder, ResponseCache,
    Rest, Reused, Route, SendLog, Sending, ShutdownReport, Snapshot, Step, Stopped, SubmitError, Ticket,
    Waiting, Withdrawn, Written,
};

/// The README's example, compiled.
#[cfg(all(doctest, feature = "manager"))]
#[doc = include_str!("../../../README.md")]
mod readme {}
