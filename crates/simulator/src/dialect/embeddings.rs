//! OpenAI's embeddings. There is no stream, and no token of output.

use serde_json::{Value, json};

use super::{Ask, Framing, prompt};
use crate::{answer::Answer, draw};

/// Numbers in a vector.
const LENGTH: u64 = 8;

pub(super) fn parse(body: &Value) -> Result<Ask, String> {
    let body = prompt::object(body)?;
    let input = body.get("input").unwrap_or(&Value::Null);
    let inputs = match input {
        Value::String(text) if !text.is_empty() => 1,
        Value::Array(texts) if !texts.is_empty() && texts.iter().all(Value::is_string) => texts.len() as u64,
        _ => return Err("`input` must be a string or an array of strings, and not empty".into()),
    };
    if body.get("encoding_format").is_some_and(|format| format != "float") {
        return Err("this simulator gives floats only: `encoding_format` must be \"float\"".into());
    }
    Ok(Ask {
        model: prompt::model(body)?,
        input_tokens: prompt::tokens(&[input]),
        messages: inputs,
        max_tokens: Some(0),
        stream: false,
        include_usage: true,
        framing: Framing::Sse,
    })
}

/// One vector for each input, in their order.
pub(super) fn plain(answer: &Answer, inputs: u64) -> Value {
    let number = |input: u64, at: u64| {
        let hash = draw::hash(format!("{} {input} {at}", answer.id).as_bytes());
        (hash % 2001) as f64 / 1000.0 - 1.0
    };
    let vector = |input| (0..LENGTH).map(|at| number(input, at)).collect::<Vec<_>>();
    let data: Vec<_> = (0..inputs)
        .map(|input| json!({ "object": "embedding", "index": input, "embedding": vector(input) }))
        .collect();
    json!({
        "object": "list",
        "data": data,
        "model": answer.model,
        "usage": { "prompt_tokens": answer.input_tokens, "total_tokens": answer.input_tokens },
    })
}
