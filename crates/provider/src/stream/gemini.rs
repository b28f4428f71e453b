//! Streams of Gemini.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    EventError, StreamItem,
    delta::{Delta, ToolCallDelta, reason},
    item,
};
use crate::{Usage, blocked};

/// Chunks of Gemini's `GenerateContentResponse` (`models.streamGenerateContent` in its API reference), put together.
/// There is no end marker: the last chunk of each candidate has a `finishReason`.
#[derive(Default)]
pub(super) struct Gemini {
    /// Fields outside the candidates: the count of tokens, the model. The last value of each counts.
    top: Map<String, Value>,
    candidates: BTreeMap<u64, Candidate>,
}

#[derive(Default)]
struct Candidate {
    parts: Vec<Value>,
    role: Option<Value>,
    calls: u64,
    finish_reason: Option<String>,
    rest: Map<String, Value>,
}

impl Gemini {
    pub(super) fn chunk(&mut self, mut chunk: Map<String, Value>) -> Result<StreamItem, EventError> {
        if let Some(refusal) = blocked::refusal(&chunk).filter(|_| self.candidates.is_empty()) {
            return Err(EventError::Refusal(refusal));
        }
        let candidates = chunk.remove("candidates");
        let usage = chunk.get("usageMetadata").and_then(Usage::of);
        self.top.extend(chunk);
        let mut added = None;
        let candidates =
            if let Some(Value::Array(candidates)) = candidates { candidates } else { Vec::new() };
        for candidate in candidates {
            let Value::Object(candidate) = candidate else { continue };
            let choice = candidate.get("index").and_then(Value::as_u64).unwrap_or(0);
            let mut delta = Delta { choice, ..Delta::default() };
            if self.candidates.entry(choice).or_default().delta(candidate, &mut delta) {
                Delta::join(&mut added, delta);
            }
        }
        Ok(item(added, usage))
    }

    pub(super) fn has_finished(&self, choices: usize) -> bool {
        let mut all = self.candidates.values();
        self.candidates.len() >= choices && all.all(|candidate| candidate.finish_reason.is_some())
    }

    pub(super) fn text(&self) -> String {
        let first = self.candidates.values().next();
        first.map(|candidate| text_of_parts(&candidate.parts, false)).unwrap_or_default()
    }

    pub(super) fn finish_reason(&self) -> Option<String> {
        self.candidates.values().next()?.finish_reason.clone()
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        self.top.get("usageMetadata").and_then(Usage::of)
    }

    pub(super) fn into_body(mut self) -> Value {
        let candidates = self.candidates.into_iter().map(|(index, candidate)| candidate.into_value(index));
        self.top.insert("candidates".into(), Value::Array(candidates.collect()));
        Value::Object(self.top)
    }
}

impl Candidate {
    /// Adds a piece, and writes what is new into the item. Returns whether there is anything new.
    fn delta(&mut self, mut candidate: Map<String, Value>, added: &mut Delta) -> bool {
        let mut generated = false;
        if let Some(Value::Object(mut content)) = candidate.remove("content") {
            self.role = content.remove("role").or(self.role.take());
            let parts =
                if let Some(Value::Array(parts)) = content.remove("parts") { parts } else { Vec::new() };
            for part in parts {
                let Value::Object(part) = part else { continue };
                generated |= self.part(part, added);
            }
        }
        if let Some(Value::String(word)) = candidate.get("finishReason")
            && word != "FINISH_REASON_UNSPECIFIED"
        {
            let word = reason(word, self.calls > 0).to_owned();
            added.finish_reason = Some(word.clone());
            self.finish_reason = Some(word);
        }
        self.rest.extend(candidate);
        generated || added.finish_reason.is_some()
    }

    fn part(&mut self, part: Map<String, Value>, added: &mut Delta) -> bool {
        let is_thought = part.get("thought") == Some(&Value::Bool(true));
        if let Some(Value::Object(call)) = part.get("functionCall") {
            added.tool_calls.push(tool_call(self.calls, call));
            self.calls += 1;
        }
        let Some(Value::String(text)) = part.get("text") else {
            let generated = !part.is_empty();
            self.parts.push(Value::Object(part));
            return generated;
        };
        if is_thought { &mut added.reasoning } else { &mut added.text }.push_str(text);
        let generated = !text.is_empty();
        match self.parts.last_mut() {
            Some(Value::Object(last)) if can_grow(last, is_thought) => {
                for (name, value) in part {
                    match (last.get_mut(&name), value) {
                        (Some(Value::String(old)), Value::String(new)) if name == "text" => {
                            old.push_str(&new);
                        }
                        (_, value) => drop(last.insert(name, value)),
                    }
                }
            }
            _ => self.parts.push(Value::Object(part)),
        }
        generated
    }

    fn into_value(mut self, index: u64) -> Value {
        let mut content = Map::new();
        content.insert("parts".into(), Value::Array(self.parts));
        content.insert("role".into(), self.role.unwrap_or_else(|| "model".into()));
        self.rest.insert("content".into(), Value::Object(content));
        self.rest.entry("index").or_insert_with(|| index.into());
        Value::Object(self.rest)
    }
}

/// Whether a part of text may grow. A part with a signature is at its end.
fn can_grow(last: &Map<String, Value>, is_thought: bool) -> bool {
    let thought = last.get("thought") == Some(&Value::Bool(true));
    last.get("text").is_some_and(Value::is_string)
        && thought == is_thought
        && !last.contains_key("thoughtSignature")
}

/// The text of the parts of a content, or that of the model's thoughts in it.
pub(crate) fn text_of_parts(parts: &[Value], thoughts: bool) -> String {
    let is_thought = |part: &&Value| part.get("thought") == Some(&Value::Bool(true));
    let parts = parts.iter().filter(|part| is_thought(part) == thoughts);
    parts.filter_map(|part| part.get("text")?.as_str()).collect()
}

/// A call of a tool. It comes in one piece.
pub(crate) fn tool_call(index: u64, call: &Map<String, Value>) -> ToolCallDelta {
    let text = |name: &str| call.get(name).and_then(Value::as_str).map(str::to_owned);
    let arguments = call.get("args").or(call.get("arguments")).map(Value::to_string);
    let arguments = arguments.unwrap_or_else(|| "{}".to_owned());
    ToolCallDelta { index, id: text("id"), name: text("name"), arguments }
}
