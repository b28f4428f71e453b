//! Streams of Ollama.

use serde_json::{Map, Value};

use super::{
    StreamItem,
    delta::{Delta, reason},
    gemini::tool_call,
    item,
};
use crate::Usage;

/// Lines of Ollama's `/api/chat` and `/api/generate` ("Streaming" in its API reference), put together. The last one
/// has `done: true`, the reason and the counts.
#[derive(Default)]
pub(super) struct Ollama {
    /// The last value of each field counts, except for fields that grow.
    top: Map<String, Value>,
    message: Map<String, Value>,
    calls: Vec<Value>,
    finish_reason: Option<String>,
}

impl Ollama {
    pub(super) fn line(&mut self, mut line: Map<String, Value>) -> StreamItem {
        let mut added = Delta::default();
        let mut generated = false;
        if let Some(Value::Object(mut message)) = line.remove("message") {
            if let Some(Value::Array(calls)) = message.remove("tool_calls") {
                for call in calls {
                    let Some(Value::Object(function)) = call.get("function") else { continue };
                    let mut added_call = tool_call(self.calls.len() as u64, function);
                    added_call.id = call.get("id").and_then(Value::as_str).map(str::to_owned);
                    added.tool_calls.push(added_call);
                    self.calls.push(call);
                }
            }
            grow(&mut self.message, &mut message, "content", &mut added.text);
            grow(&mut self.message, &mut message, "thinking", &mut added.reasoning);
            generated |= message.iter().any(|(name, value)| name != "role" && !value.is_null());
            self.message.extend(message);
        }
        grow(&mut self.top, &mut line, "response", &mut added.text);
        grow(&mut self.top, &mut line, "thinking", &mut added.reasoning);
        generated |= !added.text.is_empty() || !added.reasoning.is_empty() || !added.tool_calls.is_empty();
        let is_done = line.get("done") == Some(&Value::Bool(true));
        let usage = Usage::of_fields(&line);
        if is_done {
            let word = line.get("done_reason").and_then(Value::as_str).unwrap_or("stop");
            self.finish_reason = Some(reason(word, !self.calls.is_empty()).to_owned());
            added.finish_reason.clone_from(&self.finish_reason);
        }
        self.top.extend(line);
        item((generated || is_done).then_some(added), usage)
    }

    pub(super) fn has_finished(&self) -> bool {
        self.finish_reason.is_some()
    }

    pub(super) fn text(&self) -> String {
        let text = self.message.get("content").or(self.top.get("response"));
        text.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub(super) fn finish_reason(&self) -> Option<String> {
        self.finish_reason.clone()
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        Usage::of_fields(&self.top)
    }

    pub(super) fn into_body(mut self) -> Value {
        if !self.calls.is_empty() {
            self.message.insert("tool_calls".into(), Value::Array(self.calls));
        }
        if !self.message.is_empty() {
            self.top.insert("message".into(), Value::Object(self.message));
        }
        Value::Object(self.top)
    }
}

/// Moves a piece of text to the end of the field of the same name, and copies it to `added`.
fn grow(whole: &mut Map<String, Value>, piece: &mut Map<String, Value>, name: &str, added: &mut String) {
    let Some(Value::String(text)) = piece.remove(name) else { return };
    added.push_str(&text);
    match whole.get_mut(name) {
        Some(Value::String(old)) => old.push_str(&text),
        _ => {
            whole.insert(name.to_owned(), Value::String(text));
        }
    }
}
