//! The requests: real prompts, each with a mark of its own, so that no two bodies are equal.

use std::{fs, path::Path};

use serde_json::Value;

use super::judge::{Item, hash};
use crate::run::Result;

const PROMPTS: &str = "examples/data/prompts.jsonl";

/// Writes a file with so many requests.
pub(crate) fn write(path: &Path, count: usize) -> Result<Vec<Item>> {
    let prompts = prompts(&fs::read_to_string(PROMPTS)?)?;
    let mut text = String::new();
    let items = (0..count)
        .zip(prompts.iter().cycle())
        .map(|(number, prompt)| {
            let (item, line) = request(number, prompt.clone());
            text += &line;
            item
        })
        .collect();
    fs::write(path, text)?;
    Ok(items)
}

/// The bodies of a file in the form of OpenAI's batches.
fn prompts(text: &str) -> Result<Vec<Value>> {
    let mut bodies = Vec::new();
    for line in text.lines() {
        let mut line: Value = serde_json::from_str(line)?;
        bodies.push(line["body"].take());
    }
    if bodies.is_empty() { Err(format!("{PROMPTS} is empty").into()) } else { Ok(bodies) }
}

/// All name one model, since the quota is one.
fn request(number: usize, mut body: Value) -> (Item, String) {
    body["model"] = "gpt-4o-mini".into();
    if let Some(last) = body["messages"].as_array_mut().and_then(|messages| messages.last_mut()) {
        last["content"] =
            format!("{} (request {number})", last["content"].as_str().unwrap_or_default()).into();
    }
    let id = format!("r{number:05}");
    let max_tokens = body["max_tokens"].as_u64().unwrap_or(0);
    // The body is sent as it stands in the line.
    let body = body.to_string();
    let line = format!(
        "{{\"custom_id\":\"{id}\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{body}}}\n"
    );
    (Item { id, hash: hash(&body), max_tokens }, line)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn each_request_has_a_body_of_its_own_and_the_hash_of_it() {
        let prompt =
            json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 64});
        let requests: Vec<_> = (0..50).map(|number| request(number, prompt.clone())).collect();
        let hashes: BTreeSet<_> = requests.iter().map(|(item, _)| &item.hash).collect();
        assert_eq!(hashes.len(), 50);
        for (item, line) in &requests {
            let (_, body) = line.trim_end().split_once("\"body\":").expect("a body");
            assert_eq!(hash(body.strip_suffix('}').expect("the end of the line")), item.hash);
            assert_eq!(serde_json::from_str::<Value>(line).expect("JSON")["custom_id"], item.id.as_str());
            assert_eq!(item.max_tokens, 64);
        }
    }
}
