//! The judge: what was asked, what the provider saw, and what was exported, held against each other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::run::Result;

/// One request of the input. Each has a body that no other has.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) id: String,
    /// As the ledger has it: FNV-1a of the body's bytes.
    pub(crate) hash: String,
    pub(crate) max_tokens: u64,
}

/// One request that the provider received.
#[derive(Debug, Clone)]
pub(crate) struct Send {
    /// In seconds since the provider was started.
    pub(crate) at: f64,
    pub(crate) ended: f64,
    pub(crate) hash: String,
    pub(crate) key: String,
    pub(crate) outcome: String,
    pub(crate) input_tokens: u64,
    pub(crate) billed: bool,
}

impl Send {
    pub(crate) fn is_answered(&self) -> bool {
        self.outcome == "answered"
    }

    pub(crate) fn is_over_quota(&self) -> bool {
        self.outcome.starts_with("over quota")
    }
}

/// What is wrong, by the ids of the requests.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) items: usize,
    /// Without a line in the export.
    pub(crate) lost: BTreeSet<String>,
    /// With a line that says that it failed.
    pub(crate) failed: BTreeSet<String>,
    /// With two lines or more.
    pub(crate) twice: BTreeSet<String>,
    /// Billed twice or more, and not flagged.
    pub(crate) unflagged: BTreeSet<String>,
    /// With an answer that the provider never gave to this request.
    pub(crate) invented: BTreeSet<String>,
    /// Lines and sends that no request of the input explains.
    pub(crate) strange: BTreeSet<String>,
    /// Sent with different idempotency keys.
    pub(crate) keys: BTreeSet<String>,
    /// Billed twice or more.
    pub(crate) billed_again: usize,
    /// Flagged, whether billed twice or not.
    pub(crate) flagged: usize,
    pub(crate) sends: usize,
    /// Refused for the quota.
    pub(crate) over_quota: usize,
}

impl Verdict {
    pub(crate) fn refused_per_thousand(&self) -> f64 {
        self.over_quota as f64 * 1_000.0 / self.items.max(1) as f64
    }
}

pub(crate) fn judge(items: &[Item], sends: &[Send], export: &str) -> Result<Verdict> {
    let mut verdict = Verdict { items: items.len(), sends: sends.len(), ..Verdict::default() };
    let mut by_hash: BTreeMap<&str, Vec<&Send>> = BTreeMap::new();
    for send in sends {
        by_hash.entry(&send.hash).or_default().push(send);
    }
    verdict.over_quota = sends.iter().filter(|send| send.is_over_quota()).count();
    let known: BTreeSet<&str> = items.iter().map(|item| item.hash.as_str()).collect();
    let unknown = by_hash.keys().filter(|hash| !known.contains(*hash));
    verdict.strange = unknown.map(|hash| format!("a send of the body {hash}")).collect();

    let mut lines: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (number, line) in export.lines().enumerate() {
        let line: Value = serde_json::from_str(line)
            .map_err(|error| format!("line {} of the export: {error}", number + 1))?;
        let id = line["custom_id"].as_str().ok_or_else(|| format!("line {} has no id", number + 1))?;
        lines.entry(id.to_owned()).or_default().push(line);
    }
    for item in items {
        let sends = by_hash.get(item.hash.as_str()).map_or(&[][..], Vec::as_slice);
        let own = lines.remove(&item.id).unwrap_or_default();
        item_verdict(&mut verdict, item, sends, &own);
    }
    verdict.strange.extend(lines.into_keys().map(|id| format!("a line of {id}")));
    Ok(verdict)
}

fn item_verdict(verdict: &mut Verdict, item: &Item, sends: &[&Send], lines: &[Value]) {
    let id = || item.id.clone();
    let is_flagged = lines.iter().any(|line| line["outbound"]["possible_duplicate"] == true);
    let billed = sends.iter().filter(|send| send.billed).count();
    verdict.billed_again += usize::from(billed > 1);
    verdict.flagged += usize::from(is_flagged);
    if sends.iter().map(|send| &send.key).collect::<BTreeSet<_>>().len() > 1 {
        verdict.keys.insert(id());
    }
    if lines.is_empty() {
        verdict.lost.insert(id());
        return;
    }
    if lines.len() > 1 {
        verdict.twice.insert(id());
    }
    if billed > 1 && !is_flagged {
        verdict.unflagged.insert(id());
    }
    let is_answered = |line: &Value| line["error"].is_null() && line["response"]["status_code"] == 200;
    if !lines.iter().any(is_answered) {
        verdict.failed.insert(id());
    } else if !sends.iter().any(|send| send.is_answered()) {
        verdict.invented.insert(id());
    }
}

/// The sends of a ledger, in the order in which they arrived.
pub(crate) fn ledger(text: &str) -> Result<Vec<Send>> {
    text.lines().map(send).collect()
}

fn send(line: &str) -> Result<Send> {
    let line: Value = serde_json::from_str(line).map_err(|error| format!("the ledger: {error}"))?;
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| line[name].as_u64().unwrap_or(0);
    let at = line["at"].as_f64().ok_or("a send in the ledger has no time")?;
    Ok(Send {
        at,
        ended: line["ended"].as_f64().unwrap_or(at),
        hash: text("body_hash"),
        key: text("idempotency_key"),
        outcome: text("outcome"),
        input_tokens: number("input_tokens"),
        billed: number("input_tokens") + number("output_tokens") > 0,
    })
}

/// FNV-1a, as the ledger writes it.
pub(crate) fn hash(body: &str) -> String {
    let hash = body.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests;
