//! The requests of a scenario.

use std::time::Duration;

use serde::Deserialize;

use super::time;

/// The requests, and what the client is told. A missing setting has the client's own default.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Workload {
    /// How many requests, each with a prompt of its own.
    pub requests: usize,
    /// Whether each asks for a stream. Default: no.
    #[serde(default)]
    pub stream: bool,
    /// The models that the requests name in turn. Default: `test`.
    #[serde(default = "test")]
    pub models: Vec<String>,
    /// The most tokens that an answer may have. Default: 32.
    #[serde(default = "thirty_two")]
    pub max_tokens: u64,
    /// How many are in flight at once, at most.
    pub concurrency: Option<usize>,
    /// Requests per minute, at most.
    pub requests_per_minute: Option<u64>,
    /// Tokens per minute, at most.
    pub tokens_per_minute: Option<u64>,
    /// How long one request may take in all.
    #[serde(default, deserialize_with = "time::optional")]
    pub deadline: Option<Duration>,
    /// How long one attempt may take.
    #[serde(default, deserialize_with = "time::optional")]
    pub attempt_timeout: Option<Duration>,
    /// How often one request may be sent.
    pub max_attempts: Option<u32>,
    /// The key. Default: none.
    pub key: Option<String>,
}

fn test() -> Vec<String> {
    vec![String::from("test")]
}

const fn thirty_two() -> u64 {
    32
}
