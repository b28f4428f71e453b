//! Everything that the provider has seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    ops::Range,
    time::Duration,
};

use http::{Method, StatusCode};
use serde::Serialize;

use crate::{
    draw,
    fault::Fault,
    quota::{Cost, Dimension},
};

/// A request at the moment when it has been read to its end, and nothing has been decided yet.
///
/// The key itself is left out: a ledger can be shown to anyone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// Which one it is in the order of arrival, from 0.
    pub sequence: u64,
    /// Time since the simulator was built.
    pub at: Duration,
    /// The request's method.
    pub method: Method,
    /// The request's path, without the query.
    pub path: String,
    /// The number of its key, from 0 in the order in which keys were [added](crate::Builder::key). None if no keys
    /// were added, or if it is not one of them.
    pub key: Option<usize>,
    /// The model that the body names, if it names one.
    pub model: Option<String>,
    /// The `idempotency-key` header.
    pub idempotency_key: Option<String>,
    /// Hash of the body's bytes (FNV-1a, 64 bits). If the body was too long, the hash of no bytes.
    pub body_hash: u64,
    /// Whether a stream of events was asked for.
    pub stream: bool,
    /// The item of the [`Plan`](crate::Plan), if there is a plan and the body has a mark.
    pub item: Option<u64>,
    /// Which attempt at this request it is, from 1. Earlier sends of the same request count if key, form and quota let them
    /// through. The same request is the same item, without an item the same idempotency key, without a key the same body.
    /// Refusals by a quota do not count, because their number depends on timing, and they would shift the draws of later
    /// attempts.
    pub attempt: u32,
}

impl Seen {
    /// The key of all draws for this request.
    pub(crate) fn draw_key(&self) -> u64 {
        self.item.unwrap_or(self.body_hash)
    }
}

/// How a send ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It has not ended.
    Pending,
    /// The whole answer was handed to the connection, with its end marker if it was a stream.
    Answered,
    /// An error status, by a fault or because of the request itself.
    Refused(StatusCode),
    /// 429, because this quota was used up.
    OverQuota(Dimension),
    /// A fault left it without a whole answer and without an error status.
    Broken,
    /// The client left before the end.
    Abandoned,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str("pending"),
            Self::Answered => f.write_str("answered"),
            Self::Refused(status) => write!(f, "refused {}", status.as_u16()),
            Self::OverQuota(dimension) => write!(f, "over quota of {}", dimension.as_str()),
            Self::Broken => f.write_str("broken"),
            Self::Abandoned => f.write_str("abandoned"),
        }
    }
}

/// One send and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The request.
    pub seen: Seen,
    /// The fault that was chosen for it.
    pub fault: Option<Fault>,
    /// How it ended.
    pub outcome: Outcome,
    /// When it ended, as time since the simulator was built.
    pub ended: Option<Duration>,
    /// Tokens of the prompt it is billed for.
    pub input_tokens: u64,
    /// Tokens of the answer it is billed for.
    pub output_tokens: u64,
    // The account whose quotas it counts against, and what was taken from them, if it was admitted.
    pub(crate) account: Option<usize>,
    pub(crate) estimate: Option<Cost>,
    // The sequence of the next send at the time when this one ended. It gives an order where the clock stands still.
    pub(crate) next_at_end: u64,
}

impl Entry {
    /// Whether key, form and quota let it through. What happened afterwards is the provider's doing.
    pub fn was_admitted(&self) -> bool {
        self.estimate.is_some()
    }

    fn is_billed(&self) -> bool {
        self.input_tokens + self.output_tokens > 0
    }

    /// How long the provider had it. Zero if the provider still has it.
    pub(crate) fn took(&self) -> Duration {
        self.ended.map_or(Duration::ZERO, |ended| ended.saturating_sub(self.seen.at))
    }

    /// What identifies the request: the item, without an item the idempotency key, without a key the body.
    pub(crate) fn identity(&self) -> (Option<u64>, Option<&str>, u64) {
        match (self.seen.item, self.seen.idempotency_key.as_deref()) {
            (Some(item), _) => (Some(item), None, 0),
            (None, Some(key)) => (None, Some(key), 0),
            (None, None) => (None, None, self.seen.body_hash),
        }
    }
}

/// A snapshot of everything the provider has seen, in the order of arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    pub(crate) entries: Vec<Entry>,
    pub(crate) peak_concurrency: usize,
    pub(crate) connections: usize,
    // How many calls of other users were admitted, and what they took.
    pub(crate) others: (u64, Cost),
    pub(crate) outages: Vec<Range<Duration>>,
}

impl Ledger {
    /// Every send.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many requests were read to their end.
    pub fn sends(&self) -> usize {
        self.entries.len()
    }

    /// How many got a whole answer.
    pub fn answered(&self) -> usize {
        self.count(|entry| entry.outcome == Outcome::Answered)
    }

    /// How many got a 429, from a quota or from a fault.
    pub fn refused(&self) -> usize {
        let too_many = Outcome::Refused(StatusCode::TOO_MANY_REQUESTS);
        self.count(|entry| entry.outcome == too_many || matches!(entry.outcome, Outcome::OverQuota(_)))
    }

    /// How many were sent although an earlier send of the same request already had its whole answer. The same request has the
    /// same idempotency key, or without a key the same body. Requests that are equal on purpose need different keys.
    pub fn duplicates(&self) -> usize {
        let mut answered = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.outcome == Outcome::Answered) {
            let first = answered.entry(entry.identity()).or_insert(entry.next_at_end);
            *first = entry.next_at_end.min(*first);
        }
        self.count(|entry| answered.get(&entry.identity()).is_some_and(|first| entry.seen.sequence >= *first))
    }

    /// How many requests were billed for more than one send (same request as in [`duplicates`](Self::duplicates)).
    pub fn billed_twice(&self) -> usize {
        let mut billed = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.is_billed()) {
            *billed.entry(entry.identity()).or_insert(0_usize) += 1;
        }
        billed.values().filter(|times| **times > 1).count()
    }

    /// How many whole answers went to requests that already had one. They were paid for and of no use.
    pub fn answered_again(&self) -> usize {
        let answered = self.entries.iter().filter(|entry| entry.outcome == Outcome::Answered);
        let distinct: BTreeSet<_> = answered.map(Entry::identity).collect();
        self.answered() - distinct.len()
    }

    /// How many sends came during an [outage](crate::Builder::outage).
    pub fn sends_in_outages(&self) -> usize {
        self.count(|entry| self.outages.iter().any(|times| times.contains(&entry.seen.at)))
    }

    /// How many sends were under way at the provider when an [outage](crate::Builder::outage) began.
    pub fn in_flight_at_outages(&self) -> usize {
        self.count(|entry| {
            let runs_at = |at| entry.seen.at < at && entry.ended.is_none_or(|ended| ended >= at);
            self.outages.iter().any(|times| runs_at(times.start))
        })
    }

    /// How many sends were let through by key, form and quota.
    pub fn admitted(&self) -> usize {
        self.count(Entry::was_admitted)
    }

    /// What [other users](crate::Builder::other_users) have taken from the quotas, with all keys and models until now. What
    /// they still wait for is not in it.
    pub fn taken_by_others(&self, dimension: Dimension) -> u64 {
        let (calls, cost) = self.others;
        if dimension == Dimension::Requests { calls } else { cost.of(dimension) }
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// The highest [`attempt`](Seen::attempt) of any admitted send: how often one request was sent at worst.
    pub fn most_attempts(&self) -> u32 {
        self.entries
            .iter()
            .filter(|entry| entry.was_admitted())
            .map(|entry| entry.seen.attempt)
            .max()
            .unwrap_or(0)
    }

    /// How many sends there were of each body.
    pub fn sends_by_body_hash(&self) -> BTreeMap<u64, usize> {
        let mut sends = BTreeMap::new();
        for entry in &self.entries {
            *sends.entry(entry.seen.body_hash).or_insert(0) += 1;
        }
        sends
    }

    /// How many sends there were of each idempotency key. Sends without one are not in it.
    pub fn sends_by_idempotency_key(&self) -> BTreeMap<&str, usize> {
        let mut sends = BTreeMap::new();
        for key in self.entries.iter().filter_map(|entry| entry.seen.idempotency_key.as_deref()) {
            *sends.entry(key).or_insert(0) += 1;
        }
        sends
    }

    /// The largest number of requests that were under way at the provider at one time.
    pub fn peak_concurrency(&self) -> usize {
        self.peak_concurrency
    }

    /// Tokens of all prompts that were billed, and tokens of all answers that were.
    pub fn tokens(&self) -> (u64, u64) {
        self.entries
            .iter()
            .fold((0, 0), |(input, output), entry| (input + entry.input_tokens, output + entry.output_tokens))
    }

    /// A hash of the whole ledger, times included: two runs in virtual time with one seed have the same.
    pub fn digest(&self) -> u64 {
        let mut text = Vec::new();
        // Writing to a vector does not fail.
        let _ = self.write_to(&mut text);
        draw::hash(&text)
    }

    /// Writes one JSON object a line for each send, times in seconds since the simulator was built.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn write_to(&self, mut writer: impl io::Write) -> io::Result<()> {
        for entry in &self.entries {
            serde_json::to_writer(&mut writer, &Line::new(entry))?;
            writer.write_all(b"\n")?;
        }
        writer.flush()
    }

    fn count(&self, which: impl Fn(&Entry) -> bool) -> usize {
        self.entries.iter().filter(|entry| which(entry)).count()
    }
}

/// An entry as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    sequence: u64,
    at: f64,
    ended: Option<f64>,
    method: &'a str,
    path: &'a str,
    key: Option<usize>,
    model: Option<&'a str>,
    idempotency_key: Option<&'a str>,
    body_hash: String,
    stream: bool,
    attempt: u32,
    fault: Option<String>,
    outcome: String,
    input_tokens: u64,
    output_tokens: u64,
}

impl<'a> Line<'a> {
    fn new(entry: &'a Entry) -> Self {
        let seen = &entry.seen;
        Self {
            sequence: seen.sequence,
            at: seen.at.as_secs_f64(),
            ended: entry.ended.map(|ended| ended.as_secs_f64()),
            method: seen.method.as_str(),
            path: &seen.path,
            key: seen.key,
            model: seen.model.as_deref(),
            idempotency_key: seen.idempotency_key.as_deref(),
            body_hash: format!("{:016x}", seen.body_hash),
            stream: seen.stream,
            attempt: seen.attempt,
            fault: entry.fault.as_ref().map(Fault::to_string),
            outcome: entry.outcome.to_string(),
            input_tokens: entry.input_tokens,
            output_tokens: entry.output_tokens,
        }
    }
}
