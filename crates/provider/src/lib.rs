//! What the replies of LLM and HTTP providers mean: error classes, limit headers, stream endings.
//!
//! A 429 may mean "wait 600 ms", "you grow too fast", "this request can never fit" or "your money is spent",
//! and an overload may arrive inside a reply whose status was 200. This crate reads such replies and says
//! which it was. It does no I/O, keeps no clock and starts nothing: every function takes bytes and a time and
//! returns plain data.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//!
//! use http::{HeaderMap, HeaderValue, StatusCode};
//! use outbound_provider::{Class, Provider};
//!
//! let provider = Provider::openai();
//! let mut headers = HeaderMap::new();
//! headers.insert("retry-after-ms", HeaderValue::from_static("599"));
//! let body = br#"{"error":{"message":"Rate limit reached","type":"tokens","code":"rate_limit_exceeded"}}"#;
//!
//! let fault = provider.classify(StatusCode::TOO_MANY_REQUESTS, &headers, body, SystemTime::now());
//! assert_eq!(fault.class, Class::RateLimited);
//! assert_eq!(fault.wait, Some(Duration::from_millis(599)));
//!
//! let body = br#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#;
//! let fault = provider.classify(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body, SystemTime::now());
//! assert_eq!(fault.class, Class::QuotaSpent);
//! assert!(fault.of_account && !fault.is_retryable());
//! ```
//!
//! | to learn | use |
//! |---|---|
//! | where to send, with which headers | [`Provider`] |
//! | how a prompt is sent to this provider | [`Provider::prompt`] → [`Prompt`] |
//! | what a request asks for, and what it costs at most | [`Provider::read_request`] → [`RequestFacts`] |
//! | whether a success is an answer, and what it cost | [`Provider::read_success`] → [`Success`] |
//! | what a refusal means, and how long to wait | [`Provider::classify`] → [`Fault`] |
//! | how much of each limit is left | [`Provider::signals`] → [`Signals`] |
//! | what each piece of a stream brings, and whether it really ended | [`Provider::stream`] → [`StreamReader`] |
//! | how a streamed body is cut into pieces | [`Framing`], [`JsonSplitter`] |
//! | what an answer says, whoever gave it | [`Provider::text_of`], [`Provider::as_openai`] |
//! | how tokens are taken from the quota | [`Provider::charging`] → [`Charging`] |
//! | the value of JSON that a strict parser refuses | [`lenient_json`] |
//!
//! # Trust
//!
//! Nothing here panics on what a server sends. A header that cannot be read is as good as absent, never a
//! wait of zero; a number too large to add to a clock is cut to a hundred years. A server's message is cut to
//! 2 KiB, has no markup, and what looks like a key or a query string is blotted out of it.
//!
//! # Not offered
//!
//! No tokenizer: [`Estimate`] is a formula, good for admission and corrected by the reply's own [`Usage`]. No
//! native dialect of Bedrock or Vertex. No translation of requests: but for the one line of a [`Prompt`], bodies are
//! the caller's.
#![forbid(unsafe_code)]

mod answer;
mod blocked;
mod charging;
mod class;
mod clock;
mod duration;
mod error_body;
mod estimate;
mod fault;
mod framing;
mod hints;
mod json;
mod markup;
mod prompt;
mod provider;
mod redact;
mod request;
mod rules;
mod shape;
mod signals;
mod splitter;
mod sse;
mod stream;
mod success;
mod usage;

pub use charging::Charging;
pub use class::{Class, Terminal};
pub use estimate::Estimate;
pub use fault::Fault;
pub use framing::Framing;
pub use json::lenient_json;
pub use prompt::Prompt;
pub use provider::{Auth, Provider};
pub use request::{NotJson, RequestFacts};
pub use signals::{Dimension, Reset, Signal, Signals};
pub use splitter::{JsonSplitter, TooLong};
pub use stream::{Delta, StreamItem, StreamReader, ToolCallDelta, Truncated};
pub use success::Success;
pub use usage::Usage;

#[cfg(test)]
mod tests;
