//! What came of a request.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use outbound_provider::{Usage, lenient_json};
use serde_json::Value;

use super::{
    error::{Error, ErrorKind},
    record::AttemptRecord,
    request::Request,
};

/// What came of one request, whatever came of it: every request has exactly one.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// Its place among the requests of its batch, from 0; 0 outside a batch.
    pub index: usize,
    /// The name the caller gave it.
    pub id: Option<String>,
    /// The reply, or why there is none.
    pub result: Result<Reply, Error>,
    /// How often it was sent, or may have been: attempts that provably never left are not in here.
    pub sends: u32,
    /// How many of the sends were charged against `max_attempts`: all but those refused for the rate, those turned away
    /// by an overloaded provider, and probes of an outage.
    pub charged: u32,
    /// How many of the sends were refused for the rate (429).
    pub refused: u32,
    /// Tokens, as far as the provider told.
    pub usage: Option<Usage>,
    /// Time spent waiting for admission and between attempts.
    pub waited: Duration,
    /// Time from `send` or `submit` to the end.
    pub elapsed: Duration,
    /// It was sent again after an earlier send may have been processed, and nothing proves that it was not.
    pub possible_duplicate: bool,
    /// Its attempts in their order, at most 32 of them: of a longer way the first and the last.
    pub attempts: Vec<AttemptRecord>,
    /// The request itself, where it was never sent because its scope was stopped or the manager was shut down.
    pub unsent: Option<Request>,
}

impl Outcome {
    /// What sort of failure it was; `None` if it was none.
    pub fn error_kind(&self) -> Option<ErrorKind> {
        self.result.as_ref().err().map(Error::kind)
    }
}

/// A reply with its whole body.
#[derive(Clone)]
#[non_exhaustive]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body. Of a stream: the events, folded into the body that the provider would have sent without streaming.
    pub body: Bytes,
}

impl Reply {
    /// The body as JSON. What strict JSON does not allow and servers send all the same is read too: a byte order mark,
    /// `NaN` (as null), half an emoji (as the replacement character).
    ///
    /// # Errors
    ///
    /// If it is none even so.
    pub fn json(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_slice(&self.body).or_else(|error| lenient_json(&self.body).ok_or(error))
    }

    /// The text that the model wrote, in the formats this crate knows: the first choice of a chat completion, or the
    /// text blocks of an Anthropic message.
    pub fn content(&self) -> Option<String> {
        let body = self.json().ok()?;
        if let Some(text) = body.pointer("/choices/0/message/content") {
            return text.as_str().map(str::to_owned);
        }
        let blocks = body.get("content")?.as_array()?;
        Some(blocks.iter().filter_map(|block| block.get("text")?.as_str()).collect())
    }

    /// The id that the provider gave the request, for its support: `x-request-id` or `request-id`.
    pub fn request_id(&self) -> Option<&str> {
        let id = self.headers.get("x-request-id").or_else(|| self.headers.get("request-id"))?;
        id.to_str().ok()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers may hold cookies, a body anything: a refusal has been known to repeat the key.
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("body", &self.body.len())
            .finish_non_exhaustive()
    }
}
