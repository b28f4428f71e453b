//! The wire formats: how requests, answers and refusals are written.

mod anthropic;
mod azure;
mod embeddings;
mod gemini;
mod ollama;
mod openai;
mod prompt;
mod responses;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    quota::{Dimension, Standing},
    refusal::Refusal,
    wall::{self, Wall},
};

/// A wire format. The path of a request decides which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `POST {any prefix}/chat/completions`
    OpenAi,
    /// `POST {any prefix}/messages`
    Anthropic,
    /// `POST {any prefix}/openai/deployments/{deployment}/chat/completions?api-version={version}`
    Azure,
    /// `POST {any prefix}/embeddings`
    Embeddings,
    /// `POST {any prefix}/models/{model}:generateContent`, or `:streamGenerateContent`
    Gemini,
    /// `POST {any prefix}/api/chat`
    Ollama,
    /// `POST {any prefix}/responses`
    Responses,
}

/// How the parts of a stream are separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events.
    Sse,
    /// One JSON array, an element at a time.
    Array,
    /// JSON texts, one a line.
    Lines,
}

impl Framing {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Sse => "text/event-stream; charset=utf-8",
            Self::Array => "application/json; charset=UTF-8",
            Self::Lines => "application/x-ndjson",
        }
    }

    /// Bytes that may stand between two parts and mean nothing.
    pub(crate) fn sign_of_life(self) -> &'static [u8] {
        match self {
            Self::Sse => b": PROCESSING\n\n",
            Self::Array | Self::Lines => b"\n",
        }
    }
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
    pub(crate) framing: Framing,
}

/// The events of one streamed answer, ready to send.
#[derive(Debug)]
pub(crate) struct Events {
    /// Sent with the first chunk.
    pub(crate) opening: String,
    /// The chunks, with one token each.
    pub(crate) chunks: Vec<String>,
    /// From the finish reason to the end marker.
    pub(crate) closing: String,
}

impl Dialect {
    /// The dialect of a path, if it is one that is served.
    pub(crate) fn served_at(path: &str) -> Option<Self> {
        if azure::deployment(path).is_some() {
            Some(Self::Azure)
        } else if path.ends_with("/chat/completions") {
            Some(Self::OpenAi)
        } else if path.ends_with("/embeddings") {
            Some(Self::Embeddings)
        } else if path.ends_with("/responses") {
            Some(Self::Responses)
        } else if path.ends_with("/api/chat") {
            Some(Self::Ollama)
        } else if gemini::target(path).is_some() {
            Some(Self::Gemini)
        } else if path.ends_with("/messages") {
            Some(Self::Anthropic)
        } else {
            None
        }
    }

    /// The key the request was sent with, where this dialect wants it.
    pub(crate) fn key<'a>(self, uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
        let header = |name: &str| headers.get(name)?.to_str().ok();
        match self {
            Self::OpenAi | Self::Responses | Self::Embeddings | Self::Ollama => {
                let (scheme, key) = header("authorization")?.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then_some(key)
            }
            Self::Anthropic => header("x-api-key"),
            Self::Azure => header("api-key"),
            Self::Gemini => header("x-goog-api-key")
                .or_else(|| uri.query()?.split('&').find_map(|pair| pair.strip_prefix("key="))),
        }
    }

    /// The refusal of a request whose key is not accepted. `has_key` says whether it has a key at all.
    pub(crate) fn no_key(self, has_key: bool) -> Refusal {
        match self {
            Self::Gemini if has_key => Refusal::wrong_gemini_key(),
            Self::Gemini => Refusal::status(403),
            _ => Refusal::status(401),
        }
    }

    /// Reads a body. The error is the message for its sender.
    pub(crate) fn parse(self, uri: &Uri, headers: &HeaderMap, body: &Value) -> Result<Ask, String> {
        match self {
            Self::OpenAi => openai::parse(body),
            Self::Anthropic => anthropic::parse(headers, body),
            Self::Azure => azure::parse(uri, body),
            Self::Embeddings => embeddings::parse(body),
            Self::Gemini => gemini::parse(uri, body),
            Self::Ollama => ollama::parse(body),
            Self::Responses => responses::parse(body),
        }
    }

    pub(crate) fn plain(self, answer: &Answer, ask: &Ask) -> Value {
        match self {
            Self::OpenAi | Self::Azure => openai::plain(answer),
            Self::Anthropic => anthropic::plain(answer),
            Self::Embeddings => embeddings::plain(answer, ask.messages),
            Self::Gemini => gemini::plain(answer),
            Self::Ollama => ollama::plain(answer),
            Self::Responses => responses::plain(answer),
        }
    }

    pub(crate) fn events(self, answer: &Answer, ask: &Ask) -> Events {
        match self {
            // Embeddings are never streamed.
            Self::OpenAi | Self::Embeddings => openai::events(answer, ask.include_usage),
            Self::Anthropic => anthropic::events(answer),
            Self::Azure => azure::events(answer, ask.include_usage),
            Self::Gemini => gemini::events(answer, ask.framing),
            Self::Ollama => ollama::events(answer),
            Self::Responses => responses::events(answer),
        }
    }

    /// An event that is not JSON, in place of a chunk.
    pub(crate) fn bad_event(self, framing: Framing) -> String {
        match self {
            Self::OpenAi | Self::Azure | Self::Embeddings => "data: {\"choices\":[{]\n\n".into(),
            Self::Anthropic => "event: content_block_delta\ndata: {\"delta\":[{]\n\n".into(),
            Self::Responses => "event: response.output_text.delta\ndata: {\"delta\":[{]\n\n".into(),
            Self::Gemini if framing == Framing::Array => "{\"candidates\":[{]".into(),
            Self::Gemini => "data: {\"candidates\":[{]\r\n\r\n".into(),
            Self::Ollama => "{\"message\":[{]\n".into(),
        }
    }

    /// An overload inside a reply with status 200: the event, and the body of a plain reply. In an array the event
    /// depends on whether it `is_first`.
    pub(crate) fn overload(self, framing: Framing, is_first: bool, request_id: &str) -> (String, Value) {
        let refusal = Refusal::status(503);
        match self {
            Self::OpenAi | Self::Azure | Self::Embeddings => {
                let body = self.error(&refusal, request_id);
                (format!("data: {body}\n\n"), body)
            }
            Self::Responses => {
                let body = responses::failed(&refusal, request_id);
                let event = json!({ "type": "response.failed", "sequence_number": 0, "response": body });
                (format!("event: response.failed\ndata: {event}\n\n"), body)
            }
            Self::Gemini => {
                let body = gemini::error(&refusal);
                let event = match framing {
                    Framing::Array if is_first => format!("[{body}\r\n]"),
                    Framing::Array => format!(",\r\n{body}\r\n]"),
                    _ => format!("data: {body}\r\n\r\n"),
                };
                (event, body)
            }
            Self::Ollama => {
                let body = ollama::error(&refusal);
                (format!("{body}\n"), body)
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
            Self::OpenAi | Self::Responses | Self::Embeddings => openai::error(refusal),
            Self::Azure => azure::error(refusal),
            Self::Gemini => gemini::error(refusal),
            Self::Ollama => ollama::error(refusal),
            Self::Anthropic => anthropic::error(refusal, request_id),
        }
    }

    /// The header that carries the request's id. Gemini and Ollama have none.
    pub(crate) fn request_id_header(self) -> Option<HeaderName> {
        let name = match self {
            Self::Azure => "apim-request-id",
            Self::OpenAi | Self::Responses | Self::Embeddings => "x-request-id",
            Self::Anthropic => "request-id",
            Self::Gemini | Self::Ollama => return None,
        };
        Some(HeaderName::from_static(name))
    }

    /// The limit headers: OpenAI's for requests and tokens, with the time until full as a Go duration; Anthropic's
    /// for every dimension, with the moment of being full in RFC 3339; Gemini and Ollama have none.
    pub(crate) fn limit_headers(self, standings: &[Standing], now: Wall) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        for standing in standings {
            let dimension = standing.dimension.as_str();
            let (names, reset) = match self {
                Self::OpenAi | Self::Responses | Self::Embeddings | Self::Azure
                    if matches!(standing.dimension, Dimension::Requests | Dimension::Tokens) =>
                {
                    (
                        ["limit", "remaining", "reset"].map(|what| format!("x-ratelimit-{what}-{dimension}")),
                        wall::go_duration(standing.full_in),
                    )
                }
                Self::OpenAi | Self::Responses | Self::Embeddings | Self::Azure => continue,
                Self::Gemini | Self::Ollama => continue,
                Self::Anthropic => (
                    ["limit", "remaining", "reset"]
                        .map(|what| format!("anthropic-ratelimit-{dimension}-{what}")),
                    now.after(standing.full_in).rfc_3339_rounded_up(),
                ),
            };
            let values = [standing.limit.to_string(), standing.remaining.to_string(), reset];
            for (name, value) in names.into_iter().zip(values) {
                // Name and value are made of ASCII letters, digits and marks, so neither conversion fails.
                if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                    headers.push((name, value));
                }
            }
        }
        headers
    }
}
