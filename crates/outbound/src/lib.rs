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
//! | `journal` | [`journal`] | a log of records that survives a crash |
//! | `work` | [`work`] | work that survives a crash |
//! | `manager` | the crate's root | all but journal and work, composed |
//!
//! The page [`pieces`] shows them around one call without the manager; [`verdict`](verdict()) says what a failed call means
//! for its retry.
//!
//! All are on by default. `default-features = false, features = ["retry"]` brings that piece and nothing else.
//!
//! # What the manager does
//!
//! Each request runs in a task of its own, on the tokio runtime of the call that brought it. [`send`](RequestManager::send),
//! [`batch`](RequestManager::batch), [`submit`](RequestManager::submit) and [`stream`](RequestManager::stream) are four faces
//! of that. A request goes through
//! these stations; while it waits at one of them it holds nothing.
//!
//! 1. **Admission**: the way to the server is clear, the key is good, and there is room in every limit at once. What no limit
//!    can ever grant fails here without a wait.
//! 2. **The attempt**: over a pooled connection, its clock starting when the connection is held. A stream has a limit to
//!    its first item and one between two pieces, and has to end with the provider's own end marker.
//! 3. **The verdict**, by what came:
//!
//! | what came | what follows |
//! |---|---|
//! | refused for the rate | everyone for that model waits for the time told, or a growing one; not charged |
//! | overloaded | the request waits for the time told, or a growing one; not charged. Where a good part of the replies are overloads, fewer are in flight |
//! | no connection | nothing was sent: not charged, patient until the deadline |
//! | failed, timed out, stream broken | waits with full jitter; charged |
//! | a success that is no answer (cut JSON, a page of HTML, no choices) | once more; then an error with the body |
//! | spent money, refused key | another request, the *witness*, finds out whether that holds for all; then nothing more is sent |
//! | refused for what it is | nothing; it would be refused again |
//!
//! *Charged* means counted against [`max_attempts`](RequestManagerBuilder::max_attempts).
//!
//! What is learnt is shared in three levels: an origin (whether it can be reached), an account there (the limits you told,
//! key and money, the budget for extra calls), and a model of the account (the limits its replies tell, the gate of its
//! refusals, its overloads).
//!
//! **Outages.** When several calls in a row fail, and none succeeds that was sent after them, one call at a time looks whether
//! the server is back, and the others wait. The pauses between these probes grow from a quarter of a second to 15 seconds
//! where no connection is made, to 20 where calls fail. The first success ends that, at the full rate. Failed probes are not
//! charged, up to 16 a request. An attempt that the request's own deadline ends says nothing about the server. A server that was never reached stops everything after
//! [`unreachable_timeout`](RequestManagerBuilder::unreachable_timeout), with nothing sent.
//!
//! **Silence.** Calls may hang: a firewall drops packets without a word, or a proxy takes calls and its server answers none.
//! When nothing has come back for three seconds while calls are under way, a connection is opened. If that fails, it is an
//! outage as above. If it succeeds, the server may be slow; but when nothing has come back for four times as long as the
//! slowest of the last answers took, and ten seconds at the least, one waiting request goes out as a probe, and further
//! ones after pauses of half the length of the silence, a minute at the most. The first answer ends that, at the full rate.
//! Nothing proves that a call that hangs did not arrive. So it is not sent again before its own limit ends it
//! ([`attempt_timeout`](RequestManagerBuilder::attempt_timeout), for streams the first item's or the idle one), and a batch
//! may have to wait for that at its end. Calls that hang are not counted against `max_concurrent` while others are sent
//! beside them: there are at most as many, and 16 probes. A server that has never answered yet is taken for slow.
//!
//! **Extra calls** are counted against a budget: a tenth of the calls that succeed, and ten to begin with. When it is spent, a
//! retry waits up to ten seconds for the next success.
//!
//! **Stops.** After a confirmed refusal of the key or the money, a pause longer than
//! [`max_pause`](RequestManagerBuilder::max_pause), or a batch whose first outcomes are all the same refusal, what is in
//! flight ends normally and nothing more is sent. [`Batch::stopped`] says why and until when, [`Batch::into_rest`] gives back
//! what was not sent, and [`resume`](RequestManager::resume) lifts it.
//!
//! A refusal of the key or the money is confirmed when a witness is refused alike, and no other call that was sent meanwhile
//! is under way. If the two name the same model, that model is stopped; if they name two, the account is. It holds for the
//! time that the server told, or a minute. Then one request finds out whether it still holds, and the others wait for it.
//!
//! **Streams.** [`send`](RequestManager::send), `submit` and `batch` collect a streamed answer, and repeat what breaks.
//! [`stream`](RequestManager::stream) hands it on item by item: once the first item is given out, nothing begins anew, and a
//! break is an error with what came. Permits are held to the end of the server's stream, however slowly it is read.
//!
//! **Other ways.** A request may have [fallbacks](Request::fallback): another endpoint, model or body, each for the kinds of
//! failure it is for. While one is left, a request does not wait long for what refuses, fails or is down. Endpoints that
//! [share a name](RequestManagerBuilder::another_endpoint) share its requests: each goes to the least loaded one that has
//! room, and what one of them refuses, another takes at once.
//!
//! **Order.** Requests that wait for the same limits go as they came. A request may say a [priority](Request::priority): a higher
//! one goes first, and 30 seconds of waiting count as one priority more. A request may say a [tenant](Request::tenant):
//! tenants share what they wait for evenly, by tokens, so that one request is not held up by thousands of another's. That
//! holds in all four faces alike.
//!
//! **Slow calls.** With [`hedge`](RequestManagerBuilder::hedge) a call that runs longer than most did lately is made a second time
//! beside itself: the first answer counts. It is off by default, and even then only for what may be sent twice without being
//! paid for twice, unless that is allowed.
//!
//! **Answers that are shared.** Where [`coalesce`](RequestManagerBuilder::coalesce) is on, equal requests in flight are one
//! call. A [`cache`](RequestManagerBuilder::cache), in memory or in a folder, keeps answers for the next equal request. Both
//! are off by default, since a model that is asked twice may answer twice; a [`fresh`](Request::fresh) request has a call of
//! its own. [`Outcome::reused`] says so.
//!
//! **Money.** With [prices](RequestManagerBuilder::prices) each outcome says what its answer cost. With a
//! [budget](RequestManagerBuilder::budget) a request goes only while it fits beside what was spent and the most that all under
//! way may cost; when none fits any more, batches stop and give the rest back.
//!
//! **Control.** While it runs a manager can be [paused](RequestManager::pause), its [limits](RequestManager::set_limits) and its
//! [budget](RequestManager::set_budget) changed, requests [called off](RequestManager::cancel), and all brought to their end
//! ([`drain`](RequestManager::drain)). A [`snapshot`](RequestManager::snapshot) says for each endpoint and model what it
//! believes, what it waits for and why.
//!
//! **Surviving a crash.** A [`SendLog`] writes down what is about to be sent, before its bytes leave. After a crash it tells
//! which requests may have been billed; they are sent again with [`Request::maybe_sent_before`].
//!
//! **Looking on.** An [`Observer`] is told each step of each request. [`Metrics`] is one that counts them, and writes the
//! page that Prometheus reads; `outbound-otel` has one for OpenTelemetry. The same steps are told to `tracing`, with the target
//! `outbound::request` and the names of this table. Where nobody listens to it on the level of INFO, a request costs
//! one load of an atomic for it.
//!
//! | name | level | fields |
//! |---|---|---|
//! | `outbound.request`, a span in that of the caller | INFO | `number`, `id`, `index`, `endpoint`, `provider`, `operation`, `model`, `stream`; at its end `outcome`, `reused`, `sends`, `input_tokens`, `output_tokens` |
//! | `outbound.attempt`, a span in that of its request | DEBUG | `attempt`, `provider`, `server`; at its end `status`, `outcome` |
//! | `outbound.rerouted` | INFO | `route`, `endpoint`, `provider`, `model` |
//! | `outbound.attempt_failed` | INFO | `attempt`, `status`, `kind`, `took_s`, `error` |
//! | `outbound.failed` | INFO | `kind`, `sends`, `elapsed_s` |
//! | `outbound.answered` | DEBUG | `sends`, `elapsed_s` |
//! | `outbound.waiting` | DEBUG | `reason`, `at_least_s` |
//! | `outbound.waited` | DEBUG | `reason`, `took_s` |
//! | `outbound.admitted` | DEBUG | |
//! | `outbound.first_item` | DEBUG | `after_s` |
//!
//! An `outcome` is `answered`, or the [name of the failure](ErrorKind::as_str), as `kind` is; a `reason` is
//! [that of a wait](Waiting::as_str). What concerns an endpoint and no single request is a WARN: a stop, a silence, an
//! account that is unreachable.
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
//! A manager that works off a store of [`work`] by itself.
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
    Reply, ReplyStream, Request, RequestManager, RequestManagerBuilder, ResponseCache, Rest, Reused, Route,
    SendLog, Sending, ShutdownReport, Snapshot, Step, Stopped, SubmitError, Ticket, Waiting, Written,
};

/// The README's example, compiled.
#[cfg(all(doctest, feature = "manager"))]
#[doc = include_str!("../../../README.md")]
mod readme {}
