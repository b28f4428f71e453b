//! The properties of a provider, and how to set them for one that is not listed here.

use std::{borrow::Cow, time::Duration};

use super::{Auth, Provider};
use crate::{Charging, Class, Dimension};

const MODEL: &str = "{model}";

impl Provider {
    /// A short name for records. It is the name of the function that made the provider, unless
    /// [`with_name`](Provider::with_name) gave another one.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Where requests go unless the caller says otherwise, without a slash at the end.
    pub const fn base_url(&self) -> Option<&'static str> {
        self.base_url
    }

    /// The path of a chat request, to be put after the base URL, with `{model}` where the model has its place.
    /// [`path`](Provider::path) puts it there.
    pub const fn chat_path(&self) -> &'static str {
        self.chat_path
    }

    /// The path of a chat request for this model, to be put after the base URL; with a query where the provider wants
    /// one. `stream` says whether the answer is to come as a stream: some providers have another path for that.
    ///
    /// `model` may be anything for a provider that has no model in its path. Gemini's models may be written with `models/` or
    /// without.
    ///
    /// ```
    /// use outbound_provider::Provider;
    ///
    /// assert_eq!(Provider::openai().path("gpt-4o", true), "/chat/completions");
    /// assert_eq!(
    ///     Provider::gemini().path("gemini-2.5-flash", true),
    ///     "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    /// );
    /// ```
    pub fn path(&self, model: &str, stream: bool) -> Cow<'static, str> {
        let template = if stream { self.stream_path.unwrap_or(self.chat_path) } else { self.chat_path };
        let Some((before, behind)) = template.split_once(MODEL) else { return template.into() };
        let model = match before.strip_suffix("models/") {
            Some(_) => model.strip_prefix("models/").unwrap_or(model),
            None => model,
        };
        let mut path = String::with_capacity(template.len() + model.len());
        path.push_str(before);
        for byte in model.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(byte.into()),
                _ => path.push_str(&format!("%{byte:02X}")),
            }
        }
        path.push_str(behind);
        path.into()
    }

    /// Whether the path of a request names the model, so that the body need not.
    pub fn names_model_in_path(&self) -> bool {
        // No other path has a brace, and to look for a character is faster than for a word.
        self.chat_path.contains('{')
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

    /// Whether the provider promises that a repeated `Idempotency-Key` is not processed twice.
    pub const fn documents_idempotency(&self) -> bool {
        self.documents_idempotency
    }

    /// How the tokens of a call are taken from the quota, as far as it is documented. `None` is unknown.
    ///
    /// OpenAI counts the larger of `max_tokens` and an estimate when the request comes ("Rate limits" in its
    /// guide), and so does Azure ("Manage Azure OpenAI quota"). Anthropic estimates output tokens from `max_tokens`
    /// at the start and corrects them at the end ("Rate limits" in its API reference). `LiteLLM` adds what a reply
    /// says it took ("Budgets, Rate Limits" in its documentation).
    pub const fn charging(&self) -> Option<Charging> {
        self.charging
    }

    /// Whether tokens that were read from the provider's cache do not count against its limits. They do not with Anthropic,
    /// for most models ("Rate limits" in its API reference), and with Groq ("Rate limits" in its documentation). They
    /// count with OpenAI ("Prompt caching" in its guide). For the others it is not known, and the answer is no.
    pub const fn cached_tokens_are_free(&self) -> bool {
        self.cached_tokens_are_free
    }

    /// Another name.
    pub const fn with_name(self, name: &'static str) -> Provider {
        Provider { name, ..self }
    }

    /// Another address, without a slash at the end.
    pub const fn with_base_url(self, url: &'static str) -> Provider {
        Provider { base_url: Some(url), ..self }
    }

    /// Another path for chats, streamed or not, which begins with a slash. `{model}` in it stands for the model.
    pub const fn with_chat_path(self, path: &'static str) -> Provider {
        Provider { chat_path: path, stream_path: None, ..self }
    }

    /// Another path for chats whose answer is to come as a stream.
    pub const fn with_stream_path(self, path: &'static str) -> Provider {
        Provider { stream_path: Some(path), ..self }
    }

    /// Another way to send the key.
    pub const fn with_auth(self, auth: Auth) -> Provider {
        Provider { auth, ..self }
    }

    /// Another environment variable for the key.
    pub const fn with_key_env(self, name: &'static str) -> Provider {
        Provider { key_env: Some(name), ..self }
    }

    /// Other headers for every request, in place of those there are, as (lower-case name, value).
    pub const fn with_default_headers(self, headers: &'static [(&'static str, &'static str)]) -> Provider {
        Provider { default_headers: headers, ..self }
    }

    /// The same provider, known to promise that a repeated `Idempotency-Key` is not processed twice.
    pub const fn with_documented_idempotency(self) -> Provider {
        Provider { documents_idempotency: true, ..self }
    }

    /// Another way of taking tokens from the quota.
    pub const fn with_charging(self, charging: Charging) -> Provider {
        Provider { charging: Some(charging), ..self }
    }

    /// Whether tokens from the cache count against the limits.
    pub const fn with_cached_tokens_free(self, free: bool) -> Provider {
        Provider { cached_tokens_are_free: free, ..self }
    }

    /// What codes in errors mean. They replace the codes that were set before; all other codes keep their meaning. A code is
    /// a word, or a number written as a string. Case and signs between letters do not count. A code decides whatever the
    /// status is, and the first code that fits decides.
    pub const fn with_codes(self, codes: &'static [(&'static str, Class)]) -> Provider {
        Provider { codes, ..self }
    }

    /// The windows of limits whose headers do not name them.
    pub const fn with_limit_windows(self, windows: &'static [(Dimension, Duration)]) -> Provider {
        Provider { windows, ..self }
    }
}
