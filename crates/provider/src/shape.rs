//! The shapes of answers. Most servers speak more than one, so the body itself decides which it is.

use serde_json::{Map, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// OpenAI's chat and completions: `choices`.
    Chat,
    /// OpenAI's responses: `output`, and events named `response.*`.
    Responses,
    /// Anthropic's messages: a list of `content`, and events named `message_*` and `content_block_*`.
    Message,
    /// Gemini's `GenerateContentResponse`: `candidates`.
    Gemini,
    /// Ollama's own: lines with `done`.
    Ollama,
}

impl Shape {
    /// The shape of a whole answer. `None`: it is something else, such as a list of embeddings.
    pub(crate) fn of_body(body: &Map<String, Value>) -> Option<Shape> {
        let is_list = |name: &str| body.get(name).is_some_and(Value::is_array);
        if is_list("choices") {
            Some(Shape::Chat)
        } else if is_list("candidates") || body.contains_key("promptFeedback") {
            Some(Shape::Gemini)
        } else if is_list("output") {
            Some(Shape::Responses)
        } else if is_list("content") {
            Some(Shape::Message)
        } else if body.get("done").is_some_and(Value::is_boolean) {
            Some(Shape::Ollama)
        } else {
            None
        }
    }

    /// The shape of the stream that this event belongs to. `None`: the event does not tell.
    pub(crate) fn of_event(name: &str, event: &Map<String, Value>) -> Option<Shape> {
        let kind = event.get("type").and_then(Value::as_str).unwrap_or(name);
        if kind.starts_with("response.") {
            return Some(Shape::Responses);
        }
        if kind == "message_start" {
            return Some(Shape::Message);
        }
        Shape::of_body(event).filter(|shape| !matches!(shape, Shape::Responses | Shape::Message))
    }
}
