//! The two wire formats: what they ask, answer and refuse with.

mod anthropic;
mod openai;
mod prompt;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::{
    answer::Answer,
    quota::{Dimension, Standing},
    refusal::Refusal,
    wall::{self, Wall},
};

/// Which format a path speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `POST {any prefix}/chat/completions`
    OpenAi,
    /// `POST {any prefix}/messages`
    Anthropic,
}

/// What a well-formed request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) model: String,
    pub(crate) input_tokens: u64,
    pub(crate) messages: u64,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
}

/// The events of one streamed answer, ready to send.
#[derive(Debug)]
pub(crate) struct Events {
    /// Goes with the first chunk.
    pub(crate) opening: String,
    /// One token each.
    pub(crate) chunks: Vec<String>,
    /// From the finish reason to the end marker.
    pub(crate) closing: String,
}

impl Dialect {
    /// The dialect of a path, if it is one that is served.
    pub(crate) fn served_at(path: &str) -> Option<Self> {
        if path.ends_with("/chat/completions") {
            Some(Self::OpenAi)
        } else if path.ends_with("/messages") {
            Some(Self::Anthropic)
        } else {
            None
        }
    }

    /// The key the request was sent with, where this dialect wants it.
    pub(crate) fn key(self, headers: &HeaderMap) -> Option<&str> {
        match self {
            Self::OpenAi => {
                let (scheme, key) = headers.get("authorization")?.to_str().ok()?.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then_some(key)
            }
            Self::Anthropic => headers.get("x-api-key")?.to_str().ok(),
        }
    }

    /// Reads a body. The error is for the sender of it.
    pub(crate) fn parse(self, headers: &HeaderMap, body: &Value) -> Result<Ask, String> {
        match self {
            Self::OpenAi => openai::parse(body),
            Self::Anthropic => anthropic::parse(headers, body),
        }
    }

    pub(crate) fn plain(self, answer: &Answer) -> Value {
        match self {
            Self::OpenAi => openai::plain(answer),
            Self::Anthropic => anthropic::plain(answer),
        }
    }

    pub(crate) fn events(self, answer: &Answer, ask: &Ask) -> Events {
        match self {
            Self::OpenAi => openai::events(answer, ask.include_usage),
            Self::Anthropic => anthropic::events(answer),
        }
    }

    /// An event that is not JSON, in the place of a chunk.
    pub(crate) fn bad_event(self) -> String {
        match self {
            Self::OpenAi => "data: {\"choices\":[{]\n\n".into(),
            Self::Anthropic => "event: content_block_delta\ndata: {\"delta\":[{]\n\n".into(),
        }
    }

    /// An overload inside a reply with status 200: the event, and the body of a plain reply.
    pub(crate) fn overload(self, request_id: &str) -> (String, Value) {
        match self {
            Self::OpenAi => {
                let body = openai::error(&Refusal::status(503));
                (format!("data: {body}\n\n"), body)
            }
            Self::Anthropic => {
                let body = anthropic::error(&Refusal::status(529), request_id);
                (format!("event: error\ndata: {body}\n\n"), body)
            }
        }
    }

    /// The JSON body of a refusal.
    pub(crate) fn error(self, refusal: &Refusal, request_id: &str) -> Value {
        match self {
            Self::OpenAi => openai::error(refusal),
            Self::Anthropic => anthropic::error(refusal, request_id),
        }
    }

    /// The header that carries the request's id.
    pub(crate) fn request_id_header(self) -> HeaderName {
        match self {
            Self::OpenAi => HeaderName::from_static("x-request-id"),
            Self::Anthropic => HeaderName::from_static("request-id"),
        }
    }

    /// The limit headers: OpenAI's for requests and tokens, with the time until full as a Go duration; Anthropic's
    /// for every dimension, with the moment of being full in RFC 3339.
    pub(crate) fn limit_headers(self, standings: &[Standing], now: Wall) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        for standing in standings {
            let dimension = standing.dimension.as_str();
            let (names, reset) = match self {
                Self::OpenAi if matches!(standing.dimension, Dimension::Requests | Dimension::Tokens) => (
                    ["limit", "remaining", "reset"].map(|what| format!("x-ratelimit-{what}-{dimension}")),
                    wall::go_duration(standing.full_in),
                ),
                Self::OpenAi => continue,
                Self::Anthropic => (
                    ["limit", "remaining", "reset"]
                        .map(|what| format!("anthropic-ratelimit-{dimension}-{what}")),
                    now.after(standing.full_in).rfc_3339_rounded_up(),
                ),
            };
            let values = [standing.limit.to_string(), standing.remaining.to_string(), reset];
            for (name, value) in names.into_iter().zip(values) {
                // Both are made of ASCII letters, digits and marks here, so neither fails.
                if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                    headers.push((name, value));
                }
            }
        }
        headers
    }
}
