//! The fields of error bodies, and what each one tells.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{ErrorBody, is_blank, text_in, wait_of};
use crate::clock;

/// Fields of words for machines, the most telling first.
const CODES: &[&str] =
    &["code", "type", "status", "reason", "error_code", "errorCode", "__type", "Code", "errorcode"];
/// Fields of words for people, the most telling first.
const MESSAGES: &[&str] = &[
    "message",
    "msg",
    "detail",
    "Message",
    "error_description",
    "error_message",
    "error_msg",
    "errorMessage",
    "status_msg",
    "faultstring",
    "description",
    "title",
];
/// Fields of waits, and their units in milliseconds.
const WAITS: &[(&str, u64)] = &[
    ("retry_after", 1_000),
    ("retryAfter", 1_000),
    ("retry-after", 1_000),
    ("retry_after_seconds", 1_000),
    ("retryAfterSeconds", 1_000),
    ("retryDelay", 1_000),
    ("retry_delay", 1_000),
    ("retry_after_ms", 1),
    ("retryAfterMs", 1),
    ("retry-after-ms", 1),
];
/// `MiniMax` has numbers where others have words.
const MINIMAX: &[(u64, &str)] = &[
    (1001, "timeout_error"),
    (1002, "rate_limit_exceeded"),
    (1004, "invalid_api_key"),
    (1008, "insufficient_balance"),
    (1026, "content_filter"),
    (1027, "content_filter"),
    (1039, "rate_limit_exceeded"),
    (2013, "invalid_request_error"),
    (2049, "invalid_api_key"),
];

impl ErrorBody {
    /// The body itself, which is the error or holds it.
    pub(super) fn outer(&mut self, outer: &Map<String, Value>) {
        match outer.get("error").filter(|error| !is_blank(error)) {
            Some(Value::Object(error)) => self.object(error),
            Some(Value::String(text)) if text_in(outer, MESSAGES).is_none() => self.set_message(text),
            other => {
                self.object(outer);
                // `{"error": "code", "message": "text"}`
                if let Some(Value::String(word)) = other {
                    self.word(word);
                }
            }
        }
        for name in ["errors", "fault", "base_resp", "response", "Error"] {
            match outer.get(name) {
                Some(Value::Object(error)) => self.object(error),
                Some(Value::Array(errors)) => self.list(errors),
                Some(Value::String(text)) => self.set_message(text),
                _ => {}
            }
        }
        self.waits(outer);
    }

    fn object(&mut self, error: &Map<String, Value>) {
        for name in CODES {
            match error.get(*name) {
                Some(Value::String(word)) => self.word(word),
                Some(Value::Number(number)) => self.number(number.as_u64()),
                _ => {}
            }
        }
        if let Some(number) = error.get("statusCode") {
            self.number(number.as_u64());
        }
        if let Some(number) = error.get("status_code").and_then(Value::as_u64) {
            self.number(Some(number));
            if let Some((_, word)) = MINIMAX.iter().find(|(known, _)| *known == number) {
                self.word(word);
            }
        }
        if let Some(text) = text_in(error, MESSAGES) {
            self.set_message(text);
        }
        self.waits(error);
        for name in ["details", "detail", "innererror", "metadata", "errors", "error"] {
            match error.get(name) {
                Some(Value::Array(details)) => self.list(details),
                Some(Value::Object(detail)) => self.detail(detail),
                _ => {}
            }
        }
    }

    /// Details, or several errors. Of several the first counts.
    fn list(&mut self, items: &[Value]) {
        for item in items.iter().take(16) {
            match item {
                Value::Object(item) => {
                    self.detail(item);
                    if let Some(text) = text_in(item, MESSAGES) {
                        self.set_message(text);
                    }
                }
                Value::String(text) => self.set_message(text),
                _ => {}
            }
        }
    }

    /// Anthropic's `details.error_code`, Azure's `innererror.code`, Gemini's list of typed details,
    /// OpenRouter's copy of the upstream's headers.
    fn detail(&mut self, detail: &Map<String, Value>) {
        for name in ["error_code", "code", "reason", "error_type", "errorcode", "limit_source"] {
            if let Some(word) = detail.get(name).and_then(Value::as_str) {
                self.word(word);
            }
        }
        if let Some(text) = text_in(detail, &["message", "msg"]) {
            self.set_message(text);
        }
        self.waits(detail);
        for name in ["resets_at", "reset_at"] {
            if let Some(at) = detail.get(name).and_then(Value::as_str) {
                self.is_dated = true;
                self.add_wait(self.clock.and_then(|clock| clock::until(at, clock)));
            }
        }
        for violation in detail.get("violations").and_then(Value::as_array).into_iter().flatten() {
            if let Some(quota) = violation.get("quotaId").and_then(Value::as_str) {
                self.word(quota);
            }
        }
        for (name, value) in detail.get("headers").and_then(Value::as_object).into_iter().flatten() {
            if name.eq_ignore_ascii_case("x-ratelimit-reset") || name.eq_ignore_ascii_case("retry-after") {
                self.is_dated = true;
                self.add_wait(
                    value.as_str().zip(self.clock).and_then(|(value, clock)| clock::until(value, clock)),
                );
            }
        }
    }

    fn waits(&mut self, fields: &Map<String, Value>) {
        for (name, unit) in WAITS {
            self.add_wait(fields.get(*name).and_then(|wait| wait_of(wait, Duration::from_millis(*unit))));
        }
    }
}
