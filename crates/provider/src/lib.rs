//! What the replies of LLM and HTTP providers mean: error classes, limit headers, stream endings.
//!
//! A 429 may mean "wait 600 ms", "your rate grows too fast", "this request can never fit" or "your money is spent". An overload
//! may arrive inside a reply of status 200, and a stream that stops may look like one that ended.
//!
//! This crate reads such replies and says which it was. It does no I/O, keeps no clock and starts nothing: every function takes
//! bytes and a time, and returns plain data.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//!
//! use http::{HeaderMap, HeaderValue, StatusCode};
//! use outbound_provider::{Class, Provider};
//!
//! fn main() {
//!     let provider = Provider::openai();
//!     let mut headers = HeaderMap::new();
//!     headers.insert("retry-after-ms", HeaderValue::from_static("599"));
//!     let body = br#"{"error":{"message":"Rate limit reached","type":"tokens","code":"rate_limit_exceeded"}}"#;
//!
//!     let fault = provider.classify(StatusCode::TOO_MANY_REQUESTS, &headers, body, SystemTime::now());
//!     assert_eq!(fault.class, Class::RateLimited);
//!     assert_eq!(fault.wait, Some(Duration::from_millis(599)));
//!
//!     // The same status, and nothing to wait for: the money is used up.
//!     let body = br#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#;
//!     let fault = provider.classify(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body, SystemTime::now());
//!     assert_eq!(fault.class, Class::QuotaSpent);
//!     assert!(fault.of_account && !fault.is_retryable());
//! }
//! ```
//!
//! Beside this crate the example needs:
//!
//! ```sh
//! cargo add http
//! ```
//!
//! # What is in it
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
//! # Guarantees
//!
//! - **Panics.** Nothing here panics on what a server sends, whatever it is. A fuzzer and property tests look for it.
//! - **Time.** No function reads a clock: the caller gives the time. A header that cannot be read counts as absent, never as
//!   a wait of zero. A wait is at most a hundred years, so that it can be added to any instant.
//! - **Bounds.** A streamed reply may hold 64 MiB, a message 2 KiB, a code 64 bytes. However deep a body nests, the stack
//!   that it needs is bounded.
//! - **Secrets.** A server's message has no markup, and what looks like a key or a query string is cut out of it.
//! - **A stream that stops is never whole.** [`StreamReader::finish`] asks for the provider's own proof of the end.
//! - **An answer is read generously.** A byte order mark, `NaN`, half an emoji or invalid UTF-8 makes no answer unreadable:
//!   it was paid for.
//! - There is nothing to cancel and nobody to be fair to: no function waits.
//!
//! # What it does not do
//!
//! - It has no tokenizer. [`Estimate`] is a formula, good enough for admission, and corrected by the reply's own [`Usage`].
//! - It does not translate requests: except for a [`Prompt`], bodies are the caller's.
//! - It does not speak the native formats of Bedrock and Vertex.
//! - It sends nothing, waits for nothing and tries nothing again: see `outbound-client`, `outbound-limiter`,
//!   `outbound-retry`.
//!
//! # Coming from a provider's own library
//!
//! | there | here |
//! |---|---|
//! | `openai.RateLimitError`, `anthropic.RateLimitError` | [`Class::RateLimited`], [`Class::RampLimited`] or [`Class::QuotaSpent`], which have one status |
//! | `APIConnectionError`, `APITimeoutError` | the sender's to tell; [`Class::Ambiguous`] where a request went out whole |
//! | `InternalServerError`, `OverloadedError` | [`Class::Transient`], [`Class::Overloaded`] |
//! | `BadRequestError`, `NotFoundError`, `UnprocessableEntityError` | [`Class::Terminal`] with a [`Terminal`] reason |
//! | `AuthenticationError`, `PermissionDeniedError` | [`Terminal::Auth`], [`Terminal::Forbidden`], with [`Fault::of_account`] |
//! | `error.code`, `error.message`, `error.response.headers` | [`Fault::code`], [`Fault::message`], [`Fault::wait`] |
//! | `x-should-retry` | [`Fault::should_retry`], [`Fault::is_retryable`] |
//! | `response.usage` | [`Usage`], the same for all providers |
//! | `chunk.choices[0].delta` | [`Delta`], the same for all providers |
//!
//! # Coming from litellm, async-openai, tiktoken
//!
//! | there | here |
//! |---|---|
//! | litellm's exceptions, mapped to OpenAI's | [`Class`] |
//! | litellm's `ModelResponse` | [`Provider::as_openai`] |
//! | litellm's `get_llm_provider("groq/..")` | [`Provider::named`]`("groq")` |
//! | async-openai's `ApiError` | [`Fault`] |
//! | async-openai's stream of chunks | [`StreamReader`], which also says whether it was whole |
//! | `tiktoken`, `count_tokens` | [`Estimate`], without a vocabulary |
//!
//! # Cost
//!
//! Bodies are read in place, in one pass. There are no features. `benches/RESULTS.md` in the
//! repository has the measured costs.
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
