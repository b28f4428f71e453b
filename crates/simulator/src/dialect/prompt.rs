//! Reading a request: what several dialects have in common.

use serde_json::{Map, Value};

use crate::answer::tokens_of;

/// Tokens of all text in the prompt: strings, and `text` and `content` of parts and messages, at any depth.
/// Images, tools and everything else in a message count nothing.
pub(super) fn tokens(messages: &[&Value]) -> u64 {
    tokens_of(messages.iter().map(|message| characters(message)).sum()).max(1)
}

fn characters(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.chars().count() as u64,
        Value::Array(parts) => parts.iter().map(characters).sum(),
        Value::Object(part) => {
            ["text", "content"].iter().filter_map(|field| part.get(*field)).map(characters).sum()
        }
        _ => 0,
    }
}

pub(super) fn object(body: &Value) -> Result<&Map<String, Value>, String> {
    body.as_object().ok_or_else(|| "the body must be a JSON object".into())
}

pub(super) fn model(body: &Map<String, Value>) -> Result<String, String> {
    match body.get("model") {
        Some(Value::String(model)) if !model.is_empty() => Ok(model.clone()),
        _ => Err("you must provide a model parameter".into()),
    }
}

pub(super) fn messages(body: &Map<String, Value>) -> Result<&Value, String> {
    match body.get("messages") {
        Some(messages @ Value::Array(list)) if !list.is_empty() => {
            if list.iter().all(|message| message.get("role").is_some_and(Value::is_string)) {
                Ok(messages)
            } else {
                Err("each of `messages` must be an object with a `role`".into())
            }
        }
        _ => Err("`messages` must be an array that is not empty".into()),
    }
}

/// A positive whole number. `None` if the field is missing or null.
pub(super) fn count(body: &Map<String, Value>, field: &str) -> Result<Option<u64>, String> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(count) if count > 0 => Ok(Some(count)),
            _ => Err(format!("`{field}` must be a positive whole number")),
        },
    }
}

/// A boolean. False if the field is missing or null.
pub(super) fn flag(body: &Map<String, Value>, field: &str) -> Result<bool, String> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(format!("`{field}` must be true or false")),
    }
}
