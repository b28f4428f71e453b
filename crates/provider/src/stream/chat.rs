use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    StreamItem, fault,
    merge::{is_something, merge, text_of},
};
use crate::{Fault, Usage, error_body};

/// Chunks of `chat.completion.chunk` (or `text_completion`), put together.
#[derive(Default)]
pub(super) struct Chat {
    /// What is not in a choice: id, model, usage. The last word of each counts.
    top: Map<String, Value>,
    choices: BTreeMap<u64, Choice>,
}

#[derive(Default)]
struct Choice {
    message: Map<String, Value>,
    calls: BTreeMap<u64, Map<String, Value>>,
    logprobs: Map<String, Value>,
    text: Option<String>,
    finished: bool,
    /// Finish reason, and whatever else a server adds. The last word of each counts.
    rest: Map<String, Value>,
}

impl Chat {
    pub(super) fn chunk(&mut self, mut chunk: Map<String, Value>) -> Result<StreamItem, Fault> {
        let choices = chunk.remove("choices");
        replace(&mut self.top, chunk);
        let Some(Value::Array(choices)) = choices else { return Ok(StreamItem::Nothing) };
        let mut generated = false;
        let mut text = String::new();
        for choice in choices {
            if error_body::is_failed_choice(&choice) {
                return Err(fault(&choice));
            }
            let Value::Object(choice) = choice else { continue };
            let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
            generated |= self.choices.entry(index).or_default().delta(choice, &mut text);
        }
        Ok(if generated { StreamItem::Delta(text) } else { StreamItem::Nothing })
    }

    pub(super) fn has_begun(&self) -> bool {
        !self.choices.is_empty()
    }

    /// Whether at least so many choices have come, and all that came are finished.
    pub(super) fn has_finished(&self, choices: usize) -> bool {
        self.choices.len() >= choices && self.choices.values().all(|choice| choice.finished)
    }

    pub(super) fn text(&self) -> String {
        let Some(choice) = self.choices.values().next() else { return String::new() };
        choice.text.clone().unwrap_or_else(|| choice.message.get("content").map(text_of).unwrap_or_default())
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        let groq = self.top.get("x_groq").and_then(|groq| groq.get("usage"));
        [self.top.get("usage"), groq].into_iter().flatten().find_map(Usage::of)
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
    /// Takes a delta, appends its visible text to `text`, and says whether it brought anything generated.
    fn delta(&mut self, mut choice: Map<String, Value>, text: &mut String) -> bool {
        let mut generated = false;
        // Some put the whole message into one event. After pieces it says the same once more.
        let message = choice.remove("message").filter(|_| self.message.is_empty());
        let delta = choice.remove("delta").filter(Value::is_object).or(message);
        if let Some(Value::Object(mut delta)) = delta {
            if let Some(Value::Array(calls)) = delta.remove("tool_calls") {
                generated |= !calls.is_empty();
                calls.into_iter().for_each(|call| self.call(call));
            }
            if let Some(content) = delta.get("content") {
                text.push_str(&text_of(content));
            }
            generated |= delta.iter().any(|(key, value)| key != "role" && is_something(value));
            merge(&mut self.message, delta);
        }
        if let Some(Value::String(piece)) = choice.remove("text") {
            generated |= !piece.is_empty();
            text.push_str(&piece);
            self.text.get_or_insert_default().push_str(&piece);
        }
        if let Some(Value::Object(logprobs)) = choice.remove("logprobs") {
            merge(&mut self.logprobs, logprobs);
        }
        self.finished |= choice.get("finish_reason").is_some_and(is_something);
        replace(&mut self.rest, choice);
        generated
    }

    /// Calls are told apart by index. Where a server sends none, an id begins another call.
    fn call(&mut self, call: Value) {
        let Value::Object(mut call) = call else { return };
        let stated = call.remove("index").as_ref().and_then(Value::as_u64);
        let index = stated.unwrap_or_else(|| match self.calls.last_key_value() {
            Some((last, _)) if call.get("id").is_some_and(is_something) => last.saturating_add(1),
            Some((last, _)) => *last,
            None => 0,
        });
        merge(self.calls.entry(index).or_default(), call);
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

fn replace(target: &mut Map<String, Value>, fields: Map<String, Value>) {
    for (key, value) in fields {
        if !value.is_null() || !target.contains_key(&key) {
            target.insert(key, value);
        }
    }
}
