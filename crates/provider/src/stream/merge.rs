//! Deltas of OpenAI's streams, put together: strings grow, lists grow, objects are merged, the rest is
//! replaced.

use serde_json::{Map, Value, json};

pub(super) fn merge(target: &mut Map<String, Value>, delta: Map<String, Value>) {
    for (key, value) in delta {
        match target.get_mut(&key) {
            None | Some(Value::Null) => {
                target.insert(key, value);
            }
            Some(old) => join(&key, old, value),
        }
    }
}

fn join(key: &str, old: &mut Value, new: Value) {
    match (old, new) {
        (_, Value::Null) => {}
        (Value::String(old), Value::String(new)) => match key {
            // Some servers send it once, others with every piece.
            "id" | "type" | "role" if new.is_empty() => {}
            "id" | "type" | "role" => *old = new,
            "name" if *old == new => {}
            _ => old.push_str(&new),
        },
        (Value::Object(old), Value::Object(new)) => merge(old, new),
        (Value::Array(old), Value::Array(new)) => old.extend(new),
        // Mistral's content is a list of parts while the model reasons, then text.
        (Value::Array(old), Value::String(new)) => push_text(old, &new),
        (old @ Value::String(_), Value::Array(new)) => {
            let mut parts = Vec::new();
            if let Value::String(text) = old.take() {
                push_text(&mut parts, &text);
            }
            parts.extend(new);
            *old = Value::Array(parts);
        }
        (old, new) => *old = new,
    }
}

fn push_text(parts: &mut Vec<Value>, text: &str) {
    if text.is_empty() {
        return;
    }
    if let Some(last) = parts.last_mut().filter(|part| part["type"] == "text")
        && let Some(Value::String(old)) = last.get_mut("text")
    {
        return old.push_str(text);
    }
    parts.push(json!({ "type": "text", "text": text }));
}

/// The visible text of a content. The content is a string, or a list of parts of which some are text.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let parts = parts.iter().filter(|part| part["type"] == "text");
            parts.filter_map(|part| part["text"].as_str()).collect()
        }
        _ => String::new(),
    }
}

/// The reasoning inside a content. Mistral sends it so: parts `{"type": "thinking", "thinking": [parts of text]}`.
pub(crate) fn reasoning_of(content: &Value) -> String {
    let Value::Array(parts) = content else { return String::new() };
    let parts = parts.iter().filter(|part| part["type"] == "thinking");
    parts.map(|part| text_of(&part["thinking"])).collect()
}

/// Whether a delta holds anything that was generated: a text, a list or an object that is not empty.
pub(super) fn is_something(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => false,
    }
}
