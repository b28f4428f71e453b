//! Prompts that Gemini refuses inside a reply of status 200. Such a reply has no candidate, and `promptFeedback` has the
//! reason.

use serde_json::{Map, Value, json};

/// The error in such a body, in OpenAI's shape. `None` for every other body. (`PromptFeedback` in Gemini's API
/// reference.)
pub(crate) fn refusal(body: &Map<String, Value>) -> Option<Value> {
    let candidates = body.get("candidates").and_then(Value::as_array);
    if candidates.is_some_and(|candidates| !candidates.is_empty()) {
        return None;
    }
    let feedback = body.get("promptFeedback")?;
    let reason = feedback.get("blockReason")?.as_str()?;
    let message = match feedback.get("blockReasonMessage").and_then(Value::as_str) {
        Some(message) => format!("the prompt was blocked ({reason}): {message}"),
        None => format!("the prompt was blocked ({reason})"),
    };
    Some(json!({"error": {"code": "content_filter", "message": message}}))
}
