//! What one event of a stream brings, and the words for the reason why an answer ended.

use crate::Usage;

/// The piece of an answer that one event brought, in one shape for all providers.
///
/// ```
/// use outbound_provider::{Provider, StreamItem};
///
/// let mut reader = Provider::anthropic().stream();
/// reader.feed("", r#"{"type":"message_start","message":{"role":"assistant"}}"#)?;
/// reader.feed("", r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#)?;
/// let event = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}"#;
/// let StreamItem::Delta(delta) = reader.feed("", event)? else { panic!("a piece of the answer") };
/// assert_eq!(delta.text, "Hello");
/// # Ok::<(), outbound_provider::Fault>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delta {
    /// Which answer it is a piece of, from 0 on. More than one comes only where the request asks for several.
    pub choice: u64,
    /// Text for the reader.
    pub text: String,
    /// Text of the model's reasoning, or of its summary.
    pub reasoning: String,
    /// Text with which the model refuses. Only OpenAI keeps it apart from other text.
    pub refusal: String,
    /// Pieces of calls of tools.
    pub tool_calls: Vec<ToolCallDelta>,
    /// Why the answer ended, in OpenAI's words: `stop`, `length`, `tool_calls`, `content_filter`. A
    /// provider's word that means none of these stays as it is.
    pub finish_reason: Option<String>,
    /// The tokens taken so far, if the same event reports them.
    pub usage: Option<Usage>,
    /// Pieces of further choices in the same event. Nearly always empty.
    pub others: Vec<Delta>,
}

/// A piece of one call of a tool. The pieces of a call have its index in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolCallDelta {
    /// Which call of this choice, from 0 on.
    pub index: u64,
    /// Its id, given once, with its first piece. Gemini and Ollama may send none.
    pub id: Option<String>,
    /// The name of the tool, given once, with its first piece.
    pub name: Option<String>,
    /// A piece of the arguments, which are JSON when all pieces are put together.
    pub arguments: String,
}

impl Delta {
    /// This piece, and then those of [`others`](Delta::others).
    pub fn each(&self) -> impl Iterator<Item = &Delta> {
        std::iter::once(self).chain(&self.others)
    }

    /// Adds a piece of a further choice of the same event.
    pub(super) fn join(all: &mut Option<Delta>, delta: Delta) {
        match all {
            None => *all = Some(delta),
            Some(first) => first.others.push(delta),
        }
    }
}

/// Other providers' words for the reason of an end, and OpenAI's word for the same. Case does not count.
///
/// Anthropic: "Handling stop reasons" in its guide. Gemini: `FinishReason` in its API reference. Responses: `status`
/// and `incomplete_details.reason` in OpenAI's API reference. Mistral: `FinishReason` in its API reference. Zhipu:
/// "Chat completion" in its API reference. `eos` and `eos_token` are of Together and TGI.
const REASONS: &[(&str, &str)] = &[
    ("end_turn", "stop"),
    ("stop_sequence", "stop"),
    ("completed", "stop"),
    ("eos", "stop"),
    ("eos_token", "stop"),
    ("max_tokens", "length"),
    ("max_output_tokens", "length"),
    ("model_context_window_exceeded", "length"),
    ("model_length", "length"),
    ("tool_use", "tool_calls"),
    ("refusal", "content_filter"),
    ("safety", "content_filter"),
    ("recitation", "content_filter"),
    ("blocklist", "content_filter"),
    ("prohibited_content", "content_filter"),
    ("spii", "content_filter"),
    ("image_safety", "content_filter"),
    ("image_prohibited_content", "content_filter"),
    ("image_recitation", "content_filter"),
    ("sensitive", "content_filter"),
    // OpenAI's own word, as Gemini writes it.
    ("stop", "stop"),
];

/// Why an answer ended, in OpenAI's words. Several providers say only that it stopped, even where it called a tool.
pub(crate) fn reason(word: &str, has_calls: bool) -> &str {
    let known = REASONS.iter().find(|(other, _)| other.eq_ignore_ascii_case(word));
    match known.map_or(word, |(_, ours)| ours) {
        "stop" if has_calls => "tool_calls",
        reason => reason,
    }
}
