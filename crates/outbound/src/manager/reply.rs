//! A reply with its whole body.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use outbound_provider::lenient_json;
use serde_json::Value;

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
