use serde_json::Value;

/// The tokens a reply says it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Usage {
    /// All tokens read, those from the provider's cache and those written to it included.
    pub input: u64,
    /// All tokens written, those of reasoning included.
    pub output: u64,
    /// How many of `input` came from the cache. Some limits do not count these.
    pub cached: u64,
}

impl Usage {
    /// All tokens, read and written.
    pub const fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// What a body says.
    pub(crate) fn read(body: &Value) -> Option<Usage> {
        let places = [body.get("usage"), body.pointer("/x_groq/usage")];
        places.into_iter().flatten().find_map(Usage::of)
    }

    /// Reads `usage` as OpenAI (chat, responses, embeddings), `DeepSeek` and Anthropic write it. Anthropic
    /// counts the cache apart from `input_tokens`, the others as a part of it.
    pub(crate) fn of(usage: &Value) -> Option<Usage> {
        let number = |path: &str| usage.pointer(path).and_then(Value::as_u64);
        let first = |paths: &[&str]| paths.iter().find_map(|path| number(path));

        let input = first(&["/prompt_tokens", "/input_tokens"]);
        let output = first(&["/completion_tokens", "/output_tokens"]);
        if input.is_none() && output.is_none() {
            return None;
        }
        let apart = number("/cache_read_input_tokens");
        let written = number("/cache_creation_input_tokens").filter(|_| number("/prompt_tokens").is_none());
        let within = first(&[
            "/prompt_tokens_details/cached_tokens",
            "/input_tokens_details/cached_tokens",
            "/prompt_cache_hit_tokens",
        ]);
        let outside = if number("/prompt_tokens").is_none() { apart.unwrap_or(0) } else { 0 };
        let input = input.unwrap_or(0).saturating_add(outside).saturating_add(written.unwrap_or(0));
        let cached = within.or(apart).unwrap_or(0).min(input);
        Some(Usage { input, output: output.unwrap_or(0), cached })
    }
}
