use serde_json::{Map, Value};

use super::{StreamItem, fault};
use crate::Fault;

/// Events of OpenAI's responses. The last one holds the whole response, so only the text is put together
/// here, for the case that it never comes.
#[derive(Default)]
pub(super) struct Responses {
    pub(super) response: Value,
    pub(super) text: String,
}

pub(super) fn is_event(event: &Map<String, Value>) -> bool {
    event.get("type").and_then(Value::as_str).is_some_and(|kind| kind.starts_with("response."))
}

impl Responses {
    pub(super) fn event(&mut self, mut event: Map<String, Value>) -> Result<StreamItem, Fault> {
        if let Some(response) = event.remove("response") {
            self.response = response;
        }
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        Ok(match kind {
            "response.completed" | "response.incomplete" => StreamItem::Finished,
            "response.failed" => return Err(fault(&self.response)),
            "response.output_text.delta" => {
                let piece = event.get("delta").and_then(Value::as_str).unwrap_or_default();
                self.text.push_str(piece);
                StreamItem::Delta(piece.to_owned())
            }
            _ if kind.ends_with(".delta") => StreamItem::Delta(String::new()),
            _ => StreamItem::Nothing,
        })
    }
}
