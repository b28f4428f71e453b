//! The file of answers: lines in the shape of an OpenAI batch output file, written as they complete.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use outbound::Outcome;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::exit::Stop;

/// Where the answers go.
pub(crate) struct Output {
    writer: Box<dyn Write>,
    name: String,
    line: Vec<u8>,
}

impl Output {
    /// Opens the output. A file that holds something is only replaced if `replace` says so.
    pub(crate) fn open(path: &Path, replace: bool) -> Result<Self, Stop> {
        let name = path.display().to_string();
        if path.as_os_str() == "-" {
            return Ok(Self {
                writer: Box::new(io::stdout()),
                name: String::from("standard output"),
                line: Vec::new(),
            });
        }
        let occupied = path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0);
        if occupied && !replace {
            return Err(Stop::Output(format!("{name} holds something already; --force replaces it")));
        }
        let opened = OpenOptions::new().write(true).create(true).truncate(true).open(path);
        match opened {
            Ok(file) => Ok(Self { writer: Box::new(file), name, line: Vec::new() }),
            Err(error) => Err(Stop::Output(format!("{name}: {error}"))),
        }
    }

    /// Writes one line, whole, before it returns.
    pub(crate) fn write(&mut self, outcome: &Outcome) -> Result<(), Stop> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, &Line::of(outcome))
            .map_err(io::Error::from)
            .and_then(|()| {
                self.line.push(b'\n');
                self.writer.write_all(&self.line)?;
                self.writer.flush()
            })
            .map_err(|error| Stop::Output(format!("{}: {error}", self.name)))
    }
}

/// The path that is used when none is given: `IN.results.jsonl` beside the input.
pub(crate) fn default_path(input: &Path, simulate: bool) -> PathBuf {
    if input.as_os_str() == "-" {
        return PathBuf::from("-");
    }
    input.with_extension(if simulate { "simulated.jsonl" } else { "results.jsonl" })
}

#[derive(Serialize)]
struct Line<'a> {
    id: String,
    custom_id: &'a str,
    response: Option<Response<'a>>,
    error: Option<Failure<'a>>,
    /// Everything that the batch format has no place for.
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
    fn of(outcome: &'a Outcome) -> Self {
        let (reply, error) = match &outcome.result {
            Ok(reply) => (Some(reply), None),
            Err(error) => (error.reply(), Some(error)),
        };
        Line {
            id: format!("batch_req_{:08}", outcome.index + 1),
            custom_id: outcome.id.as_deref().unwrap_or_default(),
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

/// A body as one line of JSON: itself if it is JSON, else the JSON that can be read in it, else a string. A line break in
/// JSON can only be white space between two tokens, so it can be blanked without reading further.
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

    #[test]
    fn the_default_output_stands_beside_the_input() {
        assert_eq!(default_path(Path::new("a/in.jsonl"), false), Path::new("a/in.results.jsonl"));
        assert_eq!(default_path(Path::new("in.jsonl"), true), Path::new("in.simulated.jsonl"));
        assert_eq!(default_path(Path::new("-"), true), Path::new("-"));
    }

    #[test]
    fn an_occupied_file_is_not_replaced_unasked() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("out.jsonl");
        std::fs::write(&path, "paid for\n").expect("a file in it");
        assert!(matches!(Output::open(&path, false), Err(Stop::Output(_))));
        assert_eq!(std::fs::read_to_string(&path).expect("still there"), "paid for\n");
        assert!(Output::open(&path, true).is_ok());
    }
}
