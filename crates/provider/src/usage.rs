//! The tokens that a reply says it took.

use serde_json::{Map, Value};

use crate::json::{JsonError, Scanner};

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
    /// How many of `input` were written to the cache. Anthropic has another price for these.
    pub cache_written: u64,
    /// How many of `output` were reasoning, which is not part of the text.
    pub reasoning: u64,
}

impl Usage {
    /// All tokens, read and written.
    pub const fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// The counts of a body, in whatever shape it is.
    pub(crate) fn read(body: &Value) -> Option<Usage> {
        let fields = body.as_object()?;
        let groq = || fields.get("x_groq")?.get("usage");
        let counts = [fields.get("usage"), fields.get("usageMetadata"), groq()];
        counts.into_iter().flatten().find_map(Usage::of).or_else(|| Usage::of_fields(fields))
    }

    /// The counts of the field `usage`, or of Gemini's `usageMetadata`.
    pub(crate) fn of(usage: &Value) -> Option<Usage> {
        Usage::of_fields(usage.as_object()?)
    }

    /// The counts of these fields. Ollama has them in the body itself.
    pub(crate) fn of_fields(fields: &Map<String, Value>) -> Option<Usage> {
        let mut counts = Counts::default();
        for (name, value) in fields {
            match value {
                Value::Object(details) if is_details(name.as_bytes()) => {
                    for (name, count) in details {
                        counts.set_detail(name.as_bytes(), count.as_u64());
                    }
                }
                value => counts.set(name.as_bytes(), value.as_u64()),
            }
        }
        counts.usage()
    }
}

/// The counts of one reply as OpenAI (chat, responses, embeddings), `DeepSeek`, Anthropic, Gemini and Ollama write
/// them. Anthropic counts the cache apart from `input_tokens`, the others as a part of it. Gemini counts apart what
/// tools put into the prompt, and thoughts (`UsageMetadata` in its API reference).
#[derive(Debug, Default)]
pub(crate) struct Counts {
    prompt: Option<u64>,
    completion: Option<u64>,
    input: Option<u64>,
    output: Option<u64>,
    /// Cached tokens that are a part of the input.
    within: Option<u64>,
    hit: Option<u64>,
    /// Cached tokens read and written, beside the input.
    apart: Option<u64>,
    written: Option<u64>,
    /// Gemini's prompts of tools, beside the prompt, and thoughts, beside the output.
    of_tools: Option<u64>,
    thoughts: Option<u64>,
    /// Reasoning that is a part of the output.
    reasoning: Option<u64>,
}

impl Counts {
    /// Reads the value of `usage`. It may be missing.
    pub(crate) fn scan(scanner: &mut Scanner<'_>) -> Result<Option<Usage>, JsonError> {
        if scanner.peek() != b'{' {
            scanner.skip()?;
            return Ok(None);
        }
        let mut counts = Counts::default();
        scanner.object(|scanner, name| {
            if is_details(name) && scanner.peek() == b'{' {
                return scanner.object(|scanner, name| {
                    let count = scanner.u64_or_skip()?;
                    counts.set_detail(name, count);
                    Ok(())
                });
            }
            let count = scanner.u64_or_skip()?;
            counts.set(name, count);
            Ok(())
        })?;
        Ok(counts.usage())
    }

    fn set_detail(&mut self, name: &[u8], count: Option<u64>) {
        match name {
            b"cached_tokens" => self.within = count.or(self.within),
            b"reasoning_tokens" => self.reasoning = count.or(self.reasoning),
            _ => {}
        }
    }

    pub(crate) fn set(&mut self, name: &[u8], count: Option<u64>) {
        match name {
            b"prompt_tokens" | b"promptTokenCount" | b"prompt_eval_count" => self.prompt = count,
            b"completion_tokens" | b"candidatesTokenCount" | b"eval_count" => self.completion = count,
            b"input_tokens" => self.input = count,
            b"output_tokens" => self.output = count,
            b"prompt_cache_hit_tokens" => self.hit = count,
            b"cache_read_input_tokens" => self.apart = count,
            b"cache_creation_input_tokens" => self.written = count,
            b"cachedContentTokenCount" => self.within = count,
            b"toolUsePromptTokenCount" => self.of_tools = count,
            b"thoughtsTokenCount" => self.thoughts = count,
            _ => {}
        }
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        let input = self.prompt.or(self.input);
        let output = self.completion.or(self.output).or(self.thoughts.map(|_| 0));
        if input.is_none() && output.is_none() {
            return None;
        }
        let outside = if self.prompt.is_some() { [self.of_tools, None] } else { [self.apart, self.written] };
        let input = outside.into_iter().flatten().fold(input.unwrap_or(0), u64::saturating_add);
        let output = output.map(|output| output.saturating_add(self.thoughts.unwrap_or(0)));
        let cached = self.within.or(self.hit).or(self.apart).unwrap_or(0).min(input);
        let output = output.unwrap_or(0);
        let reasoning = self.reasoning.or(self.thoughts).unwrap_or(0).min(output);
        let cache_written = self.written.unwrap_or(0).min(input);
        Some(Usage { input, output, cached, cache_written, reasoning })
    }
}

fn is_details(name: &[u8]) -> bool {
    matches!(
        name,
        b"prompt_tokens_details"
            | b"input_tokens_details"
            | b"completion_tokens_details"
            | b"output_tokens_details"
    )
}
