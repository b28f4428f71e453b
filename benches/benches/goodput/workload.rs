//! The requests.

use std::{fs, io};

use outbound_simulator::Plan;
use serde_json::Value;

/// The bodies of a file of prompts, one object a line, in OpenAI's batch form or bare.
pub(crate) fn prompts(file: Option<&str>) -> io::Result<Vec<Value>> {
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/prompts.jsonl");
    let text = fs::read_to_string(file.unwrap_or(committed))?;
    let mut prompts = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let mut line: Value = serde_json::from_str(line)?;
        let body = line.get_mut("body").map(Value::take);
        prompts.push(body.unwrap_or(line));
    }
    if prompts.is_empty() {
        return Err(io::Error::other("there are none"));
    }
    Ok(prompts)
}

/// So many items: all prompts in an order drawn by the seed, again and again, each with a mark of its own.
pub(crate) fn items(
    prompts: &[Value],
    count: usize,
    seed: u64,
    models: &[&str],
    streamed: bool,
) -> Vec<Value> {
    let mut state = seed;
    let mut order = Vec::new();
    while order.len() < count {
        let mut all: Vec<usize> = (0..prompts.len()).collect();
        for last in (1..all.len()).rev() {
            all.swap(last, (next(&mut state) % (last as u64 + 1)) as usize);
        }
        order.extend(all);
    }
    order.truncate(count);
    let item = |(item, prompt): (usize, usize)| {
        let mut body = prompts[prompt].clone();
        body["model"] = models[item % models.len()].into();
        if let Some(body) = body.as_object_mut() {
            body.remove("stream");
            if streamed {
                body.insert("stream".into(), true.into());
            }
        }
        let content = body["messages"]
            .as_array_mut()
            .and_then(|messages| messages.last_mut())
            .map(|last| &mut last["content"]);
        if let Some(content) = content {
            *content = format!("{} {}", content.as_str().unwrap_or_default(), Plan::mark(item as u64)).into();
        }
        body
    };
    order.into_iter().enumerate().map(item).collect()
}

/// `SplitMix64`.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
