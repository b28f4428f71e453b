//! An observer of the request manager that speaks OpenTelemetry: metrics and spans by its conventions for generative AI.
//!
//! ```
//! use opentelemetry::global;
//! use outbound::{Provider, RequestManager};
//! use outbound_otel::OpenTelemetry;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The program has set the providers of meters and tracers: `global::set_meter_provider` and its like.
//! let telemetry = OpenTelemetry::new(&global::meter("my-program"), global::tracer("my-program"));
//! let manager = RequestManager::builder().provider(Provider::groq()).observer(telemetry).build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Operations and attempts
//!
//! A request of the manager is one *operation*, whatever attempts it takes: the conventions count a call with all its
//! retries as one. Its span is a child of the span that is current where [`send`](outbound::RequestManager::send),
//! [`submit`](outbound::RequestManager::submit) or [`stream`](outbound::RequestManager::stream) is called, or where a batch is
//! polled. Each attempt is a span in that one. Attempts have metrics with names of their own, so that nobody adds the two.
//!
//! | span | kind | attributes |
//! |---|---|---|
//! | `{operation} {model}` | client | `gen_ai.operation.name`, `gen_ai.provider.name`, `gen_ai.request.model`, `gen_ai.request.stream`, `server.address`, `server.port`, `error.type`, `gen_ai.usage.*`, `gen_ai.response.time_to_first_chunk`, `outbound.request.id`, `outbound.sends`, `outbound.reused` |
//! | `attempt` in it | client | `outbound.attempt`, `gen_ai.provider.name`, `gen_ai.request.model`, `server.address`, `server.port`, `http.response.status_code`, `http.request.resend_count`, `error.type` |
//!
//! Events in the span of an operation: `outbound.waited` with `outbound.wait.reason` and `outbound.wait.seconds`, and
//! `outbound.rerouted` with `outbound.route` and what the route asks of whom. The span keeps the provider and the model that
//! it began with; the metrics count an operation by those that it ended with.
//!
//! | metric | unit | is |
//! |---|---|---|
//! | `gen_ai.client.inference.duration` | s | a chat or a completion, from its beginning to its outcome |
//! | `gen_ai.client.inference.time_to_first_chunk` | s | from its beginning to the first item of its stream |
//! | `gen_ai.client.inference.usage.input_tokens`, `.usage.output_tokens`, `.usage.cache_read.input_tokens`, `.usage.cache_write.input_tokens`, `.usage.reasoning.output_tokens` | token | counters; the last three are parts of the first two |
//! | `gen_ai.client.inference.operation.input_tokens`, `.operation.output_tokens` | token | their distribution |
//! | `gen_ai.client.embeddings.duration`, `gen_ai.client.embeddings.operation.input_tokens` | s, token | the same of embeddings |
//! | `gen_ai.client.operation.duration` | s | any other request |
//! | `outbound.client.attempt.duration` | s | an attempt, with `http.response.status_code` |
//! | `outbound.client.wait.duration` | s | a wait, with `outbound.wait.reason` |
//!
//! All have `gen_ai.operation.name`, `gen_ai.provider.name`, `gen_ai.request.model`, and `server.address` and `server.port`
//! once the request was sent; durations have `error.type` where there was a failure: a
//! [name of an `ErrorKind`](outbound::ErrorKind::as_str). A wait has no address. Which tokens are text is not told, so
//! `gen_ai.token.modality` is `unknown`.
//!
//! # Which conventions
//!
//! Those of the repository `open-telemetry/semantic-conventions-genai`, version 0.1.0. They are in development, and have
//! new names for what was called `gen_ai.client.operation.duration`, `gen_ai.client.operation.time_to_first_chunk` and
//! `gen_ai.client.token.usage` up to version 1.41 of the semantic conventions.
//! [`OpenTelemetry::with_names_of_1_41`] has these in place of the new ones.
//!
//! # Not offered
//!
//! Neither prompts nor answers are recorded. The model of a reply and its finish reasons are not told to observers.
#![forbid(unsafe_code)]

mod instruments;
mod names;
mod observer;

pub use self::observer::OpenTelemetry;
