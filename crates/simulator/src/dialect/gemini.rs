//! Gemini's `generateContent` and `streamGenerateContent`.

use http::Uri;
use serde_json::{Value, json};

use super::{Ask, Events, Framing, prompt};
use crate::{
    answer::Answer,
    refusal::{Reason, Refusal},
};

/// Model and method are in the path: `/v1beta/models/{model}:{method}`.
pub(super) fn parse(uri: &Uri, body: &Value) -> Result<Ask, String> {
    let (model, method) = target(uri.path()).ok_or("the path must name a model and a method")?;
    let body = prompt::object(body)?;
    let contents = match body.get("contents") {
        Some(Value::Array(contents)) if !contents.is_empty() => contents,
        _ => return Err("* GenerateContentRequest.contents: contents is not specified".into()),
    };
    if contents.iter().any(|content| !content.get("parts").is_some_and(Value::is_array)) {
        return Err("* GenerateContentRequest.contents: contents.parts must not be empty.".into());
    }
    let parts = |content: &Value| content.get("parts").cloned().unwrap_or(Value::Null);
    let mut texts: Vec<Value> = contents.iter().map(parts).collect();
    let system = body.get("systemInstruction").or_else(|| body.get("system_instruction"));
    texts.extend(system.map(parts));
    let max_tokens = match body.get("generationConfig").and_then(Value::as_object) {
        Some(config) => prompt::count(config, "maxOutputTokens")?,
        None => None,
    };
    let is_sse = uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
    Ok(Ask {
        model: model.into(),
        input_tokens: prompt::tokens(&texts.iter().collect::<Vec<_>>()),
        messages: contents.len() as u64,
        max_tokens,
        stream: method == "streamGenerateContent",
        include_usage: true,
        framing: if is_sse { Framing::Sse } else { Framing::Array },
    })
}

/// Model and method of a path, if it is one of this dialect.
pub(super) fn target(path: &str) -> Option<(&str, &str)> {
    let (model, method) = path.rsplit_once("/models/")?.1.rsplit_once(':')?;
    let is_served = matches!(method, "generateContent" | "streamGenerateContent") && !model.is_empty();
    is_served.then_some((model, method))
}

pub(super) fn plain(answer: &Answer) -> Value {
    chunk(answer, &answer.text(), Some(finish_reason(answer)), answer.output_tokens())
}

/// There is no end marker: the last chunk has a `finishReason`. Each chunk has the usage so far.
pub(super) fn events(answer: &Answer, framing: Framing) -> Events {
    let frame = |first: bool, chunk: &Value| match framing {
        Framing::Array if first => chunk.to_string(),
        Framing::Array => format!(",\r\n{chunk}"),
        _ => format!("data: {chunk}\r\n\r\n"),
    };
    let tokens = answer.tokens().zip(1..);
    let chunks = tokens.map(|(token, made)| frame(made == 1, &chunk(answer, &token, None, made))).collect();
    let last = frame(false, &chunk(answer, "", Some(finish_reason(answer)), answer.output_tokens()));
    let is_array = framing == Framing::Array;
    Events {
        opening: if is_array { "[".into() } else { String::new() },
        chunks,
        closing: if is_array { last + "\r\n]" } else { last },
    }
}

/// `{"error": {"code", "message", "status", "details"}}` (google.rpc.Status). A quota that is used up is named in a
/// `QuotaFailure`: by the minute, or by the day where it is spent. A wrong key is a 400 with an
/// `ErrorInfo`. A hint is a `RetryInfo` of whole
/// seconds, rounded down as the real provider does, and the exact time in the message.
pub(super) fn error(refusal: &Refusal) -> Value {
    let code = refusal.status.as_u16();
    let (status, usual) = match code {
        _ if refusal.reason == Reason::WrongGeminiKey => {
            ("INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")
        }
        401 => ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
        403 => ("PERMISSION_DENIED", "The caller does not have permission."),
        404 => ("NOT_FOUND", "The model is not found for API version v1beta."),
        408 | 504 => ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
        409 => ("ABORTED", "The operation was aborted."),
        429 => ("RESOURCE_EXHAUSTED", "You exceeded your current quota."),
        499 => ("CANCELLED", "The operation was cancelled."),
        503 => ("UNAVAILABLE", "The model is overloaded. Please try again later."),
        400..500 => ("INVALID_ARGUMENT", "Request contains an invalid argument."),
        _ => ("INTERNAL", "An internal error has occurred."),
    };
    let mut message = refusal.message.clone().unwrap_or_else(|| usual.into());
    let mut details = Vec::new();
    let span = match refusal.reason {
        Reason::QuotaSpent => Some("Day"),
        Reason::RateLimited => Some("Minute"),
        Reason::Status | Reason::SlowDown | Reason::WrongGeminiKey | Reason::Html => None,
    };
    if let Some(span) = span {
        let (metric, id) = if refusal.kind == Some("tokens") {
            ("input_token_count", format!("GenerateContentInputTokensPerModelPer{span}-FreeTier"))
        } else {
            ("requests", format!("GenerateRequestsPer{span}PerProjectPerModel-FreeTier"))
        };
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{
                "quotaMetric": format!("generativelanguage.googleapis.com/generate_content_free_tier_{metric}"),
                "quotaId": id,
                "quotaDimensions": { "location": "global" },
            }],
        }));
    }
    if refusal.reason == Reason::WrongGeminiKey {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": { "service": "generativelanguage.googleapis.com" },
        }));
    }
    if let Some(wait) = refusal.hint {
        let exact = format!("{}.{:09}s", wait.as_secs(), wait.subsec_nanos());
        message += &format!(" Please retry in {exact}.");
        let delay = format!("{}s", wait.as_secs());
        details.push(json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay }));
    }
    json!({ "error": { "code": code, "message": message, "status": status, "details": details } })
}

fn chunk(answer: &Answer, text: &str, finish_reason: Option<&str>, output: u64) -> Value {
    let mut candidate = json!({ "content": { "parts": [{ "text": text }], "role": "model" }, "index": 0 });
    if let Some(reason) = finish_reason {
        candidate["finishReason"] = json!(reason);
    }
    let input = answer.input_tokens;
    json!({
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": input,
            "candidatesTokenCount": output,
            "totalTokenCount": input + output,
        },
        "modelVersion": answer.model,
        "responseId": answer.id,
    })
}

fn finish_reason(answer: &Answer) -> &'static str {
    if answer.is_cut { "MAX_TOKENS" } else { "STOP" }
}
