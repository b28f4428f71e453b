//! Streams of OpenAI's responses.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    EventError, StreamItem,
    delta::{Delta, ToolCallDelta},
};

/// Events of OpenAI's responses ("Streaming events" in its API reference). The last event holds the whole response. Only
/// the text is put together here, in case the last event never comes.
#[derive(Default)]
pub(super) struct Responses {
    pub(super) response: Value,
    pub(super) text: String,
    /// The number of each call of a tool, by its position in the output.
    calls: BTreeMap<u64, u64>,
}

impl Responses {
    pub(super) fn event(&mut self, mut event: Map<String, Value>) -> Result<StreamItem, EventError> {
        if let Some(response) = event.remove("response") {
            self.response = response;
        }
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        let piece = || event.get("delta").and_then(Value::as_str).unwrap_or_default().to_owned();
        let delta = match kind {
            "response.completed" | "response.incomplete" => return Ok(StreamItem::Finished),
            "response.failed" => return Err(EventError::Refusal(self.response.clone())),
            "response.output_text.delta" => {
                let text = piece();
                self.text.push_str(&text);
                Delta { text, ..Delta::default() }
            }
            "response.refusal.delta" => Delta { refusal: piece(), ..Delta::default() },
            "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => {
                Delta { reasoning: piece(), ..Delta::default() }
            }
            "response.output_item.added" => match self.begun_call(&event) {
                Some(call) => Delta { tool_calls: vec![call], ..Delta::default() },
                None => return Ok(StreamItem::Nothing),
            },
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                let index = self.call_at(&event);
                let call = ToolCallDelta { index, arguments: piece(), ..ToolCallDelta::default() };
                Delta { tool_calls: vec![call], ..Delta::default() }
            }
            _ if kind.ends_with(".delta") => Delta::default(),
            _ => return Ok(StreamItem::Nothing),
        };
        Ok(StreamItem::Delta(delta))
    }

    /// What an item of the output says, if it calls one of the caller's tools.
    fn begun_call(&mut self, event: &Map<String, Value>) -> Option<ToolCallDelta> {
        let item = event.get("item")?;
        let text = |name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
        let input = match item.get("type")?.as_str()? {
            "function_call" => "arguments",
            "custom_tool_call" => "input",
            _ => return None,
        };
        let index = self.call_at(event);
        let arguments = text(input).unwrap_or_default();
        Some(ToolCallDelta { index, id: text("call_id"), name: text("name"), arguments })
    }

    fn call_at(&mut self, event: &Map<String, Value>) -> u64 {
        let place = event.get("output_index").and_then(Value::as_u64).unwrap_or(0);
        let next = self.calls.len() as u64;
        *self.calls.entry(place).or_insert(next)
    }
}
