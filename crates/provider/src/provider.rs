use std::time::SystemTime;

use http::{HeaderMap, StatusCode, header};

use crate::{
    Charging, Class, Fault, NotJson, RequestFacts, Signals, StreamReader, Success, clock,
    error_body::ErrorBody,
    hints::Hints,
    rules, signals, sse,
    success::{self, Reading, unreadable},
};

/// A message is read from a plain HTTP error that is no longer.
const PLAIN_MESSAGE_LIMIT: usize = 16 << 10;

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
/// | `charging` | estimate | settle | unknown | unknown |
/// | `cached_tokens_are_free` | no | yes | no | no |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provider {
    name: &'static str,
    kind: Kind,
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

/// How replies are read, and what is known of the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    OpenAi,
    Anthropic,
    /// Speaks as OpenAI does.
    Compatible,
    Http,
}

impl Provider {
    /// OpenAI.
    pub const fn openai() -> Provider {
        Provider {
            name: "openai",
            kind: Kind::OpenAi,
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
            kind: Kind::Anthropic,
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
        Provider { name: "openai_compatible", kind: Kind::Compatible, base_url: None, ..Provider::openai() }
    }

    /// Any HTTP server. Only the status and the headers decide; bodies are not looked into, except for a
    /// message to show. A stream is complete when it ends.
    pub const fn http() -> Provider {
        Provider {
            name: "http",
            kind: Kind::Http,
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

    /// How the tokens of a call are taken from the quota, as far as it is documented. `None` is unknown: servers
    /// that take OpenAI's requests differ, and plain HTTP has no tokens.
    ///
    /// OpenAI counts the larger of `max_tokens` and an estimate when the request comes ("Rate limits" in its
    /// guide). Anthropic estimates output tokens from `max_tokens` at the start and corrects them at the end
    /// ("Rate limits" in its API reference).
    pub const fn charging(&self) -> Option<Charging> {
        match self.kind {
            Kind::OpenAi => Some(Charging::Estimate),
            Kind::Anthropic => Some(Charging::Settle),
            Kind::Compatible | Kind::Http => None,
        }
    }

    /// Whether tokens read from the provider's cache do not count against its limits: so with Anthropic, for most
    /// models ("Rate limits" in its API reference). With OpenAI they count ("Prompt caching" in its guide). Of
    /// the others it is not known, and the answer is no.
    pub const fn cached_tokens_are_free(&self) -> bool {
        matches!(self.kind, Kind::Anthropic)
    }

    /// What the body of a request says about the request, in one pass. [`Provider::http`] looks into none, and
    /// all others take an empty one for a request that says nothing.
    ///
    /// # Errors
    ///
    /// [`NotJson`] where the body is no JSON, even for a generous reader: [`lenient_json`](crate::lenient_json)
    /// tells what is.
    pub fn read_request(&self, body: &[u8]) -> Result<RequestFacts, NotJson> {
        if self.is_plain() { Ok(RequestFacts::default()) } else { RequestFacts::read(body) }
    }

    /// What a reply means that is not a success.
    ///
    /// `body` may be cut short or not JSON at all. `now` is the wall clock, used for absolute times where the
    /// reply has no `Date` that can be believed. Total: a success that holds no error is
    /// [`Terminal::Unexpected`](crate::Terminal::Unexpected).
    pub fn classify(&self, status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Fault {
        let clock = clock::of_reply(headers, now);
        let body = if self.is_plain() && body.len() > PLAIN_MESSAGE_LIMIT { &[] } else { body };
        let body = ErrorBody::parse(body, clock);
        let implied = status.is_success() && body.is_error && !self.is_plain();
        let status = if implied { rules::implied_status(&body) } else { status.as_u16() };
        self.fault(status, headers, body, clock)
    }

    /// Reads the whole body of a success. What decides is the bytes, not the content type.
    ///
    /// | body | is |
    /// |---|---|
    /// | JSON with choices, content or output, though it has a byte order mark, `NaN`, halves of emoji, invalid UTF-8 or any depth | an answer |
    /// | events, where none were asked for | put together, and then an answer, a refusal or [`Class::StreamBroken`] |
    /// | an error in any provider's shape, inside a 200 | a fault of the class that its status would have had |
    /// | anything else, to a request that was no [`chat`](RequestFacts::chat) | an answer; but JSON that is cut is [`Class::Unreadable`] |
    /// | cut JSON, a page of markup, nothing, JSON without an answer, to a chat | [`Class::Unreadable`] |
    ///
    /// An error beside good choices is no refusal, and no text inside an answer is. A body in a content coding that
    /// nobody decoded is [`Class::Unreadable`], and not worth a second try. [`Provider::http`] does not look: all is
    /// an answer.
    ///
    /// # Errors
    ///
    /// The [`Fault`] that the reply is.
    pub fn read_success(
        &self,
        facts: &RequestFacts,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Success, Fault> {
        if self.is_plain() {
            return Ok(Success::default());
        }
        if !status.is_success() {
            return Err(self.classify(status, headers, body, now));
        }
        if facts.chat && sse::is_events(body) {
            return self.read_events(facts, headers, body, now);
        }
        match success::read(facts, body) {
            Reading::Answer(usage) => Ok(Success { usage, body: None }),
            Reading::Refusal(error) => {
                let clock = clock::of_reply(headers, now);
                let body = ErrorBody::read(&error, Some(clock));
                Err(self.fault(rules::implied_status(&body), headers, body, clock))
            }
            Reading::Nothing(why) => Err(match coding(headers) {
                Some(coding) => Fault {
                    should_retry: Some(false),
                    ..unreadable(&format!(
                        "the answer has the content coding {coding}, which was not asked for"
                    ))
                },
                None => unreadable(&why),
            }),
        }
    }

    /// What the headers of any reply, good or bad, say about limits. What cannot be read is left out.
    pub fn signals(&self, headers: &HeaderMap, now: SystemTime) -> Signals {
        Signals::read(headers, now)
    }

    /// A reader for one streamed reply.
    pub fn stream(&self) -> StreamReader {
        StreamReader::new(self.kind)
    }

    fn is_plain(&self) -> bool {
        matches!(self.kind, Kind::Http)
    }

    /// Events where a whole body was asked for.
    fn read_events(
        &self,
        facts: &RequestFacts,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Success, Fault> {
        let mut reader = self.stream().expect_choices(facts.choices);
        for (name, data) in sse::events(body) {
            if let Err(fault) = reader.feed(&name, &data) {
                let partial = Some(reader.text()).filter(|text| !text.is_empty());
                let hints = Hints::of_headers(headers, clock::of_reply(headers, now));
                let wait = wait(fault.class, &hints).or(fault.wait);
                return Err(Fault { partial, wait, should_retry: signals::should_retry(headers), ..fault });
            }
        }
        let usage = reader.usage();
        match reader.finish() {
            Ok(body) => Ok(Success { usage, body: Some(body.to_string().into_bytes()) }),
            Err(cut) => {
                let message = Some(cut.to_string());
                Err(Fault { message, partial: Some(cut.text), ..Fault::new(Class::StreamBroken) })
            }
        }
    }

    fn fault(&self, status: u16, headers: &HeaderMap, body: ErrorBody, clock: SystemTime) -> Fault {
        let hints = Hints::of_headers(headers, clock);
        let fault = if self.is_plain() {
            let class = rules::by_status(status, &hints);
            let of_account = rules::is_of_account(class, &ErrorBody::default());
            let wait = wait(class, &hints);
            Fault { of_account, wait, code: body.code, message: body.message, ..Fault::new(class) }
        } else {
            of_body(status, body, hints)
        };
        Fault { should_retry: signals::should_retry(headers), ..fault }
    }
}

/// The fault that an error event inside a stream is: what its status would have made of it.
pub(crate) fn of_event(body: ErrorBody) -> Fault {
    of_body(rules::implied_status(&body), body, Hints::default())
}

fn of_body(status: u16, body: ErrorBody, hints: Hints) -> Fault {
    let hints = Hints { body: body.wait, ..hints };
    let class = rules::class(status, &body, &hints);
    let of_account = rules::is_of_account(class, &body);
    let parallel = rules::is_parallel(class, &body);
    let wait = wait(class, &hints);
    Fault { wait, of_account, parallel, code: body.code, message: body.message, ..Fault::new(class) }
}

/// A refusal for good has no wait but its headers' own, whatever the prompt that its message quotes may say. The
/// reset of a limit is a wait only for the limit.
fn wait(class: Class, hints: &Hints) -> Option<std::time::Duration> {
    let mut hints = *hints;
    match class {
        Class::RateLimited | Class::RampLimited => {}
        Class::Terminal(_) => (hints.body, hints.reset) = (None, None),
        _ => hints.reset = None,
    }
    hints.wait()
}

/// The content coding that nobody took off.
fn coding(headers: &HeaderMap) -> Option<&str> {
    let coding = clock::text(headers.get(header::CONTENT_ENCODING))?.trim();
    (!coding.is_empty() && !coding.eq_ignore_ascii_case("identity")).then_some(coding)
}
