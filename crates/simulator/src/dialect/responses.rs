//! OpenAI's responses.

use serde_json::{Value, json};

use super::{Ask, Events, Framing, prompt};
use crate::{answer::Answer, refusal::Refusal};

pub(super) fn parse(body: &Value) -> Result<Ask, String> {
    let body = prompt::object(body)?;
    let input = match body.get("input") {
        Some(Value::String(_)) => &body["input"],
        Some(Value::Array(items)) if !items.is_empty() => &body["input"],
        _ => return Err("`input` must be a string or an array that is not empty".into()),
    };
    Ok(Ask {
        model: prompt::model(body)?,
        input_tokens: prompt::tokens(&[body.get("instructions").unwrap_or(&Value::Null), input]),
        messages: input.as_array().map_or(1, |items| items.len() as u64),
        max_tokens: prompt::count(body, "max_output_tokens")?,
        stream: prompt::flag(body, "stream")?,
        include_usage: true,
        framing: Framing::Sse,
    })
}

pub(super) fn plain(answer: &Answer) -> Value {
    response(answer, status(answer))
}

/// Named events with a `sequence_number`. `response.completed` is the end, or `response.incomplete` for a cut answer.
pub(super) fn events(answer: &Answer) -> Events {
    let mut sequence = 0_u64;
    let mut event = |kind: &str, mut data: Value| {
        data["type"] = json!(kind);
        data["sequence_number"] = json!(sequence);
        sequence += 1;
        format!("event: {kind}\ndata: {data}\n\n")
    };
    let id = format!("msg_{}", answer.id);
    let started = || json!({ "response": response(answer, "in_progress") });
    let item =
        json!({ "type": "message", "id": id, "status": "in_progress", "role": "assistant", "content": [] });
    let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [] });
    let within = |field: &str, value: Value| json!({ "item_id": id, "output_index": 0, "content_index": 0, field: value });
    let opening = [
        event("response.created", started()),
        event("response.in_progress", started()),
        event("response.output_item.added", json!({ "output_index": 0, "item": item })),
        event("response.content_part.added", within("part", part(""))),
    ]
    .concat();
    let chunks = answer
        .tokens()
        .map(|token| event("response.output_text.delta", within("delta", json!(token))))
        .collect();
    let last = format!("response.{}", status(answer));
    let closing = [
        event("response.output_text.done", within("text", json!(answer.text()))),
        event("response.content_part.done", within("part", part(&answer.text()))),
        event("response.output_item.done", json!({ "output_index": 0, "item": message(answer) })),
        event(&last, json!({ "response": response(answer, status(answer)) })),
    ]
    .concat();
    Events { opening, chunks, closing }
}

/// A response that failed with this error. It is the body, and the content of a `response.failed`.
pub(super) fn failed(refusal: &Refusal, request_id: &str) -> Value {
    let error = super::openai::error(refusal);
    json!({
        "id": format!("resp_{request_id}"),
        "object": "response",
        "status": "failed",
        "error": { "code": error["error"]["code"], "message": error["error"]["message"] },
        "incomplete_details": null,
        "output": [],
        "usage": null,
    })
}

fn response(answer: &Answer, status: &str) -> Value {
    let is_over = status != "in_progress";
    let (input, output) = (answer.input_tokens, answer.output_tokens());
    let usage = json!({
        "input_tokens": input,
        "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": output,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": input + output,
    });
    json!({
        "id": format!("resp_{}", answer.id),
        "object": "response",
        "created_at": answer.created,
        "status": status,
        "error": null,
        "incomplete_details":
            if status == "incomplete" { json!({ "reason": "max_output_tokens" }) } else { Value::Null },
        "model": answer.model,
        "output": if is_over { json!([message(answer)]) } else { json!([]) },
        "usage": if is_over { usage } else { Value::Null },
    })
}

fn message(answer: &Answer) -> Value {
    json!({
        "type": "message",
        "id": format!("msg_{}", answer.id),
        "status": status(answer),
        "role": "assistant",
        "content": [{ "type": "output_text", "text": answer.text(), "annotations": [] }],
    })
}

fn status(answer: &Answer) -> &'static str {
    if answer.is_cut { "incomplete" } else { "completed" }
}
