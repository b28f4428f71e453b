//! Ollama's chat. It has no keys and no limit headers.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Ask, Events, Framing, prompt};
use crate::{
    answer::Answer,
    refusal::{Reason, Refusal},
    wall::Wall,
};

/// A request that does not say `stream` is streamed. No other dialect does so.
pub(super) fn parse(body: &Value) -> Result<Ask, String> {
    let body = prompt::object(body)?;
    let messages = prompt::messages(body)?;
    let stream = match body.get("stream") {
        None => true,
        Some(_) => prompt::flag(body, "stream")?,
    };
    // 0 and less are no limit.
    let max_tokens =
        body.get("options").and_then(|options| options.get("num_predict")).and_then(Value::as_u64);
    Ok(Ask {
        model: prompt::model(body)?,
        input_tokens: prompt::tokens(&[messages]),
        messages: messages.as_array().map_or(0, |messages| messages.len() as u64),
        max_tokens: max_tokens.filter(|max| *max > 0),
        stream,
        include_usage: true,
        framing: Framing::Lines,
    })
}

pub(super) fn plain(answer: &Answer) -> Value {
    last(answer, &answer.text())
}

/// One JSON text a line. The last one has `done: true` and the counts.
pub(super) fn events(answer: &Answer) -> Events {
    let line = |token: String| format!("{}\n", head(answer, &token));
    Events {
        opening: String::new(),
        chunks: answer.tokens().map(line).collect(),
        closing: format!("{}\n", last(answer, "")),
    }
}

/// `{"error": "..."}`: a sentence, without a code.
pub(super) fn error(refusal: &Refusal) -> Value {
    let usual = match refusal.status.as_u16() {
        _ if refusal.reason == Reason::QuotaSpent => {
            "you have reached your weekly usage limit, upgrade for higher limits: https://ollama.com/upgrade"
        }
        401 => "unauthorized",
        404 => "model not found, try pulling it first",
        429 => "too many requests",
        503 => "server busy, please try again.  maximum pending requests exceeded",
        400..500 => "invalid request",
        _ => "an error was encountered while running the model",
    };
    json!({ "error": refusal.message.as_deref().unwrap_or(usual) })
}

fn head(answer: &Answer, text: &str) -> Value {
    let created = SystemTime::UNIX_EPOCH + Duration::from_secs(answer.created);
    json!({
        "model": answer.model,
        "created_at": Wall::new(created).rfc_3339_rounded_up(),
        "message": { "role": "assistant", "content": text },
        "done": false,
    })
}

/// Durations are in nanoseconds. They are made up: 1 ms a token of the prompt, 10 ms a token of the answer.
fn last(answer: &Answer, text: &str) -> Value {
    let (input, output) = (answer.input_tokens, answer.output_tokens());
    let (prompt_time, answer_time) = (input.saturating_mul(1_000_000), output.saturating_mul(10_000_000));
    let mut body = head(answer, text);
    body["done"] = json!(true);
    body["done_reason"] = json!(if answer.is_cut { "length" } else { "stop" });
    body["total_duration"] = json!(prompt_time.saturating_add(answer_time));
    body["load_duration"] = json!(0);
    body["prompt_eval_count"] = json!(input);
    body["prompt_eval_duration"] = json!(prompt_time);
    body["eval_count"] = json!(output);
    body["eval_duration"] = json!(answer_time);
    body
}
