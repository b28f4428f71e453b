//! A line of the output. It has the shape of a line of an OpenAI batch output file, with one more member, `outbound`.

use std::time::Duration;

use outbound::Outcome;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::identity::Digest;

/// The input line of an outcome.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    /// The number of the line in the input, from 1.
    pub(crate) line: u64,
    /// The digest of what was sent.
    pub(crate) request: Digest,
}

/// Adds the line of an outcome, with its line end. Keys in it are replaced by `***`.
pub(crate) fn put(into: &mut Vec<u8>, outcome: &Outcome, origin: Origin, keys: &[String]) {
    let before = into.len();
    // It cannot fail: it writes to memory, and all members can be JSON.
    if serde_json::to_writer(&mut *into, &Line::of(outcome, origin)).is_err() {
        return into.truncate(before);
    }
    let has_key = |line: &str| keys.iter().any(|key| line.contains(key));
    if let Ok(line) = std::str::from_utf8(&into[before..])
        && has_key(line)
    {
        let line = keys.iter().fold(line.to_owned(), |line, key| line.replace(key, "***"));
        into.truncate(before);
        into.extend_from_slice(line.as_bytes());
    }
    into.push(b'\n');
}

#[derive(Serialize)]
struct Line<'a> {
    id: String,
    custom_id: &'a str,
    response: Option<Response<'a>>,
    error: Option<Failure<'a>>,
    /// Everything that the batch format has no member for.
    outbound: Extra,
}

#[derive(Serialize)]
struct Response<'a> {
    status_code: u16,
    request_id: &'a str,
    body: Box<RawValue>,
}

#[derive(Serialize)]
struct Failure<'a> {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<&'a str>,
}

#[derive(Serialize)]
struct Extra {
    /// The number of the line in the input, from 1.
    line: u64,
    /// The digest of what was sent. A later run sees by it whether the line has changed.
    request: Digest,
    sends: u32,
    charged: u32,
    refused: u32,
    waited_ms: u64,
    elapsed_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens: Option<u64>,
    possible_duplicate: bool,
}

impl<'a> Line<'a> {
    fn of(outcome: &'a Outcome, origin: Origin) -> Self {
        let (reply, error) = match &outcome.result {
            Ok(reply) => (Some(reply), None),
            Err(error) => (error.reply(), Some(error)),
        };
        let custom_id = outcome.id.as_deref().unwrap_or_default();
        Line {
            id: format!("batch_req_{}", Digest::of_id(custom_id)),
            custom_id,
            response: reply.map(|reply| Response {
                status_code: reply.status.as_u16(),
                request_id: reply.request_id().unwrap_or_default(),
                body: one_line(&reply.body),
            }),
            error: error.map(|error| Failure {
                code: error.kind().as_str(),
                message: error.to_string(),
                partial: error.partial(),
            }),
            outbound: Extra {
                line: origin.line,
                request: origin.request,
                sends: outcome.sends,
                charged: outcome.charged,
                refused: outcome.refused,
                waited_ms: milliseconds(outcome.waited),
                elapsed_ms: milliseconds(outcome.elapsed),
                input_tokens: outcome.usage.map(|usage| usage.input),
                output_tokens: outcome.usage.map(|usage| usage.output),
                possible_duplicate: outcome.possible_duplicate,
            },
        }
    }
}

/// A body as one line of JSON: the body itself if it is JSON, else the JSON that can be read from it, else a string. In JSON a
/// line break is only possible between two tokens, so it can be replaced by a space.
fn one_line(body: &[u8]) -> Box<RawValue> {
    let text = String::from_utf8_lossy(body);
    let line = text.replace(['\n', '\r'], " ");
    let readable = || outbound::provider::lenient_json(body).and_then(|value| to_raw_value(&value).ok());
    RawValue::from_string(line)
        .ok()
        .or_else(readable)
        .or_else(|| to_raw_value(&text).ok())
        .unwrap_or_default()
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_line_whatever_it_is() {
        assert_eq!(one_line(b"{\n  \"a\": 1\r\n}").get(), "{   \"a\": 1  }");
        assert_eq!(one_line(b"<html>\n</html>").get(), r#""<html>\n</html>""#);
        assert_eq!(one_line(b"").get(), r#""""#);
        assert_eq!(one_line(b"\xff").get(), "\"\u{fffd}\"");
    }
}
