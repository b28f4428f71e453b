use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::{
    Class, Estimate, Fault, Signals, StreamReader, Usage, clock,
    error_body::{self, ErrorBody},
    rules, signals,
};

/// A kind of server: where it is, how it is spoken to, and how its replies are read. Plain data; it holds no
/// key.
///
/// | | [`openai`](Provider::openai) | [`anthropic`](Provider::anthropic) | [`openai_compatible`](Provider::openai_compatible) | [`http`](Provider::http) |
/// |---|---|---|---|---|
/// | `base_url` | `https://api.openai.com/v1` | `https://api.anthropic.com/v1` | none | none |
/// | `chat_path` | `/chat/completions` | `/messages` | `/chat/completions` | empty |
/// | `auth` | bearer | `x-api-key` | bearer | bearer |
/// | `key_env` | `OPENAI_API_KEY` | `ANTHROPIC_API_KEY` | `OPENAI_API_KEY` | none |
/// | `default_headers` | none | `anthropic-version: 2023-06-01` | none | none |
/// | `documents_idempotency` | no | no | no | no |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provider {
    name: &'static str,
    dialect: Dialect,
    base_url: Option<&'static str>,
    chat_path: &'static str,
    auth: Auth,
    key_env: Option<&'static str>,
    default_headers: &'static [(&'static str, &'static str)],
    documents_idempotency: bool,
}

/// How the key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// The key as the value of this header.
    Header(&'static str),
}

/// How replies are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenAi,
    Anthropic,
    Http,
}

impl Provider {
    /// OpenAI.
    pub const fn openai() -> Provider {
        Provider {
            name: "openai",
            dialect: Dialect::OpenAi,
            base_url: Some("https://api.openai.com/v1"),
            chat_path: "/chat/completions",
            auth: Auth::Bearer,
            key_env: Some("OPENAI_API_KEY"),
            default_headers: &[],
            documents_idempotency: false,
        }
    }

    /// Anthropic.
    pub const fn anthropic() -> Provider {
        Provider {
            name: "anthropic",
            dialect: Dialect::Anthropic,
            base_url: Some("https://api.anthropic.com/v1"),
            chat_path: "/messages",
            auth: Auth::Header("x-api-key"),
            key_env: Some("ANTHROPIC_API_KEY"),
            default_headers: &[("anthropic-version", "2023-06-01")],
            documents_idempotency: false,
        }
    }

    /// Any server that takes OpenAI's requests: Azure, Gemini, Groq, Mistral, OpenRouter, Ollama, vLLM and
    /// many more. Its address is the caller's to give.
    pub const fn openai_compatible() -> Provider {
        Provider { name: "openai_compatible", base_url: None, ..Provider::openai() }
    }

    /// Any HTTP server. Only the status and the headers decide; bodies are not looked into, except for a
    /// message to show. A stream is complete when it ends.
    pub const fn http() -> Provider {
        Provider {
            name: "http",
            dialect: Dialect::Http,
            base_url: None,
            chat_path: "",
            key_env: None,
            ..Provider::openai()
        }
    }

    /// The same provider, known to promise that a repeated `Idempotency-Key` is not processed twice.
    pub const fn with_documented_idempotency(self) -> Provider {
        Provider { documents_idempotency: true, ..self }
    }

    /// A short name for records: `openai`, `anthropic`, `openai_compatible`, `http`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Where requests go unless the caller says otherwise, without a slash at the end.
    pub const fn base_url(&self) -> Option<&'static str> {
        self.base_url
    }

    /// The path of a chat request, to be put after the base URL.
    pub const fn chat_path(&self) -> &'static str {
        self.chat_path
    }

    /// How the key is sent.
    pub const fn auth(&self) -> Auth {
        self.auth
    }

    /// The environment variable that customarily holds the key.
    pub const fn key_env(&self) -> Option<&'static str> {
        self.key_env
    }

    /// Headers that every request needs, as (lower-case name, value).
    pub const fn default_headers(&self) -> &'static [(&'static str, &'static str)] {
        self.default_headers
    }

    /// Whether a repeated `Idempotency-Key` is proof against a second processing.
    pub const fn documents_idempotency(&self) -> bool {
        self.documents_idempotency
    }

    /// What a reply means that is not a success.
    ///
    /// `body` may be cut short or not JSON at all. `now` is the wall clock, used for absolute times where the
    /// reply has no `Date` that can be believed. Total: a success that holds no error is
    /// [`Terminal::Unexpected`](crate::Terminal::Unexpected).
    pub fn classify(&self, status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Fault {
        let clock = clock::of_reply(headers, now);
        let body = ErrorBody::parse(body, clock);
        self.fault(status.as_u16(), headers, body, clock)
    }

    /// Looks whether the body of a success is an error after all (OpenRouter and others answer so once the
    /// generation has begun), and gives it back parsed.
    ///
    /// A body that is not JSON, where JSON was promised, is [`Class::Transient`]: it was damaged on the way.
    /// [`Provider::http`] promises nothing: `Ok(None)` is a body that is not JSON, and no JSON is an error.
    pub fn check_body(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Option<Value>, Fault> {
        let value: Value = match serde_json::from_slice(body) {
            Ok(value) => value,
            Err(_) if self.dialect == Dialect::Http => return Ok(None),
            Err(_) => {
                let message = Some("the body of a successful reply is not JSON".to_owned());
                return Err(Fault { message, ..Fault::new(Class::Transient) });
            }
        };
        if self.dialect == Dialect::Http {
            return Ok(Some(value));
        }
        let mut choices = value.get("choices").and_then(Value::as_array).into_iter().flatten();
        let error = match choices.find(|choice| error_body::is_failed_choice(choice)) {
            _ if error_body::is_error(&value) => &value,
            Some(choice) => choice,
            None => return Ok(Some(value)),
        };
        let clock = clock::of_reply(headers, now);
        let body = ErrorBody::read(error, Some(clock));
        Err(self.fault(rules::implied_status(&body), headers, body, clock))
    }

    /// What the headers of any reply, good or bad, say about limits. What cannot be read is left out.
    pub fn signals(&self, headers: &HeaderMap, now: SystemTime) -> Signals {
        Signals::read(headers, now)
    }

    /// Whether a request asks for its answer as a stream.
    pub fn is_stream(&self, body: &Value) -> bool {
        body.get("stream").and_then(Value::as_bool).unwrap_or(false)
    }

    /// A reader for one streamed reply.
    pub fn stream(&self) -> StreamReader {
        StreamReader::new(self.dialect)
    }

    /// The tokens that a reply, streamed or not, says it took.
    pub fn usage(&self, body: &Value) -> Option<Usage> {
        Usage::read(body)
    }

    /// The tokens that a request will take at most. The formula is [`Estimate`]'s.
    pub fn estimate(&self, body: &Value) -> Estimate {
        Estimate::of(body)
    }

    fn fault(&self, status: u16, headers: &HeaderMap, body: ErrorBody, clock: SystemTime) -> Fault {
        let header_wait = signals::told_wait(headers, clock);
        let mut fault = if self.dialect == Dialect::Http {
            let class = rules::by_status(status, header_wait.is_some());
            let scope_stop = rules::stops_scope(class, &ErrorBody::default());
            Fault { scope_stop, code: body.code, message: body.message, ..Fault::new(class) }
        } else {
            of_body(status, body, header_wait.is_some())
        };
        fault.wait = fault.wait.max(header_wait);
        if matches!(fault.class, Class::RateLimited | Class::RampLimited) {
            let signals = Signals::read(headers, clock);
            fault.wait = fault.wait.max(signals.exhausted_window()).or_else(|| signals.exhausted_bucket());
        }
        fault.should_retry = signals::should_retry(headers);
        fault
    }
}

/// The fault that an error event inside a stream is: what its status would have made of it.
pub(crate) fn of_event(body: ErrorBody) -> Fault {
    let status = rules::implied_status(&body);
    of_body(status, body, false)
}

fn of_body(status: u16, body: ErrorBody, told_to_wait: bool) -> Fault {
    let success = (200..300).contains(&status);
    let status = if success && body.is_error { rules::implied_status(&body) } else { status };
    let class = rules::class(status, &body, told_to_wait);
    let scope_stop = rules::stops_scope(class, &body);
    // A refusal for good has no wait, whatever the prompt that its message quotes may say.
    let wait = body.wait.filter(|_| !matches!(class, Class::Terminal(_)));
    Fault { wait, scope_stop, code: body.code, message: body.message, ..Fault::new(class) }
}
