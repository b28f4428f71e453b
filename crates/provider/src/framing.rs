//! How a streamed body is cut into pieces.

use http::{HeaderMap, header};

use crate::{clock, json::without_mark};

/// How the pieces of a streamed body are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Framing {
    /// Server-sent events: OpenAI, Anthropic, Gemini with `alt=sse`, and most others.
    Events,
    /// JSON values, each on a line of its own: Ollama. [`JsonSplitter`](crate::JsonSplitter) cuts them.
    Lines,
    /// One JSON array that grows: Gemini without `alt=sse`. [`JsonSplitter`](crate::JsonSplitter) cuts it.
    Array,
}

/// The framings that content types stand for.
const TYPES: &[(&str, Framing)] = &[
    ("text/event-stream", Framing::Events),
    ("application/x-ndjson", Framing::Lines),
    ("application/ndjson", Framing::Lines),
    ("application/jsonl", Framing::Lines),
    ("application/x-jsonlines", Framing::Lines),
    ("application/json-lines", Framing::Lines),
    ("application/stream+json", Framing::Lines),
    ("application/json-seq", Framing::Lines),
];

impl Framing {
    /// The framing of a body, from its content type, or else from its first byte that is no white space: `[` begins
    /// an array, `{` a line, and everything else is events. `None` where the content type does not tell and `start`,
    /// the bytes of the body so far, holds nothing yet: read on, and ask again.
    ///
    /// A whole answer in JSON, where no stream came, is one line.
    pub fn of(headers: &HeaderMap, start: &[u8]) -> Option<Framing> {
        let kind = clock::text(headers.get(header::CONTENT_TYPE)).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let known = TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(kind));
        known.map(|&(_, framing)| framing).or_else(|| {
            Some(match without_mark(start).trim_ascii_start().first()? {
                b'[' => Framing::Array,
                b'{' => Framing::Lines,
                _ => Framing::Events,
            })
        })
    }
}
