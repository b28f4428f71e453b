use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{StreamItem, broken};
use crate::{Fault, Usage};

/// Events of an Anthropic message, put together.
#[derive(Default)]
pub(super) struct Message {
    message: Option<Map<String, Value>>,
    blocks: BTreeMap<u64, Block>,
}

#[derive(Default)]
struct Block {
    fields: Map<String, Value>,
    /// The input of a tool, as the JSON text that grows piece by piece.
    input: String,
}

impl Message {
    pub(super) fn event(&mut self, name: &str, mut event: Map<String, Value>) -> Result<StreamItem, Fault> {
        let stated = event.get("type").and_then(Value::as_str).map(str::to_owned);
        let index = event.get("index").and_then(Value::as_u64);
        let mut object = |key: &str| match event.remove(key) {
            Some(Value::Object(object)) => object,
            _ => Map::new(),
        };
        match stated.as_deref().unwrap_or(name) {
            "message_start" => self.message = Some(object("message")),
            "content_block_start" => {
                let index = index.ok_or_else(|| broken("a content block has no index"))?;
                let block = Block { fields: object("content_block"), ..Block::default() };
                self.blocks.insert(index, block);
            }
            "content_block_delta" => {
                let block = index.and_then(|index| self.blocks.get_mut(&index));
                let block = block.ok_or_else(|| broken("a piece of a content block that never began"))?;
                return Ok(StreamItem::Delta(block.delta(object("delta"))));
            }
            "message_delta" => {
                let message = self.begun()?;
                message.extend(object("delta"));
                // Cumulative: the last word of each count is the count.
                let usage = object("usage").into_iter().filter(|(_, count)| !count.is_null());
                match message.get_mut("usage") {
                    Some(Value::Object(old)) => old.extend(usage),
                    _ => {
                        message.insert("usage".into(), Value::Object(usage.collect()));
                    }
                }
            }
            "message_stop" => {
                self.begun()?;
                return Ok(StreamItem::Finished);
            }
            // `ping`, `content_block_stop`, and what the future brings.
            _ => {}
        }
        Ok(StreamItem::Nothing)
    }

    pub(super) fn text(&self) -> String {
        self.blocks.values().filter_map(|block| block.fields.get("text")).filter_map(Value::as_str).collect()
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
    /// Takes a delta; gives back its visible text.
    fn delta(&mut self, delta: Map<String, Value>) -> String {
        let mut visible = String::new();
        for (key, value) in delta {
            match (key.as_str(), value) {
                ("type", _) => {}
                ("partial_json", Value::String(piece)) => self.input.push_str(&piece),
                ("citation", citation) => {
                    if let Value::Array(all) = self.fields.entry("citations").or_insert(Value::Null) {
                        all.push(citation);
                    } else {
                        self.fields.insert("citations".into(), Value::Array(vec![citation]));
                    }
                }
                // `text`, `thinking`, `signature`: each grows the field of its name.
                (_, Value::String(piece)) => {
                    if key == "text" {
                        visible.push_str(&piece);
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
        visible
    }

    /// An input that `max_tokens` cut in the middle is no JSON: it stays as the text it is.
    fn into_value(mut self) -> Value {
        if !self.input.is_empty() {
            let input = serde_json::from_str(&self.input).unwrap_or(Value::String(self.input));
            self.fields.insert("input".into(), input);
        }
        Value::Object(self.fields)
    }
}
