//! An observer of the request manager that speaks OpenTelemetry: metrics and spans by its conventions for generative
//! AI.
//!
//! To instrument LLM calls by hand, a program has to follow conventions that change, count a call with its retries
//! once, and find the tokens in each provider's reply.
//!
//! This observer does it for all requests of a manager. The program chooses the SDK and the exporter.
//!
//! ```
//! use opentelemetry::global;
//! use outbound::{Provider, RequestManager};
//! use outbound_otel::OpenTelemetry;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // The program has called `global::set_meter_provider` and `global::set_tracer_provider` before.
//!     let telemetry = OpenTelemetry::new(&global::meter("my-program"), global::tracer("my-program"));
//!     let manager = RequestManager::builder().provider(Provider::groq()).observer(telemetry).build()?;
//!     drop(manager);
//!     Ok(())
//! }
//! ```
//!
//! Beside this crate the example needs:
//!
//! ```sh
//! cargo add opentelemetry
//! cargo add outbound --path ../outbound/crates/outbound
//! ```
//!
//! # What is in it
//!
//! A request of the manager is one *operation*, however many attempts it takes: the conventions count a call with all
//! its retries as one. Its span is a child of the span that is current where
//! [`send`](outbound::RequestManager::send), [`submit`](outbound::RequestManager::submit) or
//! [`stream`](outbound::RequestManager::stream) is called, or where a batch is polled. Each attempt is a span inside
//! it. Attempts have metrics with other names, so that nobody adds the two.
//!
//! | span | kind | attributes |
//! |---|---|---|
//! | `{operation} {model}` | client | `gen_ai.operation.name`, `gen_ai.provider.name`, `gen_ai.request.model`, `gen_ai.request.stream`, `server.address`, `server.port`, `error.type`, `gen_ai.usage.*`, `gen_ai.response.time_to_first_chunk`, `outbound.request.id`, `outbound.sends`, `outbound.reused` |
//! | `attempt` in it | client | `outbound.attempt`, `gen_ai.provider.name`, `gen_ai.request.model`, `server.address`, `server.port`, `http.response.status_code`, `http.request.resend_count`, `error.type` |
//!
//! The span of an operation has two kinds of events: `outbound.waited` with `outbound.wait.reason` and
//! `outbound.wait.seconds`, and `outbound.rerouted` with `outbound.route` and the provider and model that the route
//! uses. The span keeps the provider and the model that it began with. The metrics count an operation by those that
//! it ended with.
//!
//! | metric | unit | is |
//! |---|---|---|
//! | `gen_ai.client.inference.duration` | s | a chat or a completion, from its beginning to its outcome |
//! | `gen_ai.client.inference.time_to_first_chunk` | s | from its beginning to the first item of its stream |
//! | `gen_ai.client.inference.usage.input_tokens`, `.usage.output_tokens`, `.usage.cache_read.input_tokens`, `.usage.cache_write.input_tokens`, `.usage.reasoning.output_tokens` | token | counters; the last three are parts of the first two |
//! | `gen_ai.client.inference.operation.input_tokens`, `.operation.output_tokens` | token | their distribution |
//! | `gen_ai.client.embeddings.duration`, `gen_ai.client.embeddings.operation.input_tokens` | s, token | the same for embeddings |
//! | `gen_ai.client.operation.duration` | s | any other request |
//! | `outbound.client.attempt.duration` | s | an attempt, with `http.response.status_code` |
//! | `outbound.client.wait.duration` | s | a wait, with `outbound.wait.reason` |
//!
//! All metrics have `gen_ai.operation.name`, `gen_ai.provider.name` and `gen_ai.request.model`. Once the request was
//! sent, they also have `server.address` and `server.port`; a wait has neither. After a failure, durations have
//! `error.type`: a [name of an `ErrorKind`](outbound::ErrorKind::as_str). It is not known which tokens are text, so
//! `gen_ai.token.modality` is `unknown`.
//!
//! The conventions are those of the repository `open-telemetry/semantic-conventions-genai`, version 0.1.0. They are
//! in development. They renamed `gen_ai.client.operation.duration`, `gen_ai.client.operation.time_to_first_chunk` and
//! `gen_ai.client.token.usage` of the semantic conventions up to version 1.41. [`OpenTelemetry::with_names_of_1_41`]
//! uses these old names.
//!
//! # Guarantees
//!
//! - **Cancel safety.** A span ends however its request ends: also if the request is cancelled, rejected, or never
//!   sent.
//! - **Fairness.** The observer has one lock, on its table of requests, and awaits nothing.
//! - **Time.** Durations are those of the manager, on tokio's clock. The start of a span is read from the system
//!   clock.
//! - **Panics.** It does not panic by itself. What the SDK does is the SDK's.
//! - **Memory.** One entry is kept for each request in the manager, and removed when the request has ended.
//!
//! # What it does not do
//!
//! - It does not record prompts or answers.
//! - It does not record the model of a reply or its finish reasons, because observers do not get them.
//! - It does not set up an SDK or an exporter, and does not limit the number of attribute sets: the SDK does.
//!
//! # Coming from OpenTelemetry by hand
//!
//! | by hand | here |
//! |---|---|
//! | `tracer.start("chat gpt-4o")` around a call | the span of an operation, with the right name and parent |
//! | a span around each retry | the span `attempt`, with `http.request.resend_count` |
//! | `span.record_error(..)`, `span.set_status(..)` | set from the error's kind, with `error.type` |
//! | reading `usage` from each provider's reply | the token counters |
//! | a stopwatch until the first chunk | `gen_ai.client.inference.time_to_first_chunk` |
//! | time in queues and backoff, which a call's span hides | `outbound.client.wait.duration`, and the event `outbound.waited` |
//!
//! # Cost
//!
//! There are no features. A manager without an observer pays nothing. `benches/RESULTS.md` in the repository has the
//! measured costs of the manager.
#![forbid(unsafe_code)]

mod instruments;
mod names;
mod observer;

pub use self::observer::OpenTelemetry;
