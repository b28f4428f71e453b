//! Anthropic's messages.

use std::fmt::Write as _;

use http::HeaderMap;
use serde_json::{Value, json};

use super::{Ask, Events, Framing, prompt};
use crate::{
    answer::Answer,
    refusal::{Reason, Refusal},
    wall,
};

/// `anthropic-version` and `max_tokens` are required, as the real provider requires them.
pub(super) fn parse(headers: &HeaderMap, body: &Value) -> Result<Ask, String> {
    if !headers.contains_key("anthropic-version") {
        return Err("anthropic-version: header is required".into());
    }
    let body = prompt::object(body)?;
    let model = prompt::model(body)?;
    let messages = prompt::messages(body)?;
    let max_tokens = prompt::count(body, "max_tokens")?.ok_or("max_tokens: Field required")?;
    let input_tokens = prompt::tokens(&[body.get("system").unwrap_or(&Value::Null), messages]);
    let stream = prompt::flag(body, "stream")?;
    let messages = messages.as_array().map_or(0, |messages| messages.len() as u64);
    Ok(Ask {
        model,
        input_tokens,
        messages,
        max_tokens: Some(max_tokens),
        stream,
        include_usage: true,
        framing: Framing::Sse,
    })
}

pub(super) fn plain(answer: &Answer) -> Value {
    message(
        answer,
        &json!([{ "type": "text", "text": answer.text() }]),
        stop_reason(answer),
        answer.output_tokens(),
    )
}

/// Named events. The first one has the usage, and `message_delta` has the sum of it. `message_stop` is the end.
pub(super) fn events(answer: &Answer) -> Events {
    let start = json!({ "type": "message_start", "message": message(answer, &json!([]), Value::Null, 1) });
    let block =
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } });
    let delta = |token: &str| {
        let delta = json!({ "type": "text_delta", "text": token });
        event(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
    };
    let end = json!({
        "type": "message_delta",
        "delta": { "stop_reason": stop_reason(answer), "stop_sequence": null },
        "usage": { "output_tokens": answer.output_tokens() },
    });
    Events {
        opening: [start, block, json!({ "type": "ping" })].iter().map(event).collect(),
        chunks: answer.tokens().map(|token| delta(&token)).collect(),
        closing: [
            json!({ "type": "content_block_stop", "index": 0 }),
            end,
            json!({ "type": "message_stop" }),
        ]
        .iter()
        .map(event)
        .collect(),
    }
}

/// `{"type": "error", "error": {"type", "message", "details"?}, "request_id"}`
pub(super) fn error(refusal: &Refusal, request_id: &str) -> Value {
    let (kind, usual) = match refusal.reason {
        Reason::RateLimited => ("rate_limit_error", "This request would exceed your rate limit."),
        Reason::SlowDown => ("rate_limit_error", "This request would exceed your acceleration limit."),
        Reason::QuotaSpent => ("rate_limit_error", "You have reached your spend limit."),
        Reason::Status | Reason::WrongGeminiKey | Reason::Html => match refusal.status.as_u16() {
            401 => ("authentication_error", "invalid x-api-key"),
            402 => ("billing_error", "Your credit balance is too low."),
            403 => ("permission_error", "You are not allowed to do this."),
            404 => ("not_found_error", "Not found"),
            409 => ("conflict_error", "The resource was changed by another request."),
            413 => ("request_too_large", "Request exceeds the maximum size"),
            429 => ("rate_limit_error", "This request would exceed your rate limit."),
            504 => ("timeout_error", "Request timed out"),
            503 | 529 => ("overloaded_error", "Overloaded"),
            status if status < 500 => ("invalid_request_error", "The request is not valid."),
            _ => ("api_error", "Internal server error"),
        },
    };
    let mut message = refusal.message.clone().unwrap_or_else(|| usual.into());
    if let Some(wait) = refusal.hint {
        let _ = write!(message, " Please try again in {}.", wall::go_duration(wait));
    }
    let mut error = json!({ "type": kind, "message": message });
    if refusal.reason == Reason::QuotaSpent {
        error["details"] = json!({ "error_code": "enforced_spend_limit_reached" });
    }
    json!({ "type": "error", "error": error, "request_id": request_id })
}

/// One server-sent event, named as its type.
fn event(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
}

fn message(answer: &Answer, content: &Value, stop_reason: impl Into<Value>, output_tokens: u64) -> Value {
    json!({
        "id": format!("msg_{}", answer.id),
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": stop_reason.into(),
        "stop_sequence": null,
        "usage": { "input_tokens": answer.input_tokens, "output_tokens": output_tokens },
    })
}

fn stop_reason(answer: &Answer) -> &'static str {
    if answer.is_cut { "max_tokens" } else { "end_turn" }
}
