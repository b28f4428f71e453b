//! A reply with its whole body.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use outbound_provider::{Provider, lenient_json};
use serde_json::Value;

/// A reply with its whole body.
#[derive(Clone)]
#[non_exhaustive]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body. For a stream: the body that the provider would have sent without streaming, built from the events.
    pub body: Bytes,
}

impl Reply {
    /// The body as JSON. It also accepts what strict JSON forbids but servers send: a byte order mark, `NaN` (read as
    /// null), half a surrogate pair (read as the replacement character).
    ///
    /// # Errors
    ///
    /// If the body is not even that.
    pub fn json(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_slice(&self.body).or_else(|error| lenient_json(&self.body).ok_or(error))
    }

    /// The text that the model wrote: the first answer, in the format of any provider that this crate knows.
    pub fn content(&self) -> Option<String> {
        Provider::openai_compatible().text_of(&self.body)
    }

    /// The body in the format of OpenAI's `chat.completion`, converted from any format that this crate knows. See
    /// [`Provider::as_openai`].
    pub fn as_openai(&self) -> Option<Value> {
        Provider::openai_compatible().as_openai(&self.body)
    }

    /// The id that the provider gave the request, for its support team: `x-request-id` or `request-id`.
    pub fn request_id(&self) -> Option<&str> {
        let id = self.headers.get("x-request-id").or_else(|| self.headers.get("request-id"))?;
        id.to_str().ok()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers may hold cookies, and a body may repeat the key.
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("body", &self.body.len())
            .finish_non_exhaustive()
    }
}
