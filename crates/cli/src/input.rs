//! The file of requests: lines in the shape of an OpenAI batch input file, with one key more for what is ours.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    path::Path,
};

use futures::{Stream, stream};
use outbound::Request;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use self::options::Options;
use crate::exit::Stop;

mod options;

/// Longest line, in bytes. A provider's own batch files end at 200 MB in all.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// One line, read and checked.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) custom_id: String,
    pub(crate) url: String,
    pub(crate) body: Box<RawValue>,
    options: Options,
}

/// The shape of a line. What else stands in it is passed over.
#[derive(Deserialize)]
struct Raw {
    custom_id: String,
    #[serde(default)]
    method: Option<String>,
    url: String,
    body: Box<RawValue>,
    #[serde(default)]
    outbound: Option<Options>,
}

impl Line {
    fn parse(number: u64, text: &[u8]) -> Result<Self, Stop> {
        let wrong = |why: &dyn std::fmt::Display| Stop::Input(format!("line {number}: {why}"));
        let raw: Raw = serde_json::from_slice(text).map_err(|error| wrong(&of_one_line(&error)))?;
        if raw.custom_id.is_empty() {
            return Err(wrong(&"`custom_id` is empty"));
        }
        if raw.method.as_deref().is_some_and(|method| method != "POST") {
            return Err(wrong(&"`method` is not POST"));
        }
        if !raw.url.starts_with('/') || raw.url.starts_with("//") {
            return Err(wrong(&"`url` is not a path such as /v1/chat/completions"));
        }
        if !raw.body.get().starts_with('{') {
            return Err(wrong(&"`body` is not an object"));
        }
        let options = raw.outbound.unwrap_or_default();
        match options.wrong() {
            Some(why) => Err(wrong(&why)),
            None => Ok(Self { number, custom_id: raw.custom_id, url: raw.url, body: raw.body, options }),
        }
    }

    /// The first 64 bits of the SHA-256 of what is sent.
    pub(crate) fn fingerprint(&self) -> u64 {
        let parts = ["POST", "\n", &self.url, "\n", self.body.get()];
        crate::identity::Digest::of(&parts.map(str::as_bytes)).0
    }

    /// The request to send: the line's path below the base URL's own path, of which it does not repeat the end. Below
    /// `/openai/v1` the batch format's `/v1/chat/completions` is `/chat/completions`.
    pub(crate) fn into_request(self, base_path: &str) -> Request {
        let path = below(base_path, &self.url).to_owned();
        let body: Box<str> = self.body.into();
        self.options.apply(Request::post_raw(path, body.into_string()).id(self.custom_id))
    }
}

/// A path without the longest run of whole segments that ends the base path and begins the path itself.
fn below<'a>(base: &str, path: &'a str) -> &'a str {
    let base = base.trim_end_matches('/');
    let mut ends = path.rmatch_indices('/').map(|(end, _)| end).filter(|end| *end > 0);
    let overlap = ends.find(|end| base.ends_with(&path[..*end]));
    overlap.map_or(path, |end| &path[end..])
}

/// An error of JSON without its line, which is always the first.
fn of_one_line(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", ", at column ")
}

/// Opens the input; `-` is standard input.
pub(crate) async fn open(path: &Path) -> Result<Box<dyn AsyncRead + Send + Unpin>, Stop> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(tokio::io::stdin()));
    }
    match tokio::fs::File::open(path).await {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(Stop::Input(format!("{}: {error}", path.display()))),
    }
}

/// The lines of an input, one at a time, blank ones passed over. Ends after the first that is wrong.
pub(crate) fn lines(
    input: Box<dyn AsyncRead + Send + Unpin>,
    name: &Path,
) -> impl Stream<Item = Result<Line, Stop>> + Send + use<> {
    let name =
        if name.as_os_str() == "-" { String::from("standard input") } else { name.display().to_string() };
    let reader = BufReader::with_capacity(256 * 1024, input);
    let start = Some((reader, 0, Ids::default(), name));
    stream::unfold(start, async |state| {
        let (mut reader, mut number, mut ids, name) = state?;
        let line = next_line(&mut reader, &mut number).await.transpose()?;
        match line.and_then(|line| ids.check(line)) {
            Ok(line) => Some((Ok(line), Some((reader, number, ids, name)))),
            Err(Stop::Input(what)) => Some((Err(Stop::Input(format!("{name}, {what}"))), None)),
            Err(stop) => Some((Err(stop), None)),
        }
    })
}

async fn next_line(reader: &mut (impl AsyncBufRead + Unpin), number: &mut u64) -> Result<Option<Line>, Stop> {
    let mut text = Vec::new();
    loop {
        text.clear();
        *number += 1;
        let read = reader.take(MAX_LINE + 1).read_until(b'\n', &mut text).await;
        let read = read.map_err(|error| Stop::Input(format!("line {number}: {error}")))?;
        if read as u64 > MAX_LINE {
            return Err(Stop::Input(format!("line {number}: longer than {MAX_LINE} bytes")));
        }
        if read == 0 {
            return Ok(None);
        }
        if *number == 1 && (text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff")) {
            let why = "line 1: the file is in UTF-16; write it in UTF-8, with `iconv -f UTF-16 -t UTF-8`";
            return Err(Stop::Input(why.to_owned()));
        }
        let bare = text.strip_prefix(b"\xef\xbb\xbf").filter(|_| *number == 1).unwrap_or(&text).trim_ascii();
        if !bare.is_empty() {
            return Line::parse(*number, bare).map(Some);
        }
    }
}

/// The ids seen so far, as 128-bit keyed hashes. It is the one thing that grows with the number of lines, by 16 bytes
/// for each: knowing a repeated id from a new one has that price.
#[derive(Default)]
struct Ids {
    seen: HashSet<(u64, u64)>,
    hashers: (RandomState, RandomState),
}

impl Ids {
    fn check(&mut self, line: Line) -> Result<Line, Stop> {
        let hash = (self.hashers.0.hash_one(&line.custom_id), self.hashers.1.hash_one(&line.custom_id));
        if self.seen.insert(hash) {
            return Ok(line);
        }
        Err(Stop::Input(format!("line {}: `custom_id` {:?} was there before", line.number, line.custom_id)))
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    async fn read(text: &'static str) -> (Vec<String>, Option<String>) {
        let mut lines = Box::pin(lines(Box::new(text.as_bytes()), Path::new("in.jsonl")));
        let mut ids = Vec::new();
        while let Some(line) = lines.next().await {
            match line {
                Ok(line) => ids.push(line.custom_id),
                Err(stop) => return (ids, Some(stop.to_string())),
            }
        }
        (ids, None)
    }

    #[test]
    fn a_line_does_not_repeat_the_end_of_the_base_path() {
        for (base, url, path) in [
            ("/v1", "/v1/chat/completions", "/chat/completions"),
            ("/v1/", "/v1/chat/completions", "/chat/completions"),
            ("/openai/v1", "/v1/chat/completions", "/chat/completions"),
            ("", "/v1/chat/completions", "/v1/chat/completions"),
            ("/", "/v1/chat/completions", "/v1/chat/completions"),
            ("/api", "/v1/chat/completions", "/v1/chat/completions"),
            ("/xv1", "/v1/chat/completions", "/v1/chat/completions"),
            ("/v1/chat", "/v1/chat/completions", "/completions"),
        ] {
            assert_eq!(below(base, url), path, "{base}");
        }
    }

    #[tokio::test]
    async fn a_good_file() {
        let text = "\u{feff}{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/x\",\"body\":{}}\r\n\n\
                    {\"custom_id\":\"b\",\"url\":\"/v1/x\",\"body\":{\"k\":[1]},\"more\":1}";
        assert_eq!(read(text).await, (vec![String::from("a"), String::from("b")], None));
    }

    #[tokio::test]
    async fn a_file_in_another_encoding_is_named() {
        for text in [&b"\xff\xfe{\0\"\0"[..], b"\xfe\xff\0{\0\""] {
            let mut lines = Box::pin(lines(Box::new(text), Path::new("in.jsonl")));
            let stop = lines.next().await.expect("an error").expect_err("no line");
            assert!(stop.to_string().starts_with("in.jsonl, line 1: the file is in UTF-16;"), "{stop}");
        }
    }

    #[tokio::test]
    async fn a_wrong_line_is_named() {
        for (line, says) in [
            ("{", "in.jsonl, line 2: EOF"),
            (r#"{"custom_id":"b","url":"/v1/x"}"#, "in.jsonl, line 2: missing field `body`"),
            (r#"{"custom_id":"b","url":"/v1/x","body":[]}"#, "in.jsonl, line 2: `body` is not an object"),
            (r#"{"custom_id":"","url":"/v1/x","body":{}}"#, "in.jsonl, line 2: `custom_id` is empty"),
            (
                r#"{"custom_id":"b","method":"GET","url":"/v1/x","body":{}}"#,
                "in.jsonl, line 2: `method` is not POST",
            ),
            (
                r#"{"custom_id":"b","url":"http://elsewhere/","body":{}}"#,
                "in.jsonl, line 2: `url` is not a path",
            ),
            (
                r#"{"custom_id":"a","url":"/v1/x","body":{}}"#,
                "in.jsonl, line 2: `custom_id` \"a\" was there before",
            ),
            (
                r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"prority":1}}"#,
                "in.jsonl, line 2: unknown field `prority`, expected one of `priority`, `tenant`, `deadline`, \
                 `max_attempts`, `fallback`",
            ),
            (
                r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"priority":"high"}}"#,
                "in.jsonl, line 2: invalid type: string \"high\", expected i32",
            ),
            (
                r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"deadline":0}}"#,
                "in.jsonl, line 2: `outbound.deadline` is not a time",
            ),
            (
                r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"deadline":1e300}}"#,
                "in.jsonl, line 2: `outbound.deadline` is not a time",
            ),
            (
                r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"max_attempts":0}}"#,
                "in.jsonl, line 2: `outbound.max_attempts` is zero",
            ),
            (
                r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"fallback":[""]}}"#,
                "in.jsonl, line 2: `outbound.fallback` has a model",
            ),
        ] {
            let text = format!("{}\n{line}\n", r#"{"custom_id":"a","url":"/v1/x","body":{}}"#).leak();
            let (ids, error) = read(text).await;
            assert_eq!(ids, ["a"]);
            let error = error.expect(says);
            assert!(error.starts_with(says), "{error}");
        }
    }
}
