//! Error bodies: what they say, in whichever shape they come.

use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::{
    duration::{self, Length},
    hints::{self, longer},
    json, markup,
    redact::{self, MESSAGE_LIMIT},
};

mod fields;
mod refusal;

pub(crate) use refusal::{has_answer, is_blank, is_failed_choice, is_good_choice, is_refusal};

/// A larger body is not parsed: no error message is so long.
const BODY_LIMIT: usize = 1 << 20;
const CODE_LIMIT: usize = 64;

/// What an error body says, whichever of the known shapes it has:
///
/// - `{"error": {message, type, code, ...}}`: OpenAI and most others, and inside `{"type": "error"}` Anthropic;
///   Gemini may wrap it in an array, and codes may be numbers or numbers in strings
/// - `{"error": "text"}`: Ollama
/// - `{"object": "error", message, type, code}`: Mistral, older vLLM
/// - `{"errors": [{code, message, reason}]}`: Google's older APIs, Cloudflare
/// - `{"detail": "text" | [{msg}]}`: `FastAPI`; `{"message": "text"}`: gateways; `{"fault": {faultstring}}`: Apigee
/// - `{"base_resp": {status_code, status_msg}}`: `MiniMax`; `{"__type", "message"}`: AWS
/// - a page of markup, of which the title is the message
/// - text
#[derive(Debug, Default)]
pub(crate) struct ErrorBody {
    /// Every machine-readable word in lower case: code, type, status, reason. Rules match on these.
    pub(crate) words: Vec<String>,
    /// The codes that are numbers and no status. What they mean differs from provider to provider.
    pub(crate) numbers: Vec<String>,
    /// The message in lower case, for rules on its wording.
    pub(crate) wording: String,
    /// The status the body claims, where it claims one.
    pub(crate) status: Option<u16>,
    /// The body calls itself an error. So it is one, even inside a success.
    pub(crate) is_error: bool,
    /// The longest wait it tells, never zero.
    pub(crate) wait: Option<Length>,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    /// The body names a point in time to wait for. That is not read without a clock.
    pub(crate) is_dated: bool,
    /// The clock for points in time. Without it they are not read.
    clock: Option<SystemTime>,
}

impl ErrorBody {
    pub(crate) fn parse(body: &[u8], clock: SystemTime) -> ErrorBody {
        if body.len() > BODY_LIMIT {
            return ErrorBody::default();
        }
        match json::lenient_json(body) {
            Some(value) => ErrorBody::read(&value, Some(clock)),
            None => ErrorBody::plain(&String::from_utf8_lossy(body), Some(clock)),
        }
    }

    /// An error that is no JSON: text, markup, or an event with JSON in it.
    pub(crate) fn plain(text: &str, clock: Option<SystemTime>) -> ErrorBody {
        let mut this = ErrorBody { clock, ..ErrorBody::default() };
        let text = text.trim();
        if text.contains(|c: char| c.is_control() && !c.is_whitespace()) {
            return this;
        }
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("data:"));
        if let Some(value) = lines.find_map(|data| json::lenient_json(data.as_bytes())) {
            return ErrorBody::read(&value, clock);
        }
        if text.starts_with("<?xml") || text.starts_with("<Error") {
            markup::element(text, "code").into_iter().for_each(|code| this.word(code));
        }
        this.set_message(text);
        this
    }

    pub(crate) fn read(value: &Value, clock: Option<SystemTime>) -> ErrorBody {
        let mut this = ErrorBody { is_error: is_refusal(value), clock, ..ErrorBody::default() };
        match unwrap_array(value) {
            Value::Object(outer) => this.outer(outer),
            Value::String(text) => this.set_message(text),
            _ => {}
        }
        this
    }

    fn add_wait(&mut self, wait: Option<Length>) {
        longer(&mut self.wait, wait);
    }

    fn word(&mut self, word: &str) {
        let word = redact::cut(word.trim(), CODE_LIMIT);
        if let Ok(number) = word.parse::<u64>() {
            return self.number(Some(number));
        }
        if word.is_empty() {
            return;
        }
        self.code.get_or_insert_with(|| redact::message(word));
        self.words.push(word.to_ascii_lowercase());
    }

    fn number(&mut self, number: Option<u64>) {
        if let Some(status) = number.and_then(|n| u16::try_from(n).ok()).filter(|n| (400..600).contains(n)) {
            self.status.get_or_insert(status);
        } else if let Some(number) = number {
            self.numbers.push(number.to_string());
        }
    }

    /// Sets the message, unless there is one.
    fn set_message(&mut self, text: &str) {
        if self.message.is_some() {
            return;
        }
        let page = markup::message(text);
        let text = redact::cut(page.as_deref().unwrap_or(text), MESSAGE_LIMIT);
        self.wording = text.to_ascii_lowercase();
        self.add_wait(hints::of_sentence(&self.wording, self.clock));
        self.message = Some(redact::message(text)).filter(|message| !message.is_empty());
    }
}

/// Gemini streams an array of one.
pub(crate) fn unwrap_array(value: &Value) -> &Value {
    value.as_array().and_then(|items| items.first()).unwrap_or(value)
}

/// A wait in a field: `"retry_after": 12`, `"12"`, `"7s"`, `{"seconds": 7}`.
fn wait_of(value: &Value, unit: std::time::Duration) -> Option<Length> {
    // A number displays without an exponent, as the value in which it came would not.
    let number = |value: &Value| match value.as_u64() {
        Some(whole) => duration::number(&whole.to_string(), unit),
        None => duration::number(&value.as_f64()?.to_string(), unit),
    };
    match value {
        Value::String(text) => duration::number(text.trim(), unit).or_else(|| duration::go(text.trim())),
        Value::Object(fields) => fields.get("seconds").and_then(number),
        value => number(value),
    }
}

fn text_in<'a>(fields: &'a Map<String, Value>, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| fields.get(*name)?.as_str()).filter(|text| !text.is_empty())
}
