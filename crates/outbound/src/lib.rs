//! Sends requests out and brings every answer back.
//!
//! This crate gathers the pieces of `outbound`, each under its own feature, and adds what composes them:
//! [`RequestManager`].
//!
//! ```no_run
//! use std::time::Duration;
//! use outbound::{Provider, Request, RequestManager};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let manager = RequestManager::builder()
//!     .provider(Provider::openai())
//!     .key(std::env::var("OPENAI_API_KEY")?)
//!     .requests_per_minute(500)
//!     .tokens_per_minute(90_000)
//!     .build()?;
//!
//! let question = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Name three rivers."}]});
//! let outcome = manager.send(Request::chat(&question)).await;
//! println!("{}", outcome.result?.content().unwrap_or_default());
//! manager.shutdown(Duration::from_secs(30)).await;
//! # Ok(())
//! # }
//! ```
//!
//! # The pieces
//!
//! | feature | module | for |
//! |---|---|---|
//! | `timeout` | [`timeout`] | limits in time on futures and streams |
//! | `retry` | [`retry`] | trying again |
//! | `limiter` | [`limiter`] | concurrency, rates, quotas |
//! | `queue` | [`queue`] | queues and worker pools |
//! | `client` | [`client`] | one HTTP request |
//! | `provider` | [`provider`] | what replies mean |
//! | `manager` | the crate's root | all of them, composed |
//!
//! All are on by default. `default-features = false, features = ["retry"]` brings that piece and nothing else.
//!
//! # What the manager does
//!
//! A request goes through its stations in this order. Its deadline runs over all of them (in a batch, from its first
//! admission on); nothing is held while it waits between two attempts.
//!
//! 1. [`submit`](RequestManager::submit) puts it into a queue with workers; [`send`](RequestManager::send) and
//!    [`batch`](RequestManager::batch) start here at once.
//! 2. **Admission**: requests, tokens and concurrency, all at once or nothing. A request that no limit can ever grant,
//!    or not before its deadline, fails here without a wait.
//! 3. **The attempt**: over a pooled connection, its clock starting when the connection is held. A stream has a limit to
//!    its first item and one between two pieces, and has to end with the provider's own end marker.
//! 4. **The verdict**, by what the reply means:
//!
//! | what came | what follows |
//! |---|---|
//! | refused for the rate, told when to return | everyone on that endpoint waits until then; not charged |
//! | refused for the rate, not told | everyone waits a little, and longer each time; charged |
//! | overloaded | growing waits until the deadline; fewer requests in flight; not charged |
//! | failed, no connection, timed out, stream broken | waits with full jitter; charged, but for connections never made |
//! | spent quota, refused key | nothing more is sent to that endpoint |
//! | refused for what it is | nothing; it would be refused again |
//!
//! *Charged* means counted against [`max_attempts`](RequestManagerBuilder::max_attempts).
//!
//! Extra calls are also counted against a budget: a tenth of the calls that succeed, and ten to begin with. A spent
//! budget alone stops nothing, since a provider that fails one call in five does so however long one waits. When it is
//! spent and eight calls in a row have failed, the provider is taken to be down: one request at a time finds out whether
//! it is back, with pauses that grow to half a minute (or a quarter of the deadline, if that is less). The first success
//! ends that, and the number in flight doubles with each round trip.
//!
//! Every `POST` carries an idempotency key that stays the same over its attempts. Since few providers promise to
//! honour one, [`Outcome::possible_duplicate`] says when a request was sent again although an earlier send may have
//! been processed.
//!
//! # Cancel safety
//!
//! Dropping a future cancels its request: what was not sent costs nothing, a connection in an unknown state is closed.
//! [`RequestManager::scope`] makes sure that nothing outlives a block.
//!
//! # Not offered yet
//!
//! Journals that survive a crash, fallbacks to other models, balancing over several keys, handing a stream on item by
//! item (streams are collected), hedging in the manager (`retry::Hedge` is for calls of one's own).
#![forbid(unsafe_code)]

#[cfg(feature = "client")]
#[doc(no_inline)]
pub use outbound_client as client;
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
mod manager;

#[cfg(feature = "manager")]
pub use crate::manager::{
    AttemptRecord, Batch, BuildError, Endpoint, Error, ErrorKind, Event, ModelLimits, Observer, Outcome,
    Reply, Request, RequestManager, RequestManagerBuilder, Rest, ShutdownReport, Step, Stopped, SubmitError,
    Ticket, Waiting,
};

/// The README's example, compiled.
#[cfg(all(doctest, feature = "manager"))]
#[doc = include_str!("../../../README.md")]
mod readme {}
