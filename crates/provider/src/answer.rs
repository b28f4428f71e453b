//! What a whole answer says: the text for a reader, and the same answer in OpenAI's shape.

use serde_json::{Map, Value, json};

use crate::{
    Usage,
    shape::Shape,
    stream::{REASONING, reason, reasoning_of, text_of, text_of_parts, tool_call},
};

/// One answer of a body, in parts.
#[derive(Default)]
struct Answer {
    index: u64,
    text: String,
    reasoning: String,
    refusal: Option<String>,
    /// Calls of tools, as OpenAI writes them.
    calls: Vec<Value>,
    reason: Option<String>,
}

/// The visible text of the first answer of a body. `None` where the body is no answer in a known shape.
pub(crate) fn text(body: &Value) -> Option<String> {
    let body = body.as_object()?;
    Some(answers(Shape::of_body(body)?, body).into_iter().next()?.text)
}

/// Why the first answer of a body ended, in OpenAI's words.
pub(crate) fn finish_reason(body: &Value) -> Option<String> {
    let body = body.as_object()?;
    answers(Shape::of_body(body)?, body).into_iter().next()?.reason
}

/// The body as OpenAI's `chat.completion`. A body that is already one stays as it is.
pub(crate) fn as_openai(body: &Value) -> Option<Value> {
    let fields = body.as_object()?;
    let shape = Shape::of_body(fields)?;
    let is_chat = |choice: &Value| choice.get("message").is_some();
    if shape == Shape::Chat && fields["choices"].as_array()?.iter().all(is_chat) {
        return Some(body.clone());
    }
    let first =
        |names: &[&str]| names.iter().find_map(|name| fields.get(*name)).filter(|value| !value.is_null());
    let mut whole = Map::new();
    whole.insert("id".into(), first(&["id", "responseId"]).cloned().unwrap_or_else(|| "".into()));
    whole.insert("object".into(), "chat.completion".into());
    // The others write the time in other ways, or not at all.
    let created = first(&["created", "created_at"]).and_then(Value::as_f64).unwrap_or(0.0);
    whole.insert("created".into(), (created as u64).into());
    whole.insert("model".into(), first(&["model", "modelVersion"]).cloned().unwrap_or_else(|| "".into()));
    let choices = answers(shape, fields).into_iter().map(Answer::into_choice);
    whole.insert("choices".into(), Value::Array(choices.collect()));
    if let Some(usage) = Usage::read(body) {
        whole.insert(
            "usage".into(),
            json!({"prompt_tokens": usage.input, "completion_tokens": usage.output,
                "total_tokens": usage.total(), "prompt_tokens_details": {"cached_tokens": usage.cached}}),
        );
    }
    Some(Value::Object(whole))
}

fn answers(shape: Shape, body: &Map<String, Value>) -> Vec<Answer> {
    let list = |name: &str| body.get(name).and_then(Value::as_array).into_iter().flatten();
    match shape {
        Shape::Chat => list("choices").map(of_choice).collect(),
        Shape::Gemini => list("candidates").map(of_candidate).collect(),
        Shape::Message => vec![of_message(body)],
        Shape::Responses => vec![of_response(body)],
        Shape::Ollama => vec![of_ollama(body)],
    }
}

fn of_choice(choice: &Value) -> Answer {
    let message = &choice["message"];
    let content = &message["content"];
    let reasoning = REASONING.iter().find_map(|name| message.get(*name)?.as_str());
    let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
    Answer {
        index: choice["index"].as_u64().unwrap_or(0),
        text: choice["text"].as_str().map_or_else(|| text_of(content), str::to_owned),
        reasoning: reasoning.map_or_else(|| reasoning_of(content), str::to_owned),
        refusal: message["refusal"].as_str().map(str::to_owned),
        reason: choice["finish_reason"].as_str().map(|word| reason(word, !calls.is_empty()).to_owned()),
        calls,
    }
}

fn of_candidate(candidate: &Value) -> Answer {
    let parts = candidate["content"]["parts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let calls = parts.iter().filter_map(|part| part.get("functionCall")?.as_object());
    let calls: Vec<Value> = (0..).zip(calls).map(|(index, call)| openai_call(index, None, call)).collect();
    Answer {
        index: candidate["index"].as_u64().unwrap_or(0),
        text: text_of_parts(parts, false),
        reasoning: text_of_parts(parts, true),
        refusal: None,
        reason: candidate["finishReason"].as_str().map(|word| reason(word, !calls.is_empty()).to_owned()),
        calls,
    }
}

fn of_message(body: &Map<String, Value>) -> Answer {
    let blocks = || body.get("content").and_then(Value::as_array).into_iter().flatten();
    let all = |name: &str| -> String { blocks().filter_map(|block| block.get(name)?.as_str()).collect() };
    let calls = blocks().filter(|block| block["type"] == "tool_use").map(|block| {
        let arguments = block.get("input").map(Value::to_string).unwrap_or_default();
        function(&block["id"], &block["name"], &arguments)
    });
    let calls: Vec<Value> = calls.collect();
    let word = body.get("stop_reason").and_then(Value::as_str);
    Answer {
        text: all("text"),
        reasoning: all("thinking"),
        reason: word.map(|word| reason(word, !calls.is_empty()).to_owned()),
        calls,
        ..Answer::default()
    }
}

fn of_response(body: &Map<String, Value>) -> Answer {
    let mut answer = Answer::default();
    for item in body.get("output").and_then(Value::as_array).into_iter().flatten() {
        let parts = |name: &str| item[name].as_array().cloned().unwrap_or_default();
        let texts = |parts: Vec<Value>, kind: &str, name: &str| -> String {
            let parts = parts.iter().filter(|part| part["type"] == kind);
            parts.filter_map(|part| part[name].as_str()).collect()
        };
        match item["type"].as_str().unwrap_or_default() {
            "message" => {
                answer.text.push_str(&texts(parts("content"), "output_text", "text"));
                let refusal = texts(parts("content"), "refusal", "refusal");
                answer.refusal = Some(refusal).filter(|text| !text.is_empty()).or(answer.refusal);
            }
            "reasoning" => {
                let text = texts(parts("content"), "reasoning_text", "text");
                let summary = texts(parts("summary"), "summary_text", "text");
                answer.reasoning.push_str(if text.is_empty() { &summary } else { &text });
            }
            "function_call" => {
                let arguments = item["arguments"].as_str().unwrap_or_default();
                answer.calls.push(function(&item["call_id"], &item["name"], arguments));
            }
            "custom_tool_call" => {
                let (id, name, input) = (&item["call_id"], &item["name"], &item["input"]);
                let call = json!({"id": id, "type": "custom", "custom": {"name": name, "input": input}});
                answer.calls.push(call);
            }
            _ => {}
        }
    }
    let cut = body.get("incomplete_details").and_then(|details| details.get("reason"));
    let status = body.get("status").filter(|status| *status == "completed");
    let word = cut.or(status).and_then(Value::as_str);
    answer.reason = word.map(|word| reason(word, !answer.calls.is_empty()).to_owned());
    answer
}

fn of_ollama(body: &Map<String, Value>) -> Answer {
    let message = body.get("message").and_then(Value::as_object).unwrap_or(body);
    let text = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let calls = calls.filter_map(|call| Some((call.get("id"), call.get("function")?.as_object()?)));
    let calls: Vec<Value> =
        (0..).zip(calls).map(|(index, (id, call))| openai_call(index, id, call)).collect();
    let is_done = body.get("done") == Some(&Value::Bool(true));
    let word = body.get("done_reason").and_then(Value::as_str).unwrap_or("stop");
    Answer {
        text: text(if message.contains_key("content") { "content" } else { "response" }),
        reasoning: text("thinking"),
        reason: is_done.then(|| reason(word, !calls.is_empty()).to_owned()),
        calls,
        ..Answer::default()
    }
}

/// A call whose arguments are a JSON value. A call without an id gets one from its position.
fn openai_call(index: u64, id: Option<&Value>, call: &Map<String, Value>) -> Value {
    let delta = tool_call(index, call);
    let id = id.and_then(Value::as_str).map(str::to_owned).or(delta.id);
    let id = id.unwrap_or_else(|| format!("call_{index}"));
    function(&id.into(), &delta.name.unwrap_or_default().into(), &delta.arguments)
}

fn function(id: &Value, name: &Value, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

impl Answer {
    fn into_choice(self) -> Value {
        let mut message = Map::new();
        message.insert("role".into(), "assistant".into());
        let no_text = self.text.is_empty() && (!self.calls.is_empty() || self.refusal.is_some());
        message.insert("content".into(), if no_text { Value::Null } else { self.text.into() });
        if !self.reasoning.is_empty() {
            message.insert("reasoning_content".into(), self.reasoning.into());
        }
        message.insert("refusal".into(), self.refusal.map_or(Value::Null, Value::String));
        if !self.calls.is_empty() {
            message.insert("tool_calls".into(), Value::Array(self.calls));
        }
        json!({"index": self.index, "message": message, "logprobs": null, "finish_reason": self.reason})
    }
}
