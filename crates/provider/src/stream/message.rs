//! Streams of Anthropic messages.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    EventError, StreamItem, broken,
    delta::{Delta, ToolCallDelta, reason},
    item,
};
use crate::{
    Fault, Usage,
    json::{JsonError, Scanner},
};

/// Events of an Anthropic message ("Streaming messages" in its API reference), put together.
#[derive(Default)]
pub(super) struct Message {
    message: Option<Map<String, Value>>,
    blocks: BTreeMap<u64, Block>,
    calls: u64,
}

#[derive(Default)]
struct Block {
    fields: Map<String, Value>,
    /// Which call it is, if it calls one of the caller's tools. A tool that the server runs itself does not count.
    call: Option<u64>,
    /// The input of a tool, as the JSON text that grows piece by piece.
    input: String,
}

impl Message {
    /// Reads, in place, an event that brings a piece of a text or of a thought and nothing else. `None`: it brings more, or
    /// something else, and has to be read in full.
    pub(super) fn piece(&mut self, event: &str) -> Option<Delta> {
        let mut scanner = Scanner::new(event.as_bytes());
        let (mut index, mut piece) = (None, None);
        scanner.peek();
        let read = scanner.object(|scanner, name| match name {
            b"type" => is_text(scanner, b"content_block_delta"),
            b"index" => {
                index = scanner.u64_or_skip()?;
                Ok(())
            }
            b"delta" if piece.is_none() && scanner.peek() == b'{' => {
                let mut field = None;
                scanner.object(|scanner, name| match name {
                    b"type" if scanner.peek() == b'"' => {
                        field = match scanner.string()?.raw {
                            b"text_delta" => Some("text"),
                            b"thinking_delta" => Some("thinking"),
                            _ => return Err(JsonError),
                        };
                        Ok(())
                    }
                    _ => {
                        let field = field.filter(|field: &&str| field.as_bytes() == name && piece.is_none());
                        piece = Some((field.ok_or(JsonError)?, scanner.string()?));
                        Ok(())
                    }
                })
            }
            _ => Err(JsonError),
        });
        read.and_then(|()| scanner.end()).ok()?;
        let (field, text) = piece?;
        let Value::String(whole) = self.blocks.get_mut(&index?)?.fields.get_mut(field)? else { return None };
        let text = text.decode().into_owned();
        whole.push_str(&text);
        Some(match field {
            "text" => Delta { text, ..Delta::default() },
            _ => Delta { reasoning: text, ..Delta::default() },
        })
    }

    pub(super) fn event(
        &mut self,
        name: &str,
        mut event: Map<String, Value>,
    ) -> Result<StreamItem, EventError> {
        let stated = event.get("type").and_then(Value::as_str).map(str::to_owned);
        let index = event.get("index").and_then(Value::as_u64);
        let mut object = |key: &str| match event.remove(key) {
            Some(Value::Object(object)) => object,
            _ => Map::new(),
        };
        match stated.as_deref().unwrap_or(name) {
            "message_start" => {
                self.message = Some(object("message"));
                return Ok(item(None, self.usage()));
            }
            "content_block_start" => {
                let index = index.ok_or_else(|| broken("a content block has no index"))?;
                let mut block = Block { fields: object("content_block"), ..Block::default() };
                if block.is("tool_use") {
                    block.call = Some(self.calls);
                    self.calls += 1;
                }
                let delta = block.begun();
                self.blocks.insert(index, block);
                return Ok(item(delta, None));
            }
            "content_block_delta" => {
                let block = index.and_then(|index| self.blocks.get_mut(&index));
                let block = block.ok_or_else(|| broken("a piece of a content block that never began"))?;
                return Ok(StreamItem::Delta(block.delta(object("delta"))));
            }
            "message_delta" => {
                let message = self.begun()?;
                let delta = object("delta");
                let is_end = delta.get("stop_reason").is_some_and(Value::is_string);
                message.extend(delta);
                // The counts are sums, so the last value of each counts.
                let usage = object("usage").into_iter().filter(|(_, count)| !count.is_null());
                match message.get_mut("usage") {
                    Some(Value::Object(old)) => old.extend(usage),
                    _ => {
                        message.insert("usage".into(), Value::Object(usage.collect()));
                    }
                }
                let finish_reason = self.finish_reason().filter(|_| is_end);
                let end = finish_reason.is_some().then(|| Delta { finish_reason, ..Delta::default() });
                return Ok(item(end, self.usage()));
            }
            "message_stop" => {
                self.begun()?;
                return Ok(StreamItem::Finished);
            }
            // `ping`, `content_block_stop`, and events that are not known yet.
            _ => {}
        }
        Ok(StreamItem::Nothing)
    }

    pub(super) fn text(&self) -> String {
        self.blocks.values().filter_map(|block| block.fields.get("text")).filter_map(Value::as_str).collect()
    }

    pub(super) fn finish_reason(&self) -> Option<String> {
        let word = self.message.as_ref()?.get("stop_reason")?.as_str()?;
        Some(reason(word, false).to_owned())
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        self.message.as_ref()?.get("usage").and_then(Usage::of)
    }

    pub(super) fn into_body(self) -> Value {
        let mut message = self.message.unwrap_or_default();
        let content = self.blocks.into_values().map(Block::into_value).collect();
        message.insert("content".into(), Value::Array(content));
        Value::Object(message)
    }

    fn begun(&mut self) -> Result<&mut Map<String, Value>, Fault> {
        self.message.as_mut().ok_or_else(|| broken("a message that never began"))
    }
}

impl Block {
    fn is(&self, kind: &str) -> bool {
        self.fields.get("type").is_some_and(|of| of == kind)
    }

    /// Reads the start of a block. Most blocks are empty then. A call has its id and its name, and with some servers its whole
    /// input.
    fn begun(&self) -> Option<Delta> {
        let text = |name: &str| self.fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(index) = self.call {
            let input = self.fields.get("input").filter(|input| !is_empty(input));
            let arguments = input.map(Value::to_string).unwrap_or_default();
            let call = ToolCallDelta { index, id: Some(text("id")), name: Some(text("name")), arguments };
            return Some(Delta { tool_calls: vec![call], ..Delta::default() });
        }
        let delta = Delta { text: text("text"), reasoning: text("thinking"), ..Delta::default() };
        (delta != Delta::default()).then_some(delta)
    }

    /// Adds a delta, and returns what is new.
    fn delta(&mut self, delta: Map<String, Value>) -> Delta {
        let mut added = Delta::default();
        for (key, value) in delta {
            match (key.as_str(), value) {
                ("type", _) => {}
                ("partial_json", Value::String(piece)) => {
                    self.input.push_str(&piece);
                    if let Some(index) = self.call {
                        let call = ToolCallDelta { index, arguments: piece, ..ToolCallDelta::default() };
                        added.tool_calls.push(call);
                    }
                }
                ("citation", citation) => {
                    if let Value::Array(all) = self.fields.entry("citations").or_insert(Value::Null) {
                        all.push(citation);
                    } else {
                        self.fields.insert("citations".into(), Value::Array(vec![citation]));
                    }
                }
                // `text`, `thinking`, `signature`: the field of the same name grows.
                (_, Value::String(piece)) => {
                    match key.as_str() {
                        "text" => added.text.push_str(&piece),
                        "thinking" => added.reasoning.push_str(&piece),
                        _ => {}
                    }
                    match self.fields.get_mut(&key) {
                        Some(Value::String(text)) => text.push_str(&piece),
                        _ => {
                            self.fields.insert(key, Value::String(piece));
                        }
                    }
                }
                (_, other) => {
                    self.fields.insert(key, other);
                }
            }
        }
        added
    }

    /// The input of a tool. If `max_tokens` cut it in the middle it is no JSON, and stays a text.
    fn into_value(mut self) -> Value {
        if !self.input.is_empty() {
            let input = serde_json::from_str(&self.input).unwrap_or(Value::String(self.input));
            self.fields.insert("input".into(), input);
        }
        Value::Object(self.fields)
    }
}

fn is_empty(input: &Value) -> bool {
    input.is_null() || input.as_object().is_some_and(Map::is_empty)
}

/// Reads a string, and checks that it is this one.
fn is_text(scanner: &mut Scanner<'_>, text: &[u8]) -> Result<(), JsonError> {
    if scanner.string()?.raw == text { Ok(()) } else { Err(JsonError) }
}
