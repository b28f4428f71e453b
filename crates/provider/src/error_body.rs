use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::{
    clock, duration,
    redact::{self, MESSAGE_LIMIT},
};

/// A larger body is no error message, and not worth the parsing.
const BODY_LIMIT: usize = 1 << 20;
const CODE_LIMIT: usize = 64;

/// What an error body says, whichever of the known shapes it has:
///
/// - `{"error": {message, type, code, ...}}`: OpenAI and most others, and inside `{"type": "error"}` Anthropic;
///   Gemini may wrap it in an array, and codes may be numbers or numbers in strings
/// - `{"error": "text"}`: Ollama
/// - `{"object": "error", message, type, code}`: Mistral, older vLLM
/// - `{"detail": "text" | [{msg}]}`: `FastAPI`; `{"message": "text"}`: gateways
/// - text that is not JSON
#[derive(Debug, Default)]
pub(crate) struct ErrorBody {
    /// Every machine-readable word in lower case: code, type, status, reason. Rules match on these.
    pub(crate) words: Vec<String>,
    /// The message in lower case, for rules on its wording.
    pub(crate) wording: String,
    /// The status the body claims, where it claims one.
    pub(crate) status: Option<u16>,
    /// It calls itself an error, so that it is one even inside a success.
    pub(crate) is_error: bool,
    /// The longest wait it tells, never zero.
    pub(crate) wait: Option<Duration>,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
}

impl ErrorBody {
    pub(crate) fn parse(body: &[u8], clock: SystemTime) -> ErrorBody {
        if body.len() > BODY_LIMIT {
            return ErrorBody::default();
        }
        match serde_json::from_slice(body) {
            Ok(value) => ErrorBody::read(&value, Some(clock)),
            Err(_) => ErrorBody::plain(str::from_utf8(body).unwrap_or_default()),
        }
    }

    /// An error that is only text. A page of markup says nothing to anyone.
    pub(crate) fn plain(text: &str) -> ErrorBody {
        let mut this = ErrorBody::default();
        let text = text.trim();
        if !text.is_empty() && !text.starts_with('<') {
            this.set_message(text);
        }
        this
    }

    /// Without a clock, absolute times are not read.
    pub(crate) fn read(value: &Value, clock: Option<SystemTime>) -> ErrorBody {
        let mut this = ErrorBody { is_error: is_error(value), ..ErrorBody::default() };
        let value = unwrap_array(value);
        let Some(outer) = value.as_object() else {
            if let Some(text) = value.as_str() {
                this.set_message(text);
            }
            return this;
        };
        match outer.get("error").filter(|error| !error.is_null()) {
            Some(Value::Object(error)) => this.object(error, clock),
            Some(Value::String(text)) if outer.get("message").is_none_or(|m| !m.is_string()) => {
                this.set_message(text);
            }
            other => {
                this.object(outer, clock);
                // `{"error": "code", "message": "text"}`
                if let Some(Value::String(word)) = other {
                    this.word(word);
                }
            }
        }
        this.told(retry_after(outer));
        this
    }

    fn object(&mut self, error: &Map<String, Value>, clock: Option<SystemTime>) {
        for key in ["code", "type", "status"] {
            match error.get(key) {
                Some(Value::String(word)) => self.word(word),
                Some(Value::Number(number)) => self.number(number.as_u64()),
                _ => {}
            }
        }
        if let Some(number) = error.get("statusCode") {
            self.number(number.as_u64());
        }
        let message = ["message", "msg", "detail"].iter().find_map(|key| error.get(*key));
        match message {
            Some(Value::String(text)) => self.set_message(text),
            Some(Value::Array(items)) => {
                // FastAPI's list of what is wrong with which field: the first will do.
                if let Some(text) = items.first().and_then(|item| item.get("msg")).and_then(Value::as_str) {
                    self.set_message(text);
                }
            }
            _ => {}
        }
        self.told(retry_after(error));
        for key in ["details", "innererror", "metadata"] {
            match error.get(key) {
                Some(Value::Array(details)) => details.iter().for_each(|detail| self.detail(detail, clock)),
                Some(detail) => self.detail(detail, clock),
                None => {}
            }
        }
    }

    /// Anthropic's `details.error_code`, Azure's `innererror.code`, Gemini's list of typed details,
    /// OpenRouter's copy of the upstream's headers.
    fn detail(&mut self, detail: &Value, clock: Option<SystemTime>) {
        for key in ["error_code", "code", "reason", "error_type"] {
            if let Some(word) = detail.get(key).and_then(Value::as_str) {
                self.word(word);
            }
        }
        if let Some(delay) = detail.get("retryDelay").and_then(Value::as_str) {
            self.told(duration::go(delay));
        }
        for violation in detail.get("violations").and_then(Value::as_array).into_iter().flatten() {
            if let Some(quota) = violation.get("quotaId").and_then(Value::as_str) {
                self.word(quota);
            }
        }
        for (name, value) in detail.get("headers").and_then(Value::as_object).into_iter().flatten() {
            if name.eq_ignore_ascii_case("x-ratelimit-reset") || name.eq_ignore_ascii_case("retry-after") {
                self.told(value.as_str().zip(clock).and_then(|(value, clock)| clock::until(value, clock)));
            }
        }
    }

    fn told(&mut self, wait: Option<Duration>) {
        self.wait = self.wait.max(wait.filter(|wait| !wait.is_zero()));
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
        }
    }

    fn set_message(&mut self, text: &str) {
        let text = redact::cut(text, MESSAGE_LIMIT);
        self.wording = text.to_ascii_lowercase();
        self.told(hint(&self.wording));
        self.message = Some(redact::message(text)).filter(|message| !message.is_empty());
    }
}

/// Whether a body or an event of a stream is an error, whatever the status said.
pub(crate) fn is_error(value: &Value) -> bool {
    let value = unwrap_array(value);
    let error = match value.get("error") {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Object(error)) => !error.is_empty(),
        Some(_) => true,
    };
    let says = |key: &str| value.get(key).and_then(Value::as_str) == Some("error");
    error || says("object") || says("type")
}

/// Whether one choice of an answer is an error: `OpenRouter`'s way when a generation fails half way.
pub(crate) fn is_failed_choice(choice: &Value) -> bool {
    is_error(choice) || choice.get("finish_reason").and_then(Value::as_str) == Some("error")
}

/// Gemini streams an array of one.
fn unwrap_array(value: &Value) -> &Value {
    value.as_array().and_then(|items| items.first()).unwrap_or(value)
}

/// `retry_after: 12` or `"12"`, seconds.
fn retry_after(error: &Map<String, Value>) -> Option<Duration> {
    let text = match error.get("retry_after")? {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    duration::billionths(&text).map(duration::nanos).or_else(|| duration::go(&text))
}

/// The longest wait a message speaks of: "try again in 599ms", "Please retry after 10 seconds".
fn hint(wording: &str) -> Option<Duration> {
    let phrases = ["again in ", "retry in ", "again after ", "retry after "];
    let hints = phrases.iter().flat_map(|phrase| wording.split(phrase).skip(1));
    hints.filter_map(duration::prose).max()
}
