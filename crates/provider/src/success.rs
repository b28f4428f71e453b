//! Replies of status 200: whether they are answers.

use serde_json::Value;

use crate::{
    Class, Fault, JsonSplitter, RequestFacts, Usage, blocked,
    error_body::{has_answer, is_failed_choice, is_good_choice, is_refusal, unwrap_array},
    json::{self, JsonError, Scanner},
    markup, redact,
    shape::Shape,
    usage::Counts,
};

/// A reply that answers the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Success {
    /// The tokens it says it took.
    pub usage: Option<Usage>,
    /// The body to use in place of the one that came: a stream that was not asked for, put together. `None`: the bytes are
    /// good as they are.
    pub body: Option<Vec<u8>>,
}

/// What a body is, if it is no stream.
#[derive(Debug)]
pub(crate) enum BodyKind {
    Answer(Option<Usage>),
    /// An error, or a choice that is an error.
    Refusal(Value),
    /// No answer, and why.
    NoAnswer(String),
}

/// Reads the body of a success once. It is read again only if it may be an error, or no answer.
pub(crate) fn read(facts: &RequestFacts, body: &[u8]) -> BodyKind {
    let mut summary = ObjectSummary::default();
    let mut scanner = Scanner::new(body);
    let is_object = scanner.peek() == b'{';
    let read =
        if is_object { scanner.object(|scanner, name| summary.field(scanner, name)) } else { scanner.skip() };
    if let Err(JsonError) = read.and_then(|()| scanner.end()) {
        return no_json(facts, body, scanner.is_at_end());
    }
    if is_object && summary.is_plainly_good(facts) {
        return BodyKind::Answer(summary.usage());
    }
    match json::lenient_json(body) {
        Some(value) => judge(facts, value, summary.usage()),
        None => no_json(facts, body, false),
    }
}

/// What one pass over an object has seen.
#[derive(Default)]
struct ObjectSummary {
    usage: Option<Usage>,
    counts: Counts,
    good_choice: bool,
    /// A choice that may be an error.
    bad_choice: bool,
    /// A list of content (Anthropic) or of output (responses).
    content: bool,
    /// A field that errors have. Most often it is null, or means something else.
    suspicious: bool,
}

impl ObjectSummary {
    #[inline]
    fn field(&mut self, scanner: &mut Scanner<'_>, name: &[u8]) -> Result<(), JsonError> {
        match name {
            b"choices" if scanner.peek() == b'[' => scanner.array(|scanner| self.choice(scanner)),
            b"candidates" if scanner.peek() == b'[' => scanner.array(|scanner| self.candidate(scanner)),
            b"usage" | b"usageMetadata" => {
                self.usage = Counts::scan(scanner)?.or(self.usage);
                Ok(())
            }
            b"x_groq" if scanner.peek() == b'{' => scanner.object(|scanner, name| match name {
                b"usage" => {
                    self.usage = self.usage.or(Counts::scan(scanner)?);
                    Ok(())
                }
                _ => scanner.skip(),
            }),
            // Ollama has the counts in the body itself, and the field that says whether it is done.
            b"prompt_eval_count" | b"eval_count" => {
                let count = scanner.u64_or_skip()?;
                self.counts.set(name, count);
                Ok(())
            }
            b"done" => {
                self.suspicious |= scanner.peek() == b'f';
                scanner.skip()
            }
            b"content" | b"output" => {
                self.content |= scanner.peek() == b'[';
                scanner.skip()
            }
            b"object" | b"type" | b"status" => {
                let word = scanner.peek() == b'"';
                let start = scanner.at();
                scanner.skip()?;
                let text = scanner.since(start);
                self.suspicious |= match name {
                    _ if !word => text != b"null",
                    b"status" => text.starts_with(b"\"e") || text.starts_with(b"\"f"),
                    _ => text.ends_with(b"rror\""),
                };
                Ok(())
            }
            b"error" | b"errors" | b"detail" | b"code" | b"success" | b"ok" | b"base_resp" | b"fault"
            | b"__type" | b"statusCode" | b"status_code" | b"error_code" | b"message" | b"msg"
            | b"error_msg" => {
                self.suspicious |= scanner.peek() != b'n';
                scanner.skip()
            }
            _ => scanner.skip(),
        }
    }

    fn choice(&mut self, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        if scanner.peek() != b'{' {
            return scanner.skip();
        }
        let (mut container, mut set) = (false, false);
        scanner.object(|scanner, name| match name {
            b"message" | b"delta" if scanner.peek() == b'{' => {
                container = true;
                scanner.object(|scanner, name| {
                    set |= name != b"role" && scanner.peek() != b'n';
                    scanner.skip()
                })
            }
            b"text" => {
                let is_text = scanner.peek() == b'"';
                container |= is_text;
                set |= is_text;
                scanner.skip()
            }
            b"finish_reason" => {
                set |= scanner.peek() != b'n';
                self.bad_choice |= scanner.text_or_skip()?.is_some_and(|reason| reason.raw == b"error");
                Ok(())
            }
            b"error" => {
                self.bad_choice |= scanner.peek() != b'n';
                scanner.skip()
            }
            _ => scanner.skip(),
        })?;
        self.good_choice |= container && set;
        Ok(())
    }

    /// Gemini's choice.
    fn candidate(&mut self, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        if scanner.peek() != b'{' {
            return scanner.skip();
        }
        scanner.object(|scanner, name| {
            self.good_choice |= name == b"content" && scanner.peek() == b'{';
            scanner.skip()
        })
    }

    fn usage(&self) -> Option<Usage> {
        self.usage.or_else(|| self.counts.usage())
    }

    fn is_plainly_good(&self, facts: &RequestFacts) -> bool {
        !self.bad_choice && (self.good_choice || (!self.suspicious && (self.content || !facts.chat)))
    }
}

/// Reads again what is not clearly an answer.
fn judge(facts: &RequestFacts, value: Value, usage: Option<Usage>) -> BodyKind {
    let choices = || unwrap_array(&value).get("choices").and_then(Value::as_array).into_iter().flatten();
    if let Some(failed) = choices().find(|choice| is_failed_choice(choice)) {
        // The same error may stand beside it with more words.
        let failed = if is_refusal(&value) { value } else { failed.clone() };
        return BodyKind::Refusal(failed);
    }
    if choices().any(is_good_choice) {
        return BodyKind::Answer(usage);
    }
    if let Value::Object(fields) = &value {
        if let Some(refusal) = blocked::refusal(fields).filter(|_| facts.chat) {
            return BodyKind::Refusal(refusal);
        }
        if facts.chat && Shape::of_body(fields) == Some(Shape::Ollama) && fields["done"] == false {
            return BodyKind::NoAnswer("the answer ends before it is done".to_owned());
        }
    }
    // A request that asks for a resource by its id is answered by that resource, even by one that failed.
    let kind = unwrap_array(&value).get("object").and_then(Value::as_str).unwrap_or("error");
    let is_resource = !facts.chat && kind != "error" && unwrap_array(&value).get("id").is_some();
    if is_refusal(&value) && !is_resource {
        return BodyKind::Refusal(value);
    }
    if !facts.chat || has_answer(&value) {
        return BodyKind::Answer(usage);
    }
    BodyKind::NoAnswer("the answer holds no choices".to_owned())
}

/// A body that is no JSON is an answer to every request except a chat: audio, a file, a text, nothing. But JSON that was cut
/// has lost its rest, whatever was asked for.
fn no_json(facts: &RequestFacts, body: &[u8], cut: bool) -> BodyKind {
    let text = json::without_mark(body).trim_ascii();
    let begun = cut && matches!(text.first(), Some(b'{' | b'['));
    if !facts.chat && !begun {
        return BodyKind::Answer(None);
    }
    let start = String::from_utf8_lossy(&text[..text.len().min(4_096)]);
    BodyKind::NoAnswer(if text.is_empty() {
        "the answer is empty".to_owned()
    } else if begun {
        "the answer is cut short".to_owned()
    } else if body.starts_with(b"\x1F\x8B") {
        "the answer is compressed (gzip), and was not asked for so".to_owned()
    } else if let Some(page) = markup::message(&start) {
        format!("the answer is {page}")
    } else {
        format!("the answer is no JSON: {}", redact::cut(&start, 200))
    })
}

/// The pieces of a stream of JSON: Ollama's lines, or the items of Gemini's array. `None`: the body is something else.
pub(crate) fn pieces(body: &[u8]) -> Option<Vec<String>> {
    let first = *json::without_mark(body).trim_ascii_start().first()?;
    if !matches!(first, b'{' | b'[') {
        return None;
    }
    let mut splitter = JsonSplitter::new();
    splitter.push(body).ok()?;
    let mut pieces: Vec<String> = std::iter::from_fn(|| splitter.next_value()).collect();
    pieces.extend(splitter.finish());
    let Value::Object(event) = json::lenient_json(pieces.first()?.as_bytes())? else { return None };
    // No other server streams so.
    let is_one = match Shape::of_body(&event)? {
        Shape::Gemini => first == b'[' || pieces.len() > 1,
        shape => shape == Shape::Ollama,
    };
    is_one.then_some(pieces)
}

/// The fault of a body that is no answer.
pub(crate) fn unreadable(why: &str) -> Fault {
    Fault { message: Some(redact::message(why)), ..Fault::new(Class::Unreadable) }
}
