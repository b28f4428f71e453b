//! A prompt as a request: the path and the body, in the provider's format.

use std::{borrow::Cow, fmt};

use serde_json::{Map, Value, json};

use crate::{Provider, provider::Dialect};

/// The most tokens of an answer, for a provider that has to be told, where the caller does not say.
const MAX_TOKENS: u64 = 4_096;

/// A prompt as a request. [`Provider::prompt`] makes it, and it gives the path and the body in the provider's own format.
///
/// | | default |
/// |---|---|
/// | `system` | none |
/// | `max_tokens` | the provider's; with Anthropic, which has to be told, 4,096 |
/// | `stream` | no |
///
/// ```
/// use outbound_provider::Provider;
///
/// let provider = Provider::anthropic();
/// let prompt = provider.prompt("claude-sonnet-4-5", "Name a river.").max_tokens(100);
/// assert_eq!(prompt.path(), "/messages");
/// assert_eq!(
///     prompt.body(),
///     r#"{"max_tokens":100,"messages":[{"content":"Name a river.","role":"user"}],"model":"claude-sonnet-4-5"}"#
/// );
/// ```
#[derive(Clone, Copy)]
#[must_use = "a prompt is sent by whoever takes its path and its body"]
pub struct Prompt<'a> {
    provider: Provider,
    model: &'a str,
    text: &'a str,
    system: Option<&'a str>,
    max_tokens: Option<u64>,
    stream: bool,
}

impl<'a> Prompt<'a> {
    pub(crate) const fn new(provider: Provider, model: &'a str, text: &'a str) -> Prompt<'a> {
        Prompt { provider, model, text, system: None, max_tokens: None, stream: false }
    }

    /// What the model is told before the prompt. Embeddings have no place for it.
    pub const fn system(self, text: &'a str) -> Prompt<'a> {
        Prompt { system: Some(text), ..self }
    }

    /// The most tokens that the answer may have. Embeddings have no place for it.
    pub const fn max_tokens(self, tokens: u64) -> Prompt<'a> {
        Prompt { max_tokens: Some(tokens), ..self }
    }

    /// Whether the answer is to come as a stream.
    pub const fn stream(self, stream: bool) -> Prompt<'a> {
        Prompt { stream, ..self }
    }

    /// The path, to be put after the base URL. It may have a query.
    pub fn path(&self) -> Cow<'static, str> {
        self.provider.path(self.model, self.stream)
    }

    /// The body, which is JSON. Empty with [`Provider::http`], of whose requests nothing is known.
    pub fn body(&self) -> String {
        let dialect = self.provider.dialect();
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| {
            body.insert(name.to_owned(), value);
        };
        if !self.provider.names_model_in_path() {
            put("model", self.model.into());
        }
        let user = json!({"role": "user", "content": self.text});
        match dialect {
            Dialect::Chat | Dialect::Ollama => {
                let system = self.system.map(|text| json!({"role": "system", "content": text}));
                put("messages", system.into_iter().chain([user]).collect());
            }
            Dialect::Messages => {
                put("messages", json!([user]));
                put("max_tokens", self.max_tokens.unwrap_or(MAX_TOKENS).into());
            }
            Dialect::Responses | Dialect::Embeddings => put("input", self.text.into()),
            Dialect::Gemini => put("contents", json!([{"role": "user", "parts": [{"text": self.text}]}])),
            Dialect::Plain => return String::new(),
        }
        match (dialect, self.system) {
            (Dialect::Messages, Some(text)) => put("system", text.into()),
            (Dialect::Responses, Some(text)) => put("instructions", text.into()),
            (Dialect::Gemini, Some(text)) => put("systemInstruction", json!({"parts": [{"text": text}]})),
            _ => {}
        }
        match (dialect, self.max_tokens) {
            (Dialect::Chat, Some(most)) => put(self.provider.max_tokens_field(), most.into()),
            (Dialect::Responses, Some(most)) => put("max_output_tokens", most.into()),
            (Dialect::Gemini, Some(most)) => put("generationConfig", json!({"maxOutputTokens": most})),
            (Dialect::Ollama, Some(most)) => put("options", json!({"num_predict": most})),
            _ => {}
        }
        match dialect {
            // Without this field it would stream.
            Dialect::Ollama => put("stream", self.stream.into()),
            Dialect::Chat | Dialect::Messages | Dialect::Responses if self.stream => {
                put("stream", true.into());
                if self.provider.has_stream_options() && dialect == Dialect::Chat {
                    put("stream_options", json!({"include_usage": true}));
                }
            }
            _ => {}
        }
        Value::Object(body).to_string()
    }
}

/// The texts are not shown: they belong to the caller.
impl fmt::Debug for Prompt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prompt").field("provider", &self.provider.name()).field("path", &self.path()).finish()
    }
}
