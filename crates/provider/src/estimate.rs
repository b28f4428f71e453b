use serde_json::{Map, Value};

/// The output assumed of a request that names no maximum, for each answer it asks for.
const DEFAULT_OUTPUT: u64 = 1_024;
/// Tokens that a message costs besides its content: role and delimiters.
const PER_MESSAGE: u64 = 4;
/// An image or a file, whose size in tokens depends on what cannot be seen here: about a megapixel.
const PER_MEDIA: u64 = 1_000;
/// Deeper values count nothing: recursion has to end, and no provider accepts them.
const DEEPEST: usize = 128;

/// What a request will cost, guessed without a tokenizer.
///
/// Text counts by the length of each character in UTF-8: one byte is a quarter of a token (English has about
/// four letters a token, and OpenAI's own admission counts so), two bytes a half (Cyrillic, Greek, accents),
/// three a whole (Chinese, Japanese, Korean), four two (emoji). Each message costs 4 more, an image or file
/// 1,000, a token given as a number 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Estimate {
    /// Tokens of messages, system prompt, tools and schemas, rounded up.
    pub input: u64,
    /// The most that can be written: the request's own maximum, or 1,024 where it names none, times the
    /// number of answers asked for. Embeddings write nothing.
    pub output: u64,
    /// Whether the request names its maximum. If not, `output` is a guess, which should never be the reason
    /// to call a request impossible.
    pub output_stated: bool,
}

impl Estimate {
    pub(crate) fn of(body: &Value) -> Estimate {
        let Some(body) = body.as_object() else { return Estimate::default() };
        let prose = ["system", "messages", "prompt", "input", "instructions"];
        let schemas = ["tools", "functions", "response_format"];
        let quarters = |keys: &[&str], names: bool| -> u64 {
            let values = keys.iter().filter_map(|key| body.get(*key));
            values.fold(0, |sum, value| sum.saturating_add(weigh(value, names, DEEPEST)))
        };
        let input = quarters(&prose, false).saturating_add(quarters(&schemas, true));
        let (output, output_stated) = output(body);
        Estimate { input: input.div_ceil(4), output, output_stated }
    }
}

fn output(body: &Map<String, Value>) -> (u64, bool) {
    let number = |key: &str| body.get(key).and_then(Value::as_u64);
    let stated =
        ["max_completion_tokens", "max_output_tokens", "max_tokens"].iter().find_map(|key| number(key));
    if stated.is_none() && is_embedding(body) {
        return (0, true);
    }
    let answers = number("n").max(number("best_of")).unwrap_or(1).max(1);
    (stated.unwrap_or(DEFAULT_OUTPUT).saturating_mul(answers), stated.is_some())
}

/// An embedding has `input` and no messages, as a request for a response has; but its model says what it is.
fn is_embedding(body: &Map<String, Value>) -> bool {
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
    let says =
        model.contains("embed") || body.contains_key("encoding_format") || body.contains_key("dimensions");
    says && body.contains_key("input") && !body.contains_key("messages")
}

/// Quarters of tokens in a value; `names` says whether the keys of objects are text too, as in a schema.
fn weigh(value: &Value, names: bool, depth: usize) -> u64 {
    let Some(depth) = depth.checked_sub(1) else { return 0 };
    match value {
        Value::Null => 0,
        Value::Bool(_) | Value::Number(_) => 4,
        Value::String(text) => weigh_text(text),
        Value::Array(items) => {
            items.iter().fold(0, |sum, item| sum.saturating_add(weigh(item, names, depth)))
        }
        Value::Object(object) if !names && is_media(object) => 4 * PER_MEDIA,
        Value::Object(object) => {
            let message = if object.contains_key("role") { 4 * PER_MESSAGE } else { 0 };
            object.iter().filter(|(key, _)| names || !is_structure(key)).fold(message, |sum, (key, value)| {
                let own = if names { weigh_text(key) } else { 0 };
                // What a tool was called with is data of any shape: its keys are text.
                let inner = weigh(value, names || key == "input", depth);
                sum.saturating_add(own).saturating_add(inner)
            })
        }
    }
}

/// Parts that stand for data: the data itself, mostly base64, must not be counted as text. A document that is
/// given as text is text.
fn is_media(part: &Map<String, Value>) -> bool {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    let source = part.get("source").and_then(|source| source.get("type")).and_then(Value::as_str);
    match kind {
        "image_url" | "input_image" | "image" | "input_audio" | "file" | "input_file" | "video_url" => true,
        "document" => !matches!(source, Some("text" | "content")),
        _ => false,
    }
}

/// Keys whose values the model does not read as text.
fn is_structure(key: &str) -> bool {
    matches!(
        key,
        "role" | "type" | "id" | "tool_call_id" | "tool_use_id" | "call_id" | "cache_control" | "status"
    )
}

fn weigh_text(text: &str) -> u64 {
    let quarters = |byte: u8| match byte {
        ..0x80 => 1,
        // Bytes that continue a character.
        0x80..0xC0 => 0,
        0xC0..0xE0 => 2,
        0xE0..0xF0 => 4,
        0xF0.. => 8,
    };
    text.bytes().map(quarters).sum()
}
