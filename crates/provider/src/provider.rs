//! A kind of server, and how its replies are read.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, StatusCode, header};

use crate::{
    Charging, Class, Dimension, Fault, NotJson, Prompt, RequestFacts, Signals, StreamReader, Success, answer,
    clock,
    error_body::ErrorBody,
    hints::Hints,
    json, rules, signals, sse,
    success::{self, BodyKind, unreadable},
};

mod fields;
mod known;

/// The longest body, in bytes, of a plain HTTP error from which a message is read.
const PLAIN_MESSAGE_LIMIT: usize = 16 << 10;

/// A kind of server: where it is, how requests to it are written, and how its replies are read. It is plain data, and
/// holds no key.
///
/// | | `base_url` | `auth` | `key_env` |
/// |---|---|---|---|
/// | [`openai`](Provider::openai), [`openai_responses`](Provider::openai_responses), [`openai_embeddings`](Provider::openai_embeddings) | `https://api.openai.com/v1` | bearer | `OPENAI_API_KEY` |
/// | [`anthropic`](Provider::anthropic) | `https://api.anthropic.com/v1` | `x-api-key` | `ANTHROPIC_API_KEY` |
/// | [`gemini`](Provider::gemini) | `https://generativelanguage.googleapis.com/v1beta` | `x-goog-api-key` | `GEMINI_API_KEY` |
/// | [`azure_openai`](Provider::azure_openai) | none | `api-key` | `AZURE_OPENAI_API_KEY` |
/// | [`mistral`](Provider::mistral) | `https://api.mistral.ai/v1` | bearer | `MISTRAL_API_KEY` |
/// | [`groq`](Provider::groq) | `https://api.groq.com/openai/v1` | bearer | `GROQ_API_KEY` |
/// | [`openrouter`](Provider::openrouter) | `https://openrouter.ai/api/v1` | bearer | `OPENROUTER_API_KEY` |
/// | [`deepseek`](Provider::deepseek) | `https://api.deepseek.com` | bearer | `DEEPSEEK_API_KEY` |
/// | [`dashscope`](Provider::dashscope) | `https://dashscope.aliyuncs.com/compatible-mode/v1` | bearer | `DASHSCOPE_API_KEY` |
/// | [`moonshot`](Provider::moonshot) | `https://api.moonshot.ai/v1` | bearer | `MOONSHOT_API_KEY` |
/// | [`zhipu`](Provider::zhipu) | `https://open.bigmodel.cn/api/paas/v4` | bearer | `ZHIPUAI_API_KEY` |
/// | [`siliconflow`](Provider::siliconflow) | `https://api.siliconflow.com/v1` | bearer | `SILICONFLOW_API_KEY` |
/// | [`ollama`](Provider::ollama) | `http://127.0.0.1:11434` | bearer | `OLLAMA_API_KEY` |
/// | [`vllm`](Provider::vllm) | `http://127.0.0.1:8000/v1` | bearer | `VLLM_API_KEY` |
/// | [`sglang`](Provider::sglang) | `http://127.0.0.1:30000/v1` | bearer | none |
/// | [`litellm`](Provider::litellm) | none | bearer | `LITELLM_API_KEY` |
/// | [`openai_compatible`](Provider::openai_compatible) | none | bearer | `OPENAI_API_KEY` |
/// | [`http`](Provider::http) | none | bearer | none |
///
/// | | [`charging`](Provider::charging) | [`cached_tokens_are_free`](Provider::cached_tokens_are_free) |
/// |---|---|---|
/// | OpenAI, Azure | estimate | no |
/// | Anthropic | settle | yes |
/// | Groq | unknown | yes |
/// | `LiteLLM` | actual | no |
/// | all others | unknown | no |
///
/// No provider here documents that a repeated `Idempotency-Key` is not processed twice. Anthropic needs a default
/// header (`anthropic-version: 2023-06-01`), the others none.
///
/// # A provider of your own
///
/// Begin with the provider whose format it speaks, and say where it differs:
///
/// ```
/// use outbound_provider::{Auth, Class, Provider};
///
/// const ACME: Provider = Provider::openai_compatible()
///     .with_name("acme")
///     .with_base_url("https://llm.acme.test/v2")
///     .with_auth(Auth::Header("x-acme-key"))
///     .with_codes(&[("E42", Class::Overloaded)]);
///
/// assert_eq!(ACME.path("m", false), "/chat/completions");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provider {
    name: &'static str,
    dialect: Dialect,
    base_url: Option<&'static str>,
    /// With `{model}` where the model has its place.
    chat_path: &'static str,
    /// The path of a chat whose answer is to come as a stream, if it differs.
    stream_path: Option<&'static str>,
    auth: Auth,
    key_env: Option<&'static str>,
    default_headers: &'static [(&'static str, &'static str)],
    documents_idempotency: bool,
    charging: Option<Charging>,
    cached_tokens_are_free: bool,
    /// The name of the field that limits the length of an answer, in OpenAI's format.
    max_tokens: &'static str,
    /// Whether a stream reports its tokens only if `stream_options` asks for it.
    has_stream_options: bool,
    /// Codes whose meaning is this provider's own.
    codes: &'static [(&'static str, Class)],
    /// Windows of limits that the headers do not name.
    windows: &'static [(Dimension, Duration)],
}

/// How the key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// The key as the value of this header.
    Header(&'static str),
}

/// The format of a provider's requests. The format of a reply is seen from the reply itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// OpenAI's chat.
    Chat,
    /// OpenAI's responses.
    Responses,
    /// OpenAI's embeddings.
    Embeddings,
    /// Anthropic's messages.
    Messages,
    Gemini,
    Ollama,
    /// Nothing is known of the bodies.
    Plain,
}

impl Provider {
    /// What the body of a request says about the request, read in one pass. [`Provider::http`] looks into no body. For all
    /// others an empty body is a request that says nothing.
    ///
    /// # Errors
    ///
    /// [`NotJson`] if the body is no JSON even for a generous reader. [`lenient_json`](crate::lenient_json) says what such a
    /// reader takes.
    pub fn read_request(&self, body: &[u8]) -> Result<RequestFacts, NotJson> {
        if self.is_plain() { Ok(RequestFacts::default()) } else { RequestFacts::read(body) }
    }

    /// A chat of one prompt, in the provider's own format.
    pub const fn prompt<'a>(&self, model: &'a str, text: &'a str) -> Prompt<'a> {
        Prompt::new(*self, model, text)
    }

    /// What a reply means if it is not a success.
    ///
    /// `body` may be cut short or not JSON at all. `now` is the wall clock, used for absolute times where the
    /// reply has no `Date` that can be believed. Every input has a result: a success that holds no error is
    /// [`Terminal::Unexpected`](crate::Terminal::Unexpected).
    pub fn classify(&self, status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Fault {
        let clock = clock::of_reply(headers, now);
        let body = if self.is_plain() && body.len() > PLAIN_MESSAGE_LIMIT { &[] } else { body };
        let body = ErrorBody::parse(body, clock);
        let implied = status.is_success() && body.is_error && !self.is_plain();
        let status = if implied { rules::implied_status(&body) } else { status.as_u16() };
        self.fault(status, headers, body, clock)
    }

    /// Reads the whole body of a success. The bytes decide, not the content type.
    ///
    /// | body | is |
    /// |---|---|
    /// | JSON with choices, content or output, though it has a byte order mark, `NaN`, halves of emoji, invalid UTF-8 or any depth | an answer |
    /// | a stream where none was asked for: events, lines of JSON, an array of pieces | put together, and then an answer, a refusal or [`Class::StreamBroken`] |
    /// | an error in any provider's shape, inside a 200 | a fault of the class that its status would have had |
    /// | anything else, to a request that was no [`chat`](RequestFacts::chat) | an answer; but JSON that is cut is [`Class::Unreadable`] |
    /// | cut JSON, a page of markup, nothing, JSON without an answer, to a chat | [`Class::Unreadable`] |
    ///
    /// An error beside good choices is no refusal. Text inside an answer is never one. A body in a content coding that
    /// nobody decoded is [`Class::Unreadable`], and is not worth a second try. [`Provider::http`] does not look into the
    /// body: everything is an answer.
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
            return self.read_pieces(facts, headers, sse::events(body), now);
        }
        let is_array = facts.chat && json::without_mark(body).trim_ascii_start().first() == Some(&b'[');
        let in_pieces = || {
            let pieces = success::pieces(body)?;
            let pieces = pieces.iter().map(|piece| ("".into(), piece.into()));
            Some(self.read_pieces(facts, headers, pieces, now))
        };
        if let Some(read) = is_array.then(in_pieces).flatten() {
            return read;
        }
        match success::read(facts, body) {
            BodyKind::Answer(usage) => Ok(Success { usage, body: None }),
            BodyKind::Refusal(error) => {
                let clock = clock::of_reply(headers, now);
                let body = ErrorBody::read(&error, Some(clock));
                Err(self.fault(rules::implied_status(&body), headers, body, clock))
            }
            BodyKind::NoAnswer(_)
                if facts.chat
                    && let Some(read) = in_pieces() =>
            {
                read
            }
            BodyKind::NoAnswer(why) => Err(match coding(headers) {
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

    /// What the headers of any reply, success or not, say about limits. Headers that cannot be read are left out.
    pub fn signals(&self, headers: &HeaderMap, now: SystemTime) -> Signals {
        Signals::read(headers, now, self.windows)
    }

    /// A reader for one streamed reply.
    pub fn stream(&self) -> StreamReader {
        StreamReader::new(self.dialect, self.codes)
    }

    /// The visible text of the first answer in a whole body, in whatever format it is. `None` where there is none:
    /// embeddings, an error, what is no JSON. [`Provider::http`] looks into no body.
    pub fn text_of(&self, body: &[u8]) -> Option<String> {
        answer::text(&self.value_of(body)?)
    }

    /// A whole body in the shape of OpenAI's `chat.completion`, from whatever format it is in. A body that already has this
    /// shape stays as it is. `None` where the body holds no answer. [`Provider::http`] looks into no body.
    ///
    /// It keeps the texts, the reasoning (as `reasoning_content`), refusals, calls of tools, the reason of the end and the
    /// counts of tokens. A call without an id gets one from its position. Parts that OpenAI's shape has no field for, such
    /// as citations and pictures, are left out.
    pub fn as_openai(&self, body: &[u8]) -> Option<serde_json::Value> {
        answer::as_openai(&self.value_of(body)?)
    }

    fn value_of(&self, body: &[u8]) -> Option<serde_json::Value> {
        if self.is_plain() { None } else { json::lenient_json(body) }
    }

    pub(crate) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) const fn max_tokens_field(&self) -> &'static str {
        self.max_tokens
    }

    pub(crate) const fn has_stream_options(&self) -> bool {
        self.has_stream_options
    }

    fn is_plain(&self) -> bool {
        matches!(self.dialect, Dialect::Plain)
    }

    /// Reads a stream that came although a whole body was asked for.
    fn read_pieces<'a>(
        &self,
        facts: &RequestFacts,
        headers: &HeaderMap,
        pieces: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
        now: SystemTime,
    ) -> Result<Success, Fault> {
        let mut reader = self.stream().expect_choices(facts.choices);
        for (name, data) in pieces {
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
            of_body(status, body, hints, self.codes)
        };
        // `LiteLLM` names the limit ("Error Reference" in its documentation).
        let limit = clock::text(headers.get("rate_limit_type")).unwrap_or_default();
        let parallel = fault.class == Class::RateLimited && rules::names_parallel(limit);
        Fault { parallel: fault.parallel || parallel, should_retry: signals::should_retry(headers), ..fault }
    }
}

/// The fault of an error event inside a stream. It is the fault that the same error would be with its own status.
pub(crate) fn of_event(body: ErrorBody, codes: &[(&str, Class)]) -> Fault {
    of_body(rules::implied_status(&body), body, Hints::default(), codes)
}

fn of_body(status: u16, body: ErrorBody, hints: Hints, codes: &[(&str, Class)]) -> Fault {
    let hints = Hints { body: body.wait, ..hints };
    let class = rules::class(status, &body, &hints, codes);
    let of_account = rules::is_of_account(class, &body);
    let parallel = rules::is_parallel(class, &body);
    let wait = wait(class, &hints);
    let code = body.code.or_else(|| body.numbers.into_iter().next());
    Fault { wait, of_account, parallel, code, message: body.message, ..Fault::new(class) }
}

/// A final refusal has only the wait of its headers. Its message may quote the prompt, and the prompt may speak of waits.
/// The reset of a limit is a wait only if the limit was the reason.
fn wait(class: Class, hints: &Hints) -> Option<std::time::Duration> {
    let mut hints = *hints;
    match class {
        Class::RateLimited | Class::RampLimited => {}
        Class::Terminal(_) => (hints.body, hints.reset) = (None, None),
        _ => hints.reset = None,
    }
    hints.wait()
}

/// The content coding of the body, if nobody decoded it.
fn coding(headers: &HeaderMap) -> Option<&str> {
    let coding = clock::text(headers.get(header::CONTENT_ENCODING))?.trim();
    (!coding.is_empty() && !coding.eq_ignore_ascii_case("identity")).then_some(coding)
}
