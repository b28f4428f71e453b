//! Whether a body that came with a success, or an event of a stream, is an error after all.

use serde_json::{Map, Value};

use super::unwrap_array;

/// Fields that hold answers, to whatever was asked. `message` is one where it is an object.
const ANSWERS: &[&str] = &[
    "content",
    "output",
    "message",
    "data",
    "results",
    "embeddings",
    "embedding",
    "candidates",
    "response",
    "generated_text",
    "completion",
    "text",
    "tokens",
    "input_tokens",
    "outputs",
    "result",
    "predictions",
];

/// Whether this is an error, in any provider's shape. The names of fields alone prove nothing. An `error` that is null is
/// no error. Beside an answer, only what plainly calls itself an error is one.
pub(crate) fn is_refusal(value: &Value) -> bool {
    let Value::Object(fields) = unwrap_array(value) else { return false };
    let get = |name: &str| fields.get(name).unwrap_or(&Value::Null);
    let explicit = !is_blank(get("error"))
        || get("object") == "error"
        || says_error(get("type"))
        || get("base_resp").get("status_code").and_then(Value::as_i64).is_some_and(|code| code != 0);
    if explicit {
        return true;
    }
    let is_answer = ANSWERS.iter().chain(&["choices"]).any(|name| {
        let value = get(name);
        // An object under a name as common as `data` may be about the error.
        !is_blank(value)
            && (!value.is_object() || *name == "output")
            && (!value.is_string() || *name != "message")
    });
    !is_answer && !is_event(get("type")) && !get("message").is_object() && implies_error(fields)
}

/// Whether an object without good choices holds an answer in another way. Anthropic's content and the output of a
/// response may be empty. A resource, which has an id and a kind, is the answer to the request that made it.
pub(crate) fn has_answer(value: &Value) -> bool {
    let Value::Object(fields) = unwrap_array(value) else { return false };
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let list = |name: &str| fields.get(name).is_some_and(Value::is_array);
    let is_answer = |name: &&str| {
        let value = fields.get(*name).unwrap_or(&Value::Null);
        !is_blank(value) && (!value.is_string() || *name != "message")
    };
    let kind = text("object");
    let generation = ["chat.", "text_completion", "list"].iter().any(|start| kind.starts_with(start));
    let resource = !text("id").is_empty() && !kind.is_empty() && !generation;
    ANSWERS.iter().any(is_answer) || list("content") || list("output") || resource
}

/// Whether one choice is an answer, perhaps an empty one. It has a message or a text, and something in the choice is not
/// null.
pub(crate) fn is_good_choice(choice: &Value) -> bool {
    let get = |name: &str| choice.get(name).unwrap_or(&Value::Null);
    let is_set = |value: &Value| !value.is_null();
    match (get("text"), get("message"), get("delta")) {
        (Value::String(_), ..) => true,
        (_, Value::Object(message), _) | (.., Value::Object(message)) => {
            is_set(get("finish_reason"))
                || message.iter().any(|(name, value)| name != "role" && is_set(value))
        }
        _ => false,
    }
}

/// Whether one choice of an answer is an error: `OpenRouter`'s way when a generation fails half way.
pub(crate) fn is_failed_choice(choice: &Value) -> bool {
    let Value::Object(fields) = choice else { return false };
    let get = |name: &str| fields.get(name).unwrap_or(&Value::Null);
    !is_blank(get("error")) || get("finish_reason") == "error"
}

/// Events have a type, which says what they are.
fn is_event(kind: &Value) -> bool {
    let kind = kind.as_str().unwrap_or_default();
    kind.contains('.') || ["message", "content_block", "ping"].iter().any(|start| kind.starts_with(start))
}

/// `type` or `status` of this kind is a word for an error.
fn says_error(word: &Value) -> bool {
    let Value::String(word) = word else { return false };
    let word = word.to_ascii_lowercase();
    word == "error" || word.ends_with("_error") || (word.ends_with("error") && !word.contains('.'))
}

/// Whether it says nothing: null, false, zero, an empty value, or one made of such values.
pub(crate) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.iter().all(is_blank),
        Value::Object(fields) => fields.values().all(is_blank),
    }
}

fn implies_error(fields: &Map<String, Value>) -> bool {
    let get = |name: &str| fields.get(name).unwrap_or(&Value::Null);
    let failed = |name: &str| get(name) == &Value::Bool(false);
    let status = get("status");
    let bad_status = status.as_u64().is_some_and(|status| status >= 400)
        || ["error", "failed", "failure", "fail"].iter().any(|word| status == word);
    let message = ["message", "msg", "error_msg"].iter().any(|name| get(name).is_string());
    let code = ["code", "statusCode", "status_code", "error_code"].iter().any(|name| is_bad_code(get(name)));
    !is_blank(get("errors"))
        || failed("success")
        || failed("ok")
        || bad_status
        || (message && code)
        || !is_blank(get("detail"))
        || !is_blank(get("fault"))
        || get("__type").is_string()
}

/// A code that is not one of success.
fn is_bad_code(code: &Value) -> bool {
    match code {
        Value::Number(number) => number.as_i64().is_none_or(|code| code != 0 && !(200..300).contains(&code)),
        Value::String(word) => {
            let word = word.to_ascii_lowercase();
            let good = ["", "0", "ok", "success", "none", "null"].contains(&word.as_str());
            !good && !word.parse::<u16>().is_ok_and(|code| (200..300).contains(&code))
        }
        _ => false,
    }
}
