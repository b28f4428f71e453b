//! OpenAI's chat completions.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Ask, Events, Framing, prompt};
use crate::{
    answer::Answer,
    refusal::{Reason, Refusal},
    wall,
};

pub(super) fn parse(body: &Value) -> Result<Ask, String> {
    let body = prompt::object(body)?;
    let model = prompt::model(body)?;
    let messages = prompt::messages(body)?;
    if prompt::count(body, "n")?.unwrap_or(1) > 1 {
        return Err("this simulator gives one choice only: `n` must be 1".into());
    }
    let max_tokens = match prompt::count(body, "max_completion_tokens")? {
        Some(max) => Some(max),
        None => prompt::count(body, "max_tokens")?,
    };
    let include_usage = match body.get("stream_options").and_then(Value::as_object) {
        Some(options) => prompt::flag(options, "include_usage")?,
        None => false,
    };
    let input_tokens = prompt::tokens(&[messages]);
    let messages = messages.as_array().map_or(0, |messages| messages.len() as u64);
    Ok(Ask {
        model,
        input_tokens,
        messages,
        max_tokens,
        stream: prompt::flag(body, "stream")?,
        include_usage,
        framing: Framing::Sse,
    })
}

pub(super) fn plain(answer: &Answer) -> Value {
    let mut body = head(answer, "chat.completion");
    body["choices"] = json!([{
        "index": 0,
        "message": { "role": "assistant", "content": answer.text(), "refusal": null },
        "logprobs": null,
        "finish_reason": finish_reason(answer),
    }]);
    body["usage"] = usage(answer);
    body
}

/// Server-sent events without names. The usage comes in a chunk of its own without choices, and only if the request asks
/// for it.
pub(super) fn events(answer: &Answer, include_usage: bool) -> Events {
    let chunk = |delta: Value, finish_reason: Value| {
        let mut body = head(answer, "chat.completion.chunk");
        let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason });
        body["choices"] = json!([choice]);
        if include_usage {
            body["usage"] = Value::Null;
        }
        format!("data: {body}\n\n")
    };
    let mut closing = chunk(json!({}), json!(finish_reason(answer)));
    if include_usage {
        let mut body = head(answer, "chat.completion.chunk");
        body["choices"] = json!([]);
        body["usage"] = usage(answer);
        let _ = write!(closing, "data: {body}\n\n");
    }
    closing += "data: [DONE]\n\n";
    Events {
        opening: chunk(json!({ "role": "assistant", "content": "" }), Value::Null),
        chunks: answer.tokens().map(|token| chunk(json!({ "content": token }), Value::Null)).collect(),
        closing,
    }
}

/// `{"error": {"message", "type", "param", "code"}}`
pub(super) fn error(refusal: &Refusal) -> Value {
    let (kind, code, usual) = match refusal.reason {
        Reason::RateLimited => ("requests", Some("rate_limit_exceeded"), "Rate limit reached."),
        Reason::SlowDown => {
            ("slow_down", Some("slow_down"), "Your traffic grows too fast. Please slow down.")
        }
        Reason::QuotaSpent => (
            "insufficient_quota",
            Some("insufficient_quota"),
            "You exceeded your current quota, please check your plan and billing details.",
        ),
        Reason::Status | Reason::WrongGeminiKey | Reason::Html => match refusal.status.as_u16() {
            401 => ("invalid_request_error", Some("invalid_api_key"), "Incorrect API key provided."),
            403 => ("permission_error", None, "You are not allowed to do this."),
            404 => ("invalid_request_error", Some("model_not_found"), "The model does not exist."),
            408 => ("timeout", None, "The request took too long to arrive."),
            409 => ("conflict_error", None, "The resource was changed by another request."),
            413 => ("invalid_request_error", Some("request_too_large"), "The request is too large."),
            429 => ("requests", Some("rate_limit_exceeded"), "Rate limit reached."),
            503 => (
                "server_error",
                Some("server_is_overloaded"),
                "The server is overloaded, please try again later.",
            ),
            status if status < 500 => ("invalid_request_error", None, "The request is not valid."),
            _ => ("server_error", None, "The server had an error while processing your request."),
        },
    };
    // The type names the quota of a rate limit.
    let kind = refusal.kind.unwrap_or(kind);
    let mut message = refusal.message.clone().unwrap_or_else(|| usual.into());
    if let Some(wait) = refusal.hint {
        let _ = write!(message, " Please try again in {}.", wall::go_duration(wait));
    }
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
}

fn head(answer: &Answer, object: &str) -> Value {
    json!({
        "id": format!("chatcmpl-{}", answer.id),
        "object": object,
        "created": answer.created,
        "model": answer.model,
    })
}

fn finish_reason(answer: &Answer) -> &'static str {
    if answer.is_cut { "length" } else { "stop" }
}

fn usage(answer: &Answer) -> Value {
    let (input, output) = (answer.input_tokens, answer.output_tokens());
    json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output })
}
