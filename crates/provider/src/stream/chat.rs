//! Streams of OpenAI's chat completions, and of all servers that copy them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    EventError, StreamItem,
    delta::{Delta, ToolCallDelta, reason},
    item,
    merge::{is_something, merge, reasoning_of, text_of},
    plain::{PADDING, Plain},
};
use crate::{Usage, error_body};

/// Fields of a message that hold its reasoning, of which the first that is there counts: servers send the same
/// text under two names. `reasoning_content` is `DeepSeek`'s name, and Qwen's, Moonshot's, Zhipu's; `reasoning` is
/// OpenRouter's, Groq's and vLLM's newer one.
pub(crate) const REASONING: &[&str] = &["reasoning_content", "reasoning"];

/// Chunks of `chat.completion.chunk` (or `text_completion`), put together.
#[derive(Default)]
pub(super) struct Chat {
    /// Fields outside the choices: id, model, usage. The last value of each counts.
    top: Map<String, Value>,
    choices: BTreeMap<u64, Choice>,
    plain: Plain,
}

#[derive(Default)]
struct Choice {
    message: Map<String, Value>,
    calls: BTreeMap<u64, Map<String, Value>>,
    logprobs: Map<String, Value>,
    text: Option<String>,
    finish_reason: Option<String>,
    /// The finish reason, and other fields of the choice. The last value of each counts.
    rest: Map<String, Value>,
}

impl Chat {
    pub(super) fn chunk(&mut self, mut chunk: Map<String, Value>) -> Result<StreamItem, EventError> {
        let choices = chunk.remove("choices");
        chunk.remove(PADDING);
        let usage = usage_of(&chunk);
        replace(&mut self.top, chunk);
        let mut added = None;
        let choices = if let Some(Value::Array(choices)) = choices { choices } else { Vec::new() };
        for choice in choices {
            if error_body::is_failed_choice(&choice) {
                return Err(EventError::Refusal(choice));
            }
            let Value::Object(choice) = choice else { continue };
            let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
            let mut delta = Delta { choice: index, ..Delta::default() };
            if self.choices.entry(index).or_default().delta(choice, &mut delta) {
                Delta::join(&mut added, delta);
            }
        }
        Ok(item(added, usage))
    }

    /// Reads a chunk that brings a piece of text and nothing else that is new. `None`: it may bring more. Then it has to be
    /// read in full, and [`learn`](Chat::learn) has to be called.
    pub(super) fn piece(&mut self, chunk: &str) -> Option<Delta> {
        let piece = self.plain.read(chunk.as_bytes())?;
        let Value::String(whole) = self.choices.get_mut(&piece.index)?.message.get_mut(piece.field)? else {
            return None;
        };
        let text = piece.text.decode().into_owned();
        whole.push_str(&text);
        let delta = Delta { choice: piece.index, ..Delta::default() };
        Some(match piece.field {
            "content" => Delta { text, ..delta },
            _ => Delta { reasoning: text, ..delta },
        })
    }

    /// Keeps the chunk, for later ones to be compared with.
    pub(super) fn learn(&mut self, chunk: &str) {
        self.plain.learn(chunk.as_bytes());
    }

    pub(super) fn has_begun(&self) -> bool {
        !self.choices.is_empty()
    }

    /// Whether at least this many choices have come, and all of them are finished.
    pub(super) fn has_finished(&self, choices: usize) -> bool {
        self.choices.len() >= choices && self.choices.values().all(|choice| choice.finish_reason.is_some())
    }

    pub(super) fn text(&self) -> String {
        let Some(choice) = self.choices.values().next() else { return String::new() };
        choice.text.clone().unwrap_or_else(|| choice.message.get("content").map(text_of).unwrap_or_default())
    }

    pub(super) fn finish_reason(&self) -> Option<String> {
        self.choices.values().next()?.finish_reason.clone()
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        usage_of(&self.top)
    }

    pub(super) fn into_body(mut self) -> Value {
        if self.top.get("object").is_some_and(|object| object == "chat.completion.chunk") {
            self.top.insert("object".into(), "chat.completion".into());
        }
        let choices = self.choices.into_iter().map(|(index, choice)| choice.into_value(index));
        let choices = Value::Array(choices.collect());
        self.top.insert("choices".into(), choices);
        Value::Object(self.top)
    }
}

impl Choice {
    /// Adds a delta, and writes what is new into the item. Returns whether there is anything new.
    fn delta(&mut self, mut choice: Map<String, Value>, added: &mut Delta) -> bool {
        let mut generated = false;
        // Some servers send the whole message as one event. After pieces it only repeats them.
        let message = choice.remove("message").filter(|_| self.message.is_empty());
        let delta = choice.remove("delta").filter(Value::is_object).or(message);
        if let Some(Value::Object(mut delta)) = delta {
            if let Some(Value::Array(calls)) = delta.remove("tool_calls") {
                generated |= !calls.is_empty();
                added.tool_calls = calls.into_iter().filter_map(|call| self.call(call)).collect();
            }
            if let Some(content) = delta.get("content") {
                added.text = text_of(content);
            }
            let mut reasoning = REASONING.iter().filter_map(|name| delta.get(*name)?.as_str());
            if let Some(text) = reasoning.find(|text| !text.is_empty()) {
                added.reasoning = text.to_owned();
            } else if let Some(content) = delta.get("content") {
                added.reasoning = reasoning_of(content);
            }
            if let Some(Value::String(refusal)) = delta.get("refusal") {
                added.refusal.clone_from(refusal);
            }
            generated |= delta.iter().any(|(key, value)| key != "role" && is_something(value));
            merge(&mut self.message, delta);
        }
        if let Some(Value::String(piece)) = choice.remove("text") {
            generated |= !piece.is_empty();
            self.text.get_or_insert_default().push_str(&piece);
            added.text.push_str(&piece);
        }
        if let Some(Value::Object(logprobs)) = choice.remove("logprobs") {
            merge(&mut self.logprobs, logprobs);
        }
        if let Some(Value::String(word)) = choice.get("finish_reason")
            && !word.is_empty()
        {
            let word = reason(word, !self.calls.is_empty()).to_owned();
            added.finish_reason = Some(word.clone());
            self.finish_reason = Some(word);
        }
        replace(&mut self.rest, choice);
        generated || added.finish_reason.is_some()
    }

    /// Calls are told apart by index. Where a server sends none, an id begins another call.
    fn call(&mut self, call: Value) -> Option<ToolCallDelta> {
        let Value::Object(mut call) = call else { return None };
        let stated = call.remove("index").as_ref().and_then(Value::as_u64);
        let index = stated.unwrap_or_else(|| match self.calls.last_key_value() {
            Some((last, _)) if call.get("id").is_some_and(is_something) => last.saturating_add(1),
            Some((last, _)) => *last,
            None => 0,
        });
        let known = self.calls.entry(index).or_default();
        let function = tool_of(&call);
        // Some servers repeat id and name with every piece. They are given out once.
        let once = |new: Option<&Value>, old: Option<&Value>| match new? {
            Value::String(new) if !new.is_empty() && old.is_none_or(|old| old != new) => Some(new.clone()),
            _ => None,
        };
        let known_function = tool_of(known);
        let added = ToolCallDelta {
            index,
            id: once(call.get("id"), known.get("id")),
            name: once(function.and_then(|f| f.get("name")), known_function.and_then(|f| f.get("name"))),
            arguments: match function.and_then(|function| function.get("arguments").or(function.get("input")))
            {
                Some(Value::String(piece)) => piece.clone(),
                None | Some(Value::Null) => String::new(),
                Some(whole) => whole.to_string(),
            },
        };
        merge(known, call);
        Some(added)
    }

    fn into_value(mut self, index: u64) -> Value {
        let mut choice = self.rest;
        choice.insert("index".into(), index.into());
        choice.entry("finish_reason").or_insert(Value::Null);
        let logprobs = if self.logprobs.is_empty() { Value::Null } else { Value::Object(self.logprobs) };
        choice.insert("logprobs".into(), logprobs);
        if let Some(text) = self.text {
            choice.insert("text".into(), text.into());
            return Value::Object(choice);
        }
        if !self.calls.is_empty() {
            let calls = self.calls.into_values().map(Value::Object).collect();
            self.message.insert("tool_calls".into(), Value::Array(calls));
        }
        self.message.entry("role").or_insert_with(|| "assistant".into());
        self.message.entry("content").or_insert(Value::Null);
        choice.insert("message".into(), Value::Object(self.message));
        Value::Object(choice)
    }
}

/// The kind of a call: a function, or one of OpenAI's tools whose input is free text.
fn tool_of(call: &Map<String, Value>) -> Option<&Value> {
    call.get("function").or(call.get("custom"))
}

/// Groq has the counts in a field of its own.
fn usage_of(chunk: &Map<String, Value>) -> Option<Usage> {
    let groq = || chunk.get("x_groq").and_then(|groq| groq.get("usage")).and_then(Usage::of);
    chunk.get("usage").and_then(Usage::of).or_else(groq)
}

fn replace(target: &mut Map<String, Value>, fields: Map<String, Value>) {
    for (key, value) in fields {
        if !value.is_null() || !target.contains_key(&key) {
            target.insert(key, value);
        }
    }
}
